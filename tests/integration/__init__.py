"""Tests with real git and real processes."""
