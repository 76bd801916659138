"""Scenes of the table-top: what lies where, and which tasks may be asked."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vertebra.envs.tabletop.tasks import LINE, Goal, possible_goals
from vertebra.spec.seeds import seed_at
from vertebra.spec.storage import digest, to_plain
from vertebra.spec.task import InitialState, Task

SPLITS = ("train", "validation", "layout", "pair", "composition", "paraphrase")
COLOURS: dict[str, tuple[float, float, float]] = {
    "red": (0.88, 0.08, 0.08),
    "green": (0.08, 0.62, 0.14),
    "blue": (0.10, 0.22, 0.92),
    "yellow": (0.98, 0.86, 0.05),
    "purple": (0.62, 0.12, 0.78),
    "cyan": (0.05, 0.80, 0.88),
}
SHAPES: dict[str, tuple[float, float]] = {
    "cube": (0.027, 0.027),
    "ball": (0.028, 0.028),
    "cylinder": (0.026, 0.030),
    "cross": (0.031, 0.020),
}
"""Shape to (horizontal half-size, half-height) in metres."""
HELD_OUT_COMPOSITIONS = frozenset(
    f"{colour} {shape}"
    for colour, shape in zip(COLOURS, [*SHAPES, "cylinder", "cross"], strict=True)
)
PLATE_RADIUS_M = 0.045
ZONE_HALF_M = 0.048
LINE_X_M = 0.155
X_RANGE, Y_RANGE = (-0.185, 0.185), (-0.135, 0.150)
TOOL_Z_M = 0.13
_ATTEMPTS = 500
_SPACING = {("object", "object"): 0.090, ("flat", "object"): 0.082, ("flat", "flat"): 0.102}


@dataclass(frozen=True, kw_only=True)
class Item:
    """One thing on the table.

    Attributes:
        name: ``<colour> <shape>``, ``<colour> plate`` or ``<colour> zone``.
        x: Metres, to the right in the front view.
        y: Metres, away from the front camera.
        yaw: Radians about the vertical.
    """

    name: str
    x: float
    y: float
    yaw: float = 0.0

    @property
    def colour(self) -> str:
        """The first word of the name."""
        return self.name.split()[0]

    @property
    def kind(self) -> str:
        """The second word of the name."""
        return self.name.split()[1]


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Everything that is needed to restore an initial state.

    Attributes:
        objects: Three to six free objects.
        flats: Plates and zones.
        line_side: +1 or -1 when a line lies at the right or left, 0 without.
        tool: Metres, where the tool starts.
    """

    objects: tuple[Item, ...]
    flats: tuple[Item, ...]
    line_side: int
    tool: tuple[float, float, float]

    def entities(self) -> tuple[str, ...]:
        """Names of all things that may be spoken of, objects first."""
        names = [item.name for item in (*self.objects, *self.flats)]
        return (*names, LINE) if self.line_side else tuple(names)


def scene_from_plain(plain: Mapping[str, Any]) -> Scene:
    """Read a scene from ``InitialState.data``.

    Raises:
        ValueError: When the data is not that of a table-top scene.
    """
    try:
        return Scene(
            objects=tuple(Item(**item) for item in plain["objects"]),
            flats=tuple(Item(**item) for item in plain["flats"]),
            line_side=int(plain["line_side"]),
            tool=(float(plain["tool"][0]), float(plain["tool"][1]), float(plain["tool"][2])),
        )
    except (KeyError, TypeError, IndexError) as error:
        raise ValueError(
            f"Initial state data is not a table-top scene ({error!r}); found fields "
            f"{sorted(plain)}. Use states made by Tabletop.initial_states."
        ) from error


def make_initial_state(
    split: str, index: int, seed: int, skills: tuple[str, ...]
) -> InitialState | None:
    """The initial state at one place of a split.

    Args:
        split: One of ``SPLITS``.
        index: Number inside the split.
        seed: Root of the seed tree.
        skills: Skills whose tasks may be asked.

    Returns:
        The state, or ``None`` when fewer than three tasks of this split exist in the scene (only in
        ``pair``, whose scenes are those of ``train``).
    """
    source = "train" if split == "pair" else split
    rng = np.random.default_rng(seed_at(seed, "tabletop-v1", source, index))
    for _ in range(_ATTEMPTS):
        kind = _draw_kind(rng, composition=split == "composition", skills=skills)
        taught, withheld = _share_out(kind)
        # Things in new compositions were never seen: nothing needs to be withheld from training.
        goals = list(kind.goals) if split == "composition" else taught
        scene = _lay_out(kind, rng) if len(goals) >= 3 else None
        if scene is not None:
            break
    else:
        raise ValueError(
            f"No scene with three tasks of the skills {skills} was found in {_ATTEMPTS} attempts: "
            "allow more skills."
        )
    if split == "pair":
        goals = withheld
        if len(goals) < 3:
            return None
    wording = np.random.default_rng(seed_at(seed, "tabletop-v1", "wording", split, index))
    tasks = tuple(_as_task(goal, split, wording) for goal in goals)
    return InitialState(
        id=f"{split}-{'+'.join(skills)}-{seed}-{index}",
        split=split,
        tasks=tasks,
        data=to_plain(scene),
    )


