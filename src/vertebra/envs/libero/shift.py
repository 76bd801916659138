"""One thing at a time that is other than published, after the seven kinds of LIBERO-Plus.

Source: arXiv:2510.13626 and sylvestf/LIBERO-plus @ 4976dc3, ``libero/libero/envs``: what is varied,
and how far (turn of the view, ``problems``; joints, ``robots/new_init.py``; floors and walls,
``arenas/style.py``; blur, ``env_wrapper.py``).

Deviations: its 10,030 tasks and its assets are on no package index; here each kind is one change of
one size, made in the running scene, and every camera is blurred. Other layouts are LIBERO-PRO's
(``_swap``), other words its paraphrases.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vertebra.envs.simulator import Factor
from vertebra.spec.rotation import matrix_from_axis_angle
from vertebra.spec.seeds import seed_at


@dataclass(frozen=True, kw_only=True)
class Shift:
    """How a scene or its look differs; the default changes nothing.

    Attributes:
        camera_deg: Degrees by which the outside camera goes around what it looks at: to its right,
            and up.
        camera_distance: Factor on its distance from there.
        light: Factors on red, green and blue of all lights.
        floor: Name of another floor, as LIBERO calls it; empty for none.
        wall: Name of another wall.
        swapped: Objects stand where LIBERO-PRO's ``_swap`` puts them.
        joints_rad: How far the joints of the arm start from where they should, all together
            (length of the vector); the direction follows from the initial state.
        blur: Standard deviation of a Gaussian blur of every picture, as a share of its side.

    Raises:
        ValueError: When a number is not possible, or only one of floor and wall is given.
    """

    camera_deg: tuple[float, float] = (0.0, 0.0)
    camera_distance: float = 1.0
    light: tuple[float, float, float] = (1.0, 1.0, 1.0)
    floor: str = ""
    wall: str = ""
    swapped: bool = False
    joints_rad: float = 0.0
    blur: float = 0.0

    def __post_init__(self) -> None:
        found: list[str] = []
        if not self.camera_distance > 0 or min(self.light) < 0:
            found.append("distance and light must be above 0")
        if min(self.joints_rad, self.blur) < 0:
            found.append("joints_rad and blur must be at least 0")
        if bool(self.floor) != bool(self.wall):
            found.append("give both floor and wall, or neither")
        if found:
            raise ValueError(f"{self} is not possible: " + "; ".join(found) + ".")


FACTORS = (
    Factor(
        name="camera",
        words="the outside camera stands 15 degrees further right and 5 higher",
        shift={"camera_deg": (15.0, 5.0)},
    ),
    Factor(name="light", words="light at 60 %, and redder", shift={"light": (0.6, 0.48, 0.48)}),
    Factor(
        name="texture",
        words="a rustic floor and a dark blue wall",
        shift={"floor": "rustic", "wall": "dark-blue"},
    ),
    Factor(name="layout", words="two objects have changed places", shift={"swapped": True}),
    Factor(
        name="initial-pose",
        words="the joints of the arm start 0.2 rad from where they should",
        shift={"joints_rad": 0.2},
    ),
    Factor(name="sensor", words="every picture is blurred", shift={"blur": 0.02}),
    Factor(name="language", words="other wordings", condition="paraphrase"),
)


def shift_from_plain(plain: Mapping[str, Any]) -> Shift:
    """Read a shift that was written as JSON."""
    values = dict(plain)
    for name in ("camera_deg", "light"):
        if name in values:
            values[name] = tuple(float(value) for value in values[name])
    return Shift(**values)


def orbited(
    place: NDArray[np.float64],
    turn: NDArray[np.float64],
    centre: NDArray[np.float64],
    shift: Shift,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where a camera stands after it has gone around what it looks at, and how it is turned.

    Args:
        place: float64 [3], metres.
        turn: float64 [3, 3]; columns are right, up and back in the picture.
        centre: float64 [3], what it looks at.
        shift: How far it goes.
    """
    right, up = np.deg2rad(shift.camera_deg)
    aside = matrix_from_axis_angle(np.array([0.0, 0.0, right]))
    above = matrix_from_axis_angle(-up * (aside @ turn[:, 0]))
    move = above @ aside
    return centre + shift.camera_distance * (move @ (place - centre)), move @ turn


def arm_offset(count: int, length_rad: float, state_id: str) -> NDArray[np.float64]:
    """By how much each joint starts elsewhere, the same for everyone who starts in a state.

    Args:
        count: Joints.
        length_rad: Length of the vector.
        state_id: Id of the initial state.
    """
    direction = np.random.default_rng(seed_at(0, "arm", state_id)).normal(size=count)
    return length_rad * direction / np.linalg.norm(direction)


def blurred(picture: NDArray[np.uint8], share: float) -> NDArray[np.uint8]:
    """A picture [side, side, 3] under a Gaussian blur; its edge is repeated beyond it."""
    spread = share * len(picture)
    reach = int(np.ceil(3 * spread))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / spread) ** 2)
    weights /= weights.sum()
    values = picture.astype(np.float64)
    for axis in (0, 1):
        pad = [(reach, reach) if one == axis else (0, 0) for one in range(3)]
        wide = np.lib.stride_tricks.sliding_window_view(
            np.pad(values, pad, mode="edge"), len(weights), axis
        )
        values = wide @ weights
    return np.rint(values).astype(np.uint8)
