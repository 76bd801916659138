"""The command ``adapt``: teach finished policies a new skill, and see what they forget."""

from vertebra.cli.arguments_again import AdaptCommand
from vertebra.cli.reading import write_out, write_out_json
from vertebra.cli.watch import Steps
from vertebra.pilot.facts import cores
from vertebra.pilot.layout import RunDirectory
from vertebra.spec.errors import MissingExtra
from vertebra.spec.seeds import SeedTree
from vertebra.verdict.numbers import percent, points, times
from vertebra.verdict.run import read_run
from vertebra.verdict.summarise import summarise


def adapt(command: AdaptCommand) -> int:
    """Teach every finished sighted training a skill that it was never shown."""
    try:
        from vertebra.pilot.adapt import Lesson, Teacher, lesson_settings, require_new
        from vertebra.pilot.again import evaluate_again, finished_cells, locked_plan
        from vertebra.pilot.parts import real_parts
        from vertebra.pilot.prepare import make_material
        from vertebra.pilot.worlds import TabletopSettings
    except ImportError as error:
        raise MissingExtra("Teaching policies", "pilot") from error
    lesson = Lesson(
        skill=command.skill,
        counts=command.demos,
        replay=command.replay,
        samples=command.samples,
        learning_rate=command.learning_rate,
        scenes=command.scenes,
    )
    run = RunDirectory(root=command.run)
    plan = locked_plan(run)
    cells = finished_cells(run, plan)
    require_new(run, plan, cells, lesson.skill)
    world = {k: v for k, v in (plan.question.environment or {}).items() if k != "kind"}
    with Steps() as steps:
        ready = make_material(
            command.run.parent,
            TabletopSettings(**{**world, "skills": (lesson.skill,)}),
            count=max(lesson.counts),
            tree=SeedTree(root=plan.question.seed),
            workers=command.workers or cores(),
            tell=steps.tell,
        )
        teacher = Teacher(
            run=run,
            plan=plan,
            lesson=lesson,
            new=ready.material,
            new_cache=ready.cache,
            parts=real_parts(),
        )
        for setting in lesson_settings(plan, lesson, ready.material.data_hash):
            evaluate_again(
                run,
                plan,
                cells,
                setting,
                teacher.parts,
                teacher.evaluate(setting),
                lambda what, done, total: steps.tell(what, done, total, None),
            )
    return _print(command)


def _print(command: AdaptCommand) -> int:
    """What came of it, read back from the records."""
    summary = summarise(read_run(command.run))
    wanted = (command.skill, command.replay)
    taught = [one for one in summary.adaptations if (one.skill, one.replay) == wanted]
    ratios = [one for one in summary.lesson_ratios if (one.skill, one.replay) == wanted]
    if command.json:
        write_out_json({"adaptations": taught, "ratios": ratios})
        return 0
    for one in taught:
        write_out(f"{one.arm}, {one.skill}, {one.replay:g} old demonstrations for each new one:")
        for lesson in one.lessons:
            new = "not evaluated" if lesson.new is None else percent(lesson.new)
            change = lesson.forgotten
            old = "" if change is None else f"; old skills {points(change)}"
            write_out(f"  after {lesson.demonstrations:5} demonstrations {new}{old}")
        write_out(f"  to {100 * one.target:.0f} % success: {one.burden}")
        write_out(f"  old skills: {one.memory}")
    for ratio in ratios:
        said = ratio.missing if ratio.ratio is None else times(ratio.ratio)
        write_out(f"demonstrations that {ratio.second} needs / {ratio.first}: {said}")
    write_out(f"`vertebra report {command.run}` shows it on the page.")
    return 0
