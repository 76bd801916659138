"""Two pilots side by side: what changed in the question, and which numbers may be compared.

A difference between two pilots is put into words only when what was measured is the same: scenes,
data, budget, numerics, recipe, number of demonstrations and task mix. Its interval is made from the
two intervals as if they were independent; what the pilots share (scenes, seeds) makes it too wide.

Source: Zou and Donner, Statistics in Medicine 27 (2008), differences from separate intervals.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vertebra.spec.criteria import criteria_changes
from vertebra.spec.storage import digest
from vertebra.stats.interval import LEVEL, Estimate
from vertebra.verdict.rule import SEEDS_REQUIRED
from vertebra.verdict.run import Run, read_run
from vertebra.verdict.summarise import summarise
from vertebra.verdict.summary import Point, Summary

SAME = {
    "environment": "environment",
    "evaluation": "scenes",
    "episodes": "planned episodes",
    "data_hash": "data",
    "samples": "training samples",
    "batch_size": "batch size",
    "size": "size of the networks",
    "precision": "numbers in training",
    "privileged": "privileged targets",
}
"""Parts of a plan that must be equal before numbers are compared, and how they are called."""
SHORT = 60


@dataclass(frozen=True, kw_only=True)
class Change:
    """Something in which two pilots differ: what, in the first, in the second."""

    what: str
    first: str
    second: str


@dataclass(frozen=True, kw_only=True)
class Row:
    """One number of one arm in both pilots.

    Attributes:
        arm: Arm.
        demonstrations: Action-labelled demonstrations.
        measure: What was measured.
        first: In the first pilot; ``None`` when it is not there.
        second: In the second.
        low: Lower end of second minus first; ``None`` when the two may not be compared.
        high: Upper end.
        words: What may be said.
    """

    arm: str
    demonstrations: int
    measure: str
    first: Estimate | None
    second: Estimate | None
    low: float | None
    high: float | None
    words: str


@dataclass(frozen=True, kw_only=True)
class Beside:
    """Two pilots side by side.

    Attributes:
        plans: Hashes of the plans.
        verdicts: What each of them says.
        changes: In what they differ.
        barriers: Why no number of one may be compared with one of the other; empty when they may.
        rows: Numbers of the arms.
    """

    plans: tuple[str, str]
    verdicts: tuple[str, str]
    changes: tuple[Change, ...]
    barriers: tuple[str, ...]
    rows: tuple[Row, ...]


def beside(first: Path, second: Path) -> Beside:
    """Read two pilots and lay them side by side.

    Raises:
        ValueError: When a directory is not that of a pilot, or cannot be read.
    """
    runs = (read_run(first), read_run(second))
    summaries = (summarise(runs[0]), summarise(runs[1]))
    facts = (runs[0].plan.facts, runs[1].plan.facts)
    barriers = [
        f"other {name}" for part, name in SAME.items() if facts[0].get(part) != facts[1].get(part)
    ]
    mixes = [dict(run.plan.criteria.mix) for run in runs]
    if mixes[0] != mixes[1]:
        barriers.append("another task mix")
    return Beside(
        plans=(runs[0].plan.hash, runs[1].plan.hash),
        verdicts=(summaries[0].verdict.headline, summaries[1].verdict.headline),
        changes=tuple(_changes(runs, summaries)),
        barriers=tuple(barriers),
        rows=tuple(_rows(runs, summaries, barriers)),
    )


def separate(first: Estimate, second: Estimate) -> tuple[float, float] | None:
    """Ends of second minus first from their own intervals; ``None`` when one is open."""
    if first.low is None or first.high is None or second.low is None or second.high is None:
        return None
    gap = second.value - first.value
    below = math.hypot(second.value - second.low, first.high - first.value)
    above = math.hypot(second.high - second.value, first.value - first.low)
    return gap - below, gap + above


def _changes(runs: Sequence[Run], summaries: Sequence[Summary]) -> list[Change]:
    plans = [run.plan for run in runs]
    found = [
        Change(what=name, first=_short(plans[0].facts, part), second=_short(plans[1].facts, part))
        for part, name in SAME.items()
        if plans[0].facts.get(part) != plans[1].facts.get(part)
    ]
    lists: tuple[tuple[str, list[str]], ...] = (
        ("policies", [", ".join(arm.name for arm in plan.arms) for plan in plans]),
        (
            "demonstrations",
            [", ".join(map(str, sorted({s.demonstrations for s in p.slots}))) for p in plans],
        ),
        ("training seeds", [str(len({s.seed for s in plan.slots})) for plan in plans]),
        ("looks", [str(plan.looks) for plan in plans]),
        ("latency timed on", [run.timed_on for run in runs]),
        ("verdict", [one.verdict.word for one in summaries]),
    )
    found += [
        Change(what=name, first=values[0], second=values[1])
        for name, values in lists
        if values[0] != values[1]
    ]
    criteria = criteria_changes(plans[0].criteria, plans[1].criteria)
    for line in criteria:
        name, _, rest = line.partition(": locked is ")
        one, _, other = rest.partition(", used is ")
        found.append(Change(what=f"criterion {name}", first=one, second=other))
    return found


def _short(facts: Mapping[str, Any], part: str) -> str:
    text = str(facts.get(part, "not said"))
    return text if len(text) <= SHORT else f"content {digest(facts[part])}"


def _rows(runs: Sequence[Run], summaries: Sequence[Summary], barriers: Sequence[str]) -> list[Row]:
    sides = [{(p.arm, p.demonstrations): p for p in one.points} for one in summaries]
    recipes = [_definitions(run) for run in runs]
    found: list[Row] = []
    for arm, count in dict.fromkeys([*sides[0], *sides[1]]):
        points = [side.get((arm, count)) for side in sides]
        own = list(barriers)
        if recipes[0].get(arm) != recipes[1].get(arm):
            own.append("another definition of the recipe")
        splits = {point.success_split for point in points if point is not None}
        if len(splits) > 1:
            own.append("another split")
        found += [
            _row(arm, count, measure, [_rate(p, measure) for p in points], own)
            for measure in ("following", "success")
        ]
    return found


def _definitions(run: Run) -> dict[str, Any]:
    return {plain["name"]: plain.get("definition") for plain in run.plan.facts["arms"]}


def _rate(point: Point | None, measure: str) -> Estimate | None:
    if point is None:
        return None
    if measure == "success":
        return point.success
    return point.grounding.following if point.grounding else None


def _row(
    arm: str,
    count: int,
    measure: str,
    estimates: Sequence[Estimate | None],
    barriers: Sequence[str],
) -> Row:
    first, second = estimates
    ends: tuple[float, float] | None = None
    if first is None or second is None:
        words = "only in one of them"
    elif barriers:
        words = "may not be compared: " + ", ".join(barriers)
    elif min(first.seeds, second.seeds) < SEEDS_REQUIRED:
        words = f"cannot tell: {SEEDS_REQUIRED} training seeds are needed in both"
    else:
        ends = separate(first, second)
        words = "cannot tell: an interval is open"
        if ends is not None:
            words = "not shown to differ"
            if ends[0] > 0 or ends[1] < 0:
                words = f"{'higher' if ends[0] > 0 else 'lower'} in the second"
    return Row(
        arm=arm,
        demonstrations=count,
        measure=measure,
        first=first,
        second=second,
        low=None if ends is None else ends[0],
        high=None if ends is None else ends[1],
        words=words,
    )


INTERVAL = f"{100 * LEVEL:.0f} %"
"""Nominal level of every interval here; they are not corrected for their number."""
