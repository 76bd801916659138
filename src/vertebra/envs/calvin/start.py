"""Where everything is at the start: from a symbolic state to the numbers that restore it.

Source: mees/calvin calvin_models/calvin_agent/evaluation/utils.py (poses, seeds and draws).
"""

import numpy as np
from numpy.typing import NDArray

from vertebra.envs.calvin.chains import (
    BULB,
    COLOURS,
    DRAWER,
    LED,
    PARTS,
    SLIDER,
    TABLE,
    State,
    block,
)

Vector = NDArray[np.float64]

ARM_M_RAD = (-1.21779124, 1.03987629, 2.11978254, -2.34205014, -0.87015899, 1.64119093, 0.55344928)
TOOL_M_RAD = (0.02586889, -0.2313129, 0.5712808, 3.09045411, -0.02908596, 1.50013585)
ROBOT: Vector = np.array([*TOOL_M_RAD, 0.07999963, *ARM_M_RAD, 1.0])
"""Tool position and angles, width of the gripper, joints, and the gripper's last command."""
SLOTS_M = {
    "slider_left": (-2.40851662e-01, 9.24044687e-02, 4.60990009e-01),
    "slider_right": (7.03416330e-02, 9.24044687e-02, 4.60990009e-01),
}
SPOTS_M = (
    (5.00000896e-02, -1.20000177e-01, 4.59990009e-01),
    (2.29995412e-01, -1.19995140e-01, 4.59990010e-01),
)
"""The two places on the table."""
OPEN_SLIDER_M, OPEN_DRAWER_M, BULB_ON_RAD = 0.28, 0.22, 0.088
YAW_RAD = (np.pi / 2 - np.pi / 8, np.pi / 2 + np.pi / 8)
HEIGHT_M, APART_M = 0.46, 0.12
TABLE_X_M = {"A": (-0.15, 0.30), "B": (-0.30, 0.10), "C": (0.05, 0.30), "D": (0.05, 0.30)}
TABLE_Y_M = (-0.14, -0.08)
"""Where blocks lie on the table of each scene, a margin left."""
SLOTS_X_M = {"A": (-0.24, 0.04), "B": (-0.03, 0.24), "C": (-0.03, 0.22), "D": (-0.24, 0.04)}
"""Middle of the left and of the right slot of each scene."""


def fnv1_32(text: str) -> int:
    """Hash of a text by FNV-1 with 32 bits, begun at 0 as ``pyhash`` does it."""
    found = 0
    for byte in text.encode():
        found = (found * 0x01000193) % 2**32 ^ byte
    return found


def seed_of(state: State) -> int:
    """The seed that goes with a state: a hash of what Python prints of its values."""
    return fnv1_32(f"dict_values({[state[part] for part in PARTS]!r})")


def starting_point(state: State) -> tuple[Vector, Vector]:
    """The robot's and the scene's numbers at a published start, in scene D.

    Args:
        state: What is where.

    Returns:
        Robot [15], and scene [24]: slider, drawer, button, switch, bulb, LED, and position and
        angles of the red, the blue and the pink block.
    """
    rng = np.random.RandomState(seed_of(state))
    spots = [np.array(spot) for spot in SPOTS_M]
    rng.shuffle(spots)
    scene = np.zeros(24)
    scene[0] = OPEN_SLIDER_M if state[SLIDER] == "left" else 0.0
    scene[1] = OPEN_DRAWER_M if state[DRAWER] == "open" else 0.0
    scene[3] = BULB_ON_RAD if state[BULB] == 1 else 0.0
    scene[4:6] = state[BULB], state[LED]
    for number, colour in enumerate(COLOURS):
        at = 6 + 6 * number
        place = state[block(colour)]
        if place == TABLE:
            scene[at : at + 3] = spots[_spot(state, colour)]
        else:
            scene[at : at + 3] = SLOTS_M[str(place)]
        scene[at + 5] = rng.uniform(*YAW_RAD)
    return ROBOT.copy(), scene


def drawn_start(state: State, letter: str, seed: int) -> tuple[Vector, Vector]:
    """The same with blocks drawn anew, in any scene: its table and its slots are elsewhere.

    Args:
        state: What is where.
        letter: The scene.
        seed: Seed of the places.
    """
    rng = np.random.default_rng(seed)
    robot, scene = starting_point(state)
    slots: dict[str, float] = dict(
        zip(("slider_left", "slider_right"), SLOTS_X_M[letter], strict=True)
    )
    taken: list[float] = []
    for number, colour in enumerate(COLOURS):
        at, place = 6 + 6 * number, state[block(colour)]
        if place == TABLE:
            x = rng.uniform(*TABLE_X_M[letter])
            while any(abs(x - other) < APART_M for other in taken):
                x = rng.uniform(*TABLE_X_M[letter])
            taken.append(x)
            scene[at : at + 3] = x, rng.uniform(*TABLE_Y_M), HEIGHT_M
        else:
            scene[at] = slots[str(place)]
        scene[at + 5] = rng.uniform(*YAW_RAD)
    return robot, scene


def _spot(state: State, colour: str) -> int:
    """Red takes the first place, pink the second, blue what red leaves."""
    if colour == "blue":
        return int(state[block("red")] == TABLE)
    return int(colour == "pink")
