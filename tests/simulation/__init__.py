"""`wharfinger run` in simulated time: clusters in memory, a real repository, an hour in seconds."""
