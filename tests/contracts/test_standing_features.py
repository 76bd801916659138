"""Per-layer features of released trunks are those of the libraries' own classes."""

import importlib
import importlib.util
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from checks.library import relative_error
from checks.released import save_gemma3, save_paligemma, save_qwen3, save_qwen25, save_smolvlm
from vertebra.backbones.decoder import DecoderSizes
from vertebra.backbones.gemma import gemma3_sizes
from vertebra.backbones.qwen import qwen3_sizes, qwen25_sizes
from vertebra.backbones.trunk import Standing
from vertebra.coupling.joint import Read, Seen
from vertebra.policy.body import Laid, running_places
from vertebra.policy.open_vlm import vlm_parts
from vertebra.policy.released import library_config, read_weights
from vertebra.policy.stand_senses import READ, Understanding
from vertebra.policy.stand_vlm import Reader, VlmParts
from vertebra.policy.standing import find_trunk

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(
        importlib.util.find_spec("transformers") is None,
        reason="needs transformers: pip install 'vertebra[backbones]'",
    ),
]
NEAR = 1e-4
IDS = [[1, 5, 9, 17, 4, 8], [1, 7, 3, 12, 30, 6]]
Given = dict[str, Any]


def in_a_row(seen: Tensor, kinds: Tensor) -> Given:
    """PaliGemma: all tokens are a prefix, which looks both ways."""
    return {"pixel_values": as_numbers(seen), "token_type_ids": torch.zeros_like(kinds)}


def looked_at(seen: Tensor, kinds: Tensor) -> Given:
    """Gemma 3: tokens of pictures look both ways."""
    return {"pixel_values": as_numbers(seen), "token_type_ids": kinds}


def nested(seen: Tensor, kinds: Tensor) -> Given:
    """SmolVLM2: pictures of a conversation."""
    return {"pixel_values": as_numbers(seen)[:, None]}


def patched(seen: Tensor, kinds: Tensor) -> Given:
    """Qwen2.5-VL: patches, as its own processor makes them."""
    library: Any = importlib.import_module("transformers")
    processor = library.Qwen2VLImageProcessor(patch_size=4)
    made = processor(list(seen.permute(0, 3, 1, 2)), do_resize=False, return_tensors="pt")
    return {**made, "mm_token_type_ids": kinds}


def patched_evenly(seen: Tensor, kinds: Tensor) -> Given:
    """Qwen3-VL: the same, from -1 to 1."""
    library: Any = importlib.import_module("transformers")
    half = [0.5, 0.5, 0.5]
    processor = library.Qwen2VLImageProcessor(patch_size=4, image_mean=half, image_std=half)
    made = processor(list(seen.permute(0, 3, 1, 2)), do_resize=False, return_tensors="pt")
    return {**made, "mm_token_type_ids": kinds}


def as_numbers(seen: Tensor) -> Tensor:
    return seen.permute(0, 3, 1, 2) / 127.5 - 1.0


@dataclass(frozen=True, kw_only=True)
class Case:
    """One family: how its twin is saved, its class, and what that is given."""

    family: str
    save: Callable[[Path], Path]
    kind: str
    given: Callable[[Tensor, Tensor], Given]


CASES = (
    Case(
        family="paligemma",
        save=save_paligemma,
        kind="PaliGemmaForConditionalGeneration",
        given=in_a_row,
    ),
    Case(
        family="gemma3",
        save=save_gemma3,
        kind="Gemma3ForConditionalGeneration",
        given=looked_at,
    ),
    Case(
        family="smolvlm2",
        save=save_smolvlm,
        kind="SmolVLMForConditionalGeneration",
        given=nested,
    ),
    Case(
        family="qwen2.5-vl",
        save=save_qwen25,
        kind="Qwen2_5_VLForConditionalGeneration",
        given=patched,
    ),
    Case(
        family="qwen3-vl",
        save=save_qwen3,
        kind="Qwen3VLForConditionalGeneration",
        given=patched_evenly,
    ),
)


QWEN_SEEN = {"hidden_size": 1280, "depth": 32, "num_heads": 16, "out_hidden_size": 2048}
HUB: dict[str, tuple[Callable[[dict[str, Any]], DecoderSizes], dict[str, Any], dict[str, Any]]] = {
    "Qwen2.5-VL-3B": (
        qwen25_sizes,
        {
            "model_type": "qwen2_5_vl",
            "hidden_size": 2048,
            "intermediate_size": 11008,
            "num_hidden_layers": 36,
            "num_attention_heads": 16,
            "num_key_value_heads": 2,
            "rms_norm_eps": 1e-6,
            "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]},
            "rope_theta": 1000000.0,
            "use_sliding_window": False,
            "vocab_size": 151936,
            "vision_config": {**QWEN_SEEN, "in_chans": 3, "spatial_patch_size": 14},
        },
        {"kv_heads": 2, "theta": 1e6, "biased": True, "axes": (0,) * 16 + (1,) * 24 + (2,) * 24},
    ),
    "Qwen3-VL-2B": (
        qwen3_sizes,
        {
            "model_type": "qwen3_vl",
            "text_config": {
                "model_type": "qwen3_vl_text",
                "hidden_size": 2048,
                "intermediate_size": 6144,
                "num_hidden_layers": 28,
                "num_attention_heads": 16,
                "num_key_value_heads": 8,
                "rope_scaling": {
                    "mrope_interleaved": True,
                    "mrope_section": [24, 20, 20],
                    "rope_type": "default",
                },
                "rope_theta": 5000000,
            },
            "vision_config": {"model_type": "qwen3_vl", "depth": 24, "hidden_size": 1024},
        },
        {"kv_heads": 8, "theta": 5e6, "biased": False, "axes": (0, 1, 2) * 20 + (0,) * 4},
    ),
    "Gemma-3-4B": (
        gemma3_sizes,
        {
            "model_type": "gemma3",
            "text_config": {
                "model_type": "gemma3_text",
                "hidden_size": 2560,
                "intermediate_size": 10240,
                "num_hidden_layers": 34,
                "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
                "sliding_window": 1024,
            },
            "vision_config": {"model_type": "siglip_vision_model", "hidden_size": 1152},
        },
        {
            "kv_heads": 4,
            "theta": 1e6,
            "stretch": 8.0,
            "local_theta": 1e4,
            "local": tuple(n for n in range(34) if n % 6 != 5),
        },
    ),
}
"""Configurations in the form in which they lie on the hub, and what is said of them here."""


