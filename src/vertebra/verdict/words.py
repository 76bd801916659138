"""The verdict in plain words. Nothing is computed here but the choice of a sentence."""

from collections.abc import Sequence

from vertebra.stats.interval import Estimate
from vertebra.verdict.compare import FOLLOWING, SUCCESS
from vertebra.verdict.measure import SEEDS_REQUIRED
from vertebra.verdict.run import Plan, Run
from vertebra.verdict.summary import (
    BETTER_FIRST,
    BETTER_SECOND,
    CANNOT_TELL,
    Comparison,
    Point,
    Verdict,
)

NOTHING = "nothing finished yet"
COMPETENT = 0.2
"""Success rate below which an arm has not learnt to act, so that its grounding says nothing."""


def percent(estimate: Estimate) -> str:
    """A rate with interval and n: ``72 % (60 to 81 %, n = 450, 3 seeds)``."""
    return f"{100 * estimate.value:.0f} % ({_ends(estimate, '%')}{_basis(estimate)})"


def points(estimate: Estimate) -> str:
    """A difference of rates in percentage points, with sign, interval and n."""
    return f"{100 * estimate.value:+.0f} points ({_ends(estimate, 'points')}{_basis(estimate)})"


def _ends(estimate: Estimate, unit: str) -> str:
    if estimate.low is None or estimate.high is None:
        return "no interval, "
    sign = "+" if unit == "points" else ""
    low, high = format(100 * estimate.low, f"{sign}.0f"), format(100 * estimate.high, f"{sign}.0f")
    return f"{100 * estimate.level:.0f} % interval {low} to {high} {unit}, "


def _basis(estimate: Estimate) -> str:
    seeds = f", {estimate.seeds} seed{'s' if estimate.seeds != 1 else ''}" if estimate.seeds else ""
    return f"n = {estimate.n}{seeds}"


def running(run: Run) -> tuple[str, ...]:
    """What is not finished, one sentence an arm and number of demonstrations."""
    done = {(job.arm, job.demonstrations, job.seed) for job in run.jobs}
    groups: dict[tuple[str, int], list[bool]] = {}
    for slot in run.plan.slots:
        groups.setdefault((slot.arm, slot.demonstrations), []).append(
            (slot.arm, slot.demonstrations, slot.seed) in done
        )
    return tuple(
        f"{arm} at {count} demonstrations: {sum(states)} of {len(states)} training seeds finished"
        for (arm, count), states in groups.items()
        if not all(states)
    )


def verdict(
    run: Run, found: Sequence[Point], comparisons: Sequence[Comparison], left: Sequence[str]
) -> Verdict:
    """Choose the sentences.

    Args:
        run: The run.
        found: Its points.
        comparisons: Its comparisons.
        left: What is still running, in words.
    """
    if not found:
        return Verdict(
            word=NOTHING,
            first="",
            second="",
            headline="Nothing finished yet.",
            sentences=("The report is rewritten after every finished training.",),
        )
    if not any(point.episodes for point in found):
        return _offline(run.plan, found, left)
    sides = [c for c in comparisons if c.kind == "sides"]
    about = [_about_arm(point, comparisons) for point in _largest(found) if not point.blind]
    tail = ["Still open: " + "; ".join(left) + "."] if left else []
    if not sides:
        return Verdict(
            word=CANNOT_TELL,
            first="",
            second="",
            headline="Only one kind of policy is in this pilot, so there is nothing to compare.",
            sentences=(*about, *tail),
        )
    pair = [c for c in sides if (c.first, c.second) == (sides[0].first, sides[0].second)]
    word, headline = _between(pair)
    others = [_line(c) for c in sides if c not in pair]
    return Verdict(
        word=word,
        first=pair[0].first,
        second=pair[0].second,
        headline=headline,
        sentences=(*about, *others, *tail),
    )


def _largest(found: Sequence[Point]) -> list[Point]:
    """Each arm at its largest finished number of demonstrations."""
    best: dict[str, Point] = {}
    for point in found:
        if point.arm not in best or point.demonstrations > best[point.arm].demonstrations:
            best[point.arm] = point
    return list(best.values())


