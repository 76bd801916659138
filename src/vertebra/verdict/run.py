"""A pilot's run directory as plain values: what was planned and what has finished.

Layout read here::

    OUT/plan.json                        the locked plan
    OUT/extensions.json                  what was added to it later (optional)
    OUT/jobs/<id>/job.json               one training and its evaluation
    OUT/jobs/<id>/result.json            written last: a job without it is not finished
    OUT/jobs/<id>/records.jsonl          its episodes (absent without a simulator)
    OUT/jobs/<id>/failed.json            only while a job has failed
    OUT/reference/records.jsonl          episodes of "demonstrator" and "random" (optional)
    OUT/latency.json                     arm -> stage -> seconds (optional, written at the end)
    OUT/profiles/*.json                  latency of another machine, taken instead (optional)
    OUT/again/<kind>/<label>/<id>/       the same policies under other conditions (optional)
    OUT/criteria_changed.json            criteria changed after locking (optional)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vertebra.spec.criteria import Criteria, criteria_changes, criteria_from_plain
from vertebra.spec.record import EpisodeRecord, record_from_plain
from vertebra.spec.storage import read_json, read_jsonl, to_plain, write_json
from vertebra.verdict.again_read import AgainJob, read_again
from vertebra.verdict.profiles import HERE, read_profiles

PLAN_VERSION = 1
RESULT_VERSION = 1
CHANGED = "criteria_changed.json"


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One thing that is compared.

    Attributes:
        name: Unique name, for example ``pi0+blind``.
        recipe: Name of its recipe.
        family: ``vla``, ``wam``, ``hybrid`` or ``control``.
        blind: Whether the text was replaced by a constant in training and test.
    """

    name: str
    recipe: str
    family: str
    blind: bool


@dataclass(frozen=True, kw_only=True)
class Slot:
    """One training that the plan asks for."""

    arm: str
    demonstrations: int
    seed: int


@dataclass(frozen=True, kw_only=True)
class Extended:
    """What was added to a plan after somebody had read its verdict.

    Attributes:
        hash: Hash of this extension and of everything before it.
        words: What was added.
        finished: Trainings that had finished then.
        seen: What the verdict said then.
    """

    hash: str
    words: str
    finished: int
    seen: str


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The locked plan, as far as a verdict needs it.

    Attributes:
        hash: Hash of the whole plan.
        arms: In the order of the plan, which is the order of every table.
        slots: Every training that is planned.
        samples: Training samples of each arm; ``None`` before calibration.
        privileged: ``points`` or ``none``.
        environment: Name and version, or ``None`` for a pilot without a simulator.
        criteria: What the verdict is judged by.
        locked_criteria: Whether they were locked; the defaults otherwise (plans of older versions).
        facts: The rest of the plan as it is on disk.
        extensions: What was added later; arms and slots hold it already.
    """

    hash: str
    arms: tuple[Arm, ...]
    slots: tuple[Slot, ...]
    samples: int | None
    privileged: str
    environment: str | None
    criteria: Criteria
    locked_criteria: bool
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])
    extensions: tuple[Extended, ...] = ()

    @property
    def looks(self) -> int:
        """How many times somebody has judged by it: once, and once more after each extension."""
        return 1 + len(self.extensions)


@dataclass(frozen=True, kw_only=True)
class Job:
    """One finished training with its evaluation.

    Attributes:
        id: Name of its folder.
        arm: Name of its arm.
        demonstrations: Action-labelled demonstrations.
        seed: Training seed.
        training: The ``training`` part of ``result.json``.
        ledger: The ``ledger`` part.
        imagined: The ``imagined`` part, ``None`` when the arm imagines nothing.
        offline: The ``offline`` part, ``None`` when it was evaluated in a simulator only.
        records: Its episodes.
    """

    id: str
    arm: str
    demonstrations: int
    seed: int
    training: Mapping[str, Any]
    ledger: Mapping[str, Any]
    imagined: Mapping[str, Any] | None
    offline: Mapping[str, Any] | None
    records: tuple[EpisodeRecord, ...]


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A training that failed and is not finished since.

    Attributes:
        job: Name of its folder.
        why: Its last words.
    """

    job: str
    why: str


@dataclass(frozen=True, kw_only=True)
class Run:
    """Everything a verdict is made from.

    Attributes:
        plan: What was planned.
        jobs: What has finished, in the order of the plan.
        failures: What has failed.
        references: Episodes of the reference policies.
        latency: Arm name to stage to seconds of each measured chunk.
        changes: Every criterion that was changed after locking, in words.
        again: What was evaluated again under other conditions.
        timed_on: Machine that latency was measured on.
    """

    plan: Plan
    jobs: tuple[Job, ...]
    failures: tuple[Failure, ...] = ()
    references: tuple[EpisodeRecord, ...] = ()
    latency: Mapping[str, Mapping[str, tuple[float, ...]]] = field(
        default_factory=dict[str, Mapping[str, tuple[float, ...]]]
    )
    changes: tuple[str, ...] = ()
    again: tuple[AgainJob, ...] = ()
    timed_on: str = HERE


