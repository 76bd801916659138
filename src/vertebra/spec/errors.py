"""The few domain errors. A message says what was found, what was expected, and what to do."""


class SpecMismatch(ValueError):  # noqa: N818 - named for what is wrong
    """A policy and an environment (or a data set) disagree on what an observation or action is."""


class IllegalRecipe(ValueError):  # noqa: N818
    """A recipe's streams, visibility and schedule contradict each other."""


class BrokenDataset(ValueError):  # noqa: N818
    """A data set has faults that would silently wreck training. ``problems`` lists all of them."""

    def __init__(self, where: str, problems: list[str]) -> None:
        self.where = where
        self.problems = problems
        listing = "\n".join(f"  - {problem}" for problem in problems)
        super().__init__(f"{where} has {len(problems)} problem(s):\n{listing}")


class MissingExtra(ImportError):  # noqa: N818
    """An optional part of vertebra is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(
            f"{what} needs the optional part '{extra}', which is not installed. "
            f"Install it with: pip install 'vertebra[{extra}]'"
        )
