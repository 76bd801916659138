"""The commands ``pilot`` and ``job``."""

import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vertebra.backbones.trunk import Standing
from vertebra.cli.arguments import JobCommand, PilotCommand
from vertebra.cli.reading import write_out, write_out_json
from vertebra.cli.released import nonsense, standing_of, stood
from vertebra.cli.watch import Steps
from vertebra.pilot.budget import Forecast, parse_duration, words_of
from vertebra.pilot.execute import Failure, end_with_parent, say
from vertebra.pilot.facts import cores
from vertebra.pilot.grid import Mix
from vertebra.pilot.plan import Question, priors_of_arms
from vertebra.policy.recipe import Recipe
from vertebra.recipes import chosen
from vertebra.recipes.crossing import read_factors
from vertebra.spec.errors import MissingExtra
from vertebra.spec.seeds import SeedTree
from vertebra.spec.storage import read_json, write_json

if TYPE_CHECKING:
    from vertebra.pilot.prepare import Ready
    from vertebra.pilot.run import Setting
    from vertebra.pilot.worlds import Settings

DEFAULT_SAMPLES = 32_000
"""Training windows of every arm when no budget is given either: 1,000 steps, so that the
level of the default pilot does not depend on how busy the machine is while it is measured."""
DRY_DEMOS = 64
"""Demonstrations that a dry run makes to measure on, when there are none."""
ROOT_SEED = 0
FOREIGN = (
    "note: without a simulator nothing is executed. This pilot compares predicted with recorded "
    "actions; that does not rank policies by success. Priors and settings found on the built-in "
    "table-top mean nothing on this data."
)


def carry_out_job(command: JobCommand, started: float) -> int:
    """Carry out one job in this process."""
    try:
        from vertebra.pilot.jobs import job_from_plain
        from vertebra.pilot.work import run_job
    except ImportError as error:
        raise MissingExtra("Carrying out a job", "pilot") from error
    if command.attached:
        end_with_parent()
    if not command.spec.is_file():
        raise ValueError(f"{command.spec} does not exist; give the job.json of a job.")
    job_from_plain(read_json(command.spec))
    from vertebra.pilot.parts import real_parts

    with Steps() as steps:

        def tell(stage: Any) -> None:
            steps.tell(stage.name, stage.done, stage.total, None)

        run_job(command.spec, real_parts(), say if command.attached else tell, started=started)
    return 0


def run_pilot_command(command: PilotCommand) -> int:
    """Prepare data, then run, continue or forecast a pilot."""
    _require_sense(command)
    try:
        from vertebra.pilot.run import Watch, dry_run, run_pilot
    except ImportError as error:
        raise MissingExtra("A pilot", "pilot") from error
    try:
        with Steps() as steps:
            standing = standing_of(command, steps.say)
            recipes = stood(_recipes(command), standing)
            ready = _material(command, steps)
            setting = _setting(command, ready, recipes, standing)
            _say_notes(command, ready, steps)
            if command.dry_run:
                steps.say("measuring what each recipe costs here")
                forecast, is_locked = dry_run(setting, command.out)
                return _print_forecast(command, setting, forecast, is_locked)
            count_jobs(steps, command.out, setting.question)
            reports = Reports(command.out, steps)
            watch = Watch(step=steps.say, event=steps.event, arm_finished=reports.write)
            failures = run_pilot(replace(setting, watch=watch), command.out)
    except KeyboardInterrupt:
        return stopped()
    reports.require()
    return print_end(command.out, failures, as_json=command.json)


def count_jobs(steps: Steps, out: Path, question: Question) -> None:
    """Tell the display how many jobs there are, references included, and how many are done."""
    steps.total = len(question.cells) + (question.environment is not None)
    steps.finished = len(list(out.glob("jobs/*/result.json")))
    steps.finished += (out / "reference" / "result.json").exists()


def command_line() -> str:
    """The words with which this command was called."""
    return shlex.join(["vertebra", *sys.argv[1:]])


def stopped() -> int:
    """Say how to continue."""
    sys.stderr.write(f"\nStopped; nothing finished is lost. To continue:\n  {command_line()}\n")
    return 130


def _recipes(command: PilotCommand) -> tuple[Recipe, ...]:
    """What is compared: recipes by name, or parts crossed."""
    if not command.factor:
        if command.coupling is not None:
            raise ValueError("--coupling holds the coupling of --factor; give --factor too")
        return chosen(command.recipes)
    if command.recipes != PilotCommand.recipes:
        raise ValueError("--factor makes recipes of its own; leave out --recipes")
    return read_factors(command.factor, command.coupling)


