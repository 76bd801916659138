"""Commands about data sets."""

from pathlib import Path
from types import ModuleType
from typing import Any

from vertebra.cli.arguments import (
    DataCheckCommand,
    DataInfoCommand,
    DataMakeCommand,
    DataShowCommand,
)
from vertebra.cli.reading import write_out, write_out_json
from vertebra.cli.watch import Steps
from vertebra.pilot.facts import cores
from vertebra.spec.errors import MissingExtra
from vertebra.spec.storage import write_json


def make(command: DataMakeCommand) -> int:
    """Record demonstrations on the table-top."""
    try:
        from vertebra.demonstrate.record import make_demonstrations
    except ImportError as error:
        raise MissingExtra("Making demonstrations", "pilot") from error
    with Steps() as steps:
        made = make_demonstrations(
            command.root,
            count=command.count,
            validation=command.validation,
            seed=command.seed,
            workers=command.workers or cores(),
            size=command.size,
            skills=command.skills,
            segmentation=command.segmentation,
            on_progress=lambda p: steps.tell("demonstrations", p.done, p.total, p.remaining_s),
        )
    if command.json:
        write_out_json(made)
        return 0
    dropped = sum(made.dropped.values())
    write_out(
        f"{made.root}: {made.episodes} demonstrations, {made.frames} frames; {made.recorded} "
        f"recorded now in {made.seconds:.0f} s; {dropped} of {sum(made.tried.values())} attempts "
        "failed and were dropped"
    )
    return 0


def info(command: DataInfoCommand) -> int:
    """Describe a data set and propose an input mapping."""
    _reading()
    from vertebra.data.lerobot_open import open_dataset
    from vertebra.data.propose import propose_mapping
    from vertebra.data.show import describe

    facts = describe(command.root)
    proposal = propose_mapping(open_dataset(command.root))
    if command.write_mapping is not None:
        write_json(command.write_mapping, proposal.mapping.to_json())
    if command.json:
        mapping, guesses = proposal.mapping.to_json(), proposal.guesses
        write_out_json({**facts, "proposed_mapping": mapping, "guesses": guesses})
        return 0
    for name, value in facts.items():
        write_out(f"{name}: {_short(value)}")
    write_out("proposed mapping (correct it with --write-mapping FILE, pass it with --mapping):")
    for guess in proposal.guesses:
        doubt = "" if guess.sure else "  <- look at this one"
        write_out(f"  {guess.field}: {guess.chosen}, because {guess.because}{doubt}")
    return 0


def check(command: DataCheckCommand) -> int:
    """Name the faults of a data set."""
    _reading()
    from vertebra.data.check import check_dataset

    faults = check_dataset(command.root, decode_all=command.decode_all)
    if command.json:
        write_out_json({"root": command.root, "faults": faults})
    else:
        for fault in faults:
            write_out(str(fault))
        write_out(f"{command.root}: {len(faults) or 'no'} fault{'s' if len(faults) != 1 else ''}")
    return 1 if faults else 0


def show(command: DataShowCommand) -> int:
    """Draw an episode."""
    _reading()
    from vertebra.data.show import show_episode

    path = command.out or Path(f"episode_{command.episode}.png")
    show_episode(command.root, command.episode, path)
    write_out(str(path))
    return 0


def _reading() -> ModuleType:
    """Refuse early when the readers of data are not installed."""
    try:
        from vertebra.data import show
    except ImportError as error:
        raise MissingExtra("Reading data", "data") from error
    return show


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 300 else text[:297] + "..."
