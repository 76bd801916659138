"""Released policies are refused on another robot before a weight is read."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from checks import pi0
from fakes.episodes import MAKES, NEEDS
from vertebra.policy.released_conventions import Robot
from vertebra.policy.released_pi import pi_release
from vertebra.reproduce.open_pi import open_pi0, open_pi05
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


GEMMAS = {"paligemma_variant": "gemma_2b", "action_expert_variant": "gemma_300m"}
OPENPI: dict[str, Any] = {**GEMMAS, "action_dim": 32, "action_horizon": 10}
LEROBOT: dict[str, Any] = {
    **GEMMAS,
    "type": "pi05",
    "chunk_size": 50,
    "max_state_dim": 32,
    "max_action_dim": 32,
    "image_resolution": [224, 224],
    "use_relative_actions": False,
    "normalization_mapping": {"STATE": "QUANTILES", "ACTION": "QUANTILES"},
    "input_features": {
        f"observation.images.{name}": {"type": "VISUAL", "shape": [3, 224, 224]}
        for name in ("base_0_rgb", "left_wrist_0_rgb")
    },
}


def saved_pi05(directory: Path, config: dict[str, Any], state: int) -> Path:
    """All of a pi0.5 but its weights and its tokenizer."""
    (directory / "config.json").write_text(json.dumps(config))
    counts = {"observation.state": state, "action": len(MAKES.dims)}
    ends = {"q01": -1.0, "q99": 1.0}
    if "type" not in config:
        openpi = zip(("state", "actions"), counts.values(), strict=True)
        plain = {of: {kind: [end] * n for kind, end in ends.items()} for of, n in openpi}
        (directory / "norm_stats.json").write_text(json.dumps({"norm_stats": plain}))
        return directory
    tables = {
        f"{of}.{kind}": np.full(count, end, np.float32)
        for of, count in counts.items()
        for kind, end in ends.items()
    }
    save_file(tables, directory / "state.safetensors")
    step = {"registry_name": "normalizer_processor", "state_file": "state.safetensors"}
    (directory / "policy_preprocessor.json").write_text(json.dumps({"steps": [step]}))
    return directory


@pytest.mark.parametrize("config", [OPENPI, LEROBOT], ids=["openpi", "lerobot"])
@pytest.mark.parametrize(
    ("robot", "state", "told"),
    [
        (SWAPPED, len(NEEDS.state), "the cameras are swapped"),
        (AWAY, len(NEEDS.state), "'tool_x' .* 500 and 500 here"),
        (ROBOT, 7, "of 7 numbers, the state of this robot has 3"),
    ],
)
def test_a_pi05_of_another_robot_is_refused(
    config: dict[str, Any], robot: Robot, state: int, told: str, tmp_path: Path
) -> None:
    with pytest.raises(SpecMismatch, match=told):
        open_pi05(saved_pi05(tmp_path, config, state), robot, TARGETS[1])


def test_actions_that_are_relative_are_not_run_as_others(tmp_path: Path) -> None:
    weights = saved_pi05(tmp_path, {**LEROBOT, "use_relative_actions": True}, len(NEEDS.state))
    with pytest.raises(
        SpecMismatch, match="are relative to the state, this robot's are run as not"
    ):
        open_pi05(weights, ROBOT, TARGETS[1])


def test_configurations_of_openpi_and_lerobot_are_told_apart() -> None:
    one, other = pi_release(OPENPI, "pi05"), pi_release(LEROBOT, "pi05")
    assert (one.written_by, one.horizon, other.written_by, other.horizon) == (
        *("openpi", 10),
        *("lerobot", 50),
    )
    assert one.sizes == other.sizes
    assert one.sizes.action.adaptive
    assert not pi_release(OPENPI, "pi0").sizes.action.adaptive


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({**LEROBOT, "type": "pi0"}, "it is of 'pi0', expected 'pi05'"),
        ({**OPENPI, "paligemma_variant": "gemma_9b"}, "paligemma_variant is 'gemma_9b'"),
        ({**LEROBOT, "use_visual_memory": True}, "use_visual_memory is set"),
        ({"model_type": "llama"}, "(?s)it is of 'llama'.*action_expert_variant is None"),
    ],
)
def test_other_configurations_are_refused(config: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        pi_release(config, "pi05")
