"""A tiny GR00T N1.7 around the library's own Qwen3-VL: loaded, and its trunk compared with it."""

import importlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from checks import groot, pi0
from checks.library import fill, made_weights, relative_error
from fakes.checkpoint_files import recorded
from fakes.episodes import MAKES, NEEDS
from vertebra.policy.adapt_groot import BEHIND, ENDING
from vertebra.policy.released import load_groot
from vertebra.policy.released_conventions import Robot
from vertebra.policy.senses import Given
from vertebra.spec.errors import SpecMismatch

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
IMAGE = 39
VISION: dict[str, Any] = {
    "model_type": "qwen3_vl",
    "depth": 2,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_heads": 2,
    "num_position_embeddings": 16,
    "out_hidden_size": 16,
    "patch_size": 2,
    "spatial_merge_size": 2,
    "temporal_patch_size": 2,
    "deepstack_visual_indexes": [0],
}
BASE = {"text_config": groot.BASE["text_config"], "vision_config": VISION}
ROBOT = Robot(needs=NEEDS, makes=MAKES, cameras={"front": ("ego_view",), "wrist": ("wrist_image",)})


def library_model() -> Any:
    library: Any = importlib.import_module("transformers")
    text = {**BASE["text_config"], "num_hidden_layers": 2}
    config = library.Qwen3VLConfig(
        text_config=text, vision_config=VISION, image_token_id=IMAGE, tie_word_embeddings=False
    )
    model = library.Qwen3VLForConditionalGeneration(config).eval()
    fill(model)
    return model


def saved(directory: Path) -> Path:
    library: Any = importlib.import_module("transformers")
    split_by: Any = importlib.import_module("tokenizers")
    special = {"unk_token": "<unk>"}
    words = [*groot.SPECIAL, "<unk>", "user", "lift", "the", "red", "box"]
    own = split_by.models.WordLevel({w: i for i, w in enumerate(words)}, **special)
    split = split_by.Tokenizer(own)
    split.pre_tokenizer = split_by.pre_tokenizers.Whitespace()
    split.add_special_tokens(list(groot.SPECIAL))
    library.PreTrainedTokenizerFast(tokenizer_object=split, **special).save_pretrained(directory)
    theirs = {f"backbone.model.{n}": v for n, v in library_model().state_dict().items()}
    shapes = recorded(groot.LAYOUT).tensors
    heads = {n: tuple(s) for n, s in shapes.items() if n.startswith("action_head.")}
    save_file(
        {n: v.contiguous().clone() for n, v in {**theirs, **made_weights(heads)}.items()},
        directory / "model.safetensors",
    )
    (directory / "config.json").write_text(json.dumps(groot.CONFIG))
    groot.save_beside(directory)
    return directory


@torch.no_grad()
def library_states(network: Any, given: Given) -> torch.Tensor:
    """States of the last layer, for the same pictures and words in the library's own form."""
    model, senses = library_model(), network.senses
    ids: list[int] = []
    for words in senses.before:
        ids += [*words, *[IMAGE] * 64]
    ids += [*senses.split(BEHIND), *senses.split(given.instructions[0] + ENDING)]
    views = torch.cat([senses.framing(given.images[name]) for name in senses.cameras])
    pixels = views.permute(0, 3, 1, 2).float() / 127.5 - 1.0
    rows = torch.tensor([ids])
    caught: list[Any] = []
    last = model.model.language_model.layers[-1]
    last.register_forward_hook(lambda module, inside, outside: caught.append(outside))
    model(
        input_ids=rows,
        attention_mask=torch.ones_like(rows),
        pixel_values=senses.eyes.patches(pixels),
        image_grid_thw=torch.tensor([[1, 16, 16]] * len(views)),
        mm_token_type_ids=(rows == IMAGE).int(),
    )
    return caught[0][0] if isinstance(caught[0], tuple) else caught[0]


def test_it_loads_reads_as_the_library_does_and_is_refused_when_damaged(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    directory = saved(tmp_path)
    network = load_groot(groot.SHAPE, directory, "lab", robot=ROBOT, base=BASE).eval()
    whole = pi0.given()
    given = Given(
        images={name: image[:1] for name, image in whole.images.items()},
        state=whole.state[:1],
        instructions=("lift the red box",),
    )
    with torch.no_grad():
        read = network.look([network.scene(given)], {})
    ours = torch.cat([read.hidden[name][-1] for name in ("image", "text")], dim=1)
    assert relative_error(ours, library_states(network, given)) < 1e-4

    swapped = {"front": ("wrist_image",), "wrist": ("ego_view",)}
    other = Robot(needs=NEEDS, makes=MAKES, cameras=swapped)
    with pytest.raises(SpecMismatch, match="the cameras are swapped"):
        load_groot(groot.SHAPE, directory, "lab", robot=other, base=BASE)
    weights = load_file(directory / "model.safetensors")
    del weights["action_head.vlln.bias"]
    save_file(weights, directory / "model.safetensors")
    with pytest.raises(SpecMismatch, match=r"mixing\.vlln\.bias' is missing"):
        load_groot(groot.SHAPE, directory, "lab", robot=ROBOT, base=BASE)
