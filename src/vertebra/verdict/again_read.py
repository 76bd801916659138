"""Policies evaluated again under other conditions: what is on disk, and what is said of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vertebra.spec.record import EpisodeRecord, record_from_plain
from vertebra.spec.storage import read_json, read_jsonl
from vertebra.stats.interval import Estimate

FORGETS, KEEPS, CANNOT_TELL = "forgets", "keeps", "cannot tell"
"""What a lesson did to old skills."""


@dataclass(frozen=True, kw_only=True)
class AgainJob:
    """One training evaluated again.

    Attributes:
        kind: ``realtime``, ``robustness`` or ``adapt``.
        label: Short name of what was changed.
        words: The same for people.
        facts: The same in numbers.
        arm: Name of its arm.
        demonstrations: Action-labelled demonstrations.
        seed: Training seed.
        result: Counts of the evaluation.
        records: Its episodes.
    """

    kind: str
    label: str
    words: str
    facts: Mapping[str, Any]
    arm: str
    demonstrations: int
    seed: int
    result: Mapping[str, Any]
    records: tuple[EpisodeRecord, ...]


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """What a world that does not wait did to one arm.

    Attributes:
        held_share: Share of control ticks on which the robot had to hold.
        stale_share: Share of executed actions that came later than they were meant for.
        emulated: Whether the latency was scaled instead of measured.
        p50_s: Median of the seconds charged for an inference; ``None`` for too few.
        p95_s: 95 % of them stay below.
        p99_s: 99 % of them stay below.
    """

    held_share: float
    stale_share: float
    emulated: bool
    p50_s: Estimate | None
    p95_s: Estimate | None
    p99_s: Estimate | None


@dataclass(frozen=True, kw_only=True)
class Again:
    """One arm under other conditions.

    Attributes:
        kind: ``realtime`` or ``robustness``.
        label: Short name of what was changed.
        words: The same for people.
        arm: Arm.
        demonstrations: Action-labelled demonstrations.
        planned: Success in the same episodes as the plan had them; ``None`` without pairs.
        success: Success under the other conditions, errors in the denominator.
        difference: Paired: other conditions minus planned ones; ``None`` without pairs.
        waiting: For ``realtime`` only.
    """

    kind: str
    label: str
    words: str
    arm: str
    demonstrations: int
    planned: Estimate | None
    success: Estimate
    difference: Estimate | None
    waiting: Waiting | None


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """An arm after so many demonstrations of a new skill.

    Attributes:
        demonstrations: Of the new skill; 0 is the policy as it was.
        new: Success in the new skill, errors in the denominator.
        old: Success in the old skills; ``None`` where they were not evaluated again.
        old_before: The same episodes before the lesson.
        forgotten: Paired: after minus before; below 0 something is lost.
    """

    demonstrations: int
    new: Estimate | None
    old: Estimate | None
    old_before: Estimate | None
    forgotten: Estimate | None


@dataclass(frozen=True, kw_only=True)
class Adaptation:
    """One arm that was taught a new skill.

    Attributes:
        arm: Arm.
        skill: The new skill.
        replay: Old demonstrations that were replayed for each new one.
        target: Success rate asked for.
        lessons: One a number of demonstrations, ascending.
        burden: Demonstrations to the target in words: a number, ``> N``, ``< N`` or why not.
        memory: ``forgets`` (loses more than the smallest difference that matters, shown),
            ``keeps`` (loses less, shown) or ``cannot tell``, at the largest number.
    """

    arm: str
    skill: str
    replay: float
    target: float
    lessons: tuple[Lesson, ...]
    burden: str
    memory: str


@dataclass(frozen=True, kw_only=True)
class LessonRatio:
    """Two arms that were taught the same.

    Attributes:
        skill: The new skill.
        replay: Old demonstrations that were replayed for each new one.
        first: Arm.
        second: Arm.
        ratio: Demonstrations of the second / of the first to the target; ``None`` when there is
            none.
        missing: Why not.
    """

    skill: str
    replay: float
    first: str
    second: str
    ratio: Estimate | None
    missing: str


def read_again(directory: Path, plan: str) -> tuple[AgainJob, ...]:
    """Everything under ``OUT/again`` that has finished.

    Raises:
        ValueError: When an evaluation is of another plan.
    """
    found: list[AgainJob] = []
    for path in sorted((directory / "again").glob("*/*/*/result.json")):
        setting = read_json(path.parent.parent / "setting.json")
        spec = read_json(path.parent / "job.json")
        records = tuple(
            record_from_plain(row) for row in read_jsonl(path.with_name("records.jsonl"))
        )
        owners = {(r.pilot, r.arm, r.demonstrations, r.seed) for r in records}
        wanted = (plan, spec["arm"], spec["demonstrations"], spec["seed"])
        if spec["plan"] != plan or owners - {wanted}:
            raise ValueError(
                f"{path.parent} is of another plan or training than {wanted}: remove it, and "
                "evaluate again."
            )
        found.append(
            AgainJob(
                **{name: setting[name] for name in ("kind", "label", "words", "facts")},
                arm=spec["arm"],
                demonstrations=spec["demonstrations"],
                seed=spec["seed"],
                result=read_json(path),
                records=records,
            )
        )
    return tuple(found)