@pytest.mark.parametrize("name", list(HUB))
def test_configurations_as_they_lie_on_the_hub_are_read(name: str, tmp_path: Path) -> None:
    read, config, wanted = HUB[name]
    (tmp_path / "config.json").write_text(json.dumps(config))
    sizes = read(library_config(tmp_path)["text_config"])
    told = config.get("text_config", config)
    assert (sizes.width, sizes.layers) == (told["hidden_size"], told["num_hidden_layers"])
    assert {part: getattr(sizes, part) for part in wanted} == wanted
    with pytest.raises(ValueError, match="These are not the layers of a"):
        read({**library_config(tmp_path)["text_config"], "model_type": "other"})


def features(case: Case, directory: Path, seen: Tensor, ids: Tensor, tokens: int) -> list[Tensor]:
    """States before every layer and after the last one, as the library's class gives them."""
    library: Any = importlib.import_module("transformers")
    model = getattr(library, case.kind).from_pretrained(directory).eval()
    image = torch.full((len(ids), tokens), model.config.image_token_id)
    whole = torch.cat([image, ids], dim=1)
    found: list[Tensor] = []
    language = next(part for part in model.modules() if hasattr(part, "embed_tokens"))
    for layer in language.layers:
        layer.register_forward_pre_hook(lambda module, given: found.append(given[0]))
    with torch.no_grad():
        last = model.model(
            input_ids=whole,
            attention_mask=torch.ones_like(whole),
            **case.given(seen, (whole == model.config.image_token_id).long()),
        )
    return [*found, last.last_hidden_state]


class Ours:
    """The same states, by our layers with the weights of a directory."""

    def __init__(self, parts: VlmParts, directory: Path) -> None:
        self.reader, self.whole = Reader(parts, ("front",)), Understanding(parts, 4, 1)
        for name, value in read_weights(directory).items():
            ours = parts.rename(name)
            if ours is None:
                continue
            part, _, rest = ours.partition(".")
            if part == "layers" and int(rest.split(".")[0]) >= parts.sizes.layers:
                continue
            places = {"layers": "trunk.experts.vlm.", "closing": "trunk.norms.vlm."}
            owner = self.whole if part in places else self.reader
            target = places[part] + rest if part in places else ours
            with torch.no_grad():
                owner.state_dict()[target].copy_(value)

    @torch.no_grad()
    def read(self, seen: Tensor, ids: Tensor) -> Read:
        words = self.reader.table(ids)
        tokens = {
            "image": self.reader.seen({"front": seen}),
            "text": words * torch.tensor(self.reader.scale),
        }
        places = running_places(READ, Laid(tokens=tokens), {}, {}, self.whole.own)
        return self.whole.trunk(tokens, seen=Seen(places=places))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.family)
@pytest.mark.parametrize("layers", [None, 1])
def test_features_of_every_layer_are_those_of_the_library(
    case: Case, layers: int | None, tmp_path: Path
) -> None:
    directory = case.save(tmp_path / "model")
    assert Standing(vlm=find_trunk(str(directory), "vlm")).vlm is not None
    parts = vlm_parts(directory, case.family, layers)
    ours = Ours(parts, directory)
    rows, columns = ours.reader.grid
    generator = torch.Generator().manual_seed(0)
    seen = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8, generator=generator)
    wanted = features(case, directory, seen, torch.tensor(IDS), rows * columns)
    read = ours.read(seen, torch.tensor(IDS))
    for layer in range(parts.sizes.layers):
        found = torch.cat([read.hidden[name][layer] for name in READ], dim=1)
        assert relative_error(found, wanted[layer]) < NEAR, layer
    if layers is None:
        last = torch.cat([read.last[name] for name in READ], dim=1)
        assert relative_error(last, wanted[-1]) < NEAR
        flipped = Ours(replace(parts, causal=not parts.causal), directory)
        wrong = flipped.read(seen, torch.tensor(IDS))
        both = torch.cat([wrong.last[name] for name in READ], dim=1)
        assert relative_error(both, wanted[-1]) > NEAR, "causality does not matter here"
