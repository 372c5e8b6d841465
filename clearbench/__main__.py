"""`python -m clearbench`: the same as `clearbench`."""

from clearbench.cli import main

main()
