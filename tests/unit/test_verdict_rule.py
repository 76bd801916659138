"""The decision rule alone: margins, equivalence, correction, bars and the set that is left."""

import math
from dataclasses import dataclass

import pytest

from vertebra.verdict.rule import (
    BARRED_DEAF,
    NOT_TIMED,
    TOO_SLOW,
    Evidence,
    Standing,
    admitted,
    decide,
    over_all,
    undefeated,
)
from vertebra.verdict.summary import BETTER_FIRST, BETTER_SECOND, CANNOT_TELL, EQUIVALENT


@dataclass(frozen=True, kw_only=True)
class Normal:
    """An estimate with a known standard error."""

    value: float
    error: float

    def p_above(self, margin: float) -> float:
        return 0.5 * math.erfc((self.value - margin) / self.error / math.sqrt(2))

    def p_below(self, margin: float) -> float:
        return 0.5 * math.erfc((margin - self.value) / self.error / math.sqrt(2))


def evidence(
    value: float, error: float = 0.01, *, seeds: int = 3, margin: float = 0.05
) -> Evidence:
    return Evidence(
        endpoint="success",
        first="a",
        second="b",
        margin=margin,
        found=Normal(value=value, error=error),
        seeds=seeds,
    )


@pytest.mark.parametrize(
    ("value", "error", "word"),
    [
        (0.20, 0.01, BETTER_FIRST),
        (-0.20, 0.01, BETTER_SECOND),
        (0.00, 0.01, EQUIVALENT),
        (0.20, 0.10, CANNOT_TELL),
        (0.00, 0.10, CANNOT_TELL),
        (0.06, 0.01, CANNOT_TELL),  # beyond zero, not beyond the margin
    ],
)
def test_each_word_has_its_evidence(value: float, error: float, word: str) -> None:
    assert decide([evidence(value, error)])[0].word == word


def test_better_means_beyond_the_margin() -> None:
    assert decide([evidence(0.06, margin=0.0)])[0].word == BETTER_FIRST
    assert decide([evidence(0.06, margin=0.05)])[0].word == CANNOT_TELL


@pytest.mark.parametrize("seeds", [0, 1, 2])
def test_fewer_than_three_seeds_cannot_tell_however_clear(seeds: int) -> None:
    found = decide([evidence(0.9, 0.001, seeds=seeds), evidence(0.0, 0.001, seeds=seeds)])
    assert [d.word for d in found] == [CANNOT_TELL] * 2
    assert [d.p for d in found] == [None] * 2


def test_more_questions_ask_for_more_evidence() -> None:
    """2.1 standard errors decide one question, not one of four."""
    clear = evidence(0.05 + 2.1 * 0.01)
    assert decide([clear])[0].word == BETTER_FIRST
    found = decide([clear, *[evidence(0.05, 0.02)] * 3])
    assert found[0].p is not None and found[0].p_holm is not None
    assert found[0].p_holm == pytest.approx(4 * found[0].p)
    assert {d.word for d in found} == {CANNOT_TELL}


def test_evidence_that_is_missing_costs_nothing() -> None:
    clear = evidence(0.05 + 2.1 * 0.01)
    nothing = Evidence(endpoint="x", first="a", second="b", margin=0.05, found=None, seeds=5)
    assert [d.word for d in decide([nothing, clear])] == [CANNOT_TELL, BETTER_FIRST]


def test_over_all() -> None:
    assert over_all([BETTER_FIRST, CANNOT_TELL]) == BETTER_FIRST
    assert over_all([EQUIVALENT, BETTER_SECOND]) == BETTER_SECOND
    assert over_all([BETTER_FIRST, BETTER_SECOND]) == CANNOT_TELL
    assert over_all([EQUIVALENT, EQUIVALENT]) == EQUIVALENT
    assert over_all([EQUIVALENT, CANNOT_TELL]) == CANNOT_TELL
    assert over_all([]) == CANNOT_TELL


FREE = Standing()
SLOW = Standing(bar=TOO_SLOW)
DEAF = Standing(bar=BARRED_DEAF)


@pytest.mark.parametrize(
    ("first", "second", "word"),
    [
        (FREE, FREE, BETTER_FIRST),
        (SLOW, FREE, BETTER_SECOND),
        (SLOW, SLOW, CANNOT_TELL),
        (SLOW, Standing(able=False), CANNOT_TELL),
        (Standing(bar=NOT_TIMED), FREE, CANNOT_TELL),
        (DEAF, FREE, CANNOT_TELL),
        (DEAF, Standing(listens=True), BETTER_SECOND),
        (SLOW, DEAF, CANNOT_TELL),
    ],
)
def test_a_barred_arm_does_not_win(first: Standing, second: Standing, word: str) -> None:
    mirrored = {BETTER_FIRST: BETTER_SECOND, BETTER_SECOND: BETTER_FIRST}
    assert admitted(BETTER_FIRST, first, second) == word
    assert admitted(BETTER_SECOND, second, first) == mirrored.get(word, word)


def test_arms_are_not_ranked() -> None:
    words = {("a", "b"): CANNOT_TELL, ("a", "c"): BETTER_FIRST, ("b", "c"): CANNOT_TELL}
    assert undefeated(("a", "b", "c"), words) == ("a", "b")
    assert undefeated(("a", "b"), {("a", "b"): BETTER_SECOND}) == ("b",)
