"""The scripted demonstrator: takes objects from above and puts them where the goal says.

It knows where everything is. What it does follows from the goal's predicates and from the geometry
of the scene; nothing is tuned to a task. Knobs are turned; doors and drawers are beyond it.
"""

# A few lines longer than 300: one set of motions and what is made of them, read together.

# robosuite and MuJoCo carry no type information and are not here.
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vertebra.envs.libero.goals import Goal
from vertebra.envs.libero.grasp import Grasp, grasps, map_points
from vertebra.envs.libero.heights import Above

if TYPE_CHECKING:
    from vertebra.envs.libero.scene import Scene

OPEN, CLOSED = -1.0, 1.0
_GAIN, _INTEGRAL = 2.2, 0.12
_STEP_M, _STEP_RAD = 0.05, 0.5
_CLEAR_M = 0.035
_CONTAINERS = ("basket", "wooden_tray")
_KNOBS = {"turnon": 1.0, "turnoff": -1.0}
"""Predicate to the way in which a knob is turned about the axis of its joint."""
_LEAD_RAD = 0.35
"""How far ahead of a knob the hand that turns it is sent."""


def demonstrable(goal: Goal) -> bool:
    """Whether a goal is of carrying (onto something, into an open container) and turning knobs."""
    return all(
        predicate[0] in _KNOBS
        or (predicate[0] == "on" and not predicate[1].startswith("plate"))
        or (predicate[0] == "in" and predicate[2].startswith(_CONTAINERS))
        for predicate in goal
    )


