"""One Cosmos Policy with weights and inputs that anyone can make again, in our network.

Its transformer is that of Cosmos-Predict2, to which it adds nothing. Run as ``python -m
checks.cosmos_policy FILE`` from ``tests`` with diffusers installed, this records what diffusers'
transformer gives for the whole clip.
"""

import importlib
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from checks.library import made_weights, numbers
from checks.video_models import without_torchvision
from fakes.checkpoint_files import recorded as layout
from fakes.episodes import MAKES, NEEDS, PX, SENTENCES
from vertebra.backbones.cosmos import cosmos_sizes
from vertebra.backbones.sizes import TINY, Latents
from vertebra.nn.embeddings import tiled
from vertebra.policy.adapt_cosmos_policy import cosmos_policy_body, our_name, renamed
from vertebra.policy.network import Network
from vertebra.policy.open_video import COSMOS
from vertebra.policy.senses import Given
from vertebra.policy.shape import Shape
from vertebra.policy.stand_vlm import renaming
from vertebra.policy.wan_parts import patches, unpatched
from vertebra.recipes.cosmos_policy import COSMOS_POLICY

COUNT, CHANNELS, WORDS, PICTURES = 2, 4, 5, 4
ROWS, COLUMNS = 2, 3
"""Of tokens; two by two latents make one."""
PATCH = (1, 2, 2)
CONFIG: dict[str, Any] = {
    "in_channels": CHANNELS + 1,
    "out_channels": CHANNELS,
    "num_attention_heads": 2,
    "attention_head_dim": 12,
    "num_layers": 2,
    "mlp_ratio": 2.0,
    "text_embed_dim": 8,
    "adaln_lora_dim": 4,
    "max_size": (128, 240, 240),
    "patch_size": PATCH,
    "rope_scale": (1.0, 3.0, 3.0),
    "concat_padding_mask": True,
    "extra_pos_embed_type": None,
}
SIZES = cosmos_sizes({**CONFIG, "_class_name": "CosmosTransformer3DModel"})
SHAPE = Shape(
    recipe=COSMOS_POLICY,
    size=replace(
        TINY,
        action_steps=None,
        future_steps=(TINY.horizon,),
        latents=Latents(
            frames=2, rows=ROWS, columns=COLUMNS, numbers=4 * CHANNELS, pictures=PICTURES
        ),
    ),
    needs=NEEDS,
    makes=MAKES,
    vocabulary=(),
    pointing=False,
)
ORDER = ("action", "future_state", "future", "value")
"""What is made, in the order of the clip."""
TIME = torch.tensor([[0.2], [0.7]])


def seen() -> Tensor:
    """Latents of nothing, of what stands for the state, and of both cameras."""
    return numbers("seen", (COUNT, CHANNELS, 4, 2 * ROWS, 2 * COLUMNS))


def encoded(pictures: Tensor) -> Tensor:
    """Latents of the clip that is given."""
    cameras = [camera.name for camera in NEEDS.cameras]
    assert pictures.shape == (COUNT, 1 + 3 * PICTURES, PX, PX, 3)
    shown = [given().images[name][0, 0, 0, 0] for name in cameras]
    assert pictures[0, :, 0, 0, 0].tolist() == [0] * 5 + [int(x) for x in shown for _ in range(4)]
    return seen()


def told(texts: Sequence[str]) -> tuple[Tensor, Tensor]:
    """States of sentences, all of them read."""
    states = torch.stack([numbers(f"says {text}", (WORDS, 8)) for text in texts])
    return states, torch.ones(len(texts), WORDS, dtype=torch.bool)


def given() -> Given:
    """Two observations, whose pictures say from which camera they are."""
    return Given(
        images={
            camera.name: torch.full((COUNT, PX, PX, 3), 10 + i, dtype=torch.uint8)
            for i, camera in enumerate(NEEDS.cameras)
        },
        state=numbers("state", (COUNT, len(NEEDS.state))),
        instructions=tuple(SENTENCES[:COUNT]),
    )