def _as_task(goal: Goal, split: str, rng: np.random.Generator) -> Task:
    sentences = goal.sentences(held_out=split == "paraphrase")
    return Task(
        id=goal.id,
        skill=goal.skill,
        instruction=sentences[int(rng.integers(len(sentences)))],
        paraphrases=goal.sentences(held_out=True),
    )


@dataclass(frozen=True, kw_only=True)
class _Kind:
    """A kind of scene: which things there are and what may be asked, but not where they lie."""

    objects: tuple[str, ...]
    plates: tuple[str, ...]
    zone: str
    line: bool
    goals: tuple[Goal, ...]


def _draw_kind(rng: np.random.Generator, *, composition: bool, skills: tuple[str, ...]) -> _Kind:
    count = int(rng.integers(3, 7))
    known = [
        f"{colour} {shape}"
        for colour in COLOURS
        for shape in SHAPES
        if f"{colour} {shape}" not in HELD_OUT_COMPOSITIONS
    ]
    if composition:
        count = max(count, 4)
        new = list(rng.permutation(sorted(HELD_OUT_COMPOSITIONS))[: min(count - 1, 4)])
        alike = [name for name in known if name.split()[0] in {n.split()[0] for n in new}]
        objects = new + list(rng.permutation(alike)[: count - len(new)])
        acting = new
    else:
        objects = list(rng.permutation(known)[:count])
        acting = objects
    objects, acting = [str(name) for name in objects], [str(name) for name in acting]
    colours = [str(colour) for colour in rng.permutation(list(COLOURS))]
    plates = (f"{colours[0]} plate", f"{colours[1]} plate")
    both = count <= 4 or skills == ("push",)
    zone = f"{colours[2]} zone" if both or rng.random() < 0.5 else ""
    line = both or not zone
    grounds = [name for name in (zone, LINE if line else "") if name]
    things = sorted(objects), plates, grounds, skills
    roles = _roles(sorted(acting), skills, np.random.default_rng(int(digest(things), 16)))
    shapes = {name: name.split()[1] for name in sorted(objects)}
    goals = possible_goals(roles, shapes, plates, grounds, skills)
    return _Kind(objects=tuple(objects), plates=plates, zone=zone, line=line, goals=tuple(goals))


def _roles(names: list[str], skills: tuple[str, ...], rng: np.random.Generator) -> dict[str, str]:
    """One role for each object, drawn from the names alone (so that a kind always has the same)."""
    kinds = ["carry"] if {"put", "stack", "chain"} & set(skills) else []
    if "chain" in skills:
        kinds.append("carry")
    kinds += [skill for skill in ("push", "lift") if skill in skills]
    rng.shuffle(names)
    if kinds == ["push"]:  # More lanes than those of three objects rarely fit on the table.
        return dict.fromkeys(names[:3], "push")
    while len(kinds) < len(names):
        kinds.append(kinds[int(rng.integers(len(kinds)))])
    return dict(zip(names, kinds, strict=False))


def _share_out(kind: _Kind) -> tuple[list[Goal], list[Goal]]:
    """Divide the goals of a kind into those that training may show and those that it never does."""
    things = (sorted(kind.objects), kind.plates, kind.zone, kind.line)
    ordered = sorted(kind.goals, key=lambda goal: digest((things, goal.id)))
    shares: tuple[list[Goal], list[Goal]] = ([], [])
    for skill in sorted({goal.skill for goal in ordered}):
        same = [goal for goal in ordered if goal.skill == skill]
        shares[0].extend(same[0::2])
        shares[1].extend(same[1::2])
    return shares