def _require_sense(command: PilotCommand) -> None:
    """Refuse what cannot be meant, all of it at once, before anything is spent."""
    found: list[str] = []
    if command.budget is not None and command.samples is not None:
        found.append("--budget and --samples exclude each other; give one")
    if command.mapping is not None and command.data is None:
        found.append("--mapping says what the columns of --data mean; give --data too")
    if command.data is None and command.env == "none":
        found.append("--env none needs recordings to compare with; give --data")
    found += nonsense(command)
    if command.workers is not None and command.workers < 1:
        found.append(f"--workers is {command.workers}; at least 1 is needed")
    if command.scenes is not None and command.scenes < 1:
        found.append(f"--scenes is {command.scenes}; at least 1 is needed")
    for check in (
        lambda: _recipes(command),
        lambda: _mixes(command),
        lambda: _budget(command),
        lambda: _world(command),
    ):
        try:
            check()
        except ValueError as error:
            found.append(str(error))
    if found:
        raise ValueError("This pilot cannot run:\n  - " + "\n  - ".join(found))


def _mixes(command: PilotCommand) -> tuple[Mix, ...]:
    """Everything that arms learn from besides demonstrations, each with each."""
    for name, numbers in (("unlabelled", command.unlabelled), ("video-only", command.video_only)):
        if not numbers or min(numbers) < 0 or len(set(numbers)) < len(numbers):
            raise ValueError(f"--{name} is {list(numbers)}; give each number once, 0 or more")
    mixed = (command.unlabelled, command.video_only) != ((0,), (0,))
    if command.factor and mixed:
        raise ValueError("--factor holds all else equal; leave out --unlabelled and --video-only")
    return tuple(
        Mix(unlabelled=unlabelled, video_only=videos)
        for unlabelled in command.unlabelled
        for videos in command.video_only
    )


def _besides(command: PilotCommand) -> int:
    """How many recordings the largest mix needs besides demonstrations."""
    return max(mix.total for mix in _mixes(command))


def _budget(command: PilotCommand) -> float | None:
    return None if command.budget is None else parse_duration(command.budget)


def _samples(command: PilotCommand) -> int | None:
    return (
        DEFAULT_SAMPLES if command.samples is None and command.budget is None else command.samples
    )


def _world(command: PilotCommand) -> "Settings | None":
    """The environment that is named; ``None`` when the data decide or there is none."""
    from vertebra.pilot.worlds import TabletopSettings, settings_from_words

    if command.env == "none" or (command.env == "auto" and command.data is not None):
        return None
    return TabletopSettings() if command.env == "auto" else settings_from_words(command.env)


def _material(command: PilotCommand, steps: Steps) -> "Ready":
    """The recordings; a dry run without any makes a few, to measure on."""
    from vertebra.pilot.prepare import default_demonstrations, make_material, read_material

    tree, store = SeedTree(root=ROOT_SEED), command.out.parent
    if command.data is not None:
        return read_material(
            store,
            command.data,
            mapping=command.mapping,
            env=command.env,
            tree=tree,
            tell=steps.tell,
        )
    settings = _world(command)
    assert settings is not None, "without data an environment is named"  # noqa: S101
    wanted = max(command.demos or default_demonstrations(settings))
    wanted += _besides(command)
    return make_material(
        store,
        settings,
        count=min(wanted, DRY_DEMOS) if command.dry_run else wanted,
        tree=tree,
        workers=command.workers or cores(),
        tell=steps.tell,
    )


