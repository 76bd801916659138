"""Commands about data sets."""

from pathlib import Path
from types import ModuleType
from typing import Any

from vertebra.cli.arguments import (
    DataCalvinCommand,
    DataCheckCommand,
    DataFitCommand,
    DataInfoCommand,
    DataMakeCommand,
    DataShowCommand,
)
from vertebra.cli.reading import write_out, write_out_json
from vertebra.cli.watch import Steps
from vertebra.pilot.facts import cores
from vertebra.spec.errors import MissingExtra
from vertebra.spec.storage import read_json, write_json


def make(command: DataMakeCommand) -> int:
    """Record demonstrations."""
    try:
        from vertebra.demonstrate.record import make_demonstrations, record
        from vertebra.demonstrate.request import outside_request
        from vertebra.envs.outside import outside_from_words
    except ImportError as error:
        raise MissingExtra("Making demonstrations", "pilot") from error
    workers = command.workers or cores()
    with Steps() as steps:

        def tell(made: Any) -> None:
            steps.tell("demonstrations", made.done, made.total, made.remaining_s)

        if command.env == "tabletop":
            made = make_demonstrations(
                command.root,
                count=command.count,
                validation=command.validation,
                seed=command.seed,
                workers=workers,
                size=command.size,
                skills=command.skills,
                segmentation=command.segmentation,
                on_progress=tell,
            )
        else:
            _require_defaults(command, ("size", "skills", "segmentation"))
            request = outside_request(
                outside_from_words(command.env),
                count=command.count,
                validation=command.validation,
                seed=command.seed,
            )
            made = record(command.root, request, workers=workers, on_progress=tell)
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


def calvin(command: DataCalvinCommand) -> int:
    """Convert CALVIN's recordings."""
    _reading()
    from vertebra.demonstrate.calvin import convert
    from vertebra.envs.outside import outside_from_words

    with Steps() as steps:
        made = convert(
            command.source,
            command.root,
            outside_from_words(command.env),
            limit=command.limit,
            on_progress=lambda done, total: steps.tell("episodes", done, total, None),
        )
    if command.json:
        write_out_json(made)
    else:
        write_out(f"{made.root}: {made.episodes} episodes, {made.frames} frames")
    return 0


def _require_defaults(command: DataMakeCommand, names: tuple[str, ...]) -> None:
    """Refuse settings that only the table-top has."""
    plain = DataMakeCommand(root=command.root)
    found = [f"--{name}" for name in names if getattr(command, name) != getattr(plain, name)]
    if found:
        raise ValueError(
            f"{', '.join(found)}: of the table-top only; in {command.env} the protocol decides."
        )


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


def fit(command: DataFitCommand) -> int:
    """Say whether a data set can show grounding."""
    _reading()
    from vertebra.data.fit import data_fit
    from vertebra.data.lerobot_open import open_dataset
    from vertebra.data.mapping import mapping_from_json
    from vertebra.data.propose import propose_mapping
    from vertebra.data.views import first_views

    dataset = open_dataset(command.root)
    meaning = (
        propose_mapping(dataset).mapping
        if command.mapping is None
        else mapping_from_json(read_json(command.mapping))
    )
    found = data_fit(first_views(dataset, meaning))
    if command.json:
        write_out_json({"root": command.root, **vars(found)})
        return 0 if found.can else 1
    for line in fit_lines(found):
        write_out(line)
    can = "can" if found.can else "cannot"
    write_out(f"This data {can} show grounding, because {'; '.join(found.because)}.")
    if found.record:
        write_out(
            f"Record these {len(found.record)} pairs (the same scene again, with what both need in "
            "it, and other words):"
        )
    for one in found.record:
        write_out(f"  start of episode {one.episode} (there: “{one.shown}”): “{one.record}”")
    return 0 if found.can else 1


def fit_lines(found: Any) -> list[str]:
    """What a data set holds, in lines."""
    told = "named in the data" if found.scenes_known else "told by their first pictures"
    guess, shown = found.guess, found.instructions_per_scene.items()
    skills = ", ".join(
        f"{one.name} {one.episodes} in {one.scenes} scenes (effective {one.effective_scenes:.1f})"
        for one in found.skills
    )
    ranges = ", ".join(f"{n} {a:.3g} to {b:.3g}" for n, (a, b) in found.action_ranges.items())
    lines = [
        f"episodes: {found.episodes}, {found.with_words} with an instruction; "
        f"{found.instructions} different instructions",
        f"initial scenes: {found.scenes}, {told}; instructions a scene: "
        + ", ".join(f"{count} in {scenes}" for count, scenes in shown),
        f"counterfactual pairs: {found.pairs}, in {found.paired_scenes} scenes",
        "instruction guessed from the first picture: "
        + (
            "not measurable"
            if guess is None
            else f"{100 * guess.rate:.0f} % (95 % interval {100 * guess.low:.0f} to "
            f"{100 * guess.high:.0f} %; n = {guess.episodes}; most common one "
            f"{100 * guess.chance:.0f} %)"
        ),
        f"skills{'' if found.skills_named else ' (first words)'}: {skills}",
        f"frames with an action: {100 * found.labelled_share:.0f} %; actions, 1 to 99 %: {ranges}",
    ]
    if found.constant_actions:
        lines.append(f"actions that never change: {', '.join(found.constant_actions)}")
    return lines + [f"note: {words}" for words in found.caveats]


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
