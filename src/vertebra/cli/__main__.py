"""``python -m vertebra.cli``."""

from vertebra.cli.entry import main

if __name__ == "__main__":
    main()