def noise() -> dict[str, Tensor]:
    """What a chunk is made from."""
    return {name: numbers(name, (COUNT, *SHAPE.vectors(name))) for name in ORDER}


def weights() -> dict[str, Tensor]:
    """Weights under Cosmos Policy's own names."""
    found = layout("policy_cosmos_policy").tensors
    return made_weights({name: tuple(shape) for name, shape in found.items()})


def network() -> Network:
    """Our network with these weights."""
    made = Network(SHAPE, cosmos_policy_body(SHAPE, SIZES, encoded, told))
    made.load_state_dict(renamed(weights()))
    return made.eval()


@torch.no_grad()
def our_velocities(made: Network) -> dict[str, Tensor]:
    """Velocities from data to noise of all that is made, read together."""
    noisy = {name: (value, TIME) for name, value in noise().items()}
    read = made.look([made.scene(given())], noisy)
    return {name: -value for name, value in made.velocities(read, noisy).items()}


def volume(vectors: Tensor) -> Tensor:
    """Numbers that fill a frame, channel after channel."""
    return vectors.flatten(1).view(len(vectors), CHANNELS, 1, 2 * ROWS, 2 * COLUMNS)


def whole() -> Tensor:
    """The clip: what is given, then what is made."""
    state = tiled(given().state[:, None], ROWS * COLUMNS, 4 * CHANNELS)
    parts = [seen()[:, :, :1], volume(state), seen()[:, :, 2:]]
    for name in ORDER:
        value = noise()[name]
        frames = name == "future"
        parts.append(unpatched(value, (2, ROWS, COLUMNS), PATCH) if frames else volume(value))
    return torch.cat(parts, dim=2)


def library_weights() -> dict[str, Tensor]:
    """The same weights under diffusers' names."""
    ours = {our_name(name): value for name, value in weights().items()}
    places = {
        "attention.experts.video.": "layers.",
        "attention.norms.video.": "closing.",
        "inputs.future.": "tokens.",
        "conditions.video.": "told.",
        "outputs.future.": "velocity.",
    }
    back = {ours: re_named for re_named, ours in _plain(COSMOS).items()}
    found: dict[str, Tensor] = {}
    for name, value in ours.items():
        if name is None:
            continue
        start = next(one for one in places if name.startswith(one))
        plain = places[start] + name.removeprefix(start)
        begin = next(one for one in back if plain.startswith(one))
        found[back[begin] + plain.removeprefix(begin)] = value
    rename = renaming(COSMOS, "Cosmos")
    assert all(rename(name) for name in found)
    return found


def _plain(names: Sequence[tuple[str, str | None]]) -> dict[str, str]:
    cleaned = {their.strip("^$").replace("\\.", "."): str(our) for their, our in names}
    return {their: our for their, our in cleaned.items() if their != "crossattn_proj."}


@torch.no_grad()
def record() -> dict[str, Any]:
    """What diffusers' transformer gives for the whole clip."""
    library: Any = importlib.import_module("diffusers")
    own = library.CosmosTransformer3DModel(**CONFIG).eval()
    own.load_state_dict(library_weights())
    without_torchvision(own)
    clip = whole()
    levels = torch.cat([torch.zeros(COUNT, 4), (1.0 - TIME).expand(-1, 5)], dim=1)
    mask = (levels == 0.0).float()[:, None, :, None, None].expand(-1, 1, -1, *clip.shape[3:])
    made = own(
        clip,
        levels[:, None, :, None, None],
        told(given().instructions)[0],
        condition_mask=mask,
        padding_mask=torch.zeros(1, 1, *clip.shape[3:]),
        return_dict=False,
    )[0]
    parts = dict(zip(ORDER, made[:, :, 4:].split([1, 1, 2, 1], dim=2), strict=True))
    shaped = {
        name: patches(part, PATCH) if name == "future" else part.flatten(1)
        for name, part in parts.items()
    }
    found = {name: part.reshape(noise()[name].shape) for name, part in shaped.items()}
    return {name: value.double().round(decimals=8).tolist() for name, value in found.items()}


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(record()) + "\n")
