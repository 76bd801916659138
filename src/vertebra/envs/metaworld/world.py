"""A set of Meta-World's tasks as a world. Runs where Meta-World is installed."""

# Meta-World and the compiled names of MuJoCo carry no type information and are not here.
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vertebra.envs.adapter import Adapter
from vertebra.envs.metaworld.tasks import WORLDS
from vertebra.spec.action import ActionSpec, Frame, Gripper, Rotation
from vertebra.spec.observation import Camera, Dim, ObservationSpec
from vertebra.spec.seeds import seed_at
from vertebra.spec.task import InitialState, Task

SIDE_PX, CAMERA, RATE_HZ = 64, "corner2", 80.0
QUALITY = {"shadowsize": 512, "offsamples": 0}
"""MuJoCo's quality of pictures. Shadows are not cast: by default they take 100 ms a picture."""
STEPS = 200
"""The scripted policies need 21 to 135."""


class MetaWorld(Adapter):
    """Tasks of Meta-World v3, each in scenes of its own.

    Args:
        world: Name of the set of tasks.
        protocol: ``pilot``, the only one.
    """

    max_steps = STEPS
    offers = ObservationSpec(
        cameras=(Camera(name=CAMERA, height=SIDE_PX, width=SIDE_PX),),
        state=(
            *(Dim(name=f"hand_{axis}", unit="m") for axis in "xyz"),
            Dim(name="gripper_opening", unit="1", low=0.0, high=1.0),
        ),
        rate_hz=RATE_HZ,
    )
    takes = ActionSpec(
        dims=(
            *(Dim(name=f"delta_{axis}", unit="1 cm", low=-1.0, high=1.0) for axis in "xyz"),
            Dim(name="gripper", unit="1", low=-1.0, high=1.0),
        ),
        frame=Frame.DELTA,
        rotation=Rotation.NONE,
        gripper=Gripper.CLOSE_POSITIVE,
        rate_hz=RATE_HZ,
    )

    def __init__(self, world: str, protocol: str) -> None:
        from metaworld.env_dict import ALL_V3_ENVIRONMENTS
        from metaworld.policies import ENV_POLICY_MAP

        self._classes, self._policies = ALL_V3_ENVIRONMENTS, ENV_POLICY_MAP
        self._words = WORLDS[world]
        self.name = f"metaworld:{world}:{protocol}"
        pictures = {"camera": CAMERA, "px": SIDE_PX, "shadows": False, **QUALITY}
        self.facts = {"tasks": list(self._words), **pictures}
        self._made: dict[str, Any] = {}
        self._env: Any = None

    def initial_states(self, split: str, count: int, seed: int) -> tuple[InitialState, ...]:
        """Scenes of one task after the other; each is a seed of its own."""
        names = list(self._words)
        found: list[InitialState] = []
        for index in range(count):
            name, drawn = names[index % len(names)], seed_at(seed, split, index) % 2**31
            said, other = self._words[name]
            task = Task(id=name, skill=name, instruction=said, paraphrases=(other,))
            data = {"task": name, "seed": drawn}
            found.append(
                InitialState(id=f"{name}@{split}-{drawn}", split=split, tasks=(task,), data=data)
            )
        return tuple(found)

    def restore(self, initial_state: InitialState, task: Task, seed: int) -> None:
        """Place everything as the scene's seed says."""
        del seed  # the physics has no noise of its own
        name = initial_state.data["task"]
        if name not in self._made:
            self._made[name] = self._make(name)
        self._name, self._env = name, self._made[name]
        self._env.seed(initial_state.data["seed"])
        self._seen, _ = self._env.reset()
        self._solved = False
        self._policy = self._policies[name]()

    def _make(self, name: str) -> Any:
        env = self._classes[name](
            render_mode="rgb_array", camera_name=CAMERA, width=SIDE_PX, height=SIDE_PX
        )
        for item, value in QUALITY.items():
            setattr(env.model.vis.quality, item, value)
        env.model.light_castshadow[:] = 0
        # Scenes follow the seed, and the scripted policy is told the goal (a policy is not).
        env._set_task_called, env._freeze_rand_vec, env.seeded_rand_vec = True, False, True
        env._partially_observable = False
        env.__dict__.pop("sawyer_observation_space", None)
        return env

    def images(self) -> Mapping[str, NDArray[np.uint8]]:
        """The corner camera, which hangs upside down."""
        # Gymnasium draws into whichever window was opened last, also that of another task.
        self._env.mujoco_renderer._get_viewer("rgb_array").make_context_current()
        return {CAMERA: np.ascontiguousarray(self._env.render()[::-1, ::-1])}

    def state(self) -> NDArray[np.float32]:
        """Hand and gripper."""
        return np.array(self._seen[:4], np.float32)

    def step(self, action: NDArray[np.float32]) -> None:
        """Let an eightieth of a second pass."""
        self._seen, _, _, _, told = self._env.step(action)
        self._solved = bool(told["success"])

    def holding(self) -> Iterable[str]:
        """The scene's task, when it is solved."""
        return [self._name] if self._solved else []

    def hold(self, last_action: NDArray[np.float32]) -> NDArray[np.float32]:
        """No movement, and the gripper as it was commanded last."""
        return np.array([0.0, 0.0, 0.0, last_action[3]], np.float32)

    def demonstrate(self, task: Task) -> NDArray[np.float32]:
        """What the scripted policy of the package does."""
        del task
        return np.clip(self._policy.get_action(self._seen), -1.0, 1.0).astype(np.float32)

    def state_hash(self) -> str:
        """Hash of positions, velocities, of the hand's target, and of where things stand."""
        data, model = self._env.data, self._env.model
        parts = (data.qpos, data.qvel, data.mocap_pos, data.mocap_quat, model.body_pos)
        return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()[:16]

    def close(self) -> None:
        """Free all scenes."""
        while self._made:
            self._made.popitem()[1].close()
