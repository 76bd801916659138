"""The built-in table-top: a parallel gripper, coloured objects, and an oracle."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vertebra.envs.tabletop.episode import STATE, Episode, Look, Tool
from vertebra.envs.tabletop.scene import SPLITS, make_initial_state
from vertebra.envs.tabletop.shift import Shift, shifted
from vertebra.envs.tabletop.tasks import SKILLS, World, goal_of
from vertebra.spec.action import ActionSpec, Frame, Gripper, Rotation
from vertebra.spec.observation import Camera, Dim, Observation, ObservationSpec
from vertebra.spec.task import InitialState, Judgement, Task

RATE_HZ = 10.0
CAMERAS = ("front", "wrist")
_STEPS = {"lift": 25, "push": 35, "put": 45, "stack": 50, "chain": 80}
"""Some 2.5 times the demonstrator's usual steps."""


class Tabletop:
    """Language-conditioned manipulation on a table, implementing ``envs.protocol.Environment``.

    Args:
        size: Image width and height in pixels.
        cameras: Which of ``front`` and ``wrist`` an observation holds.
        shadows: Draw cast shadows.
        texture: Draw a wood grain on the table.
        skills: Which tasks may be asked, out of ``SKILLS``.
        max_steps: Control steps until an episode times out; by default some 2.5 times what the
            demonstrator needs for the longest of ``skills``.
        shift: What is other than in demonstrations; nothing by default.

    Raises:
        ValueError: Naming every argument that is not possible.
    """

    name = "tabletop-v1"

    def __init__(
        self,
        *,
        size: int = 64,
        cameras: tuple[str, ...] = CAMERAS,
        shadows: bool = False,
        texture: bool = False,
        skills: tuple[str, ...] = ("put", "push", "lift"),
        max_steps: int | None = None,
        shift: Shift | None = None,
    ) -> None:
        _require_possible(size, cameras, skills, max_steps)
        self.cameras = cameras
        self._shift = shift
        change = shift or Shift()
        if shift is not None:
            self.name = f"{Tabletop.name}+shift"
        self._look = Look(
            size=size,
            cameras=cameras,
            shadows=shadows or change.shadows,
            texture=texture or change.texture,
            camera_m=change.camera_m,
            brightness=change.brightness,
        )
        self.skills = tuple(skill for skill in SKILLS if skill in skills)
        self.max_steps = max_steps or max(_STEPS[skill] for skill in skills)
        self.offers = ObservationSpec(
            cameras=tuple(Camera(name=name, height=size, width=size) for name in cameras),
            state=STATE,
            rate_hz=RATE_HZ,
        )
        self.takes = _ACTION
        self._episode: Episode | None = None

    def initial_states(self, split: str, count: int, seed: int) -> tuple[InitialState, ...]:
        """The first ``count`` initial states of a split; the same for the same seed.

        Raises:
            ValueError: On an unknown split or a negative count.
        """
        if split not in SPLITS or count < 0:
            raise ValueError(
                f"Found split {split!r} and count {count}; a split is one of {SPLITS} and a count "
                "is at least 0."
            )
        found: list[InitialState] = []
        index = 0
        while len(found) < count:
            state = make_initial_state(split, index, seed, self.skills)
            if state is not None:
                found.append(state)
            index += 1
            if index > 1000 + 100 * count:
                raise ValueError(
                    f"Scenes with the skills {self.skills} have too few tasks for the split "
                    f"{split!r}: allow more skills."
                )
        return tuple(found)

    def begin(self, initial_state: InitialState, task: Task, seed: int) -> Observation:
        """Restore an initial state and start an episode that asks for a task.

        Args:
            initial_state: One made by ``initial_states``.
            task: What the instruction asks for.
            seed: Seed of the simulator's noise. The physics has none, so that the initial state
                and the actions alone decide what happens.
        """
        del seed
        if self._shift is not None:
            initial_state = shifted(initial_state, self._shift)
        self._episode = Episode(initial_state, task, self._look)
        return self.observe()

    def observe(self) -> Observation:
        """The present observation, rendered now."""
        episode = self._running()
        views = {name: episode.view(name) for name in self.cameras}
        executed = np.array(episode.executed, np.float32).reshape(-1, len(_ACTION.dims))
        episode.executed = []
        return Observation(
            images={name: view.image for name, view in views.items()},
            state=episode.state(),
            instruction=episode.task.instruction,
            executed=executed,
        )

    def apply(self, action: NDArray[np.float32]) -> None:
        """Let one control step (0.1 s) pass.

        Args:
            action: float32 [4]: x, y, z change of the commanded target in units of 4 cm, and the
                gripper (positive opens). Values beyond [-1, 1] are clipped.

        Raises:
            ValueError: On another shape or numbers that are not finite.
        """
        action = np.asarray(action, np.float32)
        if action.shape != (4,) or not np.isfinite(action).all():
            raise ValueError(
                f"An action is four finite numbers (dx, dy, dz, gripper), found {action!r}."
            )
        self._running().apply(np.clip(action, -1.0, 1.0))

    def judge(self) -> Judgement:
        """What the oracle sees now."""
        return self._running().judge()

    def state_hash(self) -> str:
        """Hash of the full physical state (first 16 hexadecimal digits of SHA-256)."""
        return self._running().state_hash()

    def hold(self, last_action: NDArray[np.float32]) -> NDArray[np.float32]:
        """No movement, and the gripper as it was commanded last."""
        return np.array([0.0, 0.0, 0.0, last_action[3]], np.float32)

    def labels(self) -> dict[str, Any]:
        """Privileged targets of the present frame.

        Returns:
            ``entities``: ten names, ``""`` where unused. ``points``: float32 [10, 2], centre of
            each in the front camera as (x, y) fractions from the top left, NaN when none of its
            pixels is visible. ``segmentation``: camera name to uint8 [size, size], entity
            index + 1.
        """
        return self._running().labels()

    def depth(self, camera: str) -> NDArray[np.float32]:
        """Metres along each ray of a camera: float32 [size, size], ``inf`` for nothing."""
        return self._running().view(camera).depth

    def picture(self, camera: str = "front", size: int = 256) -> NDArray[np.uint8]:
        """The present state with shadows and texture at any size: uint8 [size, size, 3]."""
        return self._running().picture(camera, size)

    def target_of(self, task: Task) -> str | None:
        """Name of the object that a task is about."""
        return goal_of(task.id).target

    def world(self) -> World:
        """Privileged: where everything is now."""
        return self._running().world()

    def tool(self) -> Tool:
        """Where the gripper is and was commanded to be."""
        return self._running().tool()

    def close(self) -> None:
        """Free the episode; may be called twice."""
        self._episode = None

    def _running(self) -> Episode:
        if self._episode is None:
            raise ValueError("No episode is running: call begin(initial_state, task, seed) first.")
        return self._episode


