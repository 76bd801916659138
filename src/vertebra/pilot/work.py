"""One job in one process: train, evaluate, write. Idempotent, and safe to kill at any moment."""

import resource
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from vertebra.data.cache import open_cache
from vertebra.evaluate.actor import Actor, DemonstratorActor, PolicyActor, RandomActor
from vertebra.evaluate.film import write_films
from vertebra.evaluate.latency import measure_latency
from vertebra.evaluate.offline import evaluate_offline, observations_of
from vertebra.evaluate.plan import EpisodePlan, plan_draws, plan_episodes
from vertebra.evaluate.run import Identity, run_blocks, run_episodes
from vertebra.pilot.evidence import evidence_of, sealed
from vertebra.pilot.facts import software
from vertebra.pilot.jobs import (
    ArmJob,
    Evaluation,
    Job,
    LatencyJob,
    Ledger,
    ReferenceJob,
    RehearsalJob,
    Stage,
    job_from_plain,
    job_to_plain,
)
from vertebra.pilot.layout import JobDirectory, RunDirectory, locked, sweep
from vertebra.pilot.parts import Parts
from vertebra.policy.protocol import Policy
from vertebra.spec.observation import Observation
from vertebra.spec.record import EpisodeRecord
from vertebra.spec.storage import digest, read_json, to_plain, write_json, write_jsonl
from vertebra.train.spec import TrainSpec

RESULT_VERSION = 1
Report = Callable[[Stage], None]


def run_job(path: Path, parts: Parts, report: Report, *, started: float | None = None) -> None:
    """Carry out a job; do nothing when it is finished.

    Args:
        path: Its ``job.json``; everything is written beside it.
        parts: What does the work.
        report: Told how far it is.
        started: When this process started (``time.monotonic``), to count what starting costs.

    Raises:
        ValueError: When the file is no job, or another process carries it out.
    """
    directory = JobDirectory(root=path.parent)
    job = job_from_plain(read_json(path))
    busy = f"Another process carries out {job.id} ({path}). Wait for it, or end it first."
    with locked(directory.root / ".lock", busy):
        if directory.finished:
            return
        sweep(directory.root)
        start_s = 0.0 if started is None else time.monotonic() - started
        result = _carry_out(job, directory, parts, report)
        if isinstance(job, RehearsalJob):
            result["start_seconds"] = start_s
        evidence = {"job": digest(job_to_plain(job)), **evidence_of(directory)}
        whole = {"version": RESULT_VERSION, **result, "evidence": evidence}
        write_json(directory.result, sealed(whole))
        shutil.rmtree(directory.blocks, ignore_errors=True)


def _carry_out(job: Job, directory: JobDirectory, parts: Parts, report: Report) -> dict[str, Any]:
    if isinstance(job, ArmJob):
        return _run_arm(job, directory, parts, report)
    if isinstance(job, ReferenceJob):
        return _run_reference(job, directory, parts, report)
    if isinstance(job, RehearsalJob):
        return _rehearse(job, directory, parts, report)
    return _time(job, directory, parts, report)


def _run_arm(job: ArmJob, directory: JobDirectory, parts: Parts, report: Report) -> dict[str, Any]:
    trained = parts.train(
        job.training,
        directory.root,
        lambda p: report(Stage(name="training", done=p.step, total=p.steps, facts=p.loss)),
    )
    policy = parts.load_policy(directory.checkpoint)
    began = time.perf_counter()
    evaluation, offline = job.evaluation, None
    seconds = 0.0
    if evaluation.environment is not None:
        identity = Identity(
            pilot=job.plan,
            arm=job.arm,
            family=job.family,
            demonstrations=job.demonstrations,
            seed=job.seed,
            software=software(),
        )
        records, seconds = _evaluate(
            PolicyActor(policy), identity, evaluation, directory, parts, report
        )
        write_jsonl(directory.records, records)
        began = time.perf_counter()
    if evaluation.held_out:
        offline = _offline(policy, job.training, evaluation)
    imagined = parts.imagine(policy, job.training, directory.show)
    seconds += time.perf_counter() - began
    return {
        "training": to_plain(trained),
        "ledger": Ledger(
            demonstrations=job.demonstrations,
            language_labels=trained.language_labels,
            privileged_targets=trained.privileged_targets,
            video_frames=trained.video_frames,
            samples=trained.samples,
            flops=trained.flops,
            train_seconds=trained.seconds,
            evaluation_seconds=seconds,
            unlabelled=len(job.training.unlabelled),
            video_only=len(job.training.video_only),
            extra_labels=trained.extra_labels,
            extra_frames=trained.extra_frames,
        ),
        "imagined": imagined,
        "offline": offline,
    }


