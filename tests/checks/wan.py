"""One Wan with weights and inputs that anyone can make again, in our layers and in diffusers'.

Run as ``python -m checks.wan FILE`` from ``tests`` with diffusers installed, this records what
diffusers gives, for machines without it.
"""

import importlib
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from checks.library import fill, made_weights, numbers
from vertebra.backbones.wan import TEXT_TOKENS, WanSizes, wan_layers, wan_sizes
from vertebra.backbones.wan_ends import KEYS, WanClosing, WanEnds, wan_places
from vertebra.coupling.joint import JointAttention, Read, Seen
from vertebra.coupling.table import Joint
from vertebra.spec.streams import ALL, denoised

CONFIG: dict[str, Any] = {
    "_class_name": "WanTransformer3DModel",
    "patch_size": (1, 2, 2),
    "num_attention_heads": 2,
    "attention_head_dim": 18,
    "in_channels": 4,
    "out_channels": 4,
    "text_dim": 12,
    "freq_dim": 16,
    "ffn_dim": 24,
    "num_layers": 2,
    "rope_max_seq_len": 32,
}
PICTURES = {"image_dim": 20, "added_kv_proj_dim": 36}
COUNT, GRID = 2, (3, 2, 3)
TOKENS = 18


@dataclass(frozen=True, kw_only=True)
class Case:
    """One way in which the model is used."""

    config: Mapping[str, Any]
    steps: Tensor
    words: int = 5
    pictures: int = 0

    @property
    def latents(self) -> Tensor:
        return numbers("latents", (COUNT, 4, 3, 4, 6))

    @property
    def text(self) -> Tensor:
        return numbers("text", (COUNT, self.words, 12))

    @property
    def seen(self) -> Tensor | None:
        return numbers("seen", (COUNT, self.pictures, 20)) if self.pictures else None


CASES = {
    "one step a sample": Case(config=CONFIG, steps=torch.tensor([300.0, 900.0])),
    "one step a token": Case(config=CONFIG, steps=numbers("steps", (COUNT, TOKENS)).abs() * 1000.0),
    "clean first frame": Case(
        config=CONFIG,
        steps=torch.tensor([[0.0] * 6 + [700.0] * 12, [0.0] * 6 + [100.0] * 12]),
    ),
    "with pictures": Case(
        config={**CONFIG, **PICTURES},
        steps=torch.tensor([300.0, 900.0]),
        words=TEXT_TOKENS,
        pictures=7,
    ),
}


class OurWan(nn.Module):
    """Our layers and ends, with weights under diffusers' names."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        sizes = wan_sizes(config)
        self.layers, self.closing, self.ends = wan_layers(sizes), WanClosing(sizes), WanEnds(sizes)
        shapes = {name: tuple(value.shape) for name, value in self.named_parameters()}
        turned = {new: old for old, new in KEYS.items()}
        theirs = {
            next(old + own[len(new) :] for new, old in turned.items() if own.startswith(new)): own
            for own in shapes
        }
        made = made_weights({name: shapes[own] for name, own in theirs.items()})
        self.load_state_dict({theirs[name]: value for name, value in made.items()})

    def context(self, case: Case) -> Tensor:
        own = self.ends.condition_embedder
        words = own.words(case.text)
        return words if case.seen is None else torch.cat([own.image_embedder(case.seen), words], 1)

    def condition(self, case: Case) -> Tensor:
        steps = case.steps if case.steps.ndim == 2 else case.steps[:, None]
        return self.ends.condition_embedder.conditions(steps)


@torch.no_grad()
def ours(case: Case) -> Tensor:
    """What our joint attention makes of one video expert alone."""
    wan = OurWan(case.config)
    table = Joint(
        streams=(denoised("future"),),
        sees={"future": {"future": ALL}},
        experts={"future": "video"},
        context=("text",),
    )
    attention = JointAttention(
        table,
        layers={"video": wan.layers},
        closings={"video": wan.closing},
        finishing=("future",),
        adaptive=frozenset({"video"}),
    )
    assert wan.ends.grid(case.latents) == GRID
    read = attention(
        {"future": wan.ends.tokens(case.latents)},
        seen=Seen(places={"future": wan_places(GRID)}, conditions={"future": wan.condition(case)}),
        context=wan.context(case),
    )
    return wan.ends.latents(read.last["future"], GRID)


def narrow(config: Mapping[str, Any]) -> WanSizes:
    """An action expert with the heads of the video, and few channels."""
    video = wan_sizes(config)
    return WanSizes(
        width=10, layers=video.layers, heads=2, head_width=18, hidden=16, text_width=12, axes=(18,)
    )


def attention_of(wan: OurWan, action: WanSizes) -> JointAttention:
    """The video with an action expert that reads it beside it."""
    table = Joint(
        streams=(denoised("future"), denoised("action")),
        sees={"future": {"future": ALL}, "action": {"future": ALL, "action": ALL}},
        experts={"future": "video", "action": "action"},
        context=("text",),
    )
    layers, closing = wan_layers(action), WanClosing(action)
    fill(layers)
    return JointAttention(
        table,
        layers={"action": layers, "video": wan.layers},
        closings={"action": closing, "video": wan.closing},
        finishing=("future", "action"),
        adaptive=frozenset({"video", "action"}),
    )


def beside_an_action(case: Case, seed: int, wan: OurWan) -> tuple[Read, Tensor]:
    """What the two read, and the tokens of the action."""
    attention = attention_of(wan, narrow(case.config))
    tokens = numbers(f"action {seed}", (COUNT, 4, 10)).requires_grad_()
    read = attention(
        {"future": wan.ends.tokens(case.latents), "action": tokens},
        seen=Seen(
            places={"future": wan_places(GRID), "action": torch.arange(4)[:, None]},
            conditions={
                "future": wan.condition(case),
                "action": numbers(f"condition {seed}", (COUNT, 1, 70)),
            },
        ),
        context={"video": wan.context(case), "action": numbers("told", (COUNT, 5, 10))},
    )
    return read, tokens


@torch.no_grad()
def theirs(case: Case) -> Tensor:
    """What diffusers gives."""
    library: Any = importlib.import_module("diffusers")
    plain = {name: value for name, value in case.config.items() if name != "_class_name"}
    model = library.WanTransformer3DModel(**plain).eval()
    fill(model)
    return model(case.latents, case.steps, case.text, encoder_hidden_states_image=case.seen).sample


if __name__ == "__main__":
    made = {name: theirs(case).double().round(decimals=8).tolist() for name, case in CASES.items()}
    Path(sys.argv[1]).write_text(json.dumps(made) + "\n")
