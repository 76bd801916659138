"""A staged clip: things on a table, seen by some camera, moved by some hand that is no robot.

Nothing is simulated: things are posed from frame to frame, as an animator would, and seen by the
ray caster of the table-top. Robot, cameras, sizes, lights and colours of the table-top are avoided;
its colour and shape words are used, since a prior is about words.
"""

# The compiled names of MuJoCo carry no type information.
# pyright: reportAttributeAccessIssue=false

from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from vertebra.data.episode import EpisodeData
from vertebra.envs.tabletop.render import Colour, RayRenderer, Surroundings, project
from vertebra.envs.tabletop.scene import (
    COLOURS,
    HELD_OUT_COMPOSITIONS,
    LINE_X_M,
    SHAPES,
    X_RANGE,
    Y_RANGE,
    Item,
    Scene,
)
from vertebra.envs.tabletop.tasks import LINE
from vertebra.pretrain.captions import CAPTIONS
from vertebra.pretrain.hands import HANDS, hand_xml
from vertebra.spec.seeds import seed_at

SIZE_PX = 64
CLIP_FRAMES = 16
MORE_COLOURS: dict[str, Colour] = {
    "orange": (0.95, 0.45, 0.05),
    "pink": (0.95, 0.55, 0.70),
    "brown": (0.42, 0.24, 0.12),
    "white": (0.93, 0.93, 0.93),
    "black": (0.08, 0.08, 0.09),
}
MORE_SHAPES: dict[str, tuple[float, float]] = {
    "bar": (0.038, 0.012),
    "disc": (0.034, 0.010),
    "egg": (0.026, 0.034),
    "pin": (0.012, 0.042),
}
"""Shape to (horizontal half-size, half-height) in metres, as ``SHAPES``."""
ROBOT_AZIMUTH_RAD = 0.14
"""Cameras stay at least this far from the direction in which the robot's front camera looks."""
_AWAY_M = 0.30
_TRIES = 200


@dataclass(frozen=True, kw_only=True)
class Deed:
    """What happens in a clip.

    Attributes:
        kind: ``put``, ``push``, ``lift`` or ``wave`` (the hand moves nothing).
        target: Which object.
        goal: Which entity is its destination, -1 for none.
        path: float64 [T, 3], centre of the object.
        hand: float64 [T, 3], where the hand holds.
    """

    kind: str
    target: int
    goal: int
    path: NDArray[np.float64]
    hand: NDArray[np.float64]


def stage_clip(seed: int, index: int) -> EpisodeData:
    """One clip of the corpus: frames, a caption, and where everything is; no action, no state.

    Args:
        seed: Root of the corpus.
        index: Number of the clip.
    """
    rng = np.random.default_rng(seed_at(seed, "pretrain", "clip", index))
    scene = _drawn_scene(rng)
    sizes = {item.name: _size(item.kind, rng) for item in scene.objects}
    deed = _drawn_deed(scene, sizes, rng)
    palette = {word: _jittered(rgb, rng) for word, rgb in (COLOURS | MORE_COLOURS).items()}
    model = mujoco.MjModel.from_xml_string(_stage_xml(scene, sizes, palette, rng))
    data = mujoco.MjData(model)
    renderer = RayRenderer(
        model,
        scene,
        size=SIZE_PX,
        shadows=bool(rng.random() < 0.4),
        texture=bool(rng.random() < 0.4),
        surroundings=_drawn_surroundings(palette, rng),
    )
    names = scene.entities()
    images = np.empty((CLIP_FRAMES, SIZE_PX, SIZE_PX, 3), np.uint8)
    points = np.full((CLIP_FRAMES, len(names), 2), np.nan, np.float32)
    centres = np.array(
        [(item.x, item.y, sizes[item.name][1]) for item in scene.objects]
        + [(item.x, item.y, 0.0) for item in scene.flats]
        + ([(scene.line_side * LINE_X_M, 0.0, 0.0)] if scene.line_side else [])
    )
    for frame in range(CLIP_FRAMES):
        centres[deed.target] = deed.path[frame]
        for number in range(len(scene.objects)):
            data.qpos[7 * number : 7 * number + 3] = centres[number]
        if model.nbody > len(scene.objects) + 1:
            data.qpos[-7:-4] = deed.hand[frame]
        mujoco.mj_kinematics(model, data)
        mujoco.mj_camlight(model, data)
        view = renderer.render(data, "front")
        images[frame] = view.image
        seen = np.isin(np.arange(1, len(names) + 1), np.unique(view.entity))
        places = project(model, data, "front", centres)
        inside = ((places > 0) & (places < 1)).all(axis=1)
        points[frame, seen & inside] = places[seen & inside]
    said = CAPTIONS[deed.kind if deed.goal < 0 or names[deed.goal] != LINE else "push-line"]
    caption = said[int(rng.integers(len(said)))].format(
        a=names[deed.target], b=names[deed.goal] if deed.goal >= 0 else ""
    )
    nothing = np.zeros((CLIP_FRAMES, 0), np.float32)
    return EpisodeData(
        images={"web": images},
        state=nothing,
        actions=nothing,
        instruction=caption,
        skill=deed.kind,
        entities=names,
        points=points,
        target_entity=-1 if deed.kind == "wave" else deed.target,
        goal_entity=deed.goal,
    )


