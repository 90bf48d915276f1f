"""Figures of Wharfinger, measured side by side in one run."""
