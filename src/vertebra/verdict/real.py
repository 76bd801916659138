"""Rollouts from elsewhere (a robot, an arena) in place of a pilot's own, and how to collect them.

They never mix with simulated ones: the verdict then speaks of the real place only, under the same
locked plan and criteria.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vertebra.spec.record import EpisodeRecord, record_from_plain
from vertebra.spec.storage import read_jsonl
from vertebra.verdict.run import Run

Owner = tuple[str, int, int]
"""Arm, number of demonstrations, training seed."""


def with_records(run: Run, places: Sequence[Path]) -> Run:
    """A run whose episodes are those of other places.

    Args:
        run: The pilot.
        places: Files of records, or directories that hold ``records.jsonl`` at any depth.

    Returns:
        Its plan cut down to the trainings that have records, with these records.

    Raises:
        ValueError: When a place holds none, or records are of another plan, of a training that has
            not finished, of several environments, or there twice (all problems named).
    """
    records = [_owned(record) for place in places for record in _read(place)]
    jobs = {(job.arm, job.demonstrations, job.seed): job for job in run.jobs}
    _require_fit(run, records, set(jobs))
    by_owner: dict[Owner, list[EpisodeRecord]] = {}
    for record in records:
        by_owner.setdefault(_owner(record), []).append(record)
    plan = replace(
        run.plan,
        slots=tuple(s for s in run.plan.slots if (s.arm, s.demonstrations, s.seed) in by_owner),
        environment=records[0].environment,
    )
    return replace(
        run,
        plan=plan,
        jobs=tuple(
            replace(job, records=tuple(by_owner[owner]), offline=None)
            for owner, job in jobs.items()
            if owner in by_owner
        ),
        failures=(),
        references=(),
        again=(),
    )


def _read(place: Path) -> list[EpisodeRecord]:
    files = [place] if place.is_file() else sorted(place.rglob("records.jsonl"))
    found = [record_from_plain(row) for file in files for row in read_jsonl(file)]
    if not found:
        raise ValueError(
            f"{place} holds no episode records. Give a records.jsonl, or a directory with some "
            "(`vertebra arena records` writes one)."
        )
    return found


def _owned(record: EpisodeRecord) -> EpisodeRecord:
    """The record under the name of its arm, where the policy's server told it."""
    about: Mapping[str, object] = record.software.get("about") or {}
    arm = about.get("arm")
    return replace(record, arm=str(arm)) if arm else record


def _owner(record: EpisodeRecord) -> Owner:
    return (record.arm, record.demonstrations, record.seed)


def _require_fit(run: Run, records: Sequence[EpisodeRecord], finished: set[Owner]) -> None:
    problems: list[str] = []
    plans = Counter(record.pilot for record in records if record.pilot != run.plan.hash)
    problems += [
        f"{count} episodes are of plan {plan or '(none)'!r}, not of {run.plan.hash!r}"
        for plan, count in plans.items()
    ]
    strangers = Counter(_owner(record) for record in records if _owner(record) not in finished)
    problems += [
        f"{count} episodes are of {arm} at {many} demonstrations, seed {seed}, which is no "
        "finished training of this pilot"
        for (arm, many, seed), count in strangers.items()
    ]
    places = sorted({record.environment for record in records})
    if len(places) > 1:
        problems.append(f"they are of several environments {places}; judge them one by one")
    keys = Counter(
        (*_owner(r), r.split, r.initial_state, r.scene_seed, r.task, r.condition, r.instruction)
        for r in records
    )
    twice = sum(count - 1 for count in keys.values())
    if twice:
        problems.append(f"{twice} of {len(records)} episodes appear twice")
    if problems:
        raise ValueError("These records cannot be used:\n  - " + "\n  - ".join(problems))


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One trial of an operator's protocol.

    Attributes:
        number: From 1, in the order in which trials are run.
        scene: Scene, from 1; rebuilt before every trial of it.
        policy: Letters that stand for a policy; the operator does not know which.
        instruction: ``first`` or ``second`` instruction of the scene.
    """

    number: int
    scene: int
    policy: str
    instruction: str


def protocol(run: Run, scenes: int, *, seed: int = 0) -> tuple[tuple[Trial, ...], dict[str, str]]:
    """Trials in an order that neither favours a policy nor tells the operator which one it is.

    Every finished sighted training at the largest number of demonstrations meets every scene under
    both of its instructions.

    Args:
        run: The pilot.
        scenes: Scenes that the operator will lay out.
        seed: Seed of order and letters.

    Returns:
        The trials, and the key: letters to the id of the training.

    Raises:
        ValueError: When no training has finished, or no scene is asked for.
    """
    blind = {arm.name for arm in run.plan.arms if arm.blind}
    jobs = [job for job in run.jobs if job.arm not in blind]
    if scenes < 1 or not jobs:
        raise ValueError(
            f"A protocol needs scenes and finished trainings; found {scenes} and {len(jobs)}."
        )
    largest = max(job.demonstrations for job in jobs)
    names = [job.id for job in jobs if job.demonstrations == largest]
    rng = np.random.default_rng(seed)
    shuffled: list[int] = rng.permutation(len(names)).tolist()
    letters = [f"P{place + 1}" for place in shuffled]
    trials: list[Trial] = []
    for scene in range(1, scenes + 1):
        sides = ("first", "second")
        both = [(letter, which) for letter in letters for which in sides]
        order: list[int] = rng.permutation(len(both)).tolist()
        for place in order:
            letter, which = both[place]
            number = len(trials) + 1
            trials.append(Trial(number=number, scene=scene, policy=letter, instruction=which))
    return tuple(trials), dict(sorted(zip(letters, names, strict=True)))


RULES = (
    "Before the first trial, lay out every scene, photograph it from the policies' camera, and "
    "write down two instructions that are both possible in it.",
    "Before each trial, rebuild its scene over the photograph (half-transparent).",
    "Say the instruction word for word. Nobody tells the operator which policy the letters mean.",
    "End after the time that was agreed on. Score what is on the table, not what was meant: "
    "which instruction's task holds (first, second, both, neither), what was touched first, and "
    "how far it came from 0 to 1. A policy that crashes is an error, and stays in.",
    "Write one record a trial into records.jsonl (or use `vertebra arena run`): pilot is the hash "
    "of the plan, initial_state the number of the scene, task the instruction that was said, "
    "achieved those that held.",
)
"""What the operator keeps to."""
