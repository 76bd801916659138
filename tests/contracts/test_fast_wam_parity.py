"""Fast-WAM's weights under our recipe give what its own code gave, and can be trained on."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from checks import fast_wam
from checks.library import made_weights, relative_error
from fakes.checkpoint_files import recorded as layout
from fakes.episodes import MAKES, NEEDS, PX
from vertebra.policy.adapt_fast_wam import fast_wam_body, our_name, renamed
from vertebra.policy.losses import losses
from vertebra.policy.network import Network
from vertebra.policy.recipe import Recipe
from vertebra.policy.released import load_fast_wam
from vertebra.policy.released_conventions import Robot
from vertebra.policy.targets import Examples
from vertebra.policy.wan_parts import patches
from vertebra.recipes.dreamzero import DREAMZERO
from vertebra.recipes.fast_wam import FAST_WAM, FAST_WAM_IDM, FAST_WAM_JOINT
from vertebra.spec.errors import SpecMismatch

MADE: dict[str, Any] = json.loads(
    (Path(__file__).parent / "recorded/fast_wam_network.json").read_text()
)
NEAR = 2e-5
VARIANTS = pytest.mark.parametrize(
    "recipe", [FAST_WAM, FAST_WAM_JOINT, FAST_WAM_IDM], ids=lambda recipe: recipe.name
)


ROBOT = Robot(needs=NEEDS, makes=MAKES, cameras={"front": ("image",), "wrist": ("wrist_image",)})


def encode(pictures: Tensor) -> Tensor:
    """Pictures made small, as latents."""
    channels = nn.functional.pad(
        pictures.permute(0, 4, 1, 2, 3).float() / 255.0, (0, 0, 0, 0, 0, 0, 0, 1)
    )
    return nn.functional.adaptive_avg_pool3d(channels, (pictures.shape[1], 4, 6))


def weights() -> dict[str, Tensor]:
    """Weights under Fast-WAM's own names."""
    own = {name: tuple(v.shape) for name, v in fast_wam.network().state_dict().items()}
    return made_weights({name: own[our_name(name)] for name in fast_wam.original_names()})


def test_video_and_action_read_together_as_in_the_original() -> None:
    found = fast_wam.our_velocities(fast_wam.network())
    for name, value in found.items():
        assert relative_error(value, torch.tensor(MADE[name])) < NEAR, name


def test_actions_beside_a_kept_frame_are_those_of_the_original() -> None:
    made = fast_wam.our_actions(fast_wam.network())
    assert relative_error(made, torch.tensor(MADE["chunk"])) < NEAR
    assert relative_error(fast_wam.chunk(), torch.tensor(MADE["chunk"])) > 0.1


@pytest.mark.parametrize(
    "weight",
    [
        "attention.experts.video.0.attn1.norm_k.weight",
        "attention.experts.action.1.attn2.to_v.weight",
        "conditions.action.time_proj.weight",
        "conditions.video.text_embedder.linear_2.weight",
        "inputs.future.patch_embedding.weight",
        "senses.proprio.weight",
    ],
)
def test_every_part_matters_to_the_comparison(weight: str) -> None:
    network = fast_wam.network()
    with torch.no_grad():
        network.get_parameter(weight).mul_(0.5)
    assert relative_error(fast_wam.our_actions(network), torch.tensor(MADE["chunk"])) > NEAR


def test_names_of_released_weights_are_all_known() -> None:
    def first(names: set[str]) -> set[str]:
        return {n for n in names if "experts" not in n or n.split(".")[3] == "0"}

    released = {our_name(name) for name in layout("policy_fastwam").tensors}
    assert first(released) == first(set(fast_wam.network().state_dict()))
    with pytest.raises(SpecMismatch, match=r"'mot.ear.weight' is no weight of Fast-WAM"):
        renamed({"mot.ear.weight": torch.zeros(1)}, FAST_WAM.table)


@VARIANTS
def test_a_saved_fast_wam_is_loaded_and_a_damaged_one_refused(
    recipe: Recipe, tmp_path: Path
) -> None:
    path = tmp_path / "model.safetensors"
    save_file(weights(), path)
    save_statistics(tmp_path)
    shape = replace(fast_wam.SHAPE, recipe=recipe)
    parts: dict[str, Any] = {
        "encode": encode,
        "texts": lambda texts: fast_wam.states(),
        "robot": ROBOT,
    }
    network = load_fast_wam(shape, fast_wam.SIZES, tmp_path, **parts)
    known = weights()["mot.mixtures.video.patch_embedding.weight"]
    streams = [name for name in network.inputs if name != "action"]
    for name in streams:
        own = network.get_parameter(f"inputs.{name}.patch_embedding.weight")
        torch.testing.assert_close(own, known)
    damaged = load_file(path)
    damaged["proprio_encoder.weight"] = torch.zeros(2, 2)
    del damaged["mot.mixtures.action.head.bias"]
    save_file(damaged, path)
    with pytest.raises(SpecMismatch, match=r"(?s)outputs.action.bias' is missing.*\[2, 2\]"):
        load_fast_wam(shape, fast_wam.SIZES, tmp_path, **parts)