def _evaluate(
    actor: Actor,
    identity: Identity,
    evaluation: Evaluation,
    directory: JobDirectory,
    parts: Parts,
    report: Report,
) -> tuple[list[Any], float]:
    """Run what is left of an evaluation, block by block: records and seconds of all blocks."""
    settings = evaluation.environment or {}
    plan = _episodes(evaluation, parts)
    blocks: list[Mapping[str, Any]] = []
    while (path := _block(directory, identity.arm, len(blocks))).exists():
        blocks.append(read_json(path))
    done = sum(len(block["records"]) for block in blocks)
    report(Stage(name="evaluation", done=done, total=len(plan)))
    began = time.perf_counter()
    for finished in run_blocks(
        actor,
        lambda: parts.make_environment(settings),
        plan,
        identity,
        lanes=evaluation.lanes,
        first=len(blocks),
        filmed=evaluation.films,
    ):
        if not blocks and evaluation.films:
            write_films(directory.show, finished)
        took, began = time.perf_counter() - began, time.perf_counter()
        block = to_plain({"seconds": took, "records": [one.record for one in finished]})
        write_json(_block(directory, identity.arm, len(blocks)), block)
        blocks.append(block)
        done += len(finished)
        report(Stage(name="evaluation", done=done, total=len(plan)))
    rows = [row for block in blocks for row in block["records"]]
    return rows, sum(float(block["seconds"]) for block in blocks)


def _block(directory: JobDirectory, arm: str, number: int) -> Path:
    return directory.blocks / f"{arm}-{number:04d}.json"


def _episodes(evaluation: Evaluation, parts: Parts) -> tuple[EpisodePlan, ...]:
    environment = parts.make_environment(evaluation.environment or {})
    try:
        return plan_draws(environment, evaluation.draws, evaluation.seed)
    finally:
        environment.close()


def _run_reference(
    job: ReferenceJob, directory: JobDirectory, parts: Parts, report: Report
) -> dict[str, Any]:
    settings = job.evaluation.environment or {}
    environment = parts.make_environment(settings)
    takes = environment.takes
    environment.close()
    actors: dict[str, Actor] = {
        "demonstrator": DemonstratorActor(parts.demonstrator_of(settings)),
        "random": RandomActor(takes),
    }
    rows: list[Any] = []
    seconds: dict[str, float] = {}
    for name, actor in actors.items():
        identity = Identity(
            pilot=job.plan,
            arm=name,
            family="control",
            demonstrations=0,
            seed=0,
            software=software(),
        )
        found, seconds[name] = _evaluate(actor, identity, job.evaluation, directory, parts, report)
        rows += found
    write_jsonl(directory.records, rows)
    return {"episodes": len(rows), "evaluation_seconds": sum(seconds.values())}


def _rehearse(
    job: RehearsalJob, directory: JobDirectory, parts: Parts, report: Report
) -> dict[str, Any]:
    """Measure an arm, and prove that it trains, saves, loads and acts before anything is spent."""
    measured = parts.calibrate(job.training, job.seconds)
    report(Stage(name="training", done=0, total=1))
    began = time.perf_counter()
    parts.train(job.training, directory.root, lambda progress: None)
    policy = parts.load_policy(directory.checkpoint)
    parts.imagine(policy, job.training, directory.show)
    if job.evaluation.held_out:
        _offline(policy, job.training, job.evaluation)
    fixed = time.perf_counter() - began
    report(Stage(name="evaluation", done=0, total=1))
    began = time.perf_counter()
    episodes, settings = 0, job.evaluation.environment
    if settings is not None:
        identity = Identity(pilot="", arm=job.id, family="", demonstrations=0, seed=0)
        records = list(
            run_episodes(
                PolicyActor(policy),
                lambda: parts.make_environment(settings),
                _episodes(job.evaluation, parts),
                identity,
                lanes=job.evaluation.lanes,
            )
        )
        _refuse_errors(records)
        episodes = len(records)
    return {
        "recipe": job.recipe,
        "calibration": to_plain(measured),
        "fixed_seconds": fixed,
        "evaluation_seconds": time.perf_counter() - began,
        "episodes": episodes,
        "memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def _offline(policy: Policy, training: TrainSpec, evaluation: Evaluation) -> dict[str, Any]:
    return evaluate_offline(
        policy,
        open_cache(Path(training.data)),
        held_out=evaluation.held_out,
        training=training.episodes,
        seed=evaluation.seed,
    )


def _refuse_errors(records: Sequence[EpisodeRecord]) -> None:
    errors = [record.error for record in records if record.error]
    if len(errors) == len(records):
        raise ValueError(
            f"All {len(records)} episodes of the rehearsal ended in an error, so nothing is "
            f"started. The first one:\n{errors[0]}"
        )


def _time(job: LatencyJob, directory: JobDirectory, parts: Parts, report: Report) -> dict[str, Any]:
    run = RunDirectory(root=directory.root.parent)
    policies = {
        arm: parts.load_policy(run.root / checkpoint) for arm, checkpoint in job.policies.items()
    }
    report(Stage(name="timing", done=0, total=job.repeats))
    seconds = measure_latency(policies, _shown(job, parts), repeats=job.repeats)
    write_json(run.latency, seconds)
    return {"arms": list(policies), "repeats": job.repeats, "latency": digest(seconds)}


def _shown(job: LatencyJob, parts: Parts) -> list[Observation]:
    """First views of held-out scenes, or held-out frames of recordings."""
    if job.environment is None:
        return observations_of(open_cache(Path(job.data)), job.held_out, 16)
    environment = parts.make_environment(job.environment)
    states = environment.initial_states(job.split, 4, job.seed)
    shown: list[Observation] = []
    for plan in plan_episodes(states, ["asked"], job.seed):
        seen = environment.begin(plan.initial_state, plan.task, plan.scene_seed)
        # Pictures of a world in another process are rendered now or never.
        shown.append(replace(seen, images=dict(seen.images)))
    environment.close()
    return shown
