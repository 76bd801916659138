"""An environment of one's own: a Gymnasium environment, and the adapter that a pilot can use.

Ask whether it is fit with `vertebra env check examples/own_environment.py:Corners`.
"""

import gymnasium
import numpy as np

from vertebra.envs.adapter import Adapter
from vertebra.spec.action import ActionSpec, Frame, Gripper, Rotation
from vertebra.spec.observation import Camera, Dim, ObservationSpec
from vertebra.spec.seeds import seed_at
from vertebra.spec.task import InitialState, Task

CORNERS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}
TASKS = tuple(Task(id=f"reach/{c}", skill="reach", instruction=f"go to {c}") for c in CORNERS)
PLANE = tuple(Dim(name=axis, unit="m", low=0.0, high=1.0) for axis in "xy")
STEP = tuple(Dim(name=f"d{axis}", unit="m/step", low=-0.1, high=0.1) for axis in "xy")


class YourEnvironment(gymnasium.Env):
    """A dot that moves over a plane with three coloured places."""

    def reset(self, *, seed=None, options=None):
        """Places and dot, from the seed."""
        super().reset(seed=seed)
        spots = self.np_random.permutation([[0.1, 0.1], [0.1, 0.9], [0.9, 0.1]])
        self.spots, self.dot = dict(zip(CORNERS, spots, strict=True)), np.array([0.6, 0.6])
        return self.dot.astype(np.float32), {"reached": []}

    def step(self, action):
        """Move the dot."""
        self.dot = np.clip(self.dot + action, 0, 1)
        near = [c for c, spot in self.spots.items() if np.linalg.norm(self.dot - spot) < 0.08]
        return self.dot.astype(np.float32), 0.0, False, False, {"reached": near}

    def render(self):
        """32 x 32 pixels."""
        picture = np.full((32, 32, 3), 230, np.uint8)
        for place, colour in [*((self.spots[c], rgb) for c, rgb in CORNERS.items()), (self.dot, 0)]:
            row, column = (place * 29).astype(int)
            picture[row : row + 3, column : column + 3] = colour
        return picture


class Corners(Adapter):
    """The same as an environment of a pilot."""

    name, max_steps = "corners-v1", 40
    offers = ObservationSpec(
        cameras=(Camera(name="top", height=32, width=32),), state=PLANE, rate_hz=10.0
    )
    takes = ActionSpec(
        dims=STEP, frame=Frame.DELTA, rotation=Rotation.NONE, gripper=Gripper.NONE, rate_hz=10.0
    )
    env = YourEnvironment()

    def initial_states(self, split, count, seed):
        """Every scene is a seed, and all tasks can be asked in it."""
        seeds = [seed_at(seed, split, index) % 2**31 for index in range(count)]
        names = [f"{split}-{number}" for number in seeds]
        pairs = zip(names, seeds, strict=True)
        return tuple(
            InitialState(id=name, split=split, tasks=TASKS, data={"seed": one})
            for name, one in pairs
        )

    def restore(self, initial_state, task, seed):
        """Reset by the scene's seed, whatever is asked."""
        self.seen, self.info = self.env.reset(seed=initial_state.data["seed"])

    def images(self):
        """What it renders."""
        return {"top": self.env.render()}

    def state(self):
        """What it observes."""
        return self.seen

    def step(self, action):
        """One step."""
        self.seen, *_, self.info = self.env.step(action)

    def holding(self):
        """Where the dot is now."""
        return [f"reach/{colour}" for colour in self.info["reached"]]

    def hold(self, last_action):
        """No movement."""
        return np.zeros_like(last_action)

    def demonstrate(self, task):
        """Straight there (leave it out, and bring recordings instead)."""
        there = self.env.spots[task.id.removeprefix("reach/")]
        return np.clip(there - self.env.dot, -0.1, 0.1).astype(np.float32)
