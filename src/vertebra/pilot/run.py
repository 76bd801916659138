"""A pilot from its question to its last record: rehearse, lock, carry out, time, count."""

import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vertebra.data.cache import FrameCache
from vertebra.evaluate.plan import Draw, plan_draws
from vertebra.evaluate.run import LANES
from vertebra.pilot import budget
from vertebra.pilot.budget import Cost, Forecast
from vertebra.pilot.evidence import EPISODES_VERSION, planned_episodes
from vertebra.pilot.execute import Failure, Happened, execute
from vertebra.pilot.facts import machine, software
from vertebra.pilot.grid import Cell, Mix
from vertebra.pilot.history import Wish, extension_of, history, read_plan, require_extendable
from vertebra.pilot.jobs import (
    Job,
    LatencyJob,
    ReferenceJob,
    RehearsalJob,
    job_to_plain,
)
from vertebra.pilot.layout import JobDirectory, RunDirectory, locked, sweep
from vertebra.pilot.ledger import collect
from vertebra.pilot.material import Material, scenes_of, split_manifest
from vertebra.pilot.plan import (
    PilotPlan,
    Question,
    evaluation_of,
    jobs_of,
    require_same,
    training_of,
)
from vertebra.pilot.prepare import facts_of
from vertebra.pilot.remaining import Remaining
from vertebra.pilot.worlds import lanes_of, make_environment
from vertebra.policy.recipe import Recipe
from vertebra.spec.seeds import SeedTree
from vertebra.spec.storage import digest, read_json, write_json

REHEARSED_SCENES = 4
COMMAND = (sys.executable, "-m", "vertebra.cli", "job", "--attached")
"""What carries out a job, followed by the path of its ``job.json``."""


