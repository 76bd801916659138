"""What is said when more than two policies are compared: a set that is left, never a ranking."""

from collections.abc import Sequence
from dataclasses import dataclass

from vertebra.verdict.about import MEASURES
from vertebra.verdict.judge import Judgement
from vertebra.verdict.numbers import sentence
from vertebra.verdict.rule import SEEDS_REQUIRED
from vertebra.verdict.summary import (
    BETTER_FIRST,
    BETTER_SECOND,
    CANNOT_TELL,
    DEAF,
    EQUIVALENT,
    LISTENS,
    UNSKILLED,
    Comparison,
    Listening,
)

NAMED = 6
"""Policies that are named in one sentence; of more, how many they are."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What is said about all policies together.

    Attributes:
        word: ``first better`` when one is shown to be better than every other, ``equivalent`` when
            all pairs are, else ``cannot tell``.
        first: That one, else empty.
        headline: One sentence.
        open: The comparison among those left that would be settled first; ``None`` when none would.
    """

    word: str
    first: str
    headline: str
    open: Comparison | None


def beaten_by(judgement: Judgement) -> tuple[tuple[str, str], ...]:
    """Every arm that was shown to be worse, with the arm that it was shown to be worse than."""
    found: list[tuple[str, str]] = []
    for (first, second), word in judgement.words.items():
        if word == BETTER_FIRST:
            found.append((second, first))
        elif word == BETTER_SECOND:
            found.append((first, second))
    return tuple(found)


def answer(sides: Sequence[Comparison], judgement: Judgement) -> Answer:
    """One sentence about more than two policies."""
    left, beaten = judgement.undefeated, beaten_by(judgement)
    arms = list(dict.fromkeys(arm for pair in judgement.words for arm in pair))
    lost = {loser for loser, _ in beaten}
    nearest = nearest_open([c for c in sides if c.first in left and c.second in left])
    seeds = max((c.difference.seeds for c in sides if c.difference is not None), default=0)
    if set(judgement.words.values()) == {EQUIVALENT}:
        measures = " and ".join(MEASURES[m] for m in dict.fromkeys(c.measure for c in sides))
        words = f"All {len(arms)} policies are equivalent here in {measures}."
        return Answer(word=EQUIVALENT, first="", headline=words, open=None)
    if seeds < SEEDS_REQUIRED:
        words = f"Cannot tell yet which of {len(arms)} policies is best"
        missing = nearest.missing if nearest is not None else "nothing was compared yet"
        return Answer(word=CANNOT_TELL, first="", headline=f"{words}: {missing}.", open=nearest)
    if len(left) == 1 and sum(winner == left[0] for _, winner in beaten) == len(arms) - 1:
        words = f"{left[0]} is better here than each of the other {len(arms) - 1} policies."
        return Answer(word=BETTER_FIRST, first=left[0], headline=words, open=None)
    if len(left) == 1:
        words = (
            f"{left[0]} is the only one of {len(arms)} policies that no other was shown to beat, "
            "but it was not shown to beat all of them."
        )
        own = [c for c in sides if left[0] in (c.first, c.second) and c.missing]
        return Answer(word=CANNOT_TELL, first="", headline=words, open=own[0] if own else None)
    words = f"Cannot tell which of {named(left)} is best."
    if lost:
        verb = "was" if len(lost) == 1 else "were each"
        words += f" The other {len(lost)} {verb} shown to be worse than another policy."
    return Answer(word=CANNOT_TELL, first="", headline=words, open=nearest)


def nearest_open(comparisons: Sequence[Comparison]) -> Comparison | None:
    """The open comparison that would be settled first; ``None`` when none is open."""
    among = [c for c in comparisons if c.missing]
    return min(among, key=lambda c: (c.settled_by is None, c.settled_by or 0), default=None)


def named(arms: Sequence[str]) -> str:
    """Names in a sentence; of many, their number."""
    if len(arms) > NAMED:
        return f"{len(arms)} policies"
    return ", ".join(arms[:-1]) + f" and {arms[-1]}" if len(arms) > 1 else arms[0]


def list_beaten(judgement: Judgement) -> list[str]:
    """Each policy that was shown to be worse, and than which."""
    found: dict[str, list[str]] = {}
    for loser, winner in beaten_by(judgement):
        found.setdefault(loser, []).append(winner)
    return [f"{loser} was shown to be worse than {named(won)}." for loser, won in found.items()]


def next_step(found: Answer) -> str:
    """What would change it."""
    if found.word == BETTER_FIRST:
        return (
            "Other tasks, scenes, larger backbones or another budget are other questions; more "
            "seeds of this one would move the size of the leads more than their signs."
        )
    if found.open is None:
        return "Nothing that this pilot could still measure."
    if found.open.settled_by == SEEDS_REQUIRED:
        return sentence(found.open.missing)
    return f"{found.open.first} against {found.open.second}: {found.open.missing}."


def listening_of_all(listening: Sequence[Listening]) -> tuple[str, ...]:
    """Who is shown to listen, and who not, in a line each."""
    lines = {
        LISTENS: "Shown to follow language",
        DEAF: "Shown not to follow language",
        UNSKILLED: "Have not learnt to act within this budget",
        CANNOT_TELL: "Cannot tell whether they follow language",
    }
    groups = {word: [one.arm for one in listening if one.word == word] for word in lines}
    return tuple(
        f"{lines[word]} ({len(arms)} of {len(listening)}): {', '.join(arms)}."
        for word, arms in groups.items()
        if arms
    )
