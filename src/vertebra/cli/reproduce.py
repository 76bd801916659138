"""The command that reproduces published numbers."""

from typing import Any

from vertebra.cli.arguments_reproduce import ReproduceCommand
from vertebra.cli.reading import write_out, write_out_json
from vertebra.cli.watch import Steps
from vertebra.pilot.facts import machine, software
from vertebra.pilot.worlds import lanes_of, make_environment, settings_from_words
from vertebra.reproduce.record import Reproduction
from vertebra.reproduce.targets import target_by_name
from vertebra.spec.errors import MissingExtra


def reproduce_command(command: ReproduceCommand) -> int:
    """Reproduce; 0 when the whole protocol was run and every published number is inside."""
    target = target_by_name(command.recipe, command.benchmark)
    if command.episodes < 0:
        raise ValueError(f"episodes is {command.episodes}: give 0 or more.")
    if not command.weights.is_dir():
        raise ValueError(f"{command.weights} is no directory of released weights.")
    try:
        from vertebra.reproduce.opened import on_device
        from vertebra.reproduce.readers import reader_of
        from vertebra.reproduce.run import reproduce
    except ImportError as error:
        raise MissingExtra("Running policies", "train") from error
    read = reader_of(target.recipe)

    def settings(world: str) -> dict[str, Any]:
        return settings_from_words(world).to_plain()

    with Steps() as steps:
        done = reproduce(
            target,
            command.weights,
            command.out,
            open_policy=lambda robot: on_device(
                read(command.weights, robot, target), command.device
            ),
            make=lambda world: make_environment(settings(world)),
            lanes=lanes_of(settings(target.parts[0].world)),
            episodes=command.episodes,
            software=software(),
            machine=machine(),
            told=lambda part, some, whole: steps.tell(part, some, whole, None),
        )
    if command.json:
        write_out_json(done.to_plain())
    else:
        for line in lines(done):
            write_out(line)
        write_out(str(command.out / "reproduction.json"))
    return 0 if done.earned == "reproduces" else 1


def lines(done: Reproduction) -> list[str]:
    """What came of it, as text."""
    found = [f"{done.target.name}, published: {done.target.source}"]
    for part, one in zip(done.target.parts, done.parts, strict=True):
        where = "inside" if done.inside(one.name) else "OUTSIDE"
        found.append(
            f"{one.name:16} {one.successes} of {one.episodes} ({100 * one.low:.1f} to "
            f"{100 * one.high:.1f} %), published {100 * part.rate:.1f} %: {where}; "
            f"{one.errors} errors"
        )
    if not done.complete:
        found.append(
            "PARTIAL: not every episode of the protocol was run without an error, so this earns no "
            "status."
        )
    elif done.earned:
        found.append(f"This earns '{done.target.recipe}' the status: {done.earned}.")
    return found
