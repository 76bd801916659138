"""The built-in table-top: a parallel gripper, coloured objects, and an oracle."""

# The compiled names of MuJoCo carry no type information.
# pyright: reportAttributeAccessIssue=false

import hashlib
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from vertebra.envs.tabletop.model import FINGER_TRAVEL_M, half_height, scene_xml
from vertebra.envs.tabletop.render import RayRenderer, View, project
from vertebra.envs.tabletop.scene import (
    LINE_X_M,
    PLATE_RADIUS_M,
    SHAPES,
    SPLITS,
    ZONE_HALF_M,
    Scene,
    make_initial_state,
    scene_from_plain,
)
from vertebra.envs.tabletop.tasks import LINE, SKILLS, Body, Place, World, goal_of, holds, progress
from vertebra.spec.action import ActionSpec, Frame, Gripper, Rotation
from vertebra.spec.observation import Camera, Dim, Observation, ObservationSpec
from vertebra.spec.task import InitialState, Judgement, Task

STEP_M = 0.04
"""Metres that an action of 1 moves the commanded target."""
RATE_HZ = 10.0
ENTITIES = 10
"""Slots of the pointing labels."""
CAMERAS = ("front", "wrist")
LOW_M, HIGH_M = np.array([-0.27, -0.25, 0.016]), np.array([0.27, 0.27, 0.26])
_STEPS = {"lift": 25, "push": 35, "put": 45, "stack": 45, "chain": 90}
_SUBSTEPS, _LOOKS = 10, 2


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
    ) -> None:
        _require_possible(size, cameras, skills, max_steps)
        self.size, self.cameras, self.shadows, self.texture = size, cameras, shadows, texture
        self.skills = tuple(skill for skill in SKILLS if skill in skills)
        self.max_steps = max_steps or max(_STEPS[skill] for skill in skills)
        self.offers = ObservationSpec(
            cameras=tuple(Camera(name=name, height=size, width=size) for name in cameras),
            state=_STATE,
            rate_hz=RATE_HZ,
        )
        self.takes = _ACTION
        self._episode: _Episode | None = None

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
        self._episode = _Episode(self, initial_state, task)
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

    def tool(self) -> "Tool":
        """Where the gripper is and was commanded to be."""
        return self._running().tool()

    def close(self) -> None:
        """Free the episode; may be called twice."""
        self._episode = None

    def _running(self) -> "_Episode":
        if self._episode is None:
            raise ValueError("No episode is running: call begin(initial_state, task, seed) first.")
        return self._episode


_STATE = (
    *(Dim(name=f"target_{axis}", unit="m") for axis in "xyz"),
    *(Dim(name=f"tool_{axis}", unit="m") for axis in "xyz"),
    Dim(name="finger_width", unit="m", low=0.0, high=2 * FINGER_TRAVEL_M),
    Dim(name="target_width", unit="m", low=0.0, high=2 * FINGER_TRAVEL_M),
)
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


class Tool:
    """The gripper, as proprioception reports it.

    Args:
        target: float64 [3], commanded position in metres.
        position: float64 [3], measured position in metres.
        width: Measured finger opening in metres.
        target_width: Commanded finger opening in metres.
    """

    def __init__(
        self,
        target: NDArray[np.float64],
        position: NDArray[np.float64],
        width: float,
        target_width: float,
    ) -> None:
        self.target = target
        self.position = position
        self.width = width
        self.target_width = target_width


