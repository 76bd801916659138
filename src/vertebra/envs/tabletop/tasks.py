"""What can be asked on the table-top: goals, their predicates, and the sentences that name them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SKILLS = ("put", "push", "lift", "stack", "chain")
LINE = "line"
LIFT_HEIGHT_M = 0.05
"""An object is lifted when its lowest point is this far above the table."""

TRAIN_WORDINGS: dict[str, tuple[str, ...]] = {
    "put": (
        "put the {a} on the {b}",
        "place the {a} on the {b}",
        "set the {a} down on the {b}",
        "move the {a} onto the {b}",
    ),
    "push": (
        "push the {a} into the {b}",
        "slide the {a} into the {b}",
        "shove the {a} into the {b}",
    ),
    "push-line": (
        "push the {a} past the {b}",
        "slide the {a} over the {b}",
        "shove the {a} across the {b}",
    ),
    "lift": ("lift the {a}", "pick up the {a}", "raise the {a}", "grab the {a} and lift it"),
    "stack": (
        "stack the {a} on the {b}",
        "put the {a} on top of the {b}",
        "place the {a} on top of the {b}",
    ),
    "chain": (
        "put the {a} on the {b}, then lift the {c}",
        "place the {a} on the {b} and then pick up the {c}",
        "set the {a} down on the {b}, then raise the {c}",
    ),
}
HELD_OUT_WORDINGS: dict[str, tuple[str, ...]] = {
    "put": (
        "pick up the {a} and set it on the {b}",
        "take the {a} and leave it on the {b}",
        "the {a} belongs on the {b}",
    ),
    "push": (
        "move the {a} into the {b}",
        "nudge the {a} until it is inside the {b}",
        "without lifting it, get the {a} into the {b}",
    ),
    "push-line": (
        "move the {a} past the {b}",
        "nudge the {a} until it is beyond the {b}",
        "without lifting it, get the {a} across the {b}",
    ),
    "lift": (
        "grab the {a} and raise it",
        "take the {a} up into the air",
        "hold the {a} above the table",
    ),
    "stack": (
        "set the {a} down on top of the {b}",
        "build a tower with the {a} above the {b}",
        "leave the {a} standing on the {b}",
    ),
    "chain": (
        "pick up the {c} after you put the {a} on the {b}",
        "first leave the {a} on the {b}, next hold the {c} above the table",
    ),
}


@dataclass(frozen=True, kw_only=True)
class Goal:
    """What a task wants of the world.

    Attributes:
        skill: One of ``SKILLS``.
        target: Object to act on (first).
        destination: Plate, zone, ``line`` or object; empty for ``lift``.
        second: Object to lift at the end of a chain, else empty.
    """

    skill: str
    target: str
    destination: str = ""
    second: str = ""

    @property
    def id(self) -> str:
        """Name of the task, for example ``put/red-cube/blue-plate``."""
        parts = (self.skill, self.target, self.destination, self.second)
        return "/".join(part.replace(" ", "-") for part in parts if part)

    @property
    def wording(self) -> str:
        """Key into the tables of sentences."""
        return "push-line" if self.skill == "push" and self.destination == LINE else self.skill

    def sentences(self, *, held_out: bool) -> tuple[str, ...]:
        """All sentences for this goal, from the training or the held-out wordings."""
        table = HELD_OUT_WORDINGS if held_out else TRAIN_WORDINGS
        return tuple(
            text.format(a=self.target, b=self.destination, c=self.second)
            for text in table[self.wording]
        )


def goal_of(task_id: str) -> Goal:
    """The goal that a task id names.

    Raises:
        ValueError: When the id is not one of this environment.
    """
    skill, *names = task_id.split("/")
    words = [name.replace("-", " ") for name in names]
    expected = {"put": 2, "push": 2, "lift": 1, "stack": 2, "chain": 3}
    if expected.get(skill) != len(words):
        raise ValueError(
            f"Task id {task_id!r} is not one of the table-top, whose ids look like "
            "'put/red-cube/blue-plate' or 'lift/red-cube'. Take ids from InitialState.tasks."
        )
    return Goal(
        skill=skill,
        target=words[0],
        destination=words[1] if len(words) > 1 else "",
        second=words[2] if len(words) > 2 else "",
    )


@dataclass(frozen=True, kw_only=True)
class Body:
    """One object as the predicates see it (metres, table surface at z = 0).

    Attributes:
        position: float64 [3], centre.
        half_height: Vertical half-size in its present pose.
        radius: Horizontal half-size when upright.
        speed: Linear speed in m/s.
        fingers: How many fingers touch it now.
    """

    position: NDArray[np.float64]
    half_height: float
    radius: float
    speed: float
    fingers: int

    @property
    def bottom(self) -> float:
        """Height of the lowest point above the table."""
        return float(self.position[2]) - self.half_height


@dataclass(frozen=True, kw_only=True)
class Place:
    """A plate, a zone or the line.

    Attributes:
        kind: ``plate``, ``zone`` or ``line``.
        position: float64 [2], centre; for a line only x counts.
        radius: Half-size; for a line the side on which "past" lies (+1 right, -1 left).
    """

    kind: str
    position: NDArray[np.float64]
    radius: float


@dataclass(frozen=True, kw_only=True)
class World:
    """The present state, as far as goals can speak of it."""

    bodies: dict[str, Body]
    places: dict[str, Place]


def progress(goal: Goal, world: World, start: World) -> float:
    """How far a goal has come, in [0, 1]; exactly 1 if and only if it holds.

    Args:
        goal: The goal.
        world: The present state.
        start: The state at the beginning of the episode (only the scale depends on it).
    """
    if goal.skill == "chain":
        first = Goal(skill="put", target=goal.target, destination=goal.destination)
        last = Goal(skill="lift", target=goal.second)
        return 0.5 * progress(first, world, start) + 0.5 * progress(last, world, start)
    if holds(goal, world):
        return 1.0
    body = world.bodies[goal.target]
    if goal.skill == "lift":
        return float(np.clip(body.bottom / LIFT_HEIGHT_M, 0.0, 0.99))
    now = _distance(goal, world)
    before = max(_distance(goal, start), 1e-6)
    return float(np.clip(1.0 - now / before, 0.0, 0.99))


def holds(goal: Goal, world: World) -> bool:
    """Whether a goal holds in the present state."""
    body = world.bodies[goal.target]
    if goal.skill == "lift":
        return bool(body.bottom >= LIFT_HEIGHT_M)
    if goal.skill == "chain":
        first = Goal(skill="put", target=goal.target, destination=goal.destination)
        return holds(first, world) and holds(Goal(skill="lift", target=goal.second), world)
    if goal.skill == "stack":
        below = world.bodies[goal.destination]
        gap = body.bottom - (float(below.position[2]) + below.half_height)
        near = np.linalg.norm(body.position[:2] - below.position[:2]) < 0.8 * below.radius
        return bool(near and abs(gap) < 0.008 and not body.fingers and body.speed < 0.1)
    place = world.places[goal.destination]
    low = abs(body.bottom) < 0.012
    if place.kind == LINE:
        return bool(low and _distance(goal, world) <= 0.0)
    inside = _distance(goal, world) <= 0.0
    if goal.skill == "put":
        return bool(low and inside and not body.fingers and body.speed < 0.1)
    return bool(low and inside)


def _distance(goal: Goal, world: World) -> float:
    """Metres that the target still has to travel horizontally (0 or less: there)."""
    position = world.bodies[goal.target].position[:2]
    if goal.skill == "stack":
        return float(np.linalg.norm(position - world.bodies[goal.destination].position[:2]))
    place = world.places[goal.destination]
    offset = position - place.position
    if place.kind == LINE:
        return float(0.012 - offset[0] * place.radius)
    if place.kind == "zone":
        return float(np.abs(offset).max() - (place.radius - 0.015))
    return float(np.linalg.norm(offset) - (place.radius - 0.012))


def possible_goals(
    roles: dict[str, str],
    shapes: dict[str, str],
    plates: Sequence[str],
    grounds: Sequence[str],
    skills: Sequence[str],
) -> list[Goal]:
    """All goals of a scene whose outcomes can be told apart.

    An object has one role: ``carry`` (put, stack, chain), ``push`` or ``lift``. Carrying an object
    lifts it on the way, and a chain puts one; roles keep one task from being achieved while
    another is carried out.

    Args:
        roles: Object name to role (objects without one are never a target).
        shapes: Object name to shape, for all objects.
        plates: Names of plates.
        grounds: Zones and the line, as far as present.
        skills: Skills asked for.
    """
    goals: list[Goal] = []
    carried = [name for name, role in roles.items() if role == "carry"]
    for name in carried:
        free = list(plates)
        others = [other for other in carried if other != name][:2] if "chain" in skills else []
        # A chain puts its first object on the way, so that this put is not asked for by itself.
        taken = [] if not others else [free.pop()] if "put" in skills else free
        goals += [
            Goal(skill="chain", target=name, destination=plate, second=other)
            for plate in taken
            for other in others
        ]
        if "put" in skills:
            goals += [Goal(skill="put", target=name, destination=plate) for plate in free]
        if "stack" in skills and shapes[name] != "ball":
            goals += [
                Goal(skill="stack", target=name, destination=below)
                for below in shapes
                if below != name and shapes[below] != "ball"
            ][:2]
    for name, role in roles.items():
        if role == "push":
            goals += [Goal(skill="push", target=name, destination=ground) for ground in grounds]
        if role == "lift":
            goals.append(Goal(skill="lift", target=name))
    return goals
