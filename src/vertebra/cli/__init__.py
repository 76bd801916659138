"""The command line: turns strings into objects and prints what comes back."""

from vertebra.cli.entry import main

__all__ = ["main"]
