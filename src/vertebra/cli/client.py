"""The command ``client record``: a served policy on a robot."""

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vertebra.cli.arguments_robot import ClientRecordCommand
from vertebra.cli.reading import write_out, write_out_json
from vertebra.cli.serve import read_key
from vertebra.pilot.facts import software
from vertebra.serve.client import ServedPolicy, ServerError
from vertebra.spec.errors import MissingExtra
from vertebra.spec.record import EpisodeRecord
from vertebra.spec.storage import write_jsonl
from vertebra.spec.task import Outcome

if TYPE_CHECKING:
    from vertebra.data.episode import EpisodeData
    from vertebra.envs.protocol import Environment
    from vertebra.evaluate.run import Identity


def record(command: ClientRecordCommand) -> int:
    """Run episodes, write their records and, step by step, what was seen and done."""
    try:
        from vertebra.data.lerobot_layout import DatasetFormat
        from vertebra.data.lerobot_write import write_dataset
        from vertebra.serve.recorded import Recorded, Tape
    except ImportError as error:
        raise MissingExtra("Recording", "data") from error
    from vertebra.evaluate.actor import PolicyActor
    from vertebra.evaluate.plan import Draw, plan_draws
    from vertebra.evaluate.run import run_episodes

    if command.out.exists():
        raise ValueError(f"{command.out} exists; choose another directory for this recording.")
    try:
        policy = ServedPolicy(command.address, api_key=read_key(command.api_key_file))
    except ServerError as error:
        raise ValueError(str(error)) from error
    identity = _identity(command, policy)
    make = _robot(command.robot, policy)
    tape = Tape()
    first = make()
    actor = PolicyActor(policy)
    actor.require_fit(first)
    draw = Draw(split=command.split, scenes=command.scenes, instructions=command.instructions)
    plan = plan_draws(first, [draw], command.seed)
    form = DatasetFormat(observation=first.offers, action=first.takes, robot_type=first.name)
    first.close()
    records: list[EpisodeRecord] = []

    def episodes() -> Iterator["EpisodeData"]:
        for one in run_episodes(actor, lambda: Recorded(make(), tape), plan, identity, lanes=1):
            records.append(one)
            write_jsonl(command.out / "records.jsonl", records)
            episode = tape.episode(one)
            if episode is not None:
                yield episode

    dataset = command.out / "dataset"
    write_dataset(dataset, episodes(), form, provenance={"served": policy.about})
    policy.close()
    _say(command, records, dataset)
    return 0


def _say(command: ClientRecordCommand, records: list[EpisodeRecord], dataset: Path) -> None:
    counts = {o.value: sum(row.outcome == o for row in records) for o in Outcome}
    path = command.out / "records.jsonl"
    if command.json:
        write_out_json({"records": path, "dataset": dataset, "outcomes": counts})
        return
    told = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    write_out(f"{len(records)} episodes: {told}\n{path}\n{dataset}")


def _identity(command: ClientRecordCommand, policy: ServedPolicy) -> "Identity":
    from vertebra.evaluate.run import Identity

    about = policy.about
    found = {
        "arm": command.arm or about.get("arm"),
        "demonstrations": _either(command.demonstrations, about.get("demonstrations")),
        "training-seed": _either(command.training_seed, about.get("seed")),
    }
    missing = [f"--{name}" for name, value in found.items() if value is None]
    if missing:
        raise ValueError(
            f"{command.address} does not say how its policy was trained; give {', '.join(missing)}."
        )
    return Identity(
        pilot=str(about.get("plan", "")),
        arm=str(found["arm"]),
        family=str(about.get("family", "")),
        demonstrations=int(found["demonstrations"]),
        seed=int(found["training-seed"]),
        software=software(),
    )


def _either(given: int | None, said: int | None) -> int | None:
    return said if given is None else given


def _robot(words: str, policy: ServedPolicy) -> "Callable[[], Environment]":
    """What makes a robot: the table-top as the policy needs it, or a function of the user's file.

    Raises:
        ValueError: When the words name neither.
        MissingExtra: When the table-top is not installed.
    """
    if words == "tabletop":
        try:
            from vertebra.envs.tabletop import Tabletop
        except ImportError as error:
            raise MissingExtra("The table-top", "tabletop") from error
        cameras = policy.needs.cameras
        names, size = tuple(camera.name for camera in cameras), cameras[0].height
        return lambda: Tabletop(cameras=names, size=size)
    return function_of_file(words, "--robot", "'tabletop', or ")


def function_of_file(words: str, what: str, otherwise: str = "") -> Callable[[], Any]:
    """The function that ``FILE.py:NAME`` names.

    Args:
        words: What the user wrote.
        what: Where it was written, for messages.
        otherwise: What else could have been written there.

    Raises:
        ValueError: When the words name none.
    """
    file, _, name = words.rpartition(":")
    path = Path(file)
    if not file or not path.is_file():
        raise ValueError(
            f"{what} {words}: give {otherwise}FILE.py:NAME where NAME() makes the robot's "
            "Environment (src/vertebra/envs/protocol.py)."
        )
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{what} {words}: {path} is not a Python file.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not callable(vars(module).get(name)):
        raise ValueError(f"{what} {words}: {path} has no function {name!r}.")
    return vars(module)[name]
