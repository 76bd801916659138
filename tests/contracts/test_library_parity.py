"""Our joint attention over released weights gives what transformers and diffusers give.

Against recorded numbers everywhere; against the libraries themselves where they are installed.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from checks import pi0, wan
from checks.library import made_weights, relative_error, save_tokenizer
from fakes.checkpoint_files import recorded as layout
from vertebra.policy.adapt_pi0 import our_name, renamed
from vertebra.policy.network import Network
from vertebra.policy.released import load_pi0
from vertebra.recipes.pi0 import PI0_RTC
from vertebra.spec.errors import SpecMismatch

HERE = Path(__file__).parent
NEAR = 1e-4
NO_LIBRARY = "needs transformers and diffusers: pip install 'vertebra[backbones]'"


def recorded(name: str) -> dict[str, Any]:
    return json.loads((HERE / "recorded" / f"{name}.json").read_text())


def tensor(numbers: Any) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float32)


def recorded_network() -> Any:
    made = recorded("transformers_pi0")
    tower = pi0.RecordedTower(tensor(made["pixel_means"]), tensor(made["features"]))
    return pi0.network_of_pi0(tower)


def test_loss_of_pi0_is_that_of_transformers() -> None:
    loss = pi0.our_loss(recorded_network())
    assert relative_error(loss, tensor(recorded("transformers_pi0")["loss"])) < NEAR


def test_actions_of_pi0_are_those_of_transformers() -> None:
    made = pi0.our_actions(recorded_network())
    wanted = tensor(recorded("transformers_pi0")["actions"])
    assert relative_error(made, wanted) < NEAR
    assert relative_error(pi0.start(), wanted) > 0.1


@pytest.mark.parametrize(
    "weight",
    [
        "attention.experts.vlm.1.self_attn.k_proj.weight",
        "attention.experts.vlm.2.self_attn.v_proj.weight",
        "attention.experts.action.0.mlp.gate_proj.weight",
        "attention.norms.action.weight",
        "inputs.action.mix.bias",
        "senses.state.weight",
    ],
)
def test_every_part_of_pi0_matters_to_the_comparison(weight: str) -> None:
    network = recorded_network()
    with torch.no_grad():
        network.get_parameter(weight).mul_(0.9)
    wanted = tensor(recorded("transformers_pi0")["actions"])
    assert relative_error(pi0.our_actions(network), wanted) > NEAR


@pytest.mark.parametrize("name", wan.CASES)
def test_wan_is_that_of_diffusers(name: str) -> None:
    case = wan.CASES[name]
    assert relative_error(wan.ours(case), tensor(recorded("diffusers_wan")[name])) < NEAR


def test_an_action_expert_beside_wan_reads_it_and_changes_nothing_in_it() -> None:
    case = wan.CASES["clean first frame"]
    model = wan.OurWan(case.config)
    alone = wan.ours(case)
    for seed in (0, 1):
        read, action = wan.beside_an_action(case, seed, model)
        found = model.ends.latents(read.last["future"], wan.GRID)
        assert relative_error(found, alone) < 1e-6
        (of_video,) = torch.autograd.grad(found.sum(), action, retain_graph=True, allow_unused=True)
        assert of_video is None or not of_video.any()
        (of_action,) = torch.autograd.grad(
            read.last["action"].square().sum(), model.ends.patch_embedding.weight
        )
        assert of_action.any()


def test_experts_of_other_heads_are_refused() -> None:
    case = wan.CASES["one step a sample"]
    deep = wan.OurWan({**case.config, "num_layers": 3})
    with pytest.raises(ValueError, match=r"(?s)differ.*action: 2 layers.*video: 3 layers"):
        wan.attention_of(deep, wan.narrow(wan.CONFIG))


@pytest.mark.parametrize(
    "name",
    [
        "policy_openpi_pi0",
        "policy_lerobot_pi0",
        "transformers_pi0",
        "transformers_pi0_state_dict",
    ],
)
def test_names_of_released_pi0_weights_are_all_known(name: str) -> None:
    released = {our_name(weight) for weight in layout(name).tensors} - {None}
    own = set(recorded_network().state_dict())

    def parts(names: set[Any]) -> set[str]:
        """Names of the first layer of each expert; the picture encoder is the library's own."""
        inside = {n for n in names if not n.startswith("senses.tower.")}
        return {n for n in inside if "experts" not in n or n.split(".")[3] == "0"}

    assert parts(released) == parts(own)


