"""A tiny pi0 as transformers writes it, through the whole of a small benchmark."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from checks import pi0
from checks.library import save_tokenizer
from fakes.worlds import Plane
from vertebra.reproduce.open_pi import open_pi0
from vertebra.reproduce.record import Reproduction
from vertebra.reproduce.run import reproduce
from vertebra.reproduce.targets import TARGETS, Part
from vertebra.spec.errors import SpecMismatch

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
TARGET = replace(
    TARGETS[0],
    parts=(Part(name="plane", world="plane", episodes=2, rate=0.9),),
    benchmark="plane",
    execute=2,
    relative=0,
    cameras={"top": ("base_0_rgb",)},
)


def saved(directory: Path) -> Path:
    pytest.importorskip("transformers")
    special = {"pad_token": "<pad>", "bos_token": "<bos>", "unk_token": "<unk>"}
    save_tokenizer(directory, special)
    pi0.library_model().save_pretrained(directory)
    own = {
        name: {"mean": [0.0, 0.0], "std": [std, std]}
        for name, std in (("state", 1.0), ("actions", 0.05))
    }
    (directory / "norm_stats.json").write_text(json.dumps(own))
    return directory


def run(weights: Path, out: Path) -> Reproduction:
    return reproduce(
        TARGET,
        weights,
        out,
        open_policy=lambda robot: open_pi0(weights, robot, TARGET),
        make=lambda world: Plane(max_steps=6),
        lanes=2,
        software={},
        machine={},
    )


def test_it_loads_acts_and_is_far_from_the_published_number(tmp_path: Path) -> None:
    done = run(saved(tmp_path / "pi0"), tmp_path / "out")
    assert done.complete
    assert done.parts[0].errors == 0
    assert done.earned == "loads"


def test_weights_that_do_not_map_are_refused_before_any_episode(tmp_path: Path) -> None:
    directory = saved(tmp_path / "pi0")
    (path,) = directory.glob("*.safetensors")
    tensors = load_file(path)
    tensors["state_proj.weight"] = torch.zeros(3, 3)
    save_file(tensors, path)
    with pytest.raises(SpecMismatch, match=r"\[3, 3\]"):
        run(directory, tmp_path / "out")
    assert not (tmp_path / "out").exists()
