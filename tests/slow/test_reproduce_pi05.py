"""A tiny pi0.5 as openpi and as LeRobot write it, through the whole of a small benchmark."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file as save_numbers
from safetensors.torch import save_file

from checks import pi05
from checks.library import made_weights, save_tokenizer
from fakes.worlds import ACTION, OBSERVATION, Plane
from vertebra.policy.adapt_pi05 import pi05_body
from vertebra.policy.network import Network
from vertebra.policy.released import picture_tower
from vertebra.policy.released_conventions import Robot
from vertebra.policy.released_pi import PaliGemma, pi_release
from vertebra.reproduce.open_pi import open_pi05, padded, padded_shape
from vertebra.reproduce.run import reproduce
from vertebra.reproduce.targets import TARGETS, Part
from vertebra.spec.errors import SpecMismatch

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
BASE = PaliGemma(vision=pi05.EYES, vocabulary=40)
TARGET = replace(
    TARGETS[1],
    parts=(Part(name="plane", world="plane", episodes=2, rate=0.9),),
    benchmark="plane",
    execute=2,
    cameras={"top": ("base_0_rgb",)},
    stateless=False,
)
ROBOT = Robot(needs=OBSERVATION, makes=ACTION, cameras=TARGET.cameras)
GEMMAS = {"paligemma_variant": "dummy", "action_expert_variant": "dummy"}
OPENPI = {**GEMMAS, "action_dim": 4, "action_horizon": 6, "precision": "float32"}
LEROBOT: dict[str, Any] = {
    **GEMMAS,
    "type": "pi05",
    "chunk_size": 6,
    "max_state_dim": 4,
    "max_action_dim": 4,
    "image_resolution": [32, 32],
    "use_relative_actions": False,
    "normalization_mapping": {"STATE": "QUANTILES", "ACTION": "QUANTILES"},
    "input_features": {
        "observation.images.base_0_rgb": {"type": "VISUAL", "shape": [3, 16, 16]},
        "observation.images.empty_camera_0": {"type": "VISUAL", "shape": [3, 16, 16]},
    },
}


def saved(directory: Path, config: dict[str, Any]) -> Path:
    pytest.importorskip("transformers")
    special = {"pad_token": "<pad>", "bos_token": "<bos>", "unk_token": "<unk>"}
    save_tokenizer(directory, special)
    (directory / "config.json").write_text(json.dumps(config))
    lerobot = "type" in config
    release = pi_release(config, "pi05", BASE)
    shape = padded_shape(ROBOT, TARGET, release.horizon, padded(ROBOT, release.sizes.actions))
    tower = picture_tower(release.vision)
    own = Network(shape, pi05_body(shape, release.sizes, tower, pi05.PROMPTS)).state_dict()
    theirs = pi05.released_names({name: tuple(value.shape) for name, value in own.items()})
    start = "model." if lerobot else ""
    weights = made_weights({start + name: tuple(own[ours].shape) for name, ours in theirs.items()})
    save_file(weights, directory / "model.safetensors")
    ends = {"state": (0.0, 1.0), "actions": (-0.1, 0.1)}
    if not lerobot:
        plain = {k: {"q01": [low] * 2, "q99": [high] * 2} for k, (low, high) in ends.items()}
        (directory / "norm_stats.json").write_text(json.dumps({"norm_stats": plain}))
        return directory
    tables = {
        f"{of}.{kind}": np.full(2, value, np.float32)
        for of, pair in (("observation.state", ends["state"]), ("action", ends["actions"]))
        for kind, value in zip(("q01", "q99"), pair, strict=True)
    }
    save_numbers(tables, directory / "policy_preprocessor_step_3_normalizer_processor.safetensors")
    step = {
        "registry_name": "normalizer_processor",
        "state_file": "policy_preprocessor_step_3_normalizer_processor.safetensors",
    }
    (directory / "policy_preprocessor.json").write_text(json.dumps({"steps": [step]}))
    return directory


@pytest.mark.parametrize("config", [OPENPI, LEROBOT], ids=["openpi", "lerobot"])
def test_it_loads_and_acts(config: dict[str, Any], tmp_path: Path) -> None:
    weights = saved(tmp_path / "pi05", config)
    done = reproduce(
        TARGET,
        weights,
        tmp_path / "out",
        open_policy=lambda robot: open_pi05(weights, robot, TARGET, BASE),
        make=lambda world: Plane(max_steps=6),
        lanes=2,
        software={},
        machine={},
    )
    assert done.complete
    assert done.parts[0].errors == 0
    swapped = replace(ROBOT, cameras={"top": ("left_wrist_0_rgb",)})
    with pytest.raises(SpecMismatch, match="base_0_rgb' of the policy is served by no camera"):
        open_pi05(weights, swapped, TARGET, BASE)