@dataclass(frozen=True, kw_only=True)
class Watch:
    """Who is told what happens; every function may do nothing.

    Attributes:
        step: What is being done, in words.
        event: What happened to a job, and the seconds that the whole pilot still takes.
        arm_finished: A job has finished and its files are in place.
    """

    step: Callable[[str], None] = lambda words: None
    event: Callable[[Happened, float], None] = lambda event, remaining_s: None
    arm_finished: Callable[[Path], None] = lambda out: None


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A question with all that is needed to work on it.

    Attributes:
        question: What is asked.
        material: Recordings and their use.
        cache: Their frames.
        workers: Processes side by side.
        command: What carries out a job.
        make_environment: From settings to an environment.
        watch: Who is told.
    """

    question: Question
    material: Material
    cache: FrameCache
    workers: int
    command: Sequence[str] = COMMAND
    make_environment: Callable[[Mapping[str, Any]], Any] = make_environment
    watch: Watch = field(default_factory=Watch)


def run_pilot(setting: Setting, out: Path) -> list[Failure]:
    """Run a pilot, or continue it where it stopped.

    Args:
        setting: What to run.
        out: Directory of the pilot: new, empty, or one of the same question.

    Returns:
        The jobs that failed; they are tried again in the next call.

    Raises:
        ValueError: Before anything is spent: when the directory holds another pilot, when the
            budget, memory or disk is too small, or when a rehearsal fails.
    """
    run = RunDirectory(root=out)
    busy = f"Another pilot works in {out}. Wait for it, end it, or give another --out."
    with locked(out / ".lock", busy):
        sweep(out)
        return _finish(setting, _locked_plan(setting, run), run)


def extend_pilot(setting: Setting, out: Path, wish: Wish) -> list[Failure]:
    """Extend a finished pilot under its lock, or continue an extension where it stopped.

    Args:
        setting: The locked question with its recordings.
        out: Directory of the pilot.
        wish: What it shall have besides.

    Returns:
        The jobs that failed; they are tried again in the next call.

    Raises:
        ValueError: Before anything is spent: when it is no extension, the pilot is not finished,
            or a rehearsal fails.
    """
    run = RunDirectory(root=out)
    busy = f"Another pilot works in {out}. Wait for it, or end it first."
    with locked(out / ".lock", busy):
        sweep(out)
        return _finish(setting, _extended_plan(setting, run, wish), run)


def _finish(setting: Setting, plan: PilotPlan, run: RunDirectory) -> list[Failure]:
    """Carry out what is left of a plan."""
    jobs = _write_jobs(setting, plan, run)
    failures = _carry_out(setting, plan, run, jobs)
    failures += _measure_latency(setting, plan, run)
    _write_ledger(plan, run)
    setting.watch.arm_finished(run.root)
    return failures


def _extended_plan(setting: Setting, run: RunDirectory, wish: Wish) -> PilotPlan:
    """The plan with an extension added to its history; as it was when nothing is new."""
    plan = read_plan(run)
    more = extension_of(plan, wish)
    if more is None:
        require_same(plan, plan.question, setting.material.data_hash, str(run.root))
        return plan
    require_extendable(run, plan, wish, setting.material, _episodes(setting)[1])
    costs: dict[str, Cost] = {}
    if more.recipes:
        wider = replace(setting, question=plan.grid.extended(more))
        costs = _rehearse(wider, run, more.recipes)
        shutil.rmtree(run.root / "rehearsal", ignore_errors=True)
    calibration = {name: vars(cost) for name, cost in costs.items()}
    more = replace(more, calibration=calibration, software=software())
    plan = replace(plan, extensions=(*plan.extensions, more))
    _require_room(_forecast(setting, plan), run.root)
    write_json(run.split, _split(replace(setting, question=plan.grid)))
    write_json(run.extensions, history(plan))
    return plan


def dry_run(setting: Setting, out: Path) -> tuple[Forecast, bool]:
    """What a pilot would cost; nothing is written into its directory.

    Returns:
        The forecast, and whether its plan is locked already.
    """
    run = RunDirectory(root=out)
    if run.plan.exists():
        plan = read_plan(run)
        require_same(plan, setting.question, plan.data_hash, str(out))
        return _forecast(setting, plan), True
    with tempfile.TemporaryDirectory() as temporary:
        costs = _rehearse(setting, RunDirectory(root=Path(temporary)), setting.question.recipes)
    samples = budget.lock_samples(
        setting.question, costs, workers=setting.workers, extra_s=_extra_s(setting, costs)
    )
    return (
        budget.forecast(
            setting.question,
            costs,
            samples=samples,
            workers=setting.workers,
            extra_s=_extra_s(setting, costs),
        ),
        False,
    )


def _locked_plan(setting: Setting, run: RunDirectory) -> PilotPlan:
    if run.plan.exists():
        plan = read_plan(run)
        require_same(plan, setting.question, setting.material.data_hash, str(run.root))
        return plan
    question, material = setting.question, setting.material
    material.require(max(question.counts), question.mixes)
    costs = _rehearse(setting, run, question.recipes)
    samples = budget.lock_samples(
        question, costs, workers=setting.workers, extra_s=_extra_s(setting, costs)
    )
    steps = samples // question.batch_size
    world, episodes = _episodes(setting)
    plan = PilotPlan(
        question=question,
        environment=world["name"],
        data_hash=material.data_hash,
        samples=samples,
        precision=budget.precision_of(question, costs),
        checkpoint_every=max(10, -(-steps // budget.LOOKS)),
        episodes={which: digest(rows) for which, rows in episodes.items()},
        data=facts_of(material),
        calibration={name: vars(cost) for name, cost in costs.items()},
    )
    _require_room(_forecast(setting, plan), run.root)
    facts = {"software": software(), "machine": machine(), "command": sys.argv}
    write_json(run.facts, {**facts, "world": world["facts"]})
    write_json(run.split, _split(setting))
    write_json(run.episodes, {"version": EPISODES_VERSION, **episodes})
    write_json(run.plan, plan.to_plain())
    shutil.rmtree(run.root / "rehearsal", ignore_errors=True)
    return plan


def _episodes(setting: Setting) -> tuple[dict[str, Any], dict[str, list[dict[str, Any]]]]:
    """Name and facts of the world, and its planned episodes: all arms' and the references'."""
    question = setting.question
    if question.environment is None:
        return {"name": None, "facts": None}, {}
    environment = setting.make_environment(question.environment)
    seed = SeedTree(root=question.seed).scenes()
    try:
        draws = {
            "largest": question.draws,
            "fewer": question.fewer_draws or question.draws,
            "reference": question.draws[:1],
        }
        facts = getattr(environment, "facts", None)
        return {"name": environment.name, "facts": facts}, {
            which: planned_episodes(plan_draws(environment, some, seed))
            for which, some in draws.items()
        }
    finally:
        environment.close()


def _rehearse(setting: Setting, run: RunDirectory, recipes: Sequence[Recipe]) -> dict[str, Cost]:
    """Try recipes of the question, all workers busy as in the pilot; costs by recipe name."""
    question, material = setting.question, setting.material
    setting.watch.step("trying each recipe and measuring what it costs here")
    jobs: list[JobDirectory] = []
    most = REHEARSED_SCENES if lanes_of(question.environment) == LANES else 1
    few = [replace(draw, scenes=min(draw.scenes, most)) for draw in question.draws[:1]]
    for recipe in recipes:
        arm = next(arm for arm in question.arms if arm.definition.name == recipe.name)
        count = min(max(question.counts), len(material.pool))
        job = RehearsalJob(
            id=f"rehearsal-{recipe.name}",
            recipe=recipe.name,
            training=training_of(
                question,
                material,
                Cell(arm=replace(arm, mix=Mix()), demonstrations=count, seed=0),
                samples=2 * question.batch_size,
                precision="fp32",
                checkpoint_every=10,
            ),
            evaluation=evaluation_of(question, material, few),
        )
        jobs.append(_write_job(run.rehearsal(recipe.name), job))
    failures = execute(
        jobs,
        command=setting.command,
        workers=setting.workers,
        on_event=lambda event: None,
    )
    if failures:
        raise ValueError(
            "The rehearsal failed, so nothing was started:\n"
            + "\n".join(f"  - {failure.job}: {failure.why}" for failure in failures)
        )
    return {
        recipe.name: budget.cost_from_rehearsal(read_json(job.result))
        for recipe, job in zip(recipes, jobs, strict=True)
    }


def _split(setting: Setting) -> dict[str, Any]:
    question, tree = setting.question, SeedTree(root=setting.question.seed)
    scenes: Mapping[str, Sequence[str]] = {}
    if question.environment is not None:
        environment = setting.make_environment(question.environment)
        draws: tuple[Draw, ...] = (*question.draws, *question.fewer_draws)
        scenes = scenes_of(draws, environment.initial_states, tree.scenes())
        environment.close()
    return split_manifest(
        setting.material,
        setting.cache,
        tree,
        question.counts,
        question.seeds,
        scenes,
        question.mixes,
    )


def _extra_s(setting: Setting, costs: Mapping[str, Cost]) -> float:
    """Seconds of references (some 3 ms a step, half as many steps) and latency at the end."""
    starts = max(cost.overhead_s for cost in costs.values())
    episodes = sum(draw.episodes for draw in setting.question.draws)
    slowest = max(cost.episode_s for cost in costs.values())
    return starts + 2 * episodes * slowest / max(1, setting.workers) / 2 + 10.0


def _costs(plan: PilotPlan) -> dict[str, Cost]:
    """What each recipe of a plan was measured to cost."""
    return {name: Cost(**cost) for name, cost in plan.costs.items()}


def _forecast(setting: Setting, plan: PilotPlan) -> Forecast:
    costs = _costs(plan)
    return budget.forecast(
        plan.grid,
        costs,
        samples=plan.samples,
        workers=setting.workers,
        extra_s=_extra_s(setting, costs),
    )


def _require_room(expected: Forecast, out: Path) -> None:
    memory, disk = int(machine()["memory_bytes"]), shutil.disk_usage(out).free
    found: list[str] = []
    if expected.memory_bytes > memory:
        found.append(
            f"memory: {expected.memory_bytes / 1e9:.1f} GB are needed, the machine has "
            f"{memory / 1e9:.1f} GB; use fewer --workers"
        )
    if expected.disk_bytes > disk:
        found.append(
            f"disk: {expected.disk_bytes / 1e9:.1f} GB are needed, {out} has "
            f"{disk / 1e9:.1f} GB free"
        )
    if found:
        raise ValueError("There is not enough room:\n  - " + "\n  - ".join(found))


def _write_job(directory: JobDirectory, job: Job) -> JobDirectory:
    """Put a job in place; what was another job is started anew, finished ones of the plan stay."""
    plain = job_to_plain(job)
    found = read_json(directory.spec) if directory.spec.exists() else {}
    mine = "plan" in plain and found.get("plan") == plain["plan"] and directory.finished
    if found == plain or mine:
        return directory
    if directory.root.exists():
        shutil.rmtree(directory.root)
    write_json(directory.spec, plain)
    return directory


def _write_jobs(setting: Setting, plan: PilotPlan, run: RunDirectory) -> list[JobDirectory]:
    """The directories of all jobs, the references first (they are short)."""
    found: list[JobDirectory] = []
    if plan.question.environment is not None:
        evaluation = evaluation_of(plan.question, setting.material, plan.question.draws[:1])
        reference = ReferenceJob(
            id="reference", plan=plan.hash, evaluation=replace(evaluation, films=0)
        )
        found.append(_write_job(run.reference, reference))
    jobs = jobs_of(plan, setting.material)
    return [*found, *(_write_job(run.job(job.id), job) for job in jobs)]


def _carry_out(
    setting: Setting,
    plan: PilotPlan,
    run: RunDirectory,
    jobs: Sequence[JobDirectory],
) -> list[Failure]:
    expected = _forecast(setting, plan)
    reference_s = budget.reference_s(plan.question, _costs(plan))
    names = [run.reference.root.name, *(cell.id for cell in plan.grid.cells)]
    job_s = dict(zip(names, (reference_s, *expected.job_s), strict=True))
    evaluation_s = dict(zip(names, (reference_s, *expected.evaluation_s), strict=True))
    left = [job.root.name for job in jobs if not job.finished]
    remaining = Remaining(
        {name: job_s[name] for name in left},
        {name: job_s[name] - evaluation_s[name] for name in left},
        workers=setting.workers,
        after_s=10.0,
    )

    def on_event(event: Happened) -> None:
        now = time.monotonic()
        remaining.happened(event, now)
        setting.watch.event(event, remaining.seconds(now))
        if event.kind in ("finished", "failed"):
            _write_ledger(plan, run)
            if event.kind == "finished":
                setting.watch.arm_finished(run.root)

    return execute(jobs, command=setting.command, workers=setting.workers, on_event=on_event)


def _write_ledger(plan: PilotPlan, run: RunDirectory) -> None:
    cells = [run.job(cell.id) for cell in plan.grid.cells]
    write_json(run.ledger, collect(plan.hash, cells))


def _measure_latency(setting: Setting, plan: PilotPlan, run: RunDirectory) -> list[Failure]:
    """Time all arms that have finished, alone; again only when there are others than before."""
    question, largest = plan.grid, max(plan.grid.counts)
    policies = {
        cell.arm.name: f"jobs/{cell.id}/checkpoint"
        for cell in question.cells
        if cell.demonstrations == largest and cell.seed == 0 and run.job(cell.id).finished
    }
    if not policies:
        return []
    setting.watch.step("timing inference, with nothing else running")
    job = LatencyJob(
        id="timing",
        policies=policies,
        environment=question.environment,
        split=question.draws[0].split if question.draws else "",
        seed=SeedTree(root=question.seed).scenes(),
        data=setting.material.cache,
        held_out=setting.material.held_out,
    )
    _write_job(run.timing, job)
    return execute([run.timing], command=setting.command, workers=1, on_event=lambda event: None)
