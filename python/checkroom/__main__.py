"""``python -m checkroom``: the command line, where its script is not on the path."""

from checkroom.cli import main

if __name__ == "__main__":
    main()
