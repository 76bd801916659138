"""What an examination found: one finding a thing, and never "ok" for what did not run."""

import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class State(StrEnum):
    """How something stands."""

    OK = "ok"
    """It ran, and agrees."""
    DIFFERS = "differs"
    """It ran, and differs by more than the tolerance."""
    FAILED = "failed"
    """It raised an error."""
    SKIPPED = "skipped"
    """It did not run."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was examined, or that could not be.

    Attributes:
        name: What.
        state: How it stands.
        words: By how much it differs, how it failed, or why it was skipped.
        figures: What was measured.
        seconds: How long it took.
        warned: What libraries warned of meanwhile.
    """

    name: str
    state: State
    words: str = ""
    figures: Mapping[str, float] = field(default_factory=dict[str, float])
    seconds: float = 0.0
    warned: tuple[str, ...] = ()


class Unavailable(Exception):  # noqa: N818 - it is no error: it says why something did not run
    """Why something cannot run on this machine."""


def skipped(name: str, why: str) -> Finding:
    """Something that does not run here."""
    return Finding(name=name, state=State.SKIPPED, words=why)


def compared(figures: Mapping[str, float], tolerance: float) -> tuple[State, str, dict[str, float]]:
    """The state of measured relative differences: all of them must be within the tolerance.

    Raises:
        AssertionError: When nothing was measured.
    """
    if not figures:
        raise AssertionError("nothing was compared")
    worst = max(figures, key=lambda name: figures[name])
    # Not-a-number is above every tolerance.
    inside = all(value <= tolerance for value in figures.values())
    words = f"largest relative difference {figures[worst]:.1e} ({worst}), tolerance {tolerance:.0e}"
    return (State.OK if inside else State.DIFFERS), words, dict(figures)


def examined(name: str, examine: Callable[[], tuple[State, str, dict[str, float]]]) -> Finding:
    """Run an examination; its errors become a finding.

    Args:
        name: What is examined.
        examine: Gives state, words and figures; ``Unavailable`` says that it cannot run here.
    """
    before = time.perf_counter()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            state, words, figures = examine()
        except Unavailable as why:
            return skipped(name, str(why))
        except Exception as error:
            state, figures = State.FAILED, {}
            words = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    return Finding(
        name=name,
        state=state,
        words=words,
        figures=figures,
        seconds=time.perf_counter() - before,
        warned=tuple(dict.fromkeys(str(one.message).splitlines()[0][:200] for one in told)),
    )


def counts(findings: Iterable[Finding]) -> dict[str, int]:
    """How many findings there are of each state."""
    found = [finding.state for finding in findings]
    return {state.value: found.count(state) for state in State}


def lines(findings: Iterable[Finding]) -> Iterator[str]:
    """Findings as text, a line each."""
    for one in findings:
        yield f"{one.state.value:8} {one.name:44} {one.words}"
