"""`python -m heddle.cli` is the same program as `heddle`."""

from heddle.cli import main

if __name__ == "__main__":
    main()
