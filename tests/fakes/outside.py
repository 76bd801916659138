"""A world for a process of its own: the plane of ``fakes.worlds``, written as an adapter."""

import importlib
import os
import sys
from typing import Any

import numpy as np

from fakes.worlds import ACTION, OBSERVATION, Plane, demonstrate, make_state
from vertebra.envs.adapter import Adapter
from vertebra.envs.simulator import Simulator
from vertebra.spec.task import Judgement

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120
PLANE = Simulator(
    name="plane",
    summary="a tool on a plane",
    serves="fakes.outside:PlaneWorld",
    worlds=("flat", "broken"),
    protocols=("plain", "shifted"),
    requirements=(),
    newest={"numpy": "99.0"},
    why_newest="it is a fake",
    packages=("numpy", "no-such-package"),
    lanes=2,
    scenes=2,
    demonstrations=(6,),
)


class PlaneWorld(Adapter):
    name, offers, takes, max_steps = "plane-v1", OBSERVATION, ACTION, 40

    def __init__(self, world: str, protocol: str, shift: Any = None, clone: str = "") -> None:
        if world == "broken":
            raise ValueError("this world is broken on purpose")
        print("a simulator that chatters on standard output")  # noqa: T201
        self.facts = {"protocol": protocol, **({"shift": shift} if shift else {})}
        if clone:
            self.facts["wings"] = importlib.import_module("winged").WINGS
        self.plane = Plane()
        self.rendered = 0

    def initial_states(self, split: str, count: int, seed: int) -> Any:
        return tuple(make_state(split, index, seed) for index in range(count))

    def restore(self, initial_state, task, seed) -> None:
        self.plane.begin(initial_state, task, seed)
        self.plane.rendered = 0

    def images(self) -> Any:
        self.rendered += 1
        return dict(self.plane.observe().images)

    def state(self) -> Any:
        return self.plane.position.astype(np.float32)

    def step(self, action) -> None:
        if self.plane.steps == 30 and self.plane.task.id == "reach/blue":
            sys.stderr.write("the simulator's last words\n")
            os._exit(7)
        self.plane.apply(action)

    def _judged(self) -> Judgement:
        return self.plane.judge()

    def holding(self) -> Any:
        return self._judged().achieved

    def touched(self) -> Any:
        return self._judged().first_touched, None

    def progress(self) -> Any:
        return self._judged().progress

    def labels(self) -> Any:
        return {"rendered": self.rendered} if self.facts["protocol"] == "counting" else {}

    def target_of(self, task) -> Any:
        return self.plane.target_of(task)

    def hold(self, last_action) -> Any:
        return np.zeros_like(last_action)

    def demonstrate(self, task) -> Any:
        if task.id == "reach/nowhere":
            raise RuntimeError("no way there")
        return demonstrate(self.plane)(task)