def plan_from_plain(plain: Mapping[str, Any]) -> Plan:
    """Read the parts of ``plan.json`` that a verdict needs.

    Raises:
        ValueError: On another version or missing fields (all named).
    """
    if plain.get("version") != PLAN_VERSION:
        raise ValueError(
            f"plan.json has version {plain.get('version')!r}, this program reads version "
            f"{PLAN_VERSION}. Use the version of vertebra that wrote it."
        )
    missing = sorted({"hash", "arms", "counts", "seeds"} - set(plain))
    if missing:
        raise ValueError(f"plan.json lacks {missing}. Restore it or lock a new plan.")
    arms = tuple(map(_arm, plain["arms"]))
    return Plan(
        hash=plain["hash"],
        arms=arms,
        slots=_slots(plain, arms),
        samples=plain.get("samples"),
        privileged=plain.get("privileged") or "none",
        environment=plain.get("environment"),
        criteria=_criteria(plain),
        locked_criteria="criteria" in plain,
        facts=plain,
    )


def _read_plan(directory: Path) -> Plan:
    """The plan of a directory, with what was added to it later."""
    plan = plan_from_plain(read_json(directory / "plan.json"))
    path = directory / "extensions.json"
    if not path.is_file():
        return plan
    rows: Sequence[Mapping[str, Any]] = read_json(path)["extensions"]
    more = [arm for row in rows for arm in row["arms"]]
    return replace(
        plan,
        arms=(*plan.arms, *map(_arm, more)),
        slots=(*plan.slots, *(_slot(job) for row in rows for job in row["jobs"])),
        facts={**plan.facts, "arms": [*plan.facts["arms"], *more]},
        extensions=tuple(map(_extended, rows)),
    )


def _extended(row: Mapping[str, Any]) -> Extended:
    parts = [f"the recipe {recipe['name']}" for recipe in row["recipes"]]
    parts += [f"{count} demonstrations" for count in row["counts"]]
    if row["seeds"]:
        parts.append(f"{row['seeds']} training seed{'s' if row['seeds'] > 1 else ''} an arm")
    return Extended(
        hash=row["hash"],
        words=" and ".join(parts),
        finished=int(row["finished"]),
        seen=row["seen"],
    )


def change_criteria(directory: Path, values: Mapping[str, Any], why: str) -> tuple[str, ...]:
    """Judge a run by other criteria from now on; what was locked stays, and the report shows both.

    Args:
        directory: Run directory.
        values: Criteria to change, as JSON values; the others are those that were locked.
        why: The reason.

    Returns:
        The changes in words.

    Raises:
        ValueError: When there is no plan, the criteria cannot be used, or no reason is given.
    """
    if not why.strip():
        raise ValueError("A change after locking needs a reason; give one with --why.")
    finished = len(read_run(directory).jobs)
    locked = _read_plan(directory).criteria
    used = criteria_from_plain({**to_plain(locked), **values})
    write_json(
        directory / CHANGED,
        {"criteria": to_plain(used), "why": why, "finished_trainings": finished},
    )
    return read_run(directory).changes


def _changed(directory: Path, plan: Plan) -> tuple[Plan, tuple[str, ...]]:
    """The plan with criteria that were changed after locking, and the changes in words."""
    path = directory / CHANGED
    if not path.is_file():
        return plan, ()
    found = read_json(path)
    used = criteria_from_plain(found["criteria"])
    when = f"after {found['finished_trainings']} finished trainings, because: {found['why']}"
    changes = criteria_changes(plan.criteria, used)
    return replace(plan, criteria=used), tuple(f"{change} ({when})" for change in changes)


