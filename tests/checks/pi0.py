"""One pi0 with weights and inputs that anyone can make again, in our network and in transformers'.

Run as ``python -m checks.pi0 FILE`` from ``tests`` with transformers installed, this records what
transformers gives, for machines without it.
"""

import importlib
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from checks.library import fill, made_weights, names_of, numbers
from fakes.episodes import MAKES, NEEDS, PX, SENTENCES
from vertebra.backbones.sizes import TINY
from vertebra.flow.times import draw_times
from vertebra.policy.adapt_pi0 import pi0_body, pi0_sizes, renamed
from vertebra.policy.losses import losses
from vertebra.policy.network import Network
from vertebra.policy.passes import Passes
from vertebra.policy.senses import Given
from vertebra.policy.shape import Shape
from vertebra.policy.targets import Examples
from vertebra.recipes.pi0 import PI0
from vertebra.schedules.generate import generate

IMAGE_TOKEN = 39
TEXT = {
    "model_type": "gemma",
    "hidden_size": 24,
    "intermediate_size": 40,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "vocab_size": 40,
    "max_position_embeddings": 64,
}
CONFIG: dict[str, Any] = {
    "model_type": "pi0",
    "vlm_config": {
        "model_type": "paligemma",
        "text_config": TEXT,
        "vision_config": {
            "model_type": "siglip_vision_model",
            "vision_use_head": False,
            "hidden_size": 16,
            "intermediate_size": 24,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": PX,
            "patch_size": PX // 2,
        },
        "projection_dim": 24,
        "image_token_id": IMAGE_TOKEN,
    },
    "dit_config": {**TEXT, "hidden_size": 16, "intermediate_size": 32},
    "chunk_size": TINY.horizon,
    "max_state_dim": len(NEEDS.state) + 2,
    "max_action_dim": len(MAKES.dims),
}
SEED = 5
COUNT = 2


