"""Wharfinger."""