def _lay_out(kind: _Kind, rng: np.random.Generator) -> Scene | None:
    """Find a place for everything, with room for the gripper and free lanes for pushing."""
    pushed = {goal.target: [] for goal in kind.goals if goal.skill == "push"}
    for goal in kind.goals:
        if goal.skill == "push":
            pushed[goal.target].append(goal.destination)
    side = int(rng.choice([-1, 1])) if kind.line else 0
    order = [*([kind.zone] if kind.zone else []), *pushed, *kind.plates]
    order += [name for name in kind.objects if name not in pushed]
    for _ in range(60):
        placed: dict[str, NDArray[np.float64]] = {}
        lanes: list[tuple[str, NDArray[np.float64], NDArray[np.float64]]] = []
        for name in order:
            spot = _find_spot(name, pushed.get(name, []), kind, side, placed, lanes, rng)
            if spot is None:
                break
            placed[name] = spot
        else:
            return _finish(kind, side, placed, rng)
    return None


def _finish(
    kind: _Kind, side: int, placed: dict[str, NDArray[np.float64]], rng: np.random.Generator
) -> Scene:
    def item(name: str, yaw: float) -> Item:
        return Item(
            name=name,
            x=round(float(placed[name][0]), 5),
            y=round(float(placed[name][1]), 5),
            yaw=round(yaw, 5),
        )

    flats = [*kind.plates, *([kind.zone] if kind.zone else [])]
    tool = rng.uniform((-0.08, -0.06, TOOL_Z_M - 0.02), (0.08, 0.06, TOOL_Z_M + 0.02))
    return Scene(
        objects=tuple(item(name, float(rng.uniform(-0.2, 0.2))) for name in kind.objects),
        flats=tuple(item(name, 0.0) for name in flats),
        line_side=side,
        tool=(round(float(tool[0]), 5), round(float(tool[1]), 5), round(float(tool[2]), 5)),
    )


def _find_spot(
    name: str,
    destinations: list[str],
    kind: _Kind,
    side: int,
    placed: dict[str, NDArray[np.float64]],
    lanes: list[tuple[str, NDArray[np.float64], NDArray[np.float64]]],
    rng: np.random.Generator,
) -> NDArray[np.float64] | None:
    sort = "object" if name in kind.objects else "flat"
    low, high = np.array([X_RANGE[0], Y_RANGE[0]]), np.array([X_RANGE[1], Y_RANGE[1]])
    if side > 0:
        high[0] = LINE_X_M - 0.045
    if side < 0:
        low[0] = -LINE_X_M + 0.045
    for _ in range(60):
        spot = rng.uniform(low, high)
        if any(
            np.linalg.norm(spot - other)
            < _SPACING[min(sort, _sort(o, kind)), max(sort, _sort(o, kind))]
            for o, other in placed.items()
        ):
            continue
        if sort == "object" and any(_near_lane(spot, a, b) < 0.066 for _, a, b in lanes):
            continue
        wanted: list[tuple[str, NDArray[np.float64], NDArray[np.float64]]] = []
        for destination in destinations:
            end = placed.get(destination, np.array([side * (LINE_X_M + 0.03), spot[1]]))
            wanted.append((name, spot - 0.055 * _unit(end - spot), end))
        if _lanes_free(name, spot, wanted, kind, placed):
            lanes.extend(wanted)
            return spot
    return None


def _lanes_free(
    name: str,
    spot: NDArray[np.float64],
    wanted: list[tuple[str, NDArray[np.float64], NDArray[np.float64]]],
    kind: _Kind,
    placed: dict[str, NDArray[np.float64]],
) -> bool:
    for _, begin, end in wanted:
        length = float(np.linalg.norm(end - spot))
        if not 0.085 <= length <= 0.22:
            return False
        if abs(begin[0]) > 0.215 or not -0.185 <= begin[1] <= 0.19:
            return False
        for other, where in placed.items():
            if other != name and other in kind.objects and _near_lane(where, begin, end) < 0.066:
                return False
        # What is pushed past the line must not cross the zone into which it could be pushed, too.
        aimed_at_zone = kind.zone and np.array_equal(end, placed[kind.zone])
        if kind.zone and not aimed_at_zone and _near_lane(placed[kind.zone], spot, end) < 0.06:
            return False
    return True


def _sort(name: str, kind: _Kind) -> str:
    return "object" if name in kind.objects else "flat"


def _unit(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    return vector / max(float(np.linalg.norm(vector)), 1e-9)


def _near_lane(
    point: NDArray[np.float64], begin: NDArray[np.float64], end: NDArray[np.float64]
) -> float:
    along = np.clip(
        np.dot(point - begin, end - begin) / max(np.sum((end - begin) ** 2), 1e-9), 0, 1
    )
    return float(np.linalg.norm(point - begin - along * (end - begin)))