def save_statistics(directory: Path, kind: str = "default") -> None:
    """Statistics of the robot as Fast-WAM writes them."""

    def table(count: int) -> dict[str, list[float]]:
        ends = {"global_min": [-1.0] * count, "global_max": [1.0] * count}
        return {**ends, "stepwise_min": [-9.0] * count}

    plain = {"state": {kind: table(len(NEEDS.state))}, "action": {kind: table(len(MAKES.dims))}}
    (directory / "dataset_stats.json").write_text(json.dumps(plain))


@pytest.mark.parametrize(
    ("robot", "told"),
    [
        (
            replace(ROBOT, cameras={"front": ("wrist_image",), "wrist": ("image",)}),
            r"swapped: the policy takes \['image', 'wrist_image'\], .* \['wrist', 'front'\]",
        ),
        (replace(ROBOT, cameras={"front": ("image",)}), "'wrist_image' .* served by no camera"),
        (
            replace(ROBOT, states=np.full((4, len(NEEDS.state)), 300.0)),
            "state 'tool_x' lies between -1 and 1 in the statistics, between 300 and 300 here",
        ),
    ],
)
def test_swapped_cameras_and_foreign_statistics_are_refused(
    robot: Robot, told: str, tmp_path: Path
) -> None:
    save_file(weights(), tmp_path / "model.safetensors")
    save_statistics(tmp_path)
    with pytest.raises(SpecMismatch, match=told):
        load_fast_wam(
            fast_wam.SHAPE,
            fast_wam.SIZES,
            tmp_path,
            robot=robot,
            encode=encode,
            texts=lambda texts: fast_wam.states(),
        )


def examples(count: int = 2) -> Examples:
    wide = PX * len(NEEDS.cameras)
    return Examples(
        given=fast_wam.given(),
        actions=torch.zeros(count, fast_wam.TINY.horizon, len(MAKES.dims)),
        action_mask=torch.ones(count, fast_wam.TINY.horizon, dtype=torch.bool),
        future=torch.full((count, 2, PX, wide, 3), 255, dtype=torch.uint8),
        future_mask=torch.tensor([[True, True], [True, False]]),
        future_state=torch.zeros(count, 2, len(NEEDS.state)),
        points=torch.full((count, 2, 2), torch.nan),
        frame=torch.full((count,), 7),
        length=torch.full((count,), 9),
        real=torch.ones(count, dtype=torch.bool),
    )


@VARIANTS
def test_training_reaches_both_experts(recipe: Recipe) -> None:
    shape = replace(fast_wam.SHAPE, recipe=recipe)
    network = Network(
        shape, fast_wam_body(shape, fast_wam.SIZES, encode, lambda texts: fast_wam.states())
    )
    terms = losses(network, [examples()], torch.Generator().manual_seed(0))
    assert set(terms) == {"future", "action"}
    torch.stack([term.mean() for term in terms.values()]).sum().backward()
    untouched = {n for n, value in network.named_parameters() if value.grad is None}
    assert untouched == set()


def test_the_true_latents_are_those_after_the_present_frame() -> None:
    """With white pictures to come, the target is one in three channels, whatever the present is."""
    shape = fast_wam.SHAPE
    network = Network(
        shape, fast_wam_body(shape, fast_wam.SIZES, encode, lambda texts: fast_wam.states())
    )
    assert network.sees is not None
    seen = network.sees(torch.cat([torch.zeros(2, 1, PX, 2 * PX, 3).byte(), examples().future], 1))
    wanted = patches(torch.ones(2, 3, 2, 4, 6), (1, 2, 2))
    torch.testing.assert_close(seen[:, 6:, : wanted.shape[-1]], wanted)
    assert not seen[:, :6].any()
    wrong = replace(examples(), future=examples().future[:, :1])
    with pytest.raises(ValueError, match="future_steps and latents do not agree"):
        losses(network, [wrong], torch.Generator().manual_seed(0))


def test_a_recipe_that_cannot_stand_on_it_is_refused_with_every_reason() -> None:
    shape = replace(fast_wam.SHAPE, recipe=DREAMZERO)
    with pytest.raises(ValueError, match=r"(?s)'action' is served by 'video'.*remembers chunks"):
        fast_wam_body(shape, fast_wam.SIZES, encode, lambda texts: fast_wam.states())
