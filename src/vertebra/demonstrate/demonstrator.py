"""The scripted demonstrator: a smooth, memoryless function of what can be seen.

There are no phases to remember. How low the tool is commanded is a function of how far it is from
where it wants to be (a funnel), and whether to close or to open follows from the fingers' width and
the poses of the objects. All of that can be seen in proprioception and images, so that it can be
learned from them.
"""

import numpy as np
from numpy.typing import NDArray

from vertebra.envs.tabletop import Tabletop
from vertebra.envs.tabletop.episode import STEP_M, Tool
from vertebra.envs.tabletop.tasks import LINE, Body, Goal, World, goal_of, holds
from vertebra.spec.task import Task

_OVER_M = 0.065
"""Height above the grasp at which the tool travels, so that the tips pass over every object."""
_CARRY_M = 0.075
"""Height above the support at which an object is carried."""
_PUSH_Z_M = 0.022


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
    place, support = _destination(goal, world, body)
    off_goal = float(np.linalg.norm(body.position[:2] - place))
    if goal.skill != "lift" and off_goal < 0.012 and body.bottom - support < 0.008:
        free = np.clip((tool.width - 2.0 * body.radius) / 0.01, 0.0, 1.0)
        return _action(tool, tool.target + np.array([0.0, 0.0, free * STEP_M]), opened=True)
    grasp = body.position + np.array([0.0, 0.0, max(0.0, body.half_height - 0.027)])
    off = np.abs(tool.position - grasp)
    around = bool((off < (0.014, 0.010, 0.014)).all())
    gripped = body.fingers == 2 and off.max() < 0.03
    if not gripped:
        distance = float(np.linalg.norm(tool.target[:2] - grasp[:2]))
        height = grasp[2] + _OVER_M * _funnel(distance, 0.0125)
        return _glide(tool, grasp[:2], float(height), 0.05, opened=not around)
    if goal.skill == "lift":
        return _action(tool, tool.target + np.array([0.0, 0.0, STEP_M]), opened=False)
    shift = place - body.position[:2]
    height = support + tool.position[2] - body.bottom + 0.003
    height += _CARRY_M * _funnel(float(np.linalg.norm(shift)), 0.018)
    return _glide(tool, tool.position[:2] + shift, height, 0.09, opened=False)


def _push(goal: Goal, world: World, tool: Tool) -> NDArray[np.float32]:
    body = world.bodies[goal.target]
    place = world.places[goal.destination]
    spot = body.position[:2]
    end = place.position
    if place.kind == LINE:
        end = np.array([place.position[0] + place.radius * 0.05, spot[1]])
    ahead = (end - spot) / max(float(np.linalg.norm(end - spot)), 1e-6)
    aside = np.array([-ahead[1], ahead[0]])
    offset = tool.position[:2] - spot
    lateral, gap = float(offset @ aside), float(-(offset @ ahead)) - body.radius
    # Low in a bay behind the object, high everywhere else, forward only when in line with it.
    off_bay = float(np.hypot(max(0.0, abs(lateral) - 0.03), max(0.0, -gap, gap - 0.045)))
    height = _PUSH_Z_M + 0.075 * _funnel(off_bay, 0.015)
    ready = 1.0 - _funnel(float(np.hypot(off_bay, lateral)), 0.022)
    ready *= 1.0 - _funnel(max(0.0, float(tool.position[2]) - _PUSH_Z_M), 0.02)
    behind = spot - ahead * (body.radius + 0.024)
    forward = tool.target[:2] + 0.034 * ahead - lateral * aside
    return _glide(tool, (1.0 - ready) * behind + ready * forward, height, 0.05, opened=False)


def _funnel(distance: float, width: float) -> float:
    """0 at no distance, 1 beyond some two widths, smooth between."""
    return 1.0 - float(np.exp(-((distance / width) ** 2)))


def _glide(
    tool: Tool, aim: NDArray[np.float64], height: float, band: float, *, opened: bool
) -> NDArray[np.float32]:
    """Move towards a place; sideways ever slower the lower the tool is, and not ``band`` below."""
    lack = float(np.clip((height - tool.target[2]) / band, 0.0, 1.0))
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
