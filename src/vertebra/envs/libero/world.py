"""One suite of LIBERO as a world. Runs where LIBERO is installed; imports it when it is made."""

# LIBERO, robosuite and the compiled names of MuJoCo carry no type information and are not here.
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vertebra.envs.adapter import Adapter
from vertebra.envs.libero.demonstrator import Demonstrator, demonstrable
from vertebra.envs.libero.goals import (
    Goal,
    TaskFile,
    instructions,
    pool_suites,
    read_task,
    target_of,
)
from vertebra.envs.libero.protocols import Protocol, protocol_by_name
from vertebra.envs.libero.scene import Scene
from vertebra.envs.libero.shift import shift_from_plain
from vertebra.spec.action import ActionSpec, Frame, Gripper, Rotation
from vertebra.spec.observation import Camera, Dim, ObservationSpec
from vertebra.spec.seeds import seed_at
from vertebra.spec.storage import to_plain
from vertebra.spec.task import InitialState, Task

OFFICIAL = ("official", "layout")
"""Splits of the benchmark's stored initial states: under the task's own instruction, and under all
that can be carried out in its scene. ``train`` and ``validation`` are placed anew."""
_POSE = (
    *(Dim(name=f"tool_{axis}", unit="m") for axis in "xyz"),
    *(Dim(name=f"tool_rotation_{axis}", unit="rad") for axis in "xyz"),
    *(Dim(name=f"finger_{side}", unit="m") for side in ("left", "right")),
)
_JOINTS = (
    *(Dim(name=f"joint_{number}", unit="rad") for number in range(1, 8)),
    *(Dim(name=f"finger_{side}", unit="m") for side in ("left", "right")),
)


