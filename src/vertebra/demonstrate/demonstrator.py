"""The scripted demonstrator: a smooth, memoryless function of what can be seen.

There are no phases to remember. How low the tool is commanded is a function of how far it is from
where it wants to be (a funnel), and whether to close or to open follows from the fingers' width and
the poses of the objects. All of that can be seen in proprioception and images, so that it can be
learned from them.
"""

import numpy as np
from numpy.typing import NDArray

from vertebra.envs.tabletop import Tabletop
from vertebra.envs.tabletop.environment import STEP_M, Tool
from vertebra.envs.tabletop.tasks import LINE, Body, Goal, World, goal_of, holds
from vertebra.spec.task import Task

_CLEARANCE_M = 0.095
_SLOPE = 2.0


class Demonstrator:
    """Carries out tasks on the table-top, knowing where everything is.

    Args:
        environment: A table-top with a running episode.
    """

    def __init__(self, environment: Tabletop) -> None:
        self._environment = environment

    def act(self, task: Task) -> NDArray[np.float32]:
        """The action for the present state: float32 [4]."""
        return demonstrated_action(
            goal_of(task.id), self._environment.world(), self._environment.tool()
        )


def demonstrated_action(goal: Goal, world: World, tool: Tool) -> NDArray[np.float32]:
    """The demonstrator's action in a state.

    Args:
        goal: What is to be done.
        world: Where everything is (privileged).
        tool: Proprioception.

    Returns:
        float32 [4], as ``Tabletop.takes`` says.
    """
    if goal.skill == "chain":
        first = Goal(skill="put", target=goal.target, destination=goal.destination)
        if not holds(first, world):
            return demonstrated_action(first, world, tool)
        return demonstrated_action(Goal(skill="lift", target=goal.second), world, tool)
    if goal.skill == "push":
        return _push(goal, world, tool)
    return _carry(goal, world, tool)


def _carry(goal: Goal, world: World, tool: Tool) -> NDArray[np.float32]:
    body = world.bodies[goal.target]
    grasp = body.position + np.array([0.0, 0.0, _grasp_offset(body)])
    place, support = _destination(goal, world, body)
    off_goal = float(np.linalg.norm(body.position[:2] - place))
    arrived = goal.skill != "lift" and off_goal < 0.012 and body.bottom - support < 0.010
    if arrived:
        return _action(tool, tool.target + np.array([0.0, 0.0, 0.0]), opened=True)
    aligned = float(np.linalg.norm(tool.position[:2] - grasp[:2]))
    level = float(tool.position[2] - grasp[2])
    around = aligned < 0.014 and abs(level) < 0.014
    gripped = around and tool.width < 2 * _half_width(body) + 0.004 and body.touched
    if not gripped:
        return _descend(tool, grasp, opened=not around)
    ride = tool.position[2] - body.bottom
    if goal.skill == "lift":
        aim = np.array([*tool.target[:2], tool.target[2] + STEP_M])
        return _action(tool, aim, opened=False)
    shift = place - body.position[:2]
    distance = float(np.linalg.norm(shift))
    height = support + ride + 0.003 + np.clip(_SLOPE * (distance - 0.010), 0.0, _CLEARANCE_M)
    return _glide(tool, tool.position[:2] + shift, float(height), opened=False)


def _descend(tool: Tool, grasp: NDArray[np.float64], *, opened: bool) -> NDArray[np.float32]:
    distance = float(np.linalg.norm(tool.target[:2] - grasp[:2]))
    height = grasp[2] + np.clip(_SLOPE * (distance - 0.008), 0.0, _CLEARANCE_M)
    return _glide(tool, grasp[:2], float(height), opened=opened)


def _push(goal: Goal, world: World, tool: Tool) -> NDArray[np.float32]:
    body = world.bodies[goal.target]
    place = world.places[goal.destination]
    spot = body.position[:2]
    end = place.position
    if place.kind == LINE:
        end = np.array([place.position[0] + place.radius * 0.04, spot[1]])
    ahead = end - spot
    ahead = ahead / max(float(np.linalg.norm(ahead)), 1e-6)
    aside = np.array([-ahead[1], ahead[0]])
    behind = spot - ahead * (body.radius + 0.024)
    offset = tool.target[:2] - spot
    lateral = float(offset @ aside)
    gap = float(-(offset @ ahead)) - body.radius
    low = 0.022
    # Off the lane or ahead of the object: high. Behind it and on the lane: low, and forward.
    off_lane = np.hypot(lateral, max(0.0, 0.012 - gap) if abs(lateral) > 0.02 else 0.0)
    height = low + float(np.clip(_SLOPE * (off_lane - 0.008), 0.0, _CLEARANCE_M))
    if (gap < 0.002 and tool.position[2] > 0.045) or gap < -0.02:
        height = max(height, low + _CLEARANCE_M)
    ready = float(np.clip(1.0 - abs(lateral) / 0.02, 0.0, 1.0))
    ready *= float(np.clip(1.0 - (tool.position[2] - low - 0.005) / 0.03, 0.0, 1.0))
    ready *= float(gap > -0.02)
    forward = tool.target[:2] + ahead * 0.034 - aside * lateral
    aim = (1.0 - ready) * behind + ready * forward
    return _glide(tool, aim, height, opened=False)


def _glide(
    tool: Tool, aim: NDArray[np.float64], height: float, *, opened: bool
) -> NDArray[np.float32]:
    """Move towards a place, but sideways only as far as the tool is high enough."""
    lack = float(np.clip((height - tool.target[2]) / 0.05, 0.0, 1.0))
    shift = aim - tool.target[:2]
    length = float(np.linalg.norm(shift))
    shift = shift * min(1.0, STEP_M / max(length, 1e-9)) * (1.0 - lack)
    return _action(tool, np.array([*(tool.target[:2] + shift), height]), opened=opened)


def _action(tool: Tool, aim: NDArray[np.float64], *, opened: bool) -> NDArray[np.float32]:
    delta = np.clip((aim - tool.target) / STEP_M, -1.0, 1.0)
    return np.array([*delta, 1.0 if opened else -1.0], np.float32)


def _destination(goal: Goal, world: World, body: Body) -> tuple[NDArray[np.float64], float]:
    """Where the object goes, and the height of the surface there."""
    if goal.skill == "put":
        return world.places[goal.destination].position, 0.0
    if goal.skill == "stack":
        below = world.bodies[goal.destination]
        return below.position[:2], float(below.position[2]) + below.half_height
    return body.position[:2], 0.0


def _half_width(body: Body) -> float:
    return body.radius


def _grasp_offset(body: Body) -> float:
    return max(0.0, body.half_height - 0.027)
