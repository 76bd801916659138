"""One thing at a time that is other than in the demonstrations, in scenes whose tasks stay."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from vertebra.envs.tabletop.scene import (
    COLOURS,
    SHAPES,
    X_RANGE,
    Y_RANGE,
    Item,
    Scene,
    scene_from_plain,
)
from vertebra.spec.seeds import seed_at
from vertebra.spec.storage import to_plain
from vertebra.spec.task import InitialState

_MOST_THINGS = 10
"""Things that have a place among the labels of a frame."""
_APART_M = 0.075
_ATTEMPTS = 400


@dataclass(frozen=True, kw_only=True)
class Shift:
    """How a scene or its look differs; the default changes nothing.

    Attributes:
        camera_m: Metres by which the front camera is moved: right, away, up.
        brightness: Factor on all colours.
        shadows: Cast shadows, whatever the environment draws otherwise.
        texture: Wood grain, whatever the environment draws otherwise.
        mirrored: Left and right are exchanged.
        distractors: Further objects that no task is about (as many as fit).
        tool_m: Metres by which the tool starts elsewhere: right, away, up.

    Raises:
        ValueError: When a number is not possible.
    """

    camera_m: tuple[float, float, float] = (0.0, 0.0, 0.0)
    brightness: float = 1.0
    shadows: bool = False
    texture: bool = False
    mirrored: bool = False
    distractors: int = 0
    tool_m: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        if not self.brightness > 0 or self.distractors < 0:
            raise ValueError(
                f"The brightness is {self.brightness} and there are {self.distractors} "
                "distractors; the first must be above 0, the second at least 0."
            )


def shift_from_plain(plain: Mapping[str, Any]) -> Shift:
    """Read a shift that was written as JSON."""
    values = dict(plain)
    for name in ("camera_m", "tool_m"):
        if name in values:
            values[name] = tuple(float(value) for value in values[name])
    return Shift(**values)


def shifted(state: InitialState, shift: Shift) -> InitialState:
    """The initial state with what a shift moves or adds; its id and its tasks stay."""
    scene = scene_from_plain(state.data)
    if shift.mirrored:
        scene = _mirrored(scene)
    if shift.distractors:
        scene = _with_distractors(scene, shift.distractors, seed_at(0, "distractors", state.id))
    moved = np.add(scene.tool, shift.tool_m)
    scene = replace(scene, tool=(float(moved[0]), float(moved[1]), float(moved[2])))
    return replace(state, data=to_plain(scene))


def _mirrored(scene: Scene) -> Scene:
    def turned(items: tuple[Item, ...]) -> tuple[Item, ...]:
        return tuple(replace(item, x=-item.x, yaw=-item.yaw) for item in items)

    x, y, z = scene.tool
    return Scene(
        objects=turned(scene.objects),
        flats=turned(scene.flats),
        line_side=-scene.line_side,
        tool=(-x, y, z),
    )


def _with_distractors(scene: Scene, count: int, seed: int) -> Scene:
    """Add objects of names that the scene does not have, apart from everything in it."""
    rng = np.random.default_rng(seed)
    names = [f"{colour} {shape}" for colour in COLOURS for shape in SHAPES]
    names = [name for name in names if name not in {item.name for item in scene.objects}]
    order = [names[place] for place in rng.permutation(len(names)).tolist()]
    objects = list(scene.objects)
    low, high = (X_RANGE[0], Y_RANGE[0]), (X_RANGE[1], Y_RANGE[1])
    room = _MOST_THINGS - len(scene.entities())
    wanted = len(objects) + min(count, room)
    for _ in range(_ATTEMPTS):
        if len(objects) >= wanted:
            break
        spot = rng.uniform(low, high)
        others = [(item.x, item.y) for item in (*objects, *scene.flats)]
        if min(float(np.hypot(*(spot - other))) for other in np.array(others)) >= _APART_M:
            name = order[len(objects) - len(scene.objects)]
            objects.append(Item(name=name, x=float(spot[0]), y=float(spot[1])))
    return replace(scene, objects=tuple(objects))
