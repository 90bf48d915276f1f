"""The embedded demo: two clusters in a directory, real TCP servers, real Git, real Envoy."""