def _setting(
    command: PilotCommand, ready: "Ready", recipes: tuple[Recipe, ...], standing: Standing | None
) -> "Setting":
    from vertebra.pilot.prepare import default_demonstrations, draws_of
    from vertebra.pilot.run import Setting

    material, settings = ready.material, ready.settings
    counts = command.demos
    if not counts:
        most = len(material.pool) - _besides(command)
        if most < 1:
            raise ValueError(
                f"{material.source} has {len(material.pool)} recordings that may train; "
                "--unlabelled and --video-only leave none of them as demonstrations."
            )
        counts = tuple(sorted({-(-most // 4), most}))
        if command.data is None and settings is not None:
            counts = default_demonstrations(settings)
    privileged = command.privileged
    if privileged == "auto":
        privileged = "points" if material.pointed else "none"
    if privileged == "points" and not material.pointed:
        raise ValueError(
            f"--privileged points needs pointing targets, {material.source} has none: give data "
            "that have them, or --privileged none."
        )
    start, priors = "scratch", dict[str, str]()
    if standing is None:
        start, priors = _start(command, recipes)
    draws, fewer = ((), ())
    if settings is not None:
        draws, fewer = draws_of(settings, command.scenes, ready.shown_seed)
    question = Question(
        recipes=recipes,
        counts=counts,
        seeds=command.seeds,
        twins=command.twins,
        size=command.size,
        privileged=privileged,
        budget_s=_budget(command),
        samples=_samples(command),
        precision=command.precision,
        environment=settings.to_plain() if settings else None,
        draws=draws,
        fewer_draws=fewer,
        seed=ROOT_SEED,
        criteria=command.criteria,
        backbone=start,
        mixes=_mixes(command),
        priors=priors,
        standing=standing,
    )
    return Setting(
        question=question,
        material=material,
        cache=ready.cache,
        workers=command.workers or cores(),
    )


def _start(command: PilotCommand, recipes: tuple[Recipe, ...]) -> tuple[str, dict[str, str]]:
    """What backbones start from, and the shipped weights that are part of it.

    auto: nothing, and frames are imagined in pixels; docs/experiments/priors.md says why.
    """
    if command.backbone == "auto":
        return "scratch", {}
    return command.backbone, priors_of_arms(recipes, command.size, command.backbone)


def _say_notes(command: PilotCommand, ready: "Ready", steps: Steps) -> None:
    if ready.settings is None:
        steps.say(FOREIGN)
    if ready.guessed and not command.dry_run:
        path = command.out / "mapping.json"
        if not path.exists():
            write_json(path, ready.mapping)
        steps.say(
            f"What the columns mean was guessed and written to {path}; correct it and pass it with "
            "--mapping if one of these is wrong:"
        )
    for note in ready.notes:
        steps.say(f"  {note}")


class Reports:
    """Rewrites the report after every arm; a report that fails does not stop the pilot."""

    def __init__(self, out: Path, steps: Steps) -> None:
        from vertebra.report.render import write_report

        self._write, self._out, self._steps = write_report, out, steps
        self._failure: Exception | None = None

    def write(self, out: Path) -> None:
        """Write it now, if anything has finished."""
        if not list(out.glob("jobs/*/result.json")):
            return
        try:
            self._write(out)
            self._failure = None
        except Exception as error:
            self._failure = error
            self._steps.say(f"the report could not be written ({error!r}); the pilot goes on")

    def require(self) -> None:
        """Raise what went wrong with the last report."""
        if self._failure is not None:
            raise self._failure


def _print_forecast(
    command: PilotCommand, setting: "Setting", forecast: Forecast, is_locked: bool
) -> int:
    cells = setting.question.cells
    if command.json:
        write_out_json(
            {
                "locked": is_locked,
                "workers": setting.workers,
                **vars(forecast),
                "jobs": [
                    {"id": cell.id, "seconds": seconds, "evaluation_seconds": evaluation}
                    for cell, seconds, evaluation in zip(
                        cells, forecast.job_s, forecast.evaluation_s, strict=True
                    )
                ],
            }
        )
        return 0
    state = "the locked plan" if is_locked else "not locked yet"
    write_out(f"{len(cells)} trainings ({state}), in this order:")
    for cell, seconds, evaluation in zip(cells, forecast.job_s, forecast.evaluation_s, strict=True):
        write_out(
            f"  {cell.id:32} {words_of(seconds):>9}, of which evaluation {words_of(evaluation)}"
        )
    write_out(f"samples of every arm  {forecast.samples} ({forecast.precision})")
    write_out(f"wall-clock time       {words_of(forecast.wall_s)} with {setting.workers} worker(s)")
    write_out(f"training              {forecast.flops:.2e} FLOPs in all")
    write_out(f"memory                {forecast.memory_bytes / 1e9:.2f} GB")
    write_out(f"disk                  {forecast.disk_bytes / 1e9:.3f} GB, data and frames apart")
    return 0


def print_end(out: Path, failures: list[Failure], *, as_json: bool) -> int:
    """Print where the report is, and what failed."""
    report, verdict = out / "report.html", out / "verdict.json"
    if as_json:
        found = read_json(verdict)["verdict"] if verdict.exists() else None
        write_out_json(
            {
                "out": out,
                "report": report if report.exists() else None,
                "verdict": found,
                "failed": [{"job": one.job, "why": one.why, "log": one.log} for one in failures],
            }
        )
        return 1 if failures else 0
    for one in failures:
        write_out(f"FAILED {one.job} (log: {one.log}): {one.why}")
    if failures:
        write_out("The same command tries these again.")
    if report.exists():
        write_out(str(report.resolve()))
    return 1 if failures else 0