def _drawn_scene(rng: np.random.Generator) -> Scene:
    colours = [*COLOURS, *MORE_COLOURS]
    known = [
        f"{colour} {shape}"
        for colour in colours
        for shape in (*SHAPES, *MORE_SHAPES)
        if f"{colour} {shape}" not in HELD_OUT_COMPOSITIONS
    ]
    weights = np.array([1.0 if name.split()[1] in SHAPES else 0.35 for name in known])
    count = int(rng.integers(2, 7))
    objects = rng.choice(known, size=count, replace=False, p=weights / weights.sum())
    flats = [f"{colour} plate" for colour in rng.permutation(colours)[: int(rng.integers(1, 4))]]
    if rng.random() < 0.6:
        flats.append(f"{rng.choice(colours)} zone")
    side = int(rng.choice([-1, 0, 0, 1]))
    spots: list[NDArray[np.float64]] = []

    def item(name: str, apart: float) -> Item | None:
        for _ in range(_TRIES):
            spot = rng.uniform((X_RANGE[0], Y_RANGE[0]), (X_RANGE[1], Y_RANGE[1]))
            if side:
                spot[0] -= side * 0.04
            if all(float(np.hypot(*(spot - other))) > apart for other in spots):
                spots.append(spot)
                return Item(name=name, x=float(spot[0]), y=float(spot[1]))
        return None  # a full table holds fewer things

    placed = [item(str(name), 0.085) for name in flats]
    things = [item(str(name), 0.070) for name in objects]
    return Scene(
        objects=tuple(thing for thing in things if thing is not None),
        flats=tuple(flat for flat in placed if flat is not None),
        line_side=side,
        tool=(0.0, 0.0, 0.0),
    )


def _size(shape: str, rng: np.random.Generator) -> tuple[float, float]:
    """Half-size and half-height of one thing: smaller or larger than the robot's."""
    radius, half = (SHAPES | MORE_SHAPES)[shape]
    scale = rng.uniform(0.78, 0.95) if rng.random() < 0.5 else rng.uniform(1.05, 1.3)
    return float(radius * scale), float(half * scale)


def _drawn_deed(
    scene: Scene, sizes: dict[str, tuple[float, float]], rng: np.random.Generator
) -> Deed:
    target = int(rng.integers(len(scene.objects)))
    item, first = scene.objects[target], len(scene.objects)
    start = np.array([item.x, item.y, sizes[item.name][1]])
    plates = [first + n for n, flat in enumerate(scene.flats) if flat.kind == "plate"]
    grounds = [first + n for n, flat in enumerate(scene.flats) if flat.kind == "zone"]
    if scene.line_side:
        grounds.append(first + len(scene.flats))
    kinds = ["lift", "wave", *(["put"] * 3 if plates else []), *(["push"] * 3 if grounds else [])]
    kind = str(rng.choice(kinds))
    goal, end = -1, start.copy()
    if kind in ("put", "push"):
        goal = int(rng.choice(plates if kind == "put" else grounds))
        end[:2] = _place_of(scene, goal, start, rng)
    if kind == "lift":
        end = start + np.array([0.0, 0.0, rng.uniform(0.06, 0.14)])
    carried = rng.uniform(0.05, 0.10) if kind == "put" else 0.0
    begin, grasp = 0, int(rng.integers(2, 6))
    done = grasp + int(rng.integers(5, 9))
    away = start + rng.uniform((-0.12, -0.12, 0.08), (0.12, 0.12, 0.16))
    path, hand = np.empty((CLIP_FRAMES, 3)), np.empty((CLIP_FRAMES, 3))
    for frame in range(CLIP_FRAMES):
        moved = _smooth((frame - grasp) / (done - grasp))
        path[frame] = start + moved * (end - start)
        path[frame, 2] += carried * np.sin(np.pi * moved)
        near = _smooth((frame - begin) / max(grasp - begin, 1))
        left = 0.0 if kind == "lift" else _smooth((frame - done) / 4)
        hand[frame] = path[frame] + (1 - near) * (away - start)
        hand[frame] += left * rng.uniform(0.9, 1.1) * np.array([0.02, 0.0, 0.11])
    if kind == "wave":
        path[:] = start
        hand = (
            start
            + np.array([0.0, 0.0, 0.10])
            + np.cumsum(rng.normal(0, 0.012, (CLIP_FRAMES, 3)), axis=0)
        )
        hand[:, 2] = np.maximum(hand[:, 2], 0.07)
    return Deed(kind=kind, target=target, goal=goal, path=path, hand=hand)


def _place_of(
    scene: Scene, goal: int, start: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float64]:
    number = goal - len(scene.objects)
    if number == len(scene.flats):
        past = scene.line_side * (LINE_X_M + rng.uniform(0.03, 0.05))
        return np.array([past, start[1] + rng.normal(0, 0.01)])
    flat = scene.flats[number]
    return np.array([flat.x, flat.y]) + rng.normal(0, 0.006, 2)