class _Episode:
    """One running episode: the physical state and what has been noticed about it."""

    def __init__(self, table: Tabletop, initial_state: InitialState, task: Task) -> None:
        if task.id not in {known.id for known in initial_state.tasks}:
            raise ValueError(
                f"Task {task.id!r} cannot be asked in {initial_state.id!r}, whose tasks are "
                f"{[known.id for known in initial_state.tasks]}."
            )
        self.task = task
        self.executed: list[NDArray[np.float32]] = []
        self._table = table
        self._scene: Scene = scene_from_plain(initial_state.data)
        self._goals = {known.id: goal_of(known.id) for known in initial_state.tasks}
        self._goals.setdefault(task.id, goal_of(task.id))
        self._model = mujoco.MjModel.from_xml_string(scene_xml(self._scene))
        self._data = mujoco.MjData(self._model)
        self._renderer: RayRenderer | None = None
        self._views: dict[str, View] = {}
        self._touched: str | None = None
        self._grasped: str | None = None
        self._object_of = _owners(self._model, self._scene)
        self._fingers = (self._model.geom("left").id, self._model.geom("right").id)
        self._settle()
        self._start = self.world()
        self._held_at_start = {
            name for name, goal in self._goals.items() if holds(goal, self._start)
        }

    def _settle(self) -> None:
        target = np.array(self._scene.tool)
        self._target, self._open = target, 1.0
        self._data.qpos[self._joint_ids(("x", "y", "z"))] = target
        self._data.qpos[self._joint_ids(("left", "right"))] = FINGER_TRAVEL_M
        self._data.ctrl[:3], self._data.ctrl[3:] = target, FINGER_TRAVEL_M
        self._data.act[:] = self._data.ctrl
        mujoco.mj_step(self._model, self._data, 5)
        mujoco.mj_forward(self._model, self._data)

    def _joint_ids(self, names: tuple[str, ...]) -> list[int]:
        return [int(self._model.joint(name).qposadr[0]) for name in names]

    def apply(self, action: NDArray[np.float32]) -> None:
        self.executed.append(action.copy())
        self._views.clear()
        self._target = np.clip(self._target + STEP_M * action[:3].astype(float), LOW_M, HIGH_M)
        self._open = 1.0 if action[3] > 0 else 0.0
        self._data.ctrl[:3] = self._target
        self._data.ctrl[3:] = self._open * FINGER_TRAVEL_M
        for _ in range(_LOOKS):
            mujoco.mj_step(self._model, self._data, _SUBSTEPS // _LOOKS)
            self._notice()
        mujoco.mj_forward(self._model, self._data)

    def _notice(self) -> None:
        if self._grasped is not None:
            return
        sides = self._contacts()
        for name, touching in sides.items():
            if self._touched is None:
                self._touched = name
            if len(touching) == 2:
                self._grasped = self._grasped or name

    def _contacts(self) -> dict[str, set[int]]:
        """Objects that fingers touch now, with the fingers."""
        sides: dict[str, set[int]] = {}
        for pair in self._data.contact.geom.tolist():
            for finger, other in (pair, pair[::-1]):
                if finger in self._fingers and other in self._object_of:
                    sides.setdefault(self._object_of[other], set()).add(finger)
        return sides

    def world(self) -> World:
        touched = self._contacts()
        bodies: dict[str, Body] = {}
        for item in self._scene.objects:
            body = self._data.body(item.name)
            bodies[item.name] = Body(
                position=body.xpos.copy(),
                half_height=half_height(item.kind, body.xmat[6:9]),
                radius=SHAPES[item.kind][0],
                speed=float(np.linalg.norm(body.cvel[3:])),
                fingers=len(touched.get(item.name, ())),
            )
        places = {
            item.name: Place(
                kind=item.kind,
                position=np.array([item.x, item.y]),
                radius=ZONE_HALF_M if item.kind == "zone" else PLATE_RADIUS_M,
            )
            for item in self._scene.flats
        }
        if self._scene.line_side:
            side = float(self._scene.line_side)
            places[LINE] = Place(kind=LINE, position=np.array([side * LINE_X_M, 0.0]), radius=side)
        return World(bodies=bodies, places=places)

    def tool(self) -> Tool:
        qpos = self._data.qpos
        left, right = qpos[self._joint_ids(("left", "right"))]
        return Tool(
            self._target.copy(),
            qpos[self._joint_ids(("x", "y", "z"))].copy(),
            float(left + right),
            2 * FINGER_TRAVEL_M * self._open,
        )

    def state(self) -> NDArray[np.float32]:
        tool = self.tool()
        return np.array(
            [*tool.target, *tool.position, tool.width, tool.target_width], dtype=np.float32
        )

    def judge(self) -> Judgement:
        world = self.world()
        return Judgement(
            achieved=tuple(
                name
                for name, goal in self._goals.items()
                if name not in self._held_at_start and holds(goal, world)
            ),
            first_touched=self._touched,
            first_grasped=self._grasped,
            progress={
                name: progress(goal, world, self._start) for name, goal in self._goals.items()
            },
        )

    def state_hash(self) -> str:
        data = self._data
        parts = (data.qpos, data.qvel, data.act, data.ctrl, data.qacc_warmstart, self._target)
        return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()[:16]

    def view(self, camera: str) -> View:
        if camera not in self._views:
            if self._renderer is None:
                self._renderer = RayRenderer(
                    self._model,
                    self._scene,
                    size=self._table.size,
                    shadows=self._table.shadows,
                    texture=self._table.texture,
                )
            self._views[camera] = self._renderer.render(self._data, camera)
        return self._views[camera]

    def picture(self, camera: str, size: int) -> NDArray[np.uint8]:
        renderer = RayRenderer(self._model, self._scene, size=2 * size, shadows=True, texture=True)
        fine = renderer.render(self._data, camera).image.reshape(size, 2, size, 2, 3)
        return fine.mean(axis=(1, 3)).astype(np.uint8)

    def labels(self) -> dict[str, Any]:
        names = self._scene.entities()
        seen = {
            camera: self.view(camera).entity
            for camera in dict.fromkeys(("front", *self._table.cameras))
        }
        world = self.world()
        centres = [world.bodies[item.name].position for item in self._scene.objects]
        centres += [np.array([item.x, item.y, 0.0]) for item in self._scene.flats]
        if self._scene.line_side:
            centres.append(np.array([self._scene.line_side * LINE_X_M, 0.0, 0.0]))
        points = np.full((ENTITIES, 2), np.nan, np.float32)
        points[: len(names)] = project(self._model, self._data, "front", np.array(centres))
        visible = np.isin(np.arange(1, ENTITIES + 1), np.unique(seen["front"]))
        points[~visible] = np.nan
        return {
            "entities": names + ("",) * (ENTITIES - len(names)),
            "points": points,
            "segmentation": {camera: seen[camera] for camera in self._table.cameras},
        }


def _owners(model: mujoco.MjModel, scene: Scene) -> dict[int, str]:
    """Geom number to the name of the object that it belongs to."""
    objects = {item.name for item in scene.objects}
    owners = {geom: model.geom(geom).name.split("#")[0] for geom in range(model.ngeom)}
    return {geom: owner for geom, owner in owners.items() if owner in objects}


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