_ACTION = ActionSpec(
    dims=(
        *(Dim(name=f"delta_{axis}", unit="4 cm", low=-1.0, high=1.0) for axis in "xyz"),
        Dim(name="gripper", unit="1", low=-1.0, high=1.0),
    ),
    frame=Frame.DELTA,
    rotation=Rotation.NONE,
    gripper=Gripper.OPEN_POSITIVE,
    rate_hz=RATE_HZ,
)


def _require_possible(
    size: int, cameras: tuple[str, ...], skills: tuple[str, ...], max_steps: int | None
) -> None:
    problems: list[str] = []
    if size < 8:
        problems.append(f"size is {size}: at least 8 pixels are needed")
    if not cameras or not set(cameras) <= set(CAMERAS) or len(set(cameras)) < len(cameras):
        problems.append(f"cameras is {cameras}: give one or both of {CAMERAS}, each once")
    if not skills or not set(skills) <= set(SKILLS) or len(set(skills)) < len(skills):
        problems.append(f"skills is {skills}: give some of {SKILLS}, each once")
    if max_steps is not None and max_steps < 1:
        problems.append(f"max_steps is {max_steps}: give at least 1")
    if problems:
        raise ValueError("The table-top cannot be set up:\n  - " + "\n  - ".join(problems))
