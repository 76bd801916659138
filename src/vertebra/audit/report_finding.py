"""One thing that an audit of a run found."""

from dataclasses import dataclass

KINDS = {
    "edited number": "a number in the verdict, the report or a result is not what follows",
    "edited plan": "the plan or what it fixes was changed after locking",
    "edited record": "an episode is not the one that its training wrote",
    "dropped episode": "a planned episode is missing; errors must stay in",
    "added episode": "an episode was not planned or is there twice",
    "changed seed": "a seed is not the one that the plan gives",
    "swapped label": "something stands under the name of something else",
    "stale record": "something is of another plan, training or data set",
    "unreadable": "a file cannot be read",
}
"""What can be found."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is not as it should be.

    Attributes:
        kind: One of ``KINDS``.
        where: File, and the place in it.
        found: What stands there.
        expected: What should stand there.
    """

    kind: str
    where: str
    found: str
    expected: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.where}: found {self.found}, expected {self.expected}"


def unreadable(where: str, error: Exception) -> Finding:
    """A file that cannot be read."""
    return Finding(
        kind="unreadable",
        where=where,
        found=f"{type(error).__name__}: {error}",
        expected="a file as it was written",
    )