def _smooth(share: float) -> float:
    """0 before 0, 1 after 1, without a jerk between."""
    share = float(np.clip(share, 0.0, 1.0))
    return share**3 * (10 - 15 * share + 6 * share**2)


def _jittered(rgb: Colour, rng: np.random.Generator) -> Colour:
    r, g, b = np.clip(np.array(rgb) * rng.uniform(0.85, 1.1) + rng.normal(0, 0.035, 3), 0, 1)
    return float(r), float(g), float(b)


def _drawn_surroundings(palette: dict[str, Colour], rng: np.random.Generator) -> Surroundings:
    def plain() -> Colour:
        r, g, b = np.clip(rng.uniform(0.2, 0.85) + rng.normal(0, 0.07, 3), 0.05, 0.95)
        return float(r), float(g), float(b)

    turn, away = rng.uniform(0, 2 * np.pi), rng.uniform(0.2, 0.9)
    rim = 0.0 if rng.random() < 0.5 else float(rng.uniform(0.004, 0.014))
    return Surroundings(
        colours=palette,
        mat=plain(),
        desk=plain(),
        plate_m=float(rng.uniform(0.038, 0.056)),
        rim_m=rim,
        zone_m=float(rng.uniform(0.040, 0.058)),
        light_m=(float(away * np.cos(turn)), float(away * np.sin(turn)), 1.2),
        ambient=float(rng.uniform(0.4, 0.6)),
        diffuse=float(rng.uniform(0.4, 0.65)),
    )


def _stage_xml(
    scene: Scene,
    sizes: dict[str, tuple[float, float]],
    palette: dict[str, Colour],
    rng: np.random.Generator,
) -> str:
    hand = hand_xml(str(rng.choice(HANDS, p=(0.1, 0.25, 0.2, 0.3, 0.15))), rng)
    bodies = [_thing(item, sizes[item.name], palette[item.colour], rng) for item in scene.objects]
    if hand:
        bodies.append(_body("hand", (0.0, 0.0, 1.0), 0.0, hand))
    return (
        f"<mujoco><default><geom mass='0.05' contype='0' conaffinity='0'/></default><worldbody>"
        f"{_camera(rng)}<geom name='table' type='plane' size='1 1 0.1'/>{''.join(bodies)}"
        f"</worldbody></mujoco>"
    )


def _camera(rng: np.random.Generator) -> str:
    """A camera that looks at the table from another place, through another lens."""
    azimuth = rng.choice([-1, 1]) * rng.uniform(ROBOT_AZIMUTH_RAD, 0.7)
    steep = rng.uniform(0.75, 1.45)
    fovy = rng.uniform(24, 32) if rng.random() < 0.5 else rng.uniform(36, 52)
    away = _AWAY_M * rng.uniform(0.78, 1.0) / np.tan(np.radians(fovy) / 2)
    at = np.array([rng.uniform(-0.03, 0.03), rng.uniform(-0.03, 0.03), 0.02])
    back = np.array(
        [np.cos(steep) * np.sin(azimuth), -np.cos(steep) * np.cos(azimuth), np.sin(steep)]
    )
    right = np.array([np.cos(azimuth), np.sin(azimuth), 0.0])
    up = np.cross(back, right)
    pos = at + away * back
    axes = " ".join(f"{value:.5f}" for value in (*right, *up))
    place = " ".join(f"{value:.5f}" for value in pos)
    return f"<camera name='front' pos='{place}' xyaxes='{axes}' fovy='{fovy:.3f}'/>"


def _thing(item: Item, size: tuple[float, float], rgb: Colour, rng: np.random.Generator) -> str:
    radius, half = size
    arm = 0.36 * radius
    geoms = {
        "cube": [f'type="box" size="{radius} {radius} {half}"'],
        "ball": [f'type="sphere" size="{radius}"'],
        "cylinder": [f'type="cylinder" size="{radius} {half}"'],
        "cross": [
            f'type="box" size="{radius} {arm} {half}"',
            f'type="box" size="{arm} {radius} {half}"',
        ],
        "bar": [f'type="box" size="{radius} {0.3 * radius} {half}"'],
        "disc": [f'type="cylinder" size="{radius} {half}"'],
        "egg": [f'type="ellipsoid" size="{radius} {radius} {half}"'],
        "pin": [f'type="capsule" size="{radius} {half - radius}"'],
    }[item.kind]
    r, g, b = rgb
    inside = "".join(
        f'<geom name="{item.name}#{number}" {geom} rgba="{r:.3f} {g:.3f} {b:.3f} 1"/>'
        for number, geom in enumerate(geoms)
    )
    return _body(item.name, (item.x, item.y, half), float(rng.uniform(-45, 45)), inside)


def _body(name: str, pos: tuple[float, ...], yaw_deg: float, inside: str) -> str:
    place = " ".join(f"{value:.5f}" for value in pos)
    turn = f'euler="0 0 {yaw_deg:.2f}"'
    return f'<body name="{name}" pos="{place}" {turn}><freejoint/>{inside}</body>'
