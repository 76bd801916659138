"""Finding one of a few known things by its name."""

from collections.abc import Iterable
from typing import Protocol, TypeVar, runtime_checkable


@runtime_checkable
class Named(Protocol):
    """Something with a name."""

    @property
    def name(self) -> str:
        """Its name."""
        ...


Thing = TypeVar("Thing", bound=Named)


def one_named(things: Iterable[Thing], name: str, unknown: str) -> Thing:
    """The thing of that name.

    Args:
        things: What is known.
        name: Which is wanted.
        unknown: A sentence for when there is none, without its full stop.

    Raises:
        ValueError: That sentence, and the known names.
    """
    known = {thing.name: thing for thing in things}
    if name not in known:
        raise ValueError(f"{unknown}. Known are: {', '.join(known)}.")
    return known[name]
