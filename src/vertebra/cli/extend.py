"""The command ``extend``: more of a finished pilot, under its lock."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from vertebra.cli.arguments import ExtendCommand
from vertebra.cli.pilot import ROOT_SEED, Reports, count_jobs, print_end, stopped
from vertebra.cli.released import stood
from vertebra.cli.watch import Steps
from vertebra.pilot.facts import cores
from vertebra.pilot.history import Wish, extension_of, read_plan
from vertebra.pilot.layout import RunDirectory
from vertebra.pilot.plan import PilotPlan
from vertebra.pilot.worlds import settings_from_plain, words_from_settings
from vertebra.recipes import chosen
from vertebra.spec.errors import MissingExtra
from vertebra.spec.seeds import SeedTree
from vertebra.verdict.run import read_run
from vertebra.verdict.summarise import summarise

if TYPE_CHECKING:
    from vertebra.pilot.run import Setting


def extend(command: ExtendCommand) -> int:
    """Add recipes, seeds or numbers of demonstrations to a pilot, and carry them out."""
    try:
        from vertebra.pilot.run import Watch, extend_pilot
    except ImportError as error:
        raise MissingExtra("Extending a pilot", "pilot") from error
    out = command.run
    plan = read_plan(RunDirectory(root=out))
    wish = Wish(
        recipes=stood(chosen(command.recipes), plan.question.standing),
        counts=command.demos,
        seeds=command.seeds,
        seen=summarise(read_run(out)).verdict.word,
    )
    if not (wish.recipes or wish.counts or wish.seeds):
        raise ValueError("Nothing is asked for; give --recipes, --seeds or --demos.")
    more = extension_of(plan, wish)
    wider = plan.grid if more is None else plan.grid.extended(more)
    try:
        with Steps() as steps:
            setting = _setting(command, plan, steps)
            count_jobs(steps, out, wider)
            reports = Reports(out, steps)
            watch = Watch(step=steps.say, event=steps.event, arm_finished=reports.write)
            failures = extend_pilot(replace(setting, watch=watch), out, wish)
    except KeyboardInterrupt:
        return stopped()
    reports.require()
    return print_end(out, failures, as_json=command.json)


def _setting(command: ExtendCommand, plan: PilotPlan, steps: Steps) -> "Setting":
    """The locked question with the recordings that it was locked on."""
    from vertebra.pilot.prepare import read_material
    from vertebra.pilot.run import Setting

    source = Path(plan.data["source"]) if command.data is None else command.data
    if not source.is_dir():
        raise ValueError(
            f"The recordings of this pilot were in {source}, which is not there. Where are they "
            "now? Give --data."
        )
    played = plan.question.environment
    env = "none" if played is None else words_from_settings(settings_from_plain(played))
    ready = read_material(
        command.run.parent,
        source,
        mapping=command.mapping,
        env=env,
        tree=SeedTree(root=ROOT_SEED),
        tell=steps.tell,
    )
    return Setting(
        question=plan.question,
        material=ready.material,
        cache=ready.cache,
        workers=command.workers or cores(),
    )
