"""`python -m reconciler` is `wharfinger`."""

from reconciler.cli import main

main()