class LiberoWorld(Adapter):
    """A suite under a protocol.

    Args:
        world: Name of the suite.
        protocol: Name of the protocol.
        shift: Fields of a `Shift`: what is other than the protocol says.

    Raises:
        ValueError: On an unknown protocol, an impossible shift, or a layout that is not there.
    """

    def __init__(self, world: str, protocol: str, shift: Mapping[str, Any] | None = None) -> None:
        from libero.libero import benchmark, get_libero_path

        how = protocol_by_name(protocol)
        self._shift = shift_from_plain(shift or {})
        self.how, self.suite = how, world
        self.name = f"libero:{world}:{protocol}"
        self.facts = {"suite": world, "protocol": to_plain(how)}
        if shift:
            self.facts["shift"] = to_plain(self._shift)
        self.offers = _offers(how)
        self.takes = _takes(how)
        self.max_steps = how.max_steps[world]
        self._folder = Path(get_libero_path("bddl_files"))
        self._laid_out = f"{world}_swap" if self._shift.swapped else world
        if not (self._folder / self._laid_out).is_dir():
            raise ValueError(f"LIBERO-PRO has no other layouts for {world}.")
        self._names: list[str] = list(benchmark.get_benchmark(world)().get_task_names())
        self._states = benchmark.get_benchmark(self._laid_out)()
        self._files = {
            suite: self._read(suite)
            for suite in pool_suites(world)
            if (self._folder / suite).is_dir()
        }
        self._scene: Scene | None = None
        self._demonstrator: Demonstrator | None = None
        self._truth: dict[tuple[str, ...], bool] = {}

    def _read(self, suite: str) -> list[TaskFile]:
        return [
            read_task(suite, path.stem, path.read_text())
            for path in sorted((self._folder / suite).glob("*.bddl"))
        ]

    def _asked(self, name: str) -> tuple[tuple[Task, Goal], ...]:
        """Every task that can be asked in a scene, the scene's own first."""
        own = next(one for one in self._files[self.suite] if one.name == name)
        return instructions(own, [one for files in self._files.values() for one in files])

    def initial_states(self, split: str, count: int, seed: int) -> tuple[InitialState, ...]:
        """The first initial states of a split.

        ``official``: the stored states, task by task in the benchmark's order, then the next state
        of each. ``layout``: the same states, tasks shuffled by the seed. Else: placed anew.

        Raises:
            ValueError: On an unknown split, or more states than are stored.
        """
        if split not in (*OFFICIAL, "train", "validation"):
            raise ValueError(f"Found split {split!r}; LIBERO has {OFFICIAL}, train and validation.")
        names = self._names
        stored = {name: len(self._stored(name)) for name in names} if split in OFFICIAL else {}
        found: list[InitialState] = []
        for index in range(count):
            turn, place = divmod(index, len(names))
            if split != "official":
                order = np.random.default_rng(seed_at(seed, "tasks", split, turn))
                place = int(order.permutation(len(names))[place])
            name = names[place]
            if split in OFFICIAL and turn >= stored[name]:
                raise ValueError(
                    f"{count} initial states are asked for, {self.suite} has "
                    f"{sum(stored.values())} stored ones."
                )
            found.append(self._initial(split, name, turn, seed_at(seed, split, index)))
        return tuple(found)

    def _initial(self, split: str, name: str, turn: int, seed: int) -> InitialState:
        asked = self._asked(name)
        if split == "official":
            asked = asked[:1]
        else:
            asked = tuple(one for one in asked if demonstrable(one[1])) or asked[:1]
        where = {"stored": turn} if split in OFFICIAL else {"seed": seed % 2**31}
        return InitialState(
            id=f"{name}#{turn}" if split in OFFICIAL else f"{name}@{split}-{seed % 2**31}",
            split=split,
            tasks=tuple(task for task, _ in asked),
            data={
                "task": name,
                "goals": {task.id: [list(one) for one in goal] for task, goal in asked},
                **where,
            },
        )

    def _stored(self, name: str) -> NDArray[np.float64]:
        place = self._states.get_task_names().index(name)
        return np.asarray(self._states.get_task_init_states(place))

    def restore(self, initial_state: InitialState, task: Task, seed: int) -> None:
        """Build the scene, put it into the state, and wait as the protocol says."""
        del seed  # the physics has no noise of its own
        data = initial_state.data
        path = self._folder / self._laid_out / f"{data['task']}.bddl"
        if self._scene is None or self._scene.path != path:
            self._close_scene()
            self._scene = Scene(path, self.how, self._shift)
        stored = self._stored(data["task"])[data["stored"]] if "stored" in data else None
        counted = data.get("stored", 0) if self.how.seed_counts else 0
        self._scene.reset(data.get("seed", self.how.seed + counted), stored, initial_state.id)
        self._goals = {name: _goal(goal) for name, goal in data["goals"].items()}
        self._truth.clear()
        self._demonstrator = None

    def images(self) -> Mapping[str, NDArray[np.uint8]]:
        """What the cameras see now."""
        return {ours: self._now().picture(theirs) for ours, theirs in self.how.cameras.items()}

    def state(self) -> NDArray[np.float32]:
        """Proprioception, as the protocol says."""
        return self._now().proprioception()

    def step(self, action: NDArray[np.float32]) -> None:
        """Let 50 ms pass."""
        self._truth.clear()
        self._now().step(action)

    def holding(self) -> Iterable[str]:
        """Ids of all tasks whose predicates hold now."""
        return [name for name, goal in self._goals.items() if all(map(self._true, goal))]

    def progress(self) -> Mapping[str, float]:
        """Task id to the share of its predicates that hold."""
        return {name: sum(map(self._true, goal)) / len(goal) for name, goal in self._goals.items()}

    def _true(self, predicate: tuple[str, ...]) -> bool:
        """Whether a predicate holds now; asked of the simulator once a step, because it is slow."""
        if predicate not in self._truth:
            self._truth[predicate] = self._now().holds((predicate,))
        return self._truth[predicate]

    def touched(self) -> tuple[str | None, str | None]:
        """Objects that the fingers touched first, and that both fingers touched first."""
        return self._now().touched

    def target_of(self, task: Task) -> str | None:
        """Object or fixture that a task is about."""
        goal = self._goals.get(task.id)
        return target_of(goal) if goal else None

    def hold(self, last_action: NDArray[np.float32]) -> NDArray[np.float32]:
        """No movement, and the gripper as it was commanded last."""
        return np.array([*[0.0] * 6, last_action[6]], np.float32)

    def demonstrate(self, task: Task) -> NDArray[np.float32]:
        """The scripted demonstrator's action in the present state.

        Raises:
            ValueError: When it cannot carry out this task.
        """
        goal = self._goals[task.id]
        if not demonstrable(goal):
            raise ValueError(f"No demonstrator is known for {task.instruction!r} ({goal}).")
        if self._demonstrator is None:
            self._demonstrator = Demonstrator(self._now(), goal)
        return self._demonstrator.act()

    def state_hash(self) -> str:
        """Hash of positions, velocities, commands and of where fixtures stand."""
        parts = (part.tobytes() for part in self._now().full_state())
        return hashlib.sha256(b"".join(parts)).hexdigest()[:16]

    def close(self) -> None:
        """Free the scene."""
        self._close_scene()

    def _close_scene(self) -> None:
        if self._scene is not None:
            self._scene.close()
            self._scene = None

    def _now(self) -> Scene:
        if self._scene is None:
            raise ValueError("No episode is running: call begin(initial_state, task, seed) first.")
        return self._scene


def _goal(plain: Sequence[Sequence[str]]) -> Goal:
    return tuple(tuple(predicate) for predicate in plain)


def _offers(how: Protocol) -> ObservationSpec:
    return ObservationSpec(
        cameras=tuple(
            Camera(name=name, height=how.image_px, width=how.image_px) for name in how.cameras
        ),
        state=_POSE if how.state == "pose" else _JOINTS,
        rate_hz=how.rate_hz,
    )


def _takes(how: Protocol) -> ActionSpec:
    return ActionSpec(
        dims=(
            *(Dim(name=f"delta_{axis}", unit="5 cm", low=-1.0, high=1.0) for axis in "xyz"),
            *(Dim(name=f"turn_{axis}", unit="0.5 rad", low=-1.0, high=1.0) for axis in "xyz"),
            Dim(name="gripper", unit="1", low=-1.0, high=1.0),
        ),
        frame=Frame.DELTA,
        rotation=Rotation.AXIS_ANGLE,
        gripper=Gripper.CLOSE_POSITIVE,
        rate_hz=how.rate_hz,
    )
