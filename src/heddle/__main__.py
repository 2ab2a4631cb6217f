"""`python -m heddle` is the command line."""

from heddle.cli import main

main()
