"""One running episode of the table-top: physics, oracle and privileged labels."""

# The compiled names of MuJoCo carry no type information.
# pyright: reportAttributeAccessIssue=false

import hashlib
from dataclasses import dataclass, replace
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
    ZONE_HALF_M,
    Scene,
    scene_from_plain,
)
from vertebra.envs.tabletop.tasks import LINE, Body, Place, World, goal_of, holds, progress
from vertebra.spec.observation import Dim
from vertebra.spec.task import InitialState, Judgement, Task

STEP_M = 0.04
"""Metres that an action of 1 moves the commanded target."""
ENTITIES = 10
"""Slots of the pointing labels."""
_LOW_M, _HIGH_M = np.array([-0.27, -0.25, 0.016]), np.array([0.27, 0.27, 0.26])
"""Where the commanded target may be."""
_SLACK_M = 0.05
"""How far the measured tool may be from there."""
_GRASP_WIDTH_M = 0.015
"""Fingers closer than this are closed: touching something with both is no grasp."""
_SUBSTEPS, _LOOKS = 10, 2

STATE = (
    *(
        Dim(name=f"target_{axis}", unit="m", low=float(low), high=float(high))
        for axis, low, high in zip("xyz", _LOW_M, _HIGH_M, strict=True)
    ),
    *(
        Dim(name=f"tool_{axis}", unit="m", low=float(low - _SLACK_M), high=float(high + _SLACK_M))
        for axis, low, high in zip("xyz", _LOW_M, _HIGH_M, strict=True)
    ),
    Dim(name="finger_width", unit="m", low=0.0, high=2 * FINGER_TRAVEL_M),
    Dim(name="target_width", unit="m", low=0.0, high=2 * FINGER_TRAVEL_M),
)
"""Proprioception."""
_STATE_LOW = np.array([dim.low for dim in STATE])
_STATE_HIGH = np.array([dim.high for dim in STATE])


@dataclass(frozen=True, kw_only=True)
class Look:
    """How views are rendered.

    Attributes:
        size: Image width and height in pixels.
        cameras: Cameras of an observation.
        shadows: Draw cast shadows.
        texture: Draw a wood grain on the mat.
        camera_m: Metres by which the front camera is moved.
        brightness: Factor on all colours.
    """

    size: int
    cameras: tuple[str, ...]
    shadows: bool
    texture: bool
    camera_m: tuple[float, float, float] = (0.0, 0.0, 0.0)
    brightness: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Tool:
    """The gripper, as proprioception reports it.

    Attributes:
        target: float64 [3], commanded position in metres.
        position: float64 [3], measured position in metres.
        width: Measured finger opening in metres.
        target_width: Commanded finger opening in metres.
    """

    target: NDArray[np.float64]
    position: NDArray[np.float64]
    width: float
    target_width: float


class Episode:
    """The physical state of one episode and what has been noticed about it.

    Args:
        initial_state: Where to start.
        task: What the instruction asks for; one of the tasks of ``initial_state``.
        look: How views are rendered.

    Raises:
        ValueError: When the task cannot be asked in this initial state.
    """

    def __init__(self, initial_state: InitialState, task: Task, look: Look) -> None:
        if task.id not in {known.id for known in initial_state.tasks}:
            raise ValueError(
                f"Task {task.id!r} cannot be asked in {initial_state.id!r}, whose tasks are "
                f"{[known.id for known in initial_state.tasks]}."
            )
        self.task = task
        self.executed: list[NDArray[np.float32]] = []
        self._look = look
        self._scene: Scene = scene_from_plain(initial_state.data)
        self._goals = {known.id: goal_of(known.id) for known in initial_state.tasks}
        self._model = mujoco.MjModel.from_xml_string(scene_xml(self._scene))
        self._model.cam_pos[self._model.camera("front").id] += look.camera_m
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
        """Let one control step pass under an action in [-1, 1]."""
        self.executed.append(action.copy())
        self._views.clear()
        self._target = np.clip(self._target + STEP_M * action[:3].astype(float), _LOW_M, _HIGH_M)
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
        parted = self.tool().width > _GRASP_WIDTH_M
        for name, touching in self._contacts().items():
            self._touched = self._touched or name
            if parted and len(touching) == 2:
                self._grasped = name

    def _contacts(self) -> dict[str, set[int]]:
        """Objects that fingers touch now, with the fingers."""
        sides: dict[str, set[int]] = {}
        for pair in self._data.contact.geom.tolist():
            for finger, other in (pair, pair[::-1]):
                if finger in self._fingers and other in self._object_of:
                    sides.setdefault(self._object_of[other], set()).add(finger)
        return sides

    def world(self) -> World:
        """Where everything is now."""
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
        """Where the gripper is and was commanded to be."""
        qpos = self._data.qpos
        left, right = qpos[self._joint_ids(("left", "right"))]
        return Tool(
            target=self._target.copy(),
            position=qpos[self._joint_ids(("x", "y", "z"))].copy(),
            width=float(left + right),
            target_width=2 * FINGER_TRAVEL_M * self._open,
        )

    def state(self) -> NDArray[np.float32]:
        """Proprioception, float32 [8]; measured numbers are clipped to the range of the spec."""
        tool = self.tool()
        numbers = [*tool.target, *tool.position, tool.width, tool.target_width]
        return np.clip(numbers, _STATE_LOW, _STATE_HIGH).astype(np.float32)

    def judge(self) -> Judgement:
        """What the oracle sees now."""
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
        """Hash of everything that decides what happens next."""
        data = self._data
        parts = (data.qpos, data.qvel, data.act, data.ctrl, data.qacc_warmstart, self._target)
        return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()[:16]

    def view(self, camera: str) -> View:
        """What a camera sees now; rendered at most once a step."""
        if camera not in self._views:
            if self._renderer is None:
                self._renderer = RayRenderer(
                    self._model,
                    self._scene,
                    size=self._look.size,
                    shadows=self._look.shadows,
                    texture=self._look.texture,
                )
            self._views[camera] = _lit(
                self._renderer.render(self._data, camera), self._look.brightness
            )
        return self._views[camera]

    def picture(self, camera: str, size: int) -> NDArray[np.uint8]:
        """A picture with shadows, texture and smooth edges: uint8 [size, size, 3]."""
        renderer = RayRenderer(self._model, self._scene, size=2 * size, shadows=True, texture=True)
        fine = renderer.render(self._data, camera).image.reshape(size, 2, size, 2, 3)
        return fine.mean(axis=(1, 3)).astype(np.uint8)

    def labels(self) -> dict[str, Any]:
        """Privileged targets of the present frame, as ``Tabletop.labels`` says."""
        names = self._scene.entities()
        seen = {
            camera: self.view(camera).entity
            for camera in dict.fromkeys(("front", *self._look.cameras))
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
            "segmentation": {camera: seen[camera] for camera in self._look.cameras},
        }


def _lit(view: View, brightness: float) -> View:
    if brightness == 1.0:
        return view
    lit = np.minimum(view.image.astype(np.float32) * brightness, 255.0)
    return replace(view, image=lit.astype(np.uint8))


def _owners(model: mujoco.MjModel, scene: Scene) -> dict[int, str]:
    """Geom number to the name of the object that it belongs to."""
    objects = {item.name for item in scene.objects}
    owners = {geom: model.geom(geom).name.split("#")[0] for geom in range(model.ngeom)}
    return {geom: owner for geom, owner in owners.items() if owner in objects}
