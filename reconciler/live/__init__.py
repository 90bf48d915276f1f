"""`wharfinger run`: waits for what changes in clusters and on the branch, and makes passes (I/O)."""
