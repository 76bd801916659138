"""Per-layer features of released trunks are those of the libraries' own classes."""

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from checks.library import relative_error
from checks.released import save_paligemma, save_smolvlm
from vertebra.backbones.trunk import Standing
from vertebra.coupling.joint import Seen
from vertebra.policy.body import Laid, running_places
from vertebra.policy.stand_senses import READ, Understanding
from vertebra.policy.stand_vlm import Reader, vlm_parts
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


def features(
    model: Any, pictures: Tensor, ids: Tensor, tokens: int, **more: Any
) -> tuple[Tensor, ...]:
    """States before every layer and after the last one, as the library's class gives them."""
    image = torch.full((len(ids), tokens), model.config.image_token_id)
    whole = torch.cat([image, ids], dim=1)
    with torch.no_grad():
        return model(
            input_ids=whole,
            pixel_values=pictures,
            attention_mask=torch.ones_like(whole),
            output_hidden_states=True,
            **more,
        ).hidden_states


@pytest.mark.parametrize(
    ("save", "kind", "family", "nested"),
    [
        (save_paligemma, "PaliGemmaForConditionalGeneration", "paligemma", False),
        (save_smolvlm, "SmolVLMForConditionalGeneration", "smolvlm2", True),
    ],
)
@pytest.mark.parametrize("layers", [None, 1])
def test_features_of_every_layer_are_those_of_the_library(
    save: Callable[[Path], Path],
    kind: str,
    family: str,
    nested: bool,
    layers: int | None,
    tmp_path: Path,
) -> None:
    library: Any = importlib.import_module("transformers")
    directory = save(tmp_path / family)
    assert Standing(vlm=find_trunk(str(directory), "vlm")).vlm is not None
    model = getattr(library, kind).from_pretrained(directory).eval()
    parts = vlm_parts(directory, family, layers)
    reader, whole = Reader(parts, ("front",)), Understanding(parts, 4)
    from vertebra.policy.released import read_weights

    for name, value in read_weights(directory).items():
        ours = parts.rename(name)
        if ours is None:
            continue
        part, _, rest = ours.partition(".")
        if part == "layers" and int(rest.split(".")[0]) >= parts.sizes.layers:
            continue
        places = {"layers": "trunk.experts.vlm.", "closing": "trunk.norms.vlm."}
        owner = whole if part in places else reader
        target = places[part] + rest if part in places else ours
        with torch.no_grad():
            owner.state_dict()[target].copy_(value)
    generator = torch.Generator().manual_seed(0)
    seen = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8, generator=generator)
    pixels = seen.permute(0, 3, 1, 2) / 127.5 - 1.0
    rows, columns = reader.grid
    ids = torch.tensor(IDS)
    more: dict[str, Any] = {}
    if family == "paligemma":
        more["token_type_ids"] = torch.zeros(2, rows * columns + ids.shape[1], dtype=torch.long)
    given = pixels[:, None] if nested else pixels
    wanted = features(model, given, ids, rows * columns, **more)
    with torch.no_grad():
        words = reader.table(ids)
        tokens = {
            "image": reader.seen({"front": seen}),
            "text": words * torch.tensor(reader.scale),
        }
        places = running_places(READ, Laid(tokens=tokens), {}, {})
        read = whole.trunk(tokens, seen=Seen(places=places))
    for layer in range(parts.sizes.layers):
        found = torch.cat([read.hidden[name][layer] for name in READ], dim=1)
        assert relative_error(found, wanted[layer]) < NEAR, layer
    if layers is None:
        last = torch.cat([read.last[name] for name in READ], dim=1)
        assert relative_error(last, wanted[-1]) < NEAR
        other = replace(parts, causal=not parts.causal)
        flipped = Understanding(other, 4)
        flipped.load_state_dict(whole.state_dict())
        with torch.no_grad():
            wrong = flipped.trunk(tokens, seen=Seen(places=places))
        both = torch.cat([wrong.last[name] for name in READ], dim=1)
        assert relative_error(both, wanted[-1]) > NEAR, "causality does not matter here"