def read_run(directory: Path) -> Run:
    """Read a run directory, finished or not.

    Raises:
        ValueError: When there is no plan, or a finished job cannot be read (all problems named).
    """
    path = directory / "plan.json"
    if not path.is_file():
        raise ValueError(
            f"{directory} holds no plan.json, so it is not the folder of a pilot. "
            "Give the folder that was passed as --out."
        )
    plan, changes = _changed(directory, _read_plan(directory))
    profiles, timed_on = read_profiles(directory)
    order = {(s.arm, s.demonstrations, s.seed): i for i, s in enumerate(plan.slots)}
    jobs: list[Job] = []
    problems: list[str] = []
    for result in sorted((directory / "jobs").glob("*/result.json")):
        try:
            job = _read_job(result.parent, plan.hash)
        except (ValueError, KeyError, TypeError, OSError) as error:
            problems.append(f"{result.parent.name}: {type(error).__name__}: {error}")
            continue
        if (job.arm, job.demonstrations, job.seed) in order:
            jobs.append(job)
        else:
            problems.append(
                f"{job.id}: {job.arm}, {job.demonstrations} demonstrations, seed {job.seed} is not "
                "in plan.json"
            )
    if problems:
        raise ValueError(
            f"{directory} has jobs that cannot be used:\n  - "
            + "\n  - ".join(problems)
            + "\nRemove these folders and run the pilot again; it redoes only what is missing."
        )
    jobs.sort(key=lambda job: order[job.arm, job.demonstrations, job.seed])
    return Run(
        plan=plan,
        jobs=tuple(jobs),
        failures=_read_failures(directory),
        references=_read_records(directory / "reference" / "records.jsonl"),
        latency=profiles or _read_latency(directory / "latency.json"),
        timed_on=timed_on,
        again=read_again(directory, plan.hash),
        changes=changes,
    )


def _criteria(plain: Mapping[str, Any]) -> Criteria:
    """The locked criteria; older plans knew a target only."""
    if "criteria" in plain:
        return criteria_from_plain(plain["criteria"])
    question: Mapping[str, Any] = plain.get("question") or {}
    target = question.get("target_success")
    return Criteria() if target is None else Criteria(target_success=float(target))


def _arm(plain: Mapping[str, Any]) -> Arm:
    return Arm(
        name=plain["name"],
        recipe=plain["recipe"],
        family=plain["family"],
        blind=bool(plain["blind"]),
    )


def _slot(plain: Mapping[str, Any]) -> Slot:
    return Slot(
        arm=plain["arm"], demonstrations=int(plain["demonstrations"]), seed=int(plain["seed"])
    )


def _slots(plain: Mapping[str, Any], arms: tuple[Arm, ...]) -> tuple[Slot, ...]:
    """The planned trainings: listed under ``jobs``, else twins at the largest count only."""
    if plain.get("jobs"):
        return tuple(map(_slot, plain["jobs"]))
    counts = sorted(int(count) for count in plain["counts"])
    return tuple(
        Slot(arm=arm.name, demonstrations=count, seed=int(seed))
        for arm in arms
        for count in (counts[-1:] if arm.blind else counts)
        for seed in plain["seeds"]
    )


def _read_job(folder: Path, plan: str) -> Job:
    spec: Mapping[str, Any] = read_json(folder / "job.json")
    result: Mapping[str, Any] = read_json(folder / "result.json")
    if result.get("version") != RESULT_VERSION:
        raise ValueError(f"result.json has version {result.get('version')!r}, not {RESULT_VERSION}")
    job = Job(
        id=folder.name,
        arm=spec["arm"],
        demonstrations=int(spec["demonstrations"]),
        seed=int(spec["seed"]),
        training=result["training"],
        ledger=result["ledger"],
        imagined=result.get("imagined"),
        offline=result.get("offline"),
        records=_read_records(folder / "records.jsonl"),
    )
    _require_own_records(job, plan)
    return job


def _require_own_records(job: Job, plan: str) -> None:
    """Refuse episodes of another plan or job, and episodes that are counted twice."""
    expected = (plan, job.arm, job.demonstrations, job.seed)
    for record in job.records:
        found = (record.pilot, record.arm, record.demonstrations, record.seed)
        if found != expected:
            raise ValueError(
                f"an episode is of (plan, arm, demonstrations, seed) {found}, expected {expected}"
            )
    keys = [
        (r.split, r.initial_state, r.scene_seed, r.task, r.condition, r.instruction)
        for r in job.records
    ]
    if len(set(keys)) < len(keys):
        raise ValueError(f"{len(keys) - len(set(keys))} of {len(keys)} episodes appear twice")


def _read_records(path: Path) -> tuple[EpisodeRecord, ...]:
    if not path.is_file():
        return ()
    return tuple(record_from_plain(row) for row in read_jsonl(path))


def _read_failures(directory: Path) -> tuple[Failure, ...]:
    return tuple(
        Failure(job=path.parent.name, why=str(read_json(path).get("why", "no reason given")))
        for path in sorted((directory / "jobs").glob("*/failed.json"))
        if not (path.parent / "result.json").is_file()
    )


def _read_latency(path: Path) -> dict[str, Mapping[str, tuple[float, ...]]]:
    if not path.is_file():
        return {}
    plain: Mapping[str, Mapping[str, list[float]]] = read_json(path)
    return {
        arm: {stage: tuple(float(s) for s in seconds) for stage, seconds in stages.items()}
        for arm, stages in plain.items()
    }
