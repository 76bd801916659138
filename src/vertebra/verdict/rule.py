"""The decision rule, fixed before any number is seen. Everything that decides is in this file.

1. The unit is the training recipe: fewer than three training seeds on a side, *cannot tell*.
2. What decides are the endpoints of the locked criteria, over all pairs of sighted arms. Their
   p values are corrected together (Holm), so that the chance of any false "better" stays at 5 %.
3. One side is *better* in an endpoint when it is shown to lie beyond the smallest difference that
   matters (not just beyond zero). The two are *equivalent* when they are shown to lie within it
   (two one-sided tests, corrected alike). Otherwise *cannot tell*.
4. A side is better over all when it is better in an endpoint and the other in none; two sides are
   equivalent when they are in every endpoint.
5. An arm is barred when its chunks take longer than the latency limit, when it was not timed
   under a limit, or when it is shown not to follow language. A barred arm cannot win, however well
   it acts; against one that is too slow or deaf, an arm wins that is not barred and proved able.
6. Arms are not ranked: the result over several arms is the set that no other arm was shown to beat.
7. A pilot that was extended after its verdict was read is judged again, and every look is another
   chance to be wrong. The second look is judged at a fifth of the level of the first, the third at
   a fifth of that: over all looks together, however many, false words stay below 5/4 of the level.

Its error rates are measured on synthetic pilots with known truth (docs/study.md).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vertebra.stats.contrast import Tested
from vertebra.stats.paired import holm
from vertebra.verdict.summary import BETTER_FIRST, BETTER_SECOND, CANNOT_TELL, EQUIVALENT

ALPHA = 0.05
STRICTER = 5
"""How many times stricter each further look is. With 2, pilots that were extended were measured to
err in 5.5 % after two looks and in 6.2 % after four; the rule is held to 6 % with its bound."""


def level_at(look: int) -> float:
    """Level at which a look is judged; the first is number 1."""
    return ALPHA / STRICTER ** (look - 1)


def spent(looks: int) -> float:
    """Bound of the chance of a false word over so many looks together."""
    return sum(level_at(look) for look in range(1, looks + 1))


SEEDS_REQUIRED = 3
"""Training seeds below which nothing is put into words about a recipe."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What is known about two arms in one endpoint.

    Attributes:
        endpoint: Which.
        first: Arm; positive numbers are in its favour.
        second: Arm.
        margin: Smallest difference that matters, on the scale of ``found``.
        found: The difference with its tests; ``None`` when there is none.
        seeds: Training seeds on each side.
    """

    endpoint: str
    first: str
    second: str
    margin: float
    found: Tested | None
    seeds: int


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What the rule says about one piece of evidence.

    Attributes:
        word: ``first better``, ``second better``, ``equivalent`` or ``cannot tell``.
        p: Two-sided p value of "no difference that matters"; ``None`` when not tested.
        p_holm: The same, corrected for the number of questions.
        p_equal: Corrected p value of "they differ by what matters"; small: equivalent.
    """

    word: str
    p: float | None
    p_holm: float | None
    p_equal: float | None


UNTESTED = Decision(word=CANNOT_TELL, p=None, p_holm=None, p_equal=None)


def decide(family: Sequence[Evidence], level: float = ALPHA) -> tuple[Decision, ...]:
    """Decide every piece of evidence of one family of questions, corrected together.

    Args:
        family: The evidence.
        level: Level of the look at which it is judged (``level_at``).
    """
    tested = [
        (i, e.found, e.margin)
        for i, e in enumerate(family)
        if e.found is not None and e.seeds >= SEEDS_REQUIRED
    ]
    better = [min(1.0, 2 * min(t.p_above(m), t.p_below(-m))) for _, t, m in tested]
    equal = holm([max(t.p_below(m), t.p_above(-m)) for _, t, m in tested])
    found = [UNTESTED] * len(family)
    for (i, test, _), p, p_holm, p_equal in zip(tested, better, holm(better), equal, strict=True):
        word = CANNOT_TELL
        if p_holm < level:
            word = BETTER_FIRST if test.value > 0 else BETTER_SECOND
        elif p_equal < level:
            word = EQUIVALENT
        found[i] = Decision(word=word, p=p, p_holm=p_holm, p_equal=p_equal)
    return tuple(found)


def over_all(words: Sequence[str]) -> str:
    """One word for two arms from the words of all endpoints."""
    favours = set(words) & {BETTER_FIRST, BETTER_SECOND}
    if len(favours) == 1:
        return favours.pop()
    if words and set(words) == {EQUIVALENT}:
        return EQUIVALENT
    return CANNOT_TELL


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Whether an arm may win.

    Attributes:
        bar: ``too slow``, ``not timed``, ``deaf``, or empty.
        able: Whether it has learnt to act.
        listens: Whether it is shown to follow language.
    """

    bar: str = ""
    able: bool = True
    listens: bool = False


TOO_SLOW, NOT_TIMED, BARRED_DEAF = "too slow", "not timed", "deaf"


def admitted(word: str, first: Standing, second: Standing) -> str:
    """The word, given which arms may win."""
    if not first.bar and not second.bar:
        return word
    if second.bar and _wins_against(first, second.bar):
        return BETTER_FIRST
    if first.bar and _wins_against(second, first.bar):
        return BETTER_SECOND
    return CANNOT_TELL


def _wins_against(arm: Standing, bar: str) -> bool:
    if arm.bar or not arm.able:
        return False
    return bar == TOO_SLOW or (bar == BARRED_DEAF and arm.listens)


def undefeated(arms: Sequence[str], words: Mapping[tuple[str, str], str]) -> tuple[str, ...]:
    """The arms that no other arm was shown to beat, in their order."""
    beaten = {second for (_, second), word in words.items() if word == BETTER_FIRST}
    beaten |= {first for (first, _), word in words.items() if word == BETTER_SECOND}
    return tuple(arm for arm in arms if arm not in beaten)
