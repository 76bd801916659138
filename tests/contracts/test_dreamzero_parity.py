"""DreamZero's weights under our recipe give what its own transformer gave."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from checks import dreamzero
from checks.latent_robot import noise
from checks.library import relative_error
from fakes.checkpoint_files import recorded as layout
from fakes.episodes import MAKES, NEEDS
from vertebra.policy.adapt_dreamzero import dreamzero_body, dreamzero_sizes, our_name, renamed
from vertebra.policy.dreamzero_parts import agibot, droid
from vertebra.policy.network import Network
from vertebra.policy.recipe import Recipe
from vertebra.policy.released_conventions import Robot
from vertebra.policy.released_wam import load_dreamzero
from vertebra.policy.settings_wam import DREAMZERO_DROID
from vertebra.policy.shape import Shape
from vertebra.recipes.dreamzero import DREAMZERO, DREAMZERO_FLASH
from vertebra.recipes.fast_wam import FAST_WAM
from vertebra.recipes.lingbot_va import LINGBOT_VA_SHARED
from vertebra.spec.errors import SpecMismatch

MADE: dict[str, Any] = json.loads(
    (Path(__file__).parent / "recorded/dreamzero_network.json").read_text()
)
NEAR = 2e-5
SETTING = replace(
    DREAMZERO_DROID, cameras=("exterior", "hand"), state=("place",), action=("move", "gripper")
)
ROBOT = Robot(needs=NEEDS, makes=MAKES, cameras={"front": ("exterior",), "wrist": ("hand",)})
FRAME = "inputs.future.patch_embedding.weight"


def test_two_chunks_are_those_of_the_original_when_the_state_sees_what_it_sees_there() -> None:
    found = dreamzero.our_chunks(dreamzero.network(dreamzero.AS_IT_ACTS))
    for name, value in found.items():
        assert relative_error(value, torch.tensor(MADE[name])) < NEAR, name
    start = noise(dreamzero.SHAPE, 1)["action"]
    assert relative_error(start, torch.tensor(MADE["action 1"])) > 0.1


@pytest.fixture(name="network", scope="module")
def made() -> Network:
    return dreamzero.network()


def test_a_chunk_in_training_is_that_of_the_original(network: Network) -> None:
    for name, value in dreamzero.our_velocities(network).items():
        assert relative_error(value, torch.tensor(MADE[name])) < NEAR, name


@pytest.mark.parametrize(
    "weight",
    [
        "attention.experts.video.0.attn1.norm_k.weight",
        "attention.experts.video.1.attn2.add_v_proj.weight",
        "attention.norms.video.scale_shift_table",
        "conditions.video.image_embedder.norm2.weight",
        "conditions.video.text_embedder.linear_2.weight",
        FRAME,
        "inputs.action.W2.W",
        "outputs.action.layer1.b",
        "senses.state.layer2.W",
    ],
)
def test_every_part_matters_to_the_comparison(weight: str, network: Network) -> None:
    own = network.get_parameter(weight)
    kept = own.detach().clone()
    with torch.no_grad():
        own.mul_(0.5)
    found = dreamzero.our_velocities(network)
    with torch.no_grad():
        own.copy_(kept)
    apart = [relative_error(value, torch.tensor(MADE[name])) for name, value in found.items()]
    assert max(apart) > NEAR


def test_without_what_the_state_sees_when_acting_chunks_are_others(network: Network) -> None:
    found = dreamzero.our_chunks(network)
    assert all(value.isfinite().all() for value in found.values())
    assert relative_error(found["action 1"], torch.tensor(MADE["action 1"])) > NEAR


def test_names_of_released_weights_are_all_known(network: Network) -> None:
    released = {our_name(weight) for weight in layout("policy_dreamzero").tensors}
    own = {name for name in network.state_dict() if not name.startswith("inputs.clean_")}
    assert released == own
    assert our_name("action_head.vae.model.conv1.weight") is None
    with pytest.raises(SpecMismatch, match=r"'action_head.ear.weight' is no weight of DreamZero"):
        renamed({"action_head.ear.weight": torch.zeros(1)}, DREAMZERO.table)


def saved(directory: Path) -> Path:
    """Weights, configuration and statistics as DreamZero saves them; returns the weights."""
    (directory / "config.json").write_text(json.dumps(dreamzero.CONFIG))
    (directory / "experiment_cfg").mkdir()

    def part(count: int) -> dict[str, list[float]]:
        return {"q01": [-1.0] * count, "q99": [1.0] * count, "mean": [0.0] * count}

    action = {"move": part(len(MAKES.dims) - 1), "gripper": part(1)}
    plain = {"statistics": {"state": {"place": part(len(NEEDS.state))}, "action": action}}
    where = directory / "experiment_cfg/metadata.json"
    where.write_text(json.dumps({SETTING.name: plain}))
    path = directory / "model.safetensors"
    frozen = {"action_head.vae.model.conv1.weight": torch.zeros(1)}
    save_file({**dreamzero.weights(), **frozen}, path)
    return path


def loaded(directory: Path, shape: Shape = dreamzero.SHAPE, robot: Robot = ROBOT) -> Network:
    return load_dreamzero(shape, directory, SETTING, robot=robot, **dreamzero.PARTS)


@pytest.mark.parametrize("recipe", [DREAMZERO, DREAMZERO_FLASH], ids=lambda one: one.name)
def test_a_saved_dreamzero_is_loaded_and_a_damaged_one_refused(
    recipe: Recipe, tmp_path: Path
) -> None:
    path = saved(tmp_path)
    shape = replace(dreamzero.SHAPE, recipe=recipe)
    network = loaded(tmp_path, shape)
    known = dreamzero.weights()["action_head.model.patch_embedding.weight"]
    for name in (FRAME, FRAME.replace("future", "clean_future")):
        torch.testing.assert_close(network.get_parameter(name).detach(), known)
    damaged = load_file(path)
    damaged["action_head.model.state_encoder.layer1.b"] = torch.zeros(1, 1)
    del damaged["action_head.model.head.modulation"]
    save_file(damaged, path)
    told = r"(?s)norms.video.scale_shift_table' is missing.*senses.state.layer1.b.*\[1, 1\]"
    with pytest.raises(SpecMismatch, match=told):
        loaded(tmp_path, shape)


def test_swapped_cameras_and_foreign_statistics_are_refused(tmp_path: Path) -> None:
    saved(tmp_path)
    swapped = replace(ROBOT, cameras={"front": ("hand",), "wrist": ("exterior",)})
    with pytest.raises(SpecMismatch, match="the cameras are swapped"):
        loaded(tmp_path, robot=swapped)
    far = replace(ROBOT, states=torch.full((4, len(NEEDS.state)), 300.0).numpy())
    with pytest.raises(SpecMismatch, match="state 'tool_x' lies between -1 and 1"):
        loaded(tmp_path, robot=far)
    (tmp_path / "experiment_cfg/metadata.json").unlink()
    with pytest.raises(ValueError, match="would have other units"):
        loaded(tmp_path)


@pytest.mark.parametrize(
    ("recipe", "why"),
    [
        (LINGBOT_VA_SHARED, r"'clean_action' is served by 'video', expected no such stream"),
        (FAST_WAM, r"(?s)'action' is served by 'action'.*does not go from chunk to chunk"),
    ],
    ids=lambda one: one.name if isinstance(one, Recipe) else "",
)
def test_a_recipe_that_cannot_stand_on_it_is_refused(recipe: Recipe, why: str) -> None:
    shape = replace(dreamzero.SHAPE, recipe=recipe)
    with pytest.raises(ValueError, match=why):
        dreamzero_body(shape, dreamzero.SIZES, **dreamzero.PARTS)


def test_another_configuration_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a CausalWanModel"):
        dreamzero_sizes({"action_head_cfg": {"config": {"diffusion_model_cfg": {}}}})


def test_words_and_cameras_are_laid_out_as_in_training() -> None:
    said = DREAMZERO_DROID.words("Lift IT.")
    assert said.startswith("A multi-view video shows that a robot lift it. The video is split into")
    assert said.endswith(" The robot lift it.")
    views = [torch.full((1, 1, 1, 1, 3), i, dtype=torch.uint8) for i in (1, 2, 3)]
    whole = torch.cat(views, dim=3)
    assert droid(whole)[0, 0, ..., 0].tolist() == [[3, 3], [1, 2]]
    assert agibot(whole)[0, 0, ..., 0].tolist() == [[1, 3], [2, 0]]
