"""Hostile API servers, healthy ones beside them, and a process that observes both."""