def prompts(instructions: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Each letter is a token; 1 begins and 2 ends a prompt."""
    rows = [
        [1, *(3 + ord(letter) % 30 for letter in text[: 4 + 3 * i]), 2]
        for i, text in enumerate(instructions)
    ]
    length = max(map(len, rows))
    ids = torch.tensor([row + [0] * (length - len(row)) for row in rows])
    mask = torch.tensor([[True] * len(row) + [False] * (length - len(row)) for row in rows])
    return ids, mask


def given() -> Given:
    """Two observations; the padded state is what transformers is given."""
    return Given(
        images={
            camera.name: ((numbers(f"view {camera.name}", (COUNT, PX, PX, 3)) + 1.0) * 127.5).byte()
            for camera in NEEDS.cameras
        },
        state=numbers("state", (COUNT, len(NEEDS.state))),
        instructions=tuple(SENTENCES[:COUNT]),
    )


def actions() -> Tensor:
    """True chunks."""
    return numbers("actions", (COUNT, TINY.horizon, len(MAKES.dims)))


def start() -> Tensor:
    """Noise from which actions are made."""
    return 2.0 * numbers("start", (COUNT, TINY.horizon, len(MAKES.dims)))


SHAPE = Shape(
    recipe=PI0,
    size=replace(TINY, action_steps=None),
    needs=NEEDS,
    makes=MAKES,
    vocabulary=(),
    pointing=False,
)


def network_of_pi0(tower: nn.Module) -> Network:
    """Our network around a picture encoder, with weights under transformers' names."""
    network = Network(SHAPE, pi0_body(SHAPE, pi0_sizes(CONFIG), tower, prompts))
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    theirs = {name: shapes[ours] for name, ours in released_names(shapes).items()}
    network.load_state_dict(renamed(made_weights(theirs)))
    return network.eval()


def released_names(ours: Sequence[str] | dict[str, tuple[int, ...]]) -> dict[str, str]:
    """Names in transformers' state dict, and ours for them; written down by hand."""
    turned = {
        "attention.experts.vlm.": "model.vlm.language_model.layers.",
        "attention.experts.action.": "model.dit.layers.",
        "attention.norms.action.": "model.dit.norm.",
        "senses.table.": "model.vlm.language_model.embed_tokens.",
        "senses.tower.": "model.vlm.vision_tower.",
        "senses.projector.": "model.vlm.multi_modal_projector.linear.",
        "senses.state.": "embed_action_time.state_proj.",
        "inputs.action.value.": "embed_action_time.action_in_proj.",
        "inputs.action.mix.": "embed_action_time.action_time_mlp_in.",
        "inputs.action.out.": "embed_action_time.action_time_mlp_out.",
        "outputs.action.": "action_out_proj.",
    }
    return names_of(ours, turned)


def our_loss(network: Network) -> Tensor:
    """Loss of each sample, by our noise, joint attention and losses."""
    plain = torch.zeros(COUNT, 1)
    examples = Examples(
        given=given(),
        actions=actions(),
        action_mask=torch.ones(COUNT, TINY.horizon, dtype=torch.bool),
        future=torch.zeros(COUNT, 2, PX, PX, 3, dtype=torch.uint8),
        future_mask=torch.ones(COUNT, 2, dtype=torch.bool),
        future_state=plain[:, None].expand(COUNT, 2, len(NEEDS.state)),
        points=torch.full((COUNT, 2, 2), torch.nan),
        frame=torch.zeros(COUNT, dtype=torch.long),
        length=torch.full((COUNT,), 9),
        real=torch.ones(COUNT, dtype=torch.bool),
    )
    return losses(network, [examples], torch.Generator().manual_seed(SEED))["action"]


@torch.no_grad()
def our_actions(network: Network) -> Tensor:
    """A chunk, by our schedule."""
    return generate(network.shape.schedule, Passes(network, given()), {"action": start()}).values[
        "action"
    ]


class RecordedTower(nn.Module):
    """Gives what the real picture encoder gave for the same pictures.

    Args:
        means: Mean of each picture.
        features: Its tokens.
    """

    def __init__(self, means: Tensor, features: Tensor) -> None:
        super().__init__()
        self.means, self.features = means, features

    def forward(self, pixels: Tensor) -> SimpleNamespace:
        torch.testing.assert_close(pixels.mean((2, 3)), self.means, atol=1e-5, rtol=0.0)
        return SimpleNamespace(last_hidden_state=self.features)


def library_model() -> Any:
    """The same pi0 in transformers."""
    library: Any = importlib.import_module("transformers")
    config = library.PI0Config(**CONFIG, loss_reduction="none")
    model = library.PI0ForConditionalGeneration(config).eval()
    fill(model)
    return model


def library_inputs() -> dict[str, Tensor]:
    """The same observations in its own form."""
    shown = given()
    ids, mask = prompts(shown.instructions)
    pictures = len(NEEDS.cameras) * 4
    pixels = [
        shown.images[camera.name].permute(0, 3, 1, 2) / 127.5 - 1.0 for camera in NEEDS.cameras
    ]
    return {
        "state": torch.cat([shown.state, torch.zeros(COUNT, 2)], dim=1),
        "input_ids": torch.cat([torch.full((COUNT, pictures), IMAGE_TOKEN), ids], dim=1),
        "attention_mask": torch.cat([torch.ones(COUNT, pictures), mask.float()], dim=1).long(),
        "pixel_values": torch.stack(pixels, dim=1),
        "pixel_attention_mask": torch.ones(COUNT, len(NEEDS.cameras), dtype=torch.bool),
    }


@torch.no_grad()
def library_loss(model: Any) -> Tensor:
    """Its loss of each sample at the times and noise that ours draws."""
    generator = torch.Generator().manual_seed(SEED)
    draws, horizon = TINY.draws, TINY.horizon
    times = draw_times(PI0.noise["action"].times, COUNT * draws, generator).view(COUNT, draws)
    noise = torch.randn(COUNT, draws * horizon, len(MAKES.dims), generator=generator)
    parts = [
        model(
            **library_inputs(),
            actions=actions(),
            noise=noise[:, draw * horizon : (draw + 1) * horizon],
            timestep=1.0 - times[:, draw],
        ).loss.mean((1, 2))
        for draw in range(draws)
    ]
    return torch.stack(parts).mean(0)


def library_actions(model: Any) -> Tensor:
    """Its chunk in ten steps from the same noise."""
    return model.sample_actions(**library_inputs(), noise=start(), num_steps=10)


@torch.no_grad()
def record() -> dict[str, Any]:
    """What transformers gives."""
    model = library_model()
    pixels = library_inputs()["pixel_values"].flatten(0, 1)
    features = model.model.vlm.vision_tower(pixels).last_hidden_state
    made = {
        "pixel_means": pixels.mean((2, 3)),
        "features": features,
        "loss": library_loss(model),
        "actions": library_actions(model),
    }
    return {name: value.double().round(decimals=8).tolist() for name, value in made.items()}


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(record(), indent=1) + "\n")
