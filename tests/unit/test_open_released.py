"""Released policies are refused on another robot before a weight is read."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from checks import pi0
from fakes.episodes import MAKES, NEEDS
from vertebra.policy.released_conventions import Robot
from vertebra.reproduce.open_pi import open_pi0
from vertebra.reproduce.targets import TARGETS
from vertebra.spec.errors import SpecMismatch

ROBOT = Robot(
    needs=NEEDS,
    makes=MAKES,
    cameras={"front": ("base_0_rgb",), "wrist": ("left_wrist_0_rgb",)},
)
SWAPPED = replace(ROBOT, cameras={"front": ("left_wrist_0_rgb",), "wrist": ("base_0_rgb",)})
AWAY = replace(ROBOT, states=np.full((1, len(NEEDS.state)), 500.0))


def saved_pi0(directory: Path, state: int = len(NEEDS.state)) -> Path:
    """All of a pi0 but its weights."""
    (directory / "config.json").write_text(json.dumps(pi0.CONFIG))

    def own(count: int) -> dict[str, list[float]]:
        return {"mean": [0.0] * count, "std": [1.0] * count}

    plain = {"norm_stats": {"state": own(state), "actions": own(len(MAKES.dims))}}
    (directory / "norm_stats.json").write_text(json.dumps(plain))
    return directory


@pytest.mark.parametrize(
    ("robot", "state", "told"),
    [
        (SWAPPED, len(NEEDS.state), "the cameras are swapped"),
        (AWAY, len(NEEDS.state), "'tool_x' .* 500 and 500 here"),
        (ROBOT, 7, "of 7 numbers, the state of this robot has 3"),
    ],
)
def test_a_pi0_of_another_robot_is_refused(
    robot: Robot, state: int, told: str, tmp_path: Path
) -> None:
    with pytest.raises(SpecMismatch, match=told):
        open_pi0(saved_pi0(tmp_path, state), robot, TARGETS[0])
