"""Runs inside a simulator's own virtual environment and serves one world over its standard streams.

Imports numpy and msgpack beside the world's own simulator, nothing else. What the simulator prints
goes to standard error; standard output belongs to the messages. Ends when its input closes.
"""

import importlib
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from vertebra.envs.adapter import Adapter
from vertebra.envs.frames import Frames, PipeClosed
from vertebra.spec.storage import to_plain
from vertebra.spec.task import initial_state_from_plain, task_from_plain
from vertebra.spec.wire import action_spec_to_plain, observation_spec_to_plain


def main() -> None:
    """Serve until the input closes."""
    frames = Frames(os.dup(0), os.dup(1))
    os.dup2(2, 1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    try:
        serve(frames)
    except PipeClosed:
        # Simulators print tracebacks when the interpreter takes them apart; nobody needs them.
        sys.stderr.flush()
        os._exit(0)


def serve(frames: Frames) -> None:
    """Make the world that the first message names, then answer calls; errors are answers too.

    Raises:
        PipeClosed: When the other side has gone.
    """
    world: Adapter | None = None
    while True:
        message = frames.receive()
        try:
            if world is None:
                world = make(message["serves"], message["settings"])
                answer = greeting(world, message["packages"])
            else:
                answer = _CALLS[message["call"]](world, message)
            frames.send({"answer": answer})
        except PipeClosed:
            raise
        except Exception as error:  # whatever a simulator raises, the episode's record must tell
            refused = isinstance(error, ValueError)
            frames.send(
                {"error": str(error), "refused": refused, "traceback": traceback.format_exc()}
            )


def make(serves: str, settings: Mapping[str, Any]) -> Adapter:
    """The world named as ``module:Class`` with its settings."""
    module, _, name = serves.partition(":")
    return getattr(importlib.import_module(module), name)(**settings)


def greeting(world: Adapter, packages: Sequence[str]) -> dict[str, Any]:
    """What a world says of itself, with the versions of packages (``None``: not installed)."""
    return {
        "name": world.name,
        "offers": observation_spec_to_plain(world.offers),
        "takes": action_spec_to_plain(world.takes),
        "max_steps": world.max_steps,
        "facts": to_plain(world.facts),
        "packages": {package: installed(package) for package in packages},
    }


def installed(package: str) -> str | None:
    """The version of a package that is installed here."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _start(world: Adapter, message: Mapping[str, Any]) -> None:
    state, task = initial_state_from_plain(message["state"]), task_from_plain(message["task"])
    world.start(state, task, message["seed"])


def _initial_states(world: Adapter, message: Mapping[str, Any]) -> Any:
    return to_plain(world.initial_states(message["split"], message["count"], message["seed"]))


_CALLS: Mapping[str, Callable[[Adapter, Mapping[str, Any]], Any]] = {
    "initial_states": _initial_states,
    "start": _start,
    "images": lambda world, message: dict(world.images()),
    "said": lambda world, message: world.said(),
    "state": lambda world, message: np.asarray(world.state(), np.float32),
    "apply": lambda world, message: world.apply(message["action"]),
    "judge": lambda world, message: to_plain(world.judge()),
    "state_hash": lambda world, message: world.state_hash(),
    "hold": lambda world, message: world.hold(message["action"]),
    "labels": lambda world, message: world.labels(),
    "target_of": lambda world, message: world.target_of(task_from_plain(message["task"])),
    "demonstrate": lambda world, message: world.demonstrate(task_from_plain(message["task"])),
}
