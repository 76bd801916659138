"""Cosmos Policy's weights under our recipe read one clip as Cosmos-Predict2's transformer does."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from checks import cosmos_policy
from checks.library import relative_error
from fakes.checkpoint_files import recorded as layout
from fakes.episodes import MAKES, NEEDS
from vertebra.data.statistics import Scaling
from vertebra.policy.acting import TrainedPolicy
from vertebra.policy.adapt_cosmos_policy import cosmos_policy_body, our_name, renamed
from vertebra.policy.network import Network
from vertebra.policy.recipe import Recipe
from vertebra.policy.released_conventions import Robot
from vertebra.policy.released_wam import load_cosmos_policy
from vertebra.policy.settings_wam import cosmos_policy_stated
from vertebra.policy.shape import Shape
from vertebra.recipes.cosmos_policy import COSMOS_POLICY, COSMOS_POLICY_PLAN
from vertebra.recipes.fast_wam import FAST_WAM
from vertebra.spec.errors import SpecMismatch
from vertebra.spec.observation import Observation

MADE: dict[str, Any] = json.loads(
    (Path(__file__).parent / "recorded/cosmos_policy_network.json").read_text()
)
NEAR = 2e-5
CAMERAS = ("hand", "outside")
ROBOT = Robot(needs=NEEDS, makes=MAKES, cameras={"front": ("hand",), "wrist": ("outside",)})


@pytest.fixture(name="network", scope="module")
def made() -> Network:
    return cosmos_policy.network()


def test_one_pass_over_the_clip_is_that_of_cosmos(network: Network) -> None:
    found = cosmos_policy.our_velocities(network)
    assert set(found) == set(MADE)
    for name, value in found.items():
        assert relative_error(value, torch.tensor(MADE[name])) < NEAR, name


@pytest.mark.parametrize(
    "weight",
    [
        "attention.experts.video.0.attn1.norm_k.weight",
        "attention.experts.video.1.attn2.to_v.weight",
        "attention.experts.video.1.norm2.linear_2.weight",
        "attention.norms.video.linear_1.weight",
        "conditions.video.t_embedder.linear_2.weight",
        "conditions.video.norm.weight",
        "inputs.future.proj.weight",
    ],
)
def test_every_part_matters_to_the_comparison(weight: str, network: Network) -> None:
    own = network.get_parameter(weight)
    kept = own.detach().clone()
    with torch.no_grad():
        own.mul_(0.5)
    found = cosmos_policy.our_velocities(network)["action"]
    with torch.no_grad():
        own.copy_(kept)
    assert relative_error(found, torch.tensor(MADE["action"])) > NEAR


def test_names_of_released_weights_are_all_known(network: Network) -> None:
    released = {our_name(weight) for weight in layout("policy_cosmos_policy").tensors} - {None}
    assert released == set(network.state_dict())
    told = r"'net.action_head.weight' is no weight of Cosmos Policy"
    with pytest.raises(SpecMismatch, match=told):
        renamed({"net.action_head.weight": torch.zeros(1)})


def saved(directory: Path) -> Path:
    """Weights and statistics beside them; returns the weights."""
    plain = {
        f"{of}_{kind}": [number] * count
        for of, count in (("actions", len(MAKES.dims)), ("proprio", len(NEEDS.state)))
        for kind, number in (("min", -1.0), ("max", 1.0))
    }
    (directory / "libero_dataset_statistics.json").write_text(json.dumps(plain))
    path = directory / "model.safetensors"
    save_file(cosmos_policy.weights(), path)
    return path


def loaded(directory: Path, shape: Shape = cosmos_policy.SHAPE, robot: Robot = ROBOT) -> Network:
    parts: dict[str, Any] = {"encode": cosmos_policy.encoded, "texts": cosmos_policy.told}
    sizes = cosmos_policy.SIZES
    return load_cosmos_policy(shape, directory, CAMERAS, robot=robot, sizes=sizes, **parts)


@pytest.mark.parametrize(
    "recipe", [COSMOS_POLICY, COSMOS_POLICY_PLAN], ids=lambda recipe: recipe.name
)
def test_a_saved_cosmos_policy_is_loaded_and_a_damaged_one_refused(
    recipe: Recipe, tmp_path: Path
) -> None:
    path = saved(tmp_path)
    shape = replace(cosmos_policy.SHAPE, recipe=recipe)
    network = loaded(tmp_path, shape).eval()
    found = cosmos_policy.our_velocities(network)["action"]
    assert relative_error(found, torch.tensor(MADE["action"])) < NEAR
    damaged = load_file(path)
    damaged["net.final_layer.linear.weight"] = torch.zeros(2, 2)
    del damaged["net.t_embedding_norm.weight"]
    save_file(damaged, path)
    told = r"(?s)conditions.video.norm.weight' is missing.*outputs.future.proj_out.*\[2, 2\]"
    with pytest.raises(SpecMismatch, match=told):
        loaded(tmp_path, shape)


def test_swapped_cameras_and_foreign_statistics_are_refused(tmp_path: Path) -> None:
    saved(tmp_path)
    swapped = replace(ROBOT, cameras={"front": ("outside",), "wrist": ("hand",)})
    with pytest.raises(SpecMismatch, match="the cameras are swapped"):
        loaded(tmp_path, robot=swapped)
    far = replace(ROBOT, states=torch.full((4, len(NEEDS.state)), 300.0).numpy())
    with pytest.raises(SpecMismatch, match="state 'tool_x' lies between -1 and 1"):
        loaded(tmp_path, robot=far)
    (tmp_path / "libero_dataset_statistics.json").unlink()
    with pytest.raises(ValueError, match="would have other units"):
        loaded(tmp_path)


def test_a_loaded_policy_acts(network: Network, tmp_path: Path) -> None:
    saved(tmp_path)
    stated = cosmos_policy_stated(tmp_path, CAMERAS)
    assert stated.state is not None
    names = [[dim.name for dim in dims] for dims in (NEEDS.state, MAKES.dims)]
    policy = TrainedPolicy(
        network=network,
        state_normaliser=stated.state.normaliser(Scaling.MIN_MAX, names[0], small=0.0),
        action_normaliser=stated.action.normaliser(Scaling.MIN_MAX, names[1], small=0.0),
    )
    given = cosmos_policy.given()
    observations = [
        Observation(
            images={name: image[i].numpy() for name, image in given.images.items()},
            state=given.state[i].numpy(),
            instruction=given.instructions[i],
            executed=torch.zeros(0, len(MAKES.dims)).numpy(),
        )
        for i in range(cosmos_policy.COUNT)
    ]
    answers = policy.act_batch([policy.start(0), policy.start(1)], observations)
    chunks = [torch.from_numpy(act.chunk) for _, act in answers]
    assert all(chunk.shape == (network.shape.horizon, len(MAKES.dims)) for chunk in chunks)
    assert all(chunk.isfinite().all() for chunk in chunks)
    assert dict(answers[0][1].evaluations)["action"] == COSMOS_POLICY.plain_schedule.steps


def test_what_it_cannot_stand_under_and_training_are_refused(network: Network) -> None:
    parts = (cosmos_policy.SIZES, cosmos_policy.encoded, cosmos_policy.told)
    with pytest.raises(ValueError, match=r"(?s)'action' is served by 'action'.*no stream 'value'"):
        cosmos_policy_body(replace(cosmos_policy.SHAPE, recipe=FAST_WAM), *parts)
    size = cosmos_policy.SHAPE.size
    assert size.latents is not None
    one = replace(size, latents=replace(size.latents, frames=1))
    with pytest.raises(ValueError, match="expected 2 frames of 16 numbers"):
        cosmos_policy_body(replace(cosmos_policy.SHAPE, size=one), *parts)
    assert network.sees is not None
    with pytest.raises(ValueError, match="act here and are not trained"):
        network.sees(torch.zeros(1))
