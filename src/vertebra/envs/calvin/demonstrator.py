"""A scripted hand for the plainest of CALVIN's tasks: lifting a block, and pressing the button.

It knows where things are and follows a few poses; everything else it refuses.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vertebra.envs.calvin.chains import COLOURS

STEP_M, STEP_RAD = 0.02, 0.05
"""What an action of 1 means."""
OPEN, CLOSED = 1.0, -1.0
ABOVE_M, LIFTED_M, PRESSED_M = 0.12, 0.14, 0.012
WAIT = 12
"""Steps in which the hand comes to rest, or closes."""
_LIFT = {f"lift_{colour}_block_table": place for place, colour in enumerate(COLOURS)}
_PRESS = ("turn_on_led", "turn_off_led")


@dataclass(frozen=True, kw_only=True)
class Pose:
    """Where the tool goes, and what the gripper does there.

    Attributes:
        place_m: Position [3].
        yaw_rad: Angle about the vertical.
        gripper: ``OPEN`` or ``CLOSED``.
        wait: Steps to stay.
    """

    place_m: NDArray[np.float64]
    yaw_rad: float
    gripper: float
    wait: int = 0


def demonstrable(task: str) -> bool:
    """Whether there is a script for a task."""
    return task in _LIFT or task in _PRESS


def poses(
    task: str,
    robot: NDArray[np.float64],
    scene: NDArray[np.float64],
    button_m: NDArray[np.float64],
) -> tuple[Pose, ...]:
    """The poses that carry out a task.

    Args:
        task: CALVIN's name.
        robot: The robot's numbers [15].
        scene: The scene's numbers [24].
        button_m: Where the button is [3].

    Raises:
        ValueError: When there is no script.
    """
    yaw = float(robot[5])
    up = np.array([0.0, 0.0, ABOVE_M])
    if task in _PRESS:
        down = button_m - [0.0, 0.0, PRESSED_M]
        press = (
            Pose(place_m=button_m + up, yaw_rad=yaw, gripper=CLOSED, wait=WAIT),
            Pose(place_m=down, yaw_rad=yaw, gripper=CLOSED, wait=WAIT),
        )
        # In the calvin_env that CALVIN pins, a lamp that is on at the start takes two presses.
        return press * 2
    if task not in _LIFT:
        raise ValueError(f"No demonstrator is known for {task!r}.")
    at = 6 + 6 * _LIFT[task]
    block, turned = scene[at : at + 3], float(scene[at + 5])
    lifted = block + np.array([0.0, 0.0, LIFTED_M])
    across = yaw + _least_turn(turned - yaw)
    return (
        Pose(place_m=block + up, yaw_rad=across, gripper=OPEN, wait=WAIT),
        Pose(place_m=block, yaw_rad=across, gripper=OPEN, wait=WAIT),
        Pose(place_m=block, yaw_rad=across, gripper=CLOSED, wait=WAIT),
        Pose(place_m=lifted, yaw_rad=across, gripper=CLOSED, wait=WAIT),
    )


def actions(robot: NDArray[np.float64], through: tuple[Pose, ...]) -> Iterator[NDArray[np.float32]]:
    """Relative actions that lead the target pose through poses, then stay at the last one."""
    place, yaw = robot[:3].copy(), float(robot[5])
    for pose in through:
        waited = 0
        while waited <= pose.wait:
            move = np.clip((pose.place_m - place) / STEP_M, -1, 1)
            turn = float(np.clip((pose.yaw_rad - yaw) / STEP_RAD, -1, 1))
            place, yaw = place + move * STEP_M, yaw + turn * STEP_RAD
            waited += bool(np.allclose(place, pose.place_m) and np.isclose(yaw, pose.yaw_rad))
            yield np.array([*move, 0.0, 0.0, turn, pose.gripper], np.float32)
    while True:
        yield np.array([*[0.0] * 6, through[-1].gripper], np.float32)


def _least_turn(angle_rad: float) -> float:
    """The smallest turn after which a square looks the same as after this one."""
    quarter = np.pi / 2
    return float((angle_rad + quarter / 2) % quarter - quarter / 2)