def test_real_time_chunking_has_the_weights_of_pi0() -> None:
    shape = replace(pi0.SHAPE, recipe=PI0_RTC)
    sizes = pi0.pi0_sizes(pi0.CONFIG)
    own = Network(shape, pi0.pi0_body(shape, sizes, torch.nn.Identity(), pi0.prompts))
    wanted = {name: value.shape for name, value in recorded_network().state_dict().items()}
    assert {name: value.shape for name, value in own.state_dict().items()} == wanted


def test_a_strange_weight_is_named() -> None:
    weights = made_weights({"model.dit.layers.0.ear.weight": (2, 2), "value_head.weight": (1, 2)})
    with pytest.raises(SpecMismatch, match=r"'value_head.weight' is no weight of pi0"):
        renamed(weights)


@pytest.mark.slow
def test_recorded_numbers_are_those_of_the_installed_libraries() -> None:
    pytest.importorskip("transformers", reason=NO_LIBRARY)
    pytest.importorskip("diffusers", reason=NO_LIBRARY)
    made = pi0.record()
    for name, value in recorded("transformers_pi0").items():
        assert relative_error(tensor(made[name]), tensor(value)) < 1e-5, name
    for name, case in wan.CASES.items():
        wanted = tensor(recorded("diffusers_wan")[name])
        assert relative_error(wan.theirs(case), wanted) < 1e-5, name


@pytest.mark.slow
def test_pi0_on_the_picture_encoder_of_transformers() -> None:
    pytest.importorskip("transformers", reason=NO_LIBRARY)
    model = pi0.library_model()
    network = pi0.network_of_pi0(model.model.vlm.vision_tower)
    assert relative_error(pi0.our_loss(network), pi0.library_loss(model)) < NEAR
    assert relative_error(pi0.our_actions(network), pi0.library_actions(model)) < NEAR


def saved_pi0(directory: Path) -> Path:
    """A pi0 and a tokenizer of words as the library writes them."""
    special = {"pad_token": "<pad>", "bos_token": "<bos>", "unk_token": "<unk>"}
    save_tokenizer(directory, special)
    pi0.library_model().save_pretrained(directory)
    return directory


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_saved_pi0_is_loaded_and_a_damaged_one_refused(tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason=NO_LIBRARY)
    directory = saved_pi0(tmp_path / "pi0")
    network = load_pi0(pi0.SHAPE, directory).eval()
    ids, mask = network.senses.prompts(("lift the box", "lift_the"))  # type: ignore[attr-defined]
    assert ids.tolist() == [[1, 3, 4, 5], [1, 3, 4, 0]]
    assert mask.sum(1).tolist() == [4, 3]
    network.senses.prompts = pi0.prompts  # type: ignore[attr-defined]
    wanted = pi0.library_actions(pi0.library_model())
    assert relative_error(pi0.our_actions(network), wanted) < NEAR

    (path,) = directory.glob("*.safetensors")
    weights = load_file(path)
    weights["state_proj.weight"] = torch.zeros(3, 3)
    del weights["action_in_proj.bias"]
    save_file(weights, path)
    with pytest.raises(SpecMismatch, match=r"(?s)inputs.action.value.bias' is missing.*\[3, 3\]"):
        load_pi0(pi0.SHAPE, directory)
    path.unlink()
    with pytest.raises(ValueError, match=r"holds no \*.safetensors"):
        load_pi0(pi0.SHAPE, directory)
    with pytest.raises(ValueError, match="Nothing was downloaded"):
        load_pi0(pi0.SHAPE, "nobody/has-this")
