"""The real control planes that the tests of this folder run against (does I/O)."""