def _between(pair: Sequence[Comparison]) -> tuple[str, str]:
    """Word and sentence for the two sides (measures: following first, success second)."""
    first, second = pair[0].first, pair[0].second
    favours = {c.word for c in pair} - {CANNOT_TELL}
    if favours == {BETTER_FIRST}:
        return BETTER_FIRST, f"{first} is better than {second} here: " + _evidence(pair)
    if favours == {BETTER_SECOND}:
        return BETTER_SECOND, f"{second} is better than {first} here: " + _evidence(pair)
    if len(favours) == 2:
        return CANNOT_TELL, (
            f"Cannot tell whether {first} or {second} is better: each wins one measure "
            f"({_evidence(pair)[:-1]})."
        )
    estimate = pair[0].difference
    if estimate is None or estimate.seeds < SEEDS_REQUIRED:
        return CANNOT_TELL, (
            f"Cannot tell yet whether {first} or {second} is better: it takes {pair[0].missing}."
        )
    return CANNOT_TELL, (
        f"Cannot tell whether {first} or {second} is better: {first} minus {second} is "
        f"{points(estimate)} in following instructions, and {pair[0].missing}."
    )


def _evidence(pair: Sequence[Comparison]) -> str:
    decided = [c for c in pair if c.word != CANNOT_TELL and c.difference is not None]
    parts = [
        f"{points(c.difference)} in {_measure(c)}" for c in decided if c.difference is not None
    ]
    return f"{pair[0].first} minus {pair[0].second} is " + " and ".join(parts) + "."


def _measure(c: Comparison) -> str:
    return {FOLLOWING: "following instructions", SUCCESS: "success"}[c.measure]


def _line(c: Comparison) -> str:
    known = "no shared rollouts yet" if c.difference is None else points(c.difference)
    tail = f": {c.missing}" if c.missing else ""
    return f"{c.first} minus {c.second} in {_measure(c)}: {known}; {c.word}{tail}."


def _about_arm(point: Point, comparisons: Sequence[Comparison]) -> str:
    """One sentence about a sighted arm: does it act, does it listen."""
    if point.success is None or point.grounding is None:
        return f"{point.arm}: no swapped rollouts, so whether it listens was not measured."
    facts = (
        f"{point.arm} does what it is asked in {percent(point.grounding.following)} of the swapped "
        f"rollouts at {point.demonstrations} demonstrations"
    )
    twin = [c for c in comparisons if c.kind == "twin" and c.first == point.arm]
    if point.success.value < COMPETENT:
        judged = (
            f"it succeeds in {percent(point.success)}, so it has not learnt to act within this "
            "budget, and that it does not follow says nothing about its backbone"
        )
    elif not twin:
        judged = "without a blind twin it cannot be told whether it reads the words"
    elif all(c.word == BETTER_FIRST for c in twin):
        gained = " and ".join(
            f"{points(c.difference)} in {_measure(c)}" for c in twin if c.difference is not None
        )
        judged = f"it listens: over its blind twin it gains {gained}"
    else:
        open_one = next(c for c in twin if c.word != BETTER_FIRST)
        judged = f"cannot tell whether it listens: {open_one.missing or _line(open_one)}"
    improving = ""
    if point.still_improving:
        improving = (
            f" {point.still_improving} of its {len(point.jobs)} trainings were still improving "
            "when the budget ended."
        )
    return f"{facts}; {judged}.{improving}"


def _offline(plan: Plan, found: Sequence[Point], left: Sequence[str]) -> Verdict:
    """A pilot without a simulator: figures, and what they cannot say."""
    names = [arm.name for arm in plan.arms if not arm.blind]
    both = " or ".join(names[:2]) if len(names) > 1 else names[0]
    sentences = [
        "The error of predicted actions on held-out recordings does not rank policies by success: "
        "a policy with a larger error may act better.",
        "Sensitivity says that the words change the actions, not that they change them in the "
        "right direction.",
        "Priors learnt on the built-in table-top mean nothing on this data.",
    ]
    if left:
        sentences.append("Still open: " + "; ".join(left) + ".")
    return Verdict(
        word=CANNOT_TELL,
        first=names[0] if len(names) > 1 else "",
        second=names[1] if len(names) > 1 else "",
        headline=f"Cannot tell whether {both} acts better: nothing was executed, because this "
        "pilot has recordings but no simulator or robot.",
        sentences=tuple(sentences),
    )
