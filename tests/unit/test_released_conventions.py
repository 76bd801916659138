"""A released policy on another robot is refused, and everything that differs is named."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from fakes.episodes import MAKES, NEEDS
from vertebra.data.statistics import Scaling
from vertebra.policy.released_conventions import (
    Robot,
    Stated,
    VectorStatistics,
    convention_differences,
    require_conventions,
    vector_statistics,
)
from vertebra.policy.released_statistics import lerobot_stated, openpi_stated
from vertebra.spec.errors import SpecMismatch


def spread(of: str, low: float, high: float, count: int) -> VectorStatistics:
    return vector_statistics(of, {"q01": [low] * count, "q99": [high] * count})


STATED = Stated(
    source="made up",
    cameras=("observation.images.base", "observation.images.hand"),
    state=spread("state", -0.4, 0.6, 3),
    action=spread("action", -0.9, 0.8, 4),
)
ROBOT = Robot(needs=NEEDS, makes=MAKES, cameras={"front": ("base",), "wrist": ("hand", "gripper")})


def test_the_robot_it_was_made_for_is_taken() -> None:
    rng = np.random.default_rng(0)
    states, actions = rng.uniform(-0.3, 0.5, (50, 3)), rng.uniform(-0.5, 0.5, (50, 4))
    require_conventions(STATED, replace(ROBOT, states=states, actions=actions))
    spare = replace(STATED, cameras=(*STATED.cameras, "other"), spare=frozenset({"other"}))
    assert convention_differences(spare, ROBOT) == []


@pytest.mark.parametrize(
    ("cameras", "told"),
    [
        ({"front": ("hand",), "wrist": ("base",)}, "the cameras are swapped: .*'wrist', 'front'"),
        ({"front": ("base",)}, "'wrist' is mapped to no image .*served by no camera"),
        ({"front": ("base",), "wrist": ("palm",)}, "hand' of the policy is served by no .*'palm'"),
        ({"front": ("base",), "wrist": ("hand",), "side": ("hand",)}, "'side' .* none of this"),
        ({"front": ("base", "hand"), "wrist": ("hand",)}, "by several cameras"),
    ],
)
def test_cameras_in_another_order_or_under_other_names(
    cameras: dict[str, tuple[str, ...]], told: str
) -> None:
    with pytest.raises(SpecMismatch, match=f"(?s)another robot:.*{told}"):
        require_conventions(STATED, replace(ROBOT, cameras=cameras))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"action": spread("action", -1, 1, 7)}, "of 7 numbers, the action of this robot has 4"),
        ({"action": spread("action", -1, 1, 3)}, "of 3 numbers"),
        ({"action": spread("action", -90, 90, 4)}, "between -90 and 90 .* robot takes -1 to 1"),
        ({"state": spread("state", 200, 700, 3)}, "'tool_x' .* 200 and 700 .* another unit"),
        ({"state": spread("state", -30, 40, 3)}, "'tool_z' .* -30 and 40 .* another unit"),
    ],
)
def test_statistics_of_another_robot(changes: dict[str, Any], told: str) -> None:
    states = np.random.default_rng(0).uniform(-0.3, 0.5, (50, 3))
    with pytest.raises(SpecMismatch, match=told):
        require_conventions(replace(STATED, **changes), replace(ROBOT, states=states))


def test_names_are_compared_where_both_sides_have_some() -> None:
    named = replace(STATED, state=replace(spread("state", -1, 1, 3), names=("x", "y", "z")))
    assert convention_differences(named, ROBOT) == []
    assert convention_differences(named, replace(ROBOT, state_names=("x", "y", "z"))) == []
    (told,) = convention_differences(named, replace(ROBOT, state_names=("z", "y", "x")))
    assert "are of ['x', 'y', 'z'], expected ['z', 'y', 'x']" in told


def test_actions_relative_to_the_state_are_compared_as_such() -> None:
    states = np.full((30, 3), 5.0)
    actions = np.random.default_rng(0).uniform(-0.5, 0.5, (30, 4))
    away = vector_statistics("action", {"q01": [-5.5] * 3 + [-1], "q99": [-4.5] * 3 + [1]})
    stated = replace(STATED, state=None, action=away)
    robot = replace(ROBOT, states=states, actions=actions, relative=3)
    assert convention_differences(stated, robot) == []
    assert len(convention_differences(stated, replace(robot, relative=0))) == 6


def test_padding_is_left_alone_and_tables_are_used_as_the_original_does() -> None:
    own = vector_statistics("action", {"mean": [1, 2, 0], "std": [2, 4, 0], "q01": [0, 1, 0]})
    plain = own.normaliser(Scaling.MEAN_STD, ["x", "y"], small=1e-6, padding=["unused"])
    values = plain.denormalise(np.ones((1, 3), np.float32))
    assert values[0].tolist() == pytest.approx([3.0, 6.0, 1.0], abs=1e-4)
    assert own.fits(2)
    assert not own.fits(1)
    with pytest.raises(ValueError, match=r"have no 'q99', only \['mean', 'q01', 'std'\]"):
        own.normaliser(Scaling.QUANTILES, ["x", "y"], small=0.0)
    ends = vector_statistics("state", {"min": [-2.0], "max": [6.0]})
    made = ends.normaliser(Scaling.MIN_MAX, ["x"], small=0.0)
    assert made.normalise(np.array([[-2.0], [2.0], [6.0]])).T.tolist() == [[-1.0, 0.0, 1.0]]


@pytest.mark.parametrize(
    "plain", [{}, {"mean": [1.0], "std": [1.0, 2.0]}, {"mean": [float("nan")]}, {"count": 3}]
)
def test_tables_that_are_no_statistics_are_refused(plain: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="tables of one length of finite numbers"):
        vector_statistics("state", plain)


def test_statistics_of_openpi_are_read(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="found none"):
        openpi_stated(tmp_path)
    own = {"mean": [0.0] * 4, "std": [1.0] * 4}
    (tmp_path / "assets" / "lab").mkdir(parents=True)
    path = tmp_path / "assets" / "lab" / "norm_stats.json"
    path.write_text(json.dumps({"norm_stats": {"state": own, "actions": own}}))
    found = openpi_stated(tmp_path)
    assert found.state is not None
    assert (found.state.width, found.spare) == (4, {"left_wrist_0_rgb", "right_wrist_0_rgb"})
    path.write_text(json.dumps({"norm_stats": {"state": own}}))
    with pytest.raises(ValueError, match="no 'actions', only"):
        openpi_stated(tmp_path)


def test_statistics_of_lerobot_are_read(tmp_path: Path) -> None:
    tables = {
        f"{of}.{kind}": np.full(count, value, np.float32)
        for of, count in (("observation.state", 3), ("action", 4))
        for kind, value in (("q01", -1.0), ("q99", 1.0))
    }
    save_file({**tables, "action.count": np.ones(4)}, tmp_path / "normaliser.safetensors")
    config = {
        "input_features": {
            "observation.images.base": {"type": "VISUAL", "shape": [3, 8, 8]},
            "observation.images.empty_camera_0": {"type": "VISUAL", "shape": [3, 8, 8]},
            "observation.state": {"type": "STATE", "shape": [3]},
        }
    }
    step = {"registry_name": "normalizer_processor", "state_file": "normaliser.safetensors"}
    path = tmp_path / "policy_preprocessor.json"
    path.write_text(json.dumps({"steps": [{"registry_name": "rename"}, step]}))
    found = lerobot_stated(tmp_path, config)
    assert found.cameras == ("observation.images.base", "observation.images.empty_camera_0")
    assert found.spare == {"observation.images.empty_camera_0"}
    assert found.action.tables["q99"] == (1.0,) * 4
    path.write_text(json.dumps({"steps": [step, step]}))
    with pytest.raises(ValueError, match="one normaliser"):
        lerobot_stated(tmp_path, config)