class Demonstrator:
    """Carries out one goal in a running scene.

    Args:
        scene: The scene.
        goal: What it shall reach (see `demonstrable`).
    """

    def __init__(self, scene: "Scene", goal: Goal) -> None:
        self._scene, self._goal = scene, goal
        self._above = Above(scene.sim)
        self._model, self._data = scene.sim.model._model, scene.sim.data._data
        self._site = self._model.site("gripper0_grip_site").id
        pads = ("gripper0_finger1_pad_collision", "gripper0_finger2_pad_collision")
        self._pads = [self._model.geom(name).id for name in pads]
        self._hand = self._model.body("gripper0_right_gripper").id
        self._sum = np.zeros(3)
        self._failed: list[tuple[float, float]] = []
        self._plan = self._whole()

    def act(self) -> NDArray[np.float32]:
        """The next action: float32 [7]."""
        return next(self._plan)

    # What is where.

    def _tool(self) -> NDArray[np.float64]:
        return self._data.site_xpos[self._site].copy()

    def _tip_drop(self) -> float:
        """How far the finger tips are below the tool's point, in metres."""
        lows: list[float] = []
        for pad in self._pads:
            turn = self._data.geom_xmat[pad].reshape(3, 3)
            reach = float(np.abs(turn[2]) @ self._model.geom_size[pad])
            lows.append(float(self._data.geom_xpos[pad][2]) - reach)
        return float(self._tool()[2]) - min(lows)

    def _geoms(self, name: str) -> list[int]:
        thing = self._scene.domain.get_object(name)
        return [self._model.geom(geom).id for geom in thing.contact_geoms]

    def _body(self, name: str) -> NDArray[np.float64]:
        return self._data.xpos[self._scene.domain.obj_body_id[name]].copy()

    def _place(self, name: str) -> NDArray[np.float64]:
        """Where a destination is: an object, or a site of one."""
        domain = self._scene.domain
        if name in domain.obj_body_id:
            return self._body(name)
        return self._data.site_xpos[self._model.site(name).id].copy()

    def _bottom(self, name: str) -> float:
        """Height of the lowest point of an object's collision geometry."""
        return min(self._low(geom) for geom in self._geoms(name))

    def _low(self, geom: int) -> float:
        turn = self._data.geom_xmat[geom].reshape(3, 3)
        centre, half = self._model.geom_aabb[geom].reshape(2, 3)
        middle = float(self._data.geom_xpos[geom][2] + turn[2] @ centre)
        return middle - float(np.abs(turn[2]) @ half)

    # What is done.

    def _whole(self) -> Iterator[NDArray[np.float32]]:
        while True:
            open_ends = [one for one in self._goal if not self._scene.holds((one,))]
            if not open_ends:
                yield from self._rest()
                continue
            what, name, *destination = open_ends[0]
            if what in _KNOBS:
                yield from self._turn_knob(name, open_ends[0])
            else:
                yield from self._carry(name, *destination)

    def _rest(self) -> Iterator[NDArray[np.float32]]:
        yield self._towards(_up(self._tool(), 0.02), None, OPEN)

    def _turn_knob(self, name: str, predicate: tuple[str, ...]) -> Iterator[NDArray[np.float32]]:
        """Take a knob and turn it about its joint until the predicate holds."""
        (joint,) = (self._model.joint(one) for one in self._scene.domain.get_object(name).joints)
        centre, axis = self._data.xanchor[joint.id].copy(), self._data.xaxis[joint.id]
        way = _KNOBS[predicate[0]] * float(np.sign(axis[2]))
        mine = np.flatnonzero(self._model.geom_bodyid == joint.bodyid[0])
        grasp = self._choose(mine.tolist(), centre)
        if grasp is None:
            yield from self._wait()
            return
        yield from self._take(grasp)
        hand, began = self._tool() - centre, float(self._data.qpos[joint.qposadr[0]])
        for _ in range(60):
            if self._scene.holds((predicate,)):
                break
            turned = float(self._data.qpos[joint.qposadr[0]]) - began
            ahead = turned * float(np.sign(axis[2])) + way * _LEAD_RAD
            across, aside = np.cos(ahead), np.sin(ahead)
            place = [
                across * hand[0] - aside * hand[1],
                aside * hand[0] + across * hand[1],
                hand[2],
            ]
            yield self._towards(centre + place, grasp.yaw_rad + ahead, CLOSED)
        for _ in range(6):
            yield self._towards(self._tool(), None, OPEN)
        yield from self._to(_up(self._tool(), 0.1), None, OPEN, near=0.03, steps=14)

    def _wait(self) -> Iterator[NDArray[np.float32]]:
        """Nothing can be taken now: forget what failed, and look again a little later."""
        self._failed.clear()
        for _ in range(5):
            yield self._towards(self._tool(), 0.0, OPEN)

    def _take(self, grasp: Grasp) -> Iterator[NDArray[np.float32]]:
        """Go there from above and close the fingers."""
        drop = self._tip_drop()
        top = self._above.highest_between(self._tool(), np.array([*grasp.place, 0.0]), ())
        over = np.array([*grasp.place, max(top, grasp.tip_m + 0.03) + drop + _CLEAR_M])
        yield from self._to(over, grasp.yaw_rad, OPEN, near=0.012, turn=0.08)
        low = np.array([*grasp.place, grasp.tip_m + drop])
        yield from self._to(low, grasp.yaw_rad, OPEN, near=0.004, steps=30)
        yield from self._close(low, grasp.yaw_rad)

    def _carry(self, name: str, destination: str) -> Iterator[NDArray[np.float32]]:
        start, floor = self._body(name), self._bottom(name)
        grasp = self._choose(self._geoms(name), start)
        if grasp is None:
            yield from self._wait()
            return
        yield from self._take(grasp)
        lifted = _up(self._tool(), 0.06)
        yield from self._to(lifted, grasp.yaw_rad, CLOSED, near=0.02, steps=15)
        if self._body(name)[2] - start[2] < 0.02:
            self._failed.append(
                (float(grasp.place[0] - start[0]), float(grasp.place[1] - start[1]))
            )
            yield from self._to(_up(lifted, 0.03), grasp.yaw_rad, OPEN, near=0.02, steps=10)
            return
        yield from self._deliver(name, destination, grasp.yaw_rad, floor)

    def _choose(self, own: Sequence[int], centre: NDArray[np.float64]) -> Grasp | None:
        """The best grasp of some geoms that was not tried in vain near its place."""
        points = map_points(centre)
        side = round(len(points) ** 0.5)
        heights, geoms = self._above.heights(points)
        # A floor is no collision geometry of the scene; what stands there shows where it is.
        heights = np.maximum(heights, min(self._low(geom) for geom in own))
        mine = np.isin(geoms, own).reshape(side, side)
        found = grasps(heights.reshape(side, side), mine, centre)
        fresh = [one for one in found if not self._tried(one, centre)]
        return next(iter(fresh or found), None)

    def _tried(self, grasp: Grasp, centre: NDArray[np.float64]) -> bool:
        place = grasp.place - centre[:2]
        return any(float(np.hypot(*(place - other))) < 0.015 for other in self._failed)

    def _close(self, place: NDArray[np.float64], yaw: float) -> Iterator[NDArray[np.float32]]:
        """Close until the fingers stand still."""
        last = np.inf
        for count in range(14):
            yield self._towards(place, yaw, CLOSED)
            gap = self._gap()
            if count > 4 and abs(last - gap) < 2e-4:
                return
            last = gap

    def _gap(self) -> float:
        one, other = (self._data.geom_xpos[pad] for pad in self._pads)
        return float(np.linalg.norm(one - other))

    def _deliver(
        self, name: str, destination: str, yaw: float, floor: float
    ) -> Iterator[NDArray[np.float32]]:
        hidden = self._geoms(name)
        place = self._place(destination)
        hang = float(self._tool()[2]) - self._bottom(name)
        top = self._above.highest_between(self._tool(), place, hidden)
        height = max(top, floor) + hang + _CLEAR_M
        held = self._body(name) - self._tool()
        for _ in range(80):
            shift = self._place(destination)[:2] - self._body(name)[:2]
            far = float(np.linalg.norm(shift))
            lack = height - float(self._tool()[2])
            speed = 1.0 if lack < 0.03 else 0.15
            aim = np.array([*(self._tool()[:2] + speed * shift), height])
            yield self._towards(aim, yaw, CLOSED)
            if far < 0.008 and abs(lack) < 0.02:
                break
            if np.linalg.norm(self._body(name) - self._tool() - held) > 0.06:
                return  # it was lost on the way
        yield from self._lower(name, destination, yaw, floor)
        for _ in range(6):
            yield self._towards(self._tool(), yaw, OPEN)
        away = _up(self._tool(), 0.1)
        yield from self._to(away, yaw, OPEN, near=0.03, steps=14)

    def _lower(
        self, name: str, destination: str, yaw: float, floor: float
    ) -> Iterator[NDArray[np.float32]]:
        """Down until the object nearly stands, or does not go further."""
        place = self._place(destination)[:2]
        around = np.array([[a, b] for a in (-0.015, 0, 0.015) for b in (-0.015, 0, 0.015)])
        seen = self._above.heights(place + around, self._geoms(name))[0]
        support = max(floor, float(np.median(seen)))
        before: list[float] = []
        for _ in range(40):
            left = self._bottom(name) - support - 0.006
            if left < 0.004:
                return
            shift = self._place(destination)[:2] - self._body(name)[:2]
            aim = self._tool() + np.array([*shift, -min(left, 0.03)])
            yield self._towards(aim, yaw, CLOSED)
            before.append(float(self._tool()[2]))
            if len(before) > 8 and before[-8] - before[-1] < 0.004:
                return

    def _to(
        self,
        place: NDArray[np.float64],
        yaw: float | None,
        gripper: float,
        *,
        near: float = 0.01,
        turn: float = 0.3,
        steps: int = 60,
    ) -> Iterator[NDArray[np.float32]]:
        """Move to a place, at most so many steps; first up, when it is higher."""
        self._sum[:] = 0.0
        for _ in range(steps):
            off = place - self._tool()
            if np.linalg.norm(off) < near and (yaw is None or abs(self._turn(yaw)) < turn):
                return
            aim = place.copy()
            if off[2] > 0.04:
                aim[:2] = self._tool()[:2] + 0.3 * off[:2]
            yield self._towards(aim, yaw, gripper)

    def _turn(self, yaw: float) -> float:
        """Radians that the closing axis is short of a yaw; half a turn changes nothing."""
        one, other = (self._data.geom_xpos[pad] for pad in self._pads)
        ahead = one - other
        now = float(np.arctan2(-ahead[0], ahead[1]))
        return float((yaw - now + np.pi / 2) % np.pi - np.pi / 2)

    def _towards(self, place: Any, yaw: float | None, gripper: float) -> NDArray[np.float32]:
        """One action towards a place, hand down, closing axis at a yaw."""
        off = np.asarray(place, float) - self._tool()
        close = np.linalg.norm(off) < 0.03
        self._sum = np.clip(self._sum + off, -0.05, 0.05) if close else np.zeros(3)
        move = (_GAIN * off + _INTEGRAL * self._sum) / _STEP_M
        middle = np.mean([self._data.geom_xpos[pad] for pad in self._pads], axis=0)
        down = middle - self._data.xpos[self._hand]
        down /= max(float(np.linalg.norm(down)), 1e-9)
        turn = np.cross(down, [0.0, 0.0, -1.0])
        turn[2] = 0.0 if yaw is None else self._turn(yaw)
        action = np.array([*move, *(1.5 * turn / _STEP_RAD), gripper])
        peak = float(np.abs(move).max())
        if peak > 1.0:
            action[:3] = move / peak
        return np.clip(action, -1.0, 1.0).astype(np.float32)


def _up(place: NDArray[np.float64], by_m: float) -> NDArray[np.float64]:
    return place + np.array([0.0, 0.0, by_m])
