"""pi0.5's weights under our recipe give what LeRobot's code gives; others are refused."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from checks import pi0, pi05
from checks.library import made_weights, relative_error
from fakes.checkpoint_files import recorded as layout
from vertebra.policy.adapt_pi05 import binned, pi05_body, renamed
from vertebra.policy.network import Network
from vertebra.policy.released import fill_with
from vertebra.recipes.pi0 import PI0
from vertebra.spec.errors import SpecMismatch
from vertebra.spec.observation import Dim

MADE: dict[str, Any] = json.loads(
    (Path(__file__).parent / "recorded/lerobot_pi05.json").read_text()
)
NEAR = 1e-4
RELEASED = pytest.mark.parametrize("name", ["policy_openpi_pi05", "policy_lerobot_pi05"])


def tensor(name: str) -> Tensor:
    return torch.tensor(MADE[name], dtype=torch.float32)


def network() -> Network:
    return pi05.network_of_pi05(pi0.RecordedTower(tensor("pixel_means"), tensor("features")))


def test_loss_of_pi05_is_that_of_lerobot() -> None:
    assert relative_error(pi0.our_loss(network()), tensor("loss")) < NEAR


def test_actions_of_pi05_are_those_of_lerobot() -> None:
    wanted = tensor("actions")
    assert relative_error(pi0.our_actions(network()), wanted) < NEAR
    assert relative_error(pi0.start(), wanted) > 0.1


@pytest.mark.parametrize(
    "weight",
    [
        "attention.experts.vlm.1.self_attn.k_proj.weight",
        "attention.experts.action.0.input_layernorm.dense.weight",
        "attention.experts.action.1.post_attention_layernorm.dense.bias",
        "attention.norms.action.dense.weight",
        "conditions.action.out.weight",
        "inputs.action.value.bias",
    ],
)
def test_every_part_of_pi05_matters_to_the_comparison(weight: str) -> None:
    changed = network()
    with torch.no_grad():
        changed.get_parameter(weight).mul_(0.9)
    assert relative_error(pi0.our_actions(changed), tensor("actions")) > NEAR


def empty(name: str) -> Network:
    """A network as large as a recorded checkpoint, with new weights."""
    more = tuple(Dim(name=f"unused_{i}", unit="1") for i in range(2))
    makes = replace(pi05.SHAPE.makes, dims=(*pi05.SHAPE.makes.dims, *more))
    shape = replace(pi05.SHAPE, makes=makes)
    sizes, tower = pi05.recorded_sizes(), pi05.recorded_tower(name)
    return Network(shape, pi05_body(shape, sizes, tower, pi05.PROMPTS))


def weights(name: str) -> dict[str, Tensor]:
    return made_weights({n: tuple(shape) for n, shape in layout(name).tensors.items()})


@RELEASED
def test_a_released_pi05_loads_with_nothing_missing_and_nothing_left_over(name: str) -> None:
    found, network = weights(name), empty(name)
    fill_with(network, renamed(found), name)
    start = "model." if "lerobot" in name else ""
    torch.testing.assert_close(
        network.get_parameter("conditions.action.mix.weight"), found[start + "time_mlp_in.weight"]
    )
    expert = start + "paligemma_with_expert.gemma_expert.model.norm.dense.bias"
    torch.testing.assert_close(
        network.get_parameter("attention.norms.action.dense.bias"), found[expert]
    )


@RELEASED
def test_a_damaged_pi05_is_refused_with_everything_that_differs(name: str) -> None:
    start = "model." if "lerobot" in name else ""
    damaged = weights(name)
    damaged[start + "action_in_proj.weight"] = torch.zeros(3, 3)
    del damaged[start + "time_mlp_out.bias"]
    with pytest.raises(SpecMismatch, match=r"(?s)conditions.action.out.bias' is missing.*\[3, 3\]"):
        fill_with(empty(name), renamed(damaged), name)
    with pytest.raises(SpecMismatch, match=r"'state_proj\.weight' is no weight of pi0\.5"):
        renamed({"state_proj.weight": torch.zeros(1)})


def test_the_state_is_said_in_bins_and_the_prompt_is_one_text() -> None:
    states = np.array([[-1.0, 0.0, 0.999, 1.5], [-2.0, -0.9961, 0.0078125, 0.5]])
    assert [binned(row) for row in states] == [[0, 128, 255, 255], [-1, 0, 129, 192]]
    letters = replace(pi05.PROMPTS, split=lambda text: [ord(one) for one in text], begin=0)
    (head,), (tail,) = letters([" lift_the\nbox "], states[:1])
    assert head[0] == 0
    assert "".join(map(chr, head[1:])) == "Task: lift the box, State:"
    assert "".join(map(chr, tail)) == " 0 128 255 255;\nAction: "
    (head,), (tail,) = replace(letters, says_state=False)(["lift"], states[:1])
    assert ("".join(map(chr, head[1:])), "".join(map(chr, tail))) == ("lift", "\n")


def test_pi0_cannot_stand_on_it_and_is_told_why() -> None:
    shape = replace(pi05.SHAPE, recipe=PI0)
    with pytest.raises(ValueError, match=r"(?s)'state' is embedded as .*, expected .*words"):
        pi05_body(shape, pi05.SIZES, torch.nn.Identity(), pi05.PROMPTS)
