"""A new skill added to trained policies: demonstrations to the target, and what is forgotten."""

from collections.abc import Sequence
from itertools import combinations

from vertebra.spec.criteria import Criteria
from vertebra.spec.record import EpisodeRecord
from vertebra.stats.crossed import difference, rate
from vertebra.stats.interval import Estimate
from vertebra.stats.scaling import Cell, demo_ratio, fit_curve
from vertebra.verdict.again_read import (
    CANNOT_TELL,
    FORGETS,
    KEEPS,
    Adaptation,
    AgainJob,
    Lesson,
    LessonRatio,
)
from vertebra.verdict.compare import as_ratio, cell_of
from vertebra.verdict.cost import UNDETERMINED, read_curve
from vertebra.verdict.measure import pairs, rollouts, succeeded
from vertebra.verdict.rule import SEEDS_REQUIRED

ADAPT = "adapt"
Key = tuple[str, float]
"""Skill and replay."""


def adaptations(
    jobs: Sequence[AgainJob], planned: Sequence[EpisodeRecord], criteria: Criteria
) -> tuple[Adaptation, ...]:
    """What every arm learnt and forgot, one for each skill and share of replay.

    Args:
        jobs: What was evaluated again; other kinds are left out.
        planned: Episodes of the same trainings before they went on.
        criteria: Target success and the smallest difference that matters.
    """
    return tuple(
        _one(arm, key, own, planned, criteria)
        for key in _keys(jobs)
        for arm, own in _by_arm(jobs, key).items()
    )


def lesson_ratios(jobs: Sequence[AgainJob], criteria: Criteria) -> tuple[LessonRatio, ...]:
    """How many times as many demonstrations of a new skill one arm needs as another."""
    found: list[LessonRatio] = []
    for key in _keys(jobs):
        arms = _by_arm(jobs, key)
        for first, second in combinations(arms, 2):
            ratio, why = demo_ratio(
                _cells(arms[first], key), _cells(arms[second], key), criteria.target_success
            )
            found.append(
                LessonRatio(
                    skill=key[0],
                    replay=key[1],
                    first=first,
                    second=second,
                    ratio=None if ratio is None else as_ratio(ratio),
                    missing=why,
                )
            )
    return tuple(found)


def _keys(jobs: Sequence[AgainJob]) -> list[Key]:
    taught = [j for j in jobs if j.kind == ADAPT and j.facts["demonstrations"]]
    return sorted({(j.facts["skill"], float(j.facts["replay"])) for j in taught})


def _by_arm(jobs: Sequence[AgainJob], key: Key) -> dict[str, list[AgainJob]]:
    """Arm to its jobs of one lesson; the evaluation before it belongs to every share of replay."""
    found: dict[str, list[AgainJob]] = {}
    for job in jobs:
        if job.kind != ADAPT or job.facts["skill"] != key[0]:
            continue
        if not job.facts["demonstrations"] or float(job.facts["replay"]) == key[1]:
            found.setdefault(job.arm, []).append(job)
    return found


def _cells(jobs: Sequence[AgainJob], key: Key) -> list[Cell]:
    found = [
        cell_of(
            [r for r in job.records if r.skill == key[0]],
            int(job.facts["demonstrations"]),
            job.seed,
        )
        for job in jobs
        if job.facts["demonstrations"]
    ]
    return [cell for cell in found if cell is not None]


def _one(
    arm: str,
    key: Key,
    jobs: Sequence[AgainJob],
    planned: Sequence[EpisodeRecord],
    criteria: Criteria,
) -> Adaptation:
    skill, replay = key
    counts = sorted({int(job.facts["demonstrations"]) for job in jobs})
    lessons = tuple(
        _lesson(skill, count, [j for j in jobs if j.facts["demonstrations"] == count], planned)
        for count in counts
    )
    taught = [lesson for lesson in lessons if lesson.demonstrations]
    last = taught[-1].forgotten if taught else None
    return Adaptation(
        arm=arm,
        skill=skill,
        replay=replay,
        target=criteria.target_success,
        lessons=lessons,
        burden=_burden(_cells(jobs, key), criteria.target_success),
        memory=_memory(last, criteria.minimum_difference),
    )


def _lesson(
    skill: str, count: int, jobs: Sequence[AgainJob], planned: Sequence[EpisodeRecord]
) -> Lesson:
    records = [record for job in jobs for record in job.records]
    new = [r for r in records if r.skill == skill]
    owners = {(job.arm, job.demonstrations) for job in jobs}
    before = [
        r
        for r in planned
        if (r.arm, r.demonstrations) in owners and r.condition == "asked" and r.skill != skill
    ]
    after, before = pairs([r for r in records if r.skill != skill], before)
    return Lesson(
        demonstrations=count,
        new=rate(rollouts(new, succeeded)),
        old=rate(rollouts(after, succeeded)),
        old_before=rate(rollouts(before, succeeded)),
        forgotten=difference(rollouts(after, succeeded), rollouts(before, succeeded)),
    )


def _burden(cells: Sequence[Cell], target: float) -> str:
    """Demonstrations of the new skill to the target, for people."""
    counts = {cell.demonstrations for cell in cells}
    if len(counts) < 2:
        return f"cannot tell: taught at {len(counts)} of the 2 or more numbers that a curve needs"
    curve = fit_curve(cells)
    if curve is None:
        return UNDETERMINED
    return read_curve(curve, target)


def _memory(forgotten: Estimate | None, margin: float) -> str:
    """Whether old skills are lost, at the largest number of demonstrations."""
    if forgotten is None or forgotten.low is None or forgotten.high is None:
        return CANNOT_TELL
    if forgotten.seeds < SEEDS_REQUIRED:
        return CANNOT_TELL
    if forgotten.high < -margin:
        return FORGETS
    return KEEPS if forgotten.low > -margin else CANNOT_TELL
