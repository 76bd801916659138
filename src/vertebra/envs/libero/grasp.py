"""Grasps from above: where two parallel fingers fit around a ridge of an object.

The object is seen as a map of heights. Fingers need free room on both sides of what they close on,
the palm needs room above. A bowl is taken by its rim because that is where such a ridge is.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CELL_M = 0.004
HALF_M = 0.168
"""Half of the side of the map."""
_DEEPEST_M, _SHALLOWEST_M = 0.035, 0.012
_FINGER_M = (0.034, 0.064)
"""Distance from the middle at which an open finger takes room, along the closing axis."""
_PALM_M = 0.052
"""Height of the palm above the tips."""
_SLANT_M = 0.026
"""How far the gripped sides may lean against the pads, over their width; corners slip."""
_YAWS = np.deg2rad(np.arange(-75, 90, 15))
_ALONG = np.arange(-0.104, 0.1041, CELL_M)
_ACROSS = np.arange(-0.032, 0.0321, CELL_M)


@dataclass(frozen=True, kw_only=True)
class Grasp:
    """One way to take an object.

    Attributes:
        place: float64 [2], between the finger tips, metres.
        tip_m: Height of the finger tips.
        yaw_rad: Angle of the closing axis from the world's y axis, counter-clockwise.
        score: Higher is better; metres.
    """

    place: NDArray[np.float64]
    tip_m: float
    yaw_rad: float
    score: float


def map_points(centre: NDArray[np.float64]) -> NDArray[np.float64]:
    """The points of a map around an object: float64 [n * n, 2], row by row in x."""
    steps = np.arange(-HALF_M, HALF_M + CELL_M / 2, CELL_M)
    grid = np.stack(np.meshgrid(steps, steps, indexing="ij"), axis=-1)
    return grid.reshape(-1, 2) + centre[:2]


def grasps(
    heights: NDArray[np.float64], mine: NDArray[np.bool_], centre: NDArray[np.float64]
) -> list[Grasp]:
    """All grasps of an object, the best one first.

    Args:
        heights: float64 [n, n], height of the topmost surface; x along the first axis.
        mine: bool [n, n], whether that surface is the object's.
        centre: float64 [2], the middle of the map, where the object's frame is.
    """
    cells = np.argwhere(mine)[::2]
    along, across = np.meshgrid(_ALONG, _ACROSS, indexing="ij")
    found: list[Grasp] = []
    for yaw in _YAWS:
        closing = np.array([-np.sin(yaw), np.cos(yaw)])
        aside = np.array([np.cos(yaw), np.sin(yaw)])
        shift = along[..., None] * closing + across[..., None] * aside
        places = np.rint(cells[:, None, None, :] + shift / CELL_M).astype(int)
        inside = ((places >= 0) & (places < len(heights))).all(axis=-1)
        places = np.clip(places, 0, len(heights) - 1)
        seen = np.where(inside, heights[places[..., 0], places[..., 1]], -np.inf)
        own = mine[places[..., 0], places[..., 1]] & inside
        found += _at(cells, yaw, seen, own, centre)
    return sorted(found, key=lambda grasp: -grasp.score)


def _at(
    cells: NDArray[np.int64],
    yaw: float,
    seen: NDArray[np.float64],
    own: NDArray[np.bool_],
    centre: NDArray[np.float64],
) -> list[Grasp]:
    """Grasps at all cells with one yaw; ``seen`` and ``own`` are [cells, along, across]."""
    far = np.abs(_ALONG)
    pads, wide = np.abs(_ACROSS) <= 0.009, np.abs(_ACROSS) <= 0.015
    fingers = (far >= _FINGER_M[0]) & (far <= _FINGER_M[1])
    between = far < _FINGER_M[0]
    ridge = np.where(own, seen, -np.inf)[:, between][:, :, pads]
    top = ridge.max(axis=(1, 2))
    room = seen[:, fingers][:, :, wide].max(axis=(1, 2)) + 0.004
    palm = seen.max(axis=(1, 2)) - _PALM_M
    tip = np.maximum.reduce([top - _DEEPEST_M, room, palm])
    depth = top - tip
    gripped = ridge > (tip + 0.6 * np.minimum(depth, 0.02))[:, None, None]
    all_lines = gripped.any(axis=1).all(axis=1)
    found: list[Grasp] = []
    for number in np.flatnonzero((depth >= _SHALLOWEST_M) & all_lines):
        places = np.where(gripped[number], _ALONG[between][:, None], np.nan)
        lows, highs = np.nanmin(places, axis=0), np.nanmax(places, axis=0)
        low, high = float(lows.min()), float(highs.max())
        slant = float(np.ptp(lows) + np.ptp(highs))
        if slant > _SLANT_M:
            continue
        place = centre[:2] + cells[number] * CELL_M - HALF_M
        off = float(np.linalg.norm(place - centre[:2]))
        score = min(float(depth[number]), 0.03) - 0.8 * abs(low + high) / 2
        score -= 1.0 * slant + 0.15 * off + 0.1 * max(0.0, high - low - 0.05) + 0.002 * abs(yaw)
        found.append(
            Grasp(place=place, tip_m=float(tip[number]), yaw_rad=float(yaw), score=float(score))
        )
    return found
