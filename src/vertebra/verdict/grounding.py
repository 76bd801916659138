"""Does a policy do what it is told: the same initial state under each of its instructions.

Only swapped rollouts tell: the same pixels with other words must lead to another outcome. Success
on one fixed instruction, and success under paraphrases, are both reached without reading.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

from vertebra.spec.record import EpisodeRecord
from vertebra.spec.task import Outcome
from vertebra.stats.crossed import rate
from vertebra.verdict.measure import ALL, followed, rollouts
from vertebra.verdict.summary import Ending, Grounding, Matrix

OUTSIDE = ("asked+", "several", "other", "nothing", "error")
"""Columns of a confusion matrix after the single asked ones: the asked task and more, several tasks
without the asked one, one task that was not among those asked in this state, no task, an error.
The following rate is the diagonal and ``asked+``."""

ENDINGS = (
    "followed",
    "another task",
    "right object, not finished",
    "wrong object first",
    "nothing touched",
    "error",
)


def swapped(records: Sequence[EpisodeRecord]) -> list[EpisodeRecord]:
    """Rollouts in the asked wording whose state was run under two or more tasks by this seed."""
    asked = [r for r in records if r.condition == "asked"]
    tasks: dict[tuple[int, str, str], set[str]] = {}
    for r in asked:
        tasks.setdefault((r.seed, r.split, r.initial_state), set()).add(r.task)
    return [r for r in asked if len(tasks[r.seed, r.split, r.initial_state]) >= 2]


def ending(record: EpisodeRecord) -> str:
    """How one swapped rollout ended, as one of ``ENDINGS``."""
    if record.outcome == Outcome.ERROR:
        return "error"
    if followed(record):
        return "followed"
    if record.achieved:
        return "another task"
    if record.first_touched is None:
        return "nothing touched"
    if record.first_touched == record.target:
        return "right object, not finished"
    return "wrong object first"


def grounding(
    records: Sequence[EpisodeRecord],
    skills: Mapping[str, str],
    split: str = ALL,
    mix: Mapping[str, float] | None = None,
) -> Grounding | None:
    """Measure grounding over the rollouts of one arm (all its seeds).

    Args:
        records: Its rollouts; only swapped ones are used.
        skills: Task id to skill, over everything that was ever asked in the run.
        split: Split of the headline success.
        mix: Weights of skills in the task mix, for the rate of following.

    Returns:
        ``None`` when no state was run under two tasks.
    """
    chosen = swapped(records)
    following = rate(rollouts(chosen, followed, mix))
    if following is None:
        return None
    achieved = [r for r in chosen if r.outcome != Outcome.ERROR and r.achieved]
    targeted = [r for r in chosen if r.target is not None]
    endings = Counter(ending(r) for r in chosen)
    states = tasks_by_state(chosen)
    return Grounding(
        following=following,
        following_in_split=rate(
            rollouts([r for r in chosen if split in (ALL, r.split)], followed, mix)
        ),
        among_achieved=rate(rollouts(achieved, followed)),
        touched_target=rate(
            rollouts(targeted, lambda r: r.outcome != Outcome.ERROR and r.first_touched == r.target)
        ),
        choices=sum(len(tasks) for tasks in states.values()) / len(states),
        endings=tuple(Ending(name=name, count=endings[name], n=len(chosen)) for name in ENDINGS),
        by_instruction=_by_instruction(chosen, states),
        by_skill=_by_skill(chosen, skills),
    )


def tasks_by_state(
    records: Sequence[EpisodeRecord],
) -> dict[tuple[str, str], tuple[str, ...]]:
    """State to its asked tasks, in alphabetical order (the "position" of an instruction)."""
    tasks: dict[tuple[str, str], set[str]] = {}
    for r in records:
        tasks.setdefault((r.split, r.initial_state), set()).add(r.task)
    return {state: tuple(sorted(names)) for state, names in tasks.items()}


def _by_instruction(
    records: Sequence[EpisodeRecord], states: Mapping[tuple[str, str], tuple[str, ...]]
) -> Matrix:
    rows = tuple(str(i + 1) for i in range(max(len(tasks) for tasks in states.values())))
    counts: Counter[tuple[str, str]] = Counter()
    for r in records:
        tasks = states[r.split, r.initial_state]
        names = {task: str(i + 1) for i, task in enumerate(tasks)}
        counts[names[r.task], _column(r, names)] += 1
    return _matrix(rows, counts)


def _by_skill(records: Sequence[EpisodeRecord], skills: Mapping[str, str]) -> Matrix:
    rows = tuple(sorted({r.skill for r in records}))
    names = {task: skill for task, skill in skills.items() if skill in rows}
    counts: Counter[tuple[str, str]] = Counter()
    for r in records:
        counts[r.skill, _column(r, names)] += 1
    return _matrix(rows, counts)


def _column(record: EpisodeRecord, names: Mapping[str, str]) -> str:
    """The column of a rollout; ``names`` gives the column of every task that has one."""
    if record.outcome == Outcome.ERROR:
        return "error"
    if not record.achieved:
        return "nothing"
    if len(record.achieved) > 1:
        return "asked+" if record.task in record.achieved else "several"
    return names.get(next(iter(record.achieved)), "other")


def _matrix(rows: tuple[str, ...], counts: Counter[tuple[str, str]]) -> Matrix:
    columns = (*rows, *OUTSIDE)
    return Matrix(
        rows=rows,
        columns=columns,
        counts=tuple(tuple(counts[row, column] for column in columns) for row in rows),
    )
