"""Cosmos and LTX-Video with weights and inputs that anyone can make again, ours and diffusers'.

Run as ``python -m checks.video_models FILE`` from ``tests`` with diffusers installed, this records
what diffusers gives, for machines without it.
"""

import importlib
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import torch
from torch import Tensor, nn

from checks.library import made_weights, numbers
from checks.released_video import COSMOS, LATER, LTX
from vertebra.backbones.cosmos import cosmos_sizes
from vertebra.backbones.ltx import ltx_sizes
from vertebra.backbones.video_sizes import VideoSizes
from vertebra.backbones.wan_ends import wan_places
from vertebra.coupling.joint import HIDDEN, JointAttention, Seen
from vertebra.coupling.table import Joint
from vertebra.policy import open_video
from vertebra.policy.stand_video import VideoModules
from vertebra.policy.stand_vlm import renaming
from vertebra.policy.wan_parts import patches, unpatched
from vertebra.spec.streams import ALL, denoised

COUNT, WORDS = 2, 5
PLACES = (3, 2, 3)
"""Frames, rows and columns of tokens; the first frame is known."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One model.

    Attributes:
        kind: The library's class.
        family: What it is called here.
        config: Its configuration.
        names: Beginnings of the library's names of weights, and ours.
        unread: How many of the last words of the second sentence are padding that is not read.
    """

    kind: str
    family: str
    config: Mapping[str, Any]
    names: open_video.Names
    unread: int = 0

    @property
    def sizes(self) -> VideoSizes:
        """Sizes of our layers."""
        config = {**self.config, "_class_name": self.kind}
        if self.family == "cosmos":
            return cosmos_sizes(config)
        more = {"norm_eps": 1e-6, "activation_fn": "gelu-approximate"}
        return ltx_sizes({**config, **more}, pictures=8, side=32)

    @property
    def latents(self) -> Tensor:
        """[B, C, F, H, W]."""
        sides = [n * cut for n, cut in zip(PLACES, self.sizes.patch, strict=True)]
        return numbers("latents", (COUNT, self.sizes.channels_out, *sides))

    @property
    def text(self) -> Tensor:
        """States of words [B, S, C]."""
        return numbers("text", (COUNT, WORDS, self.sizes.text_width))

    @property
    def heard(self) -> Tensor:
        """Which of them are real [B, S]."""
        mask = torch.ones(COUNT, WORDS, dtype=torch.bool)
        mask[1, WORDS - self.unread :] = False
        return mask

    @property
    def times(self) -> Tensor:
        """Flow times of frames [B, F]."""
        return torch.tensor([[1.0, 0.3, 0.7], [1.0, 0.8, 0.1]])


CASES = {
    "cosmos2": Case(
        kind="CosmosTransformer3DModel", family="cosmos", config=COSMOS, names=open_video.COSMOS
    ),
    "cosmos2.5": Case(
        kind="CosmosTransformer3DModel",
        family="cosmos",
        config={**COSMOS, **LATER},
        names=open_video.COSMOS,
    ),
    "ltx": Case(
        kind="LTXVideoTransformer3DModel",
        family="ltx-video",
        config=LTX,
        names=open_video.LTX,
        unread=2,
    ),
}


def modules(make: VideoModules, sizes: VideoSizes) -> nn.ModuleDict:
    """All modules of a family."""
    parts = ("layers", "closing", "tokens", "velocity", "told")
    return nn.ModuleDict({name: getattr(make, name)(sizes) for name in parts})


@torch.no_grad()
def ours(case: Case, changed: str = "") -> Tensor:
    """The velocity of latents, from noise to data, that our joint attention makes.

    Args:
        case: The model.
        changed: A weight that is made another one.
    """
    whole = modules(open_video.MODULES[case.family], case.sizes)
    made = made_weights({name: tuple(value.shape) for name, value in whole.named_parameters()})
    if changed:
        made[changed] = made[changed] * 0.8
    whole.load_state_dict(made)
    attention = JointAttention(
        Joint(
            streams=(denoised("future"),),
            sees={"future": {"future": ALL}},
            experts={"future": "video"},
            context=("text",),
        ),
        layers={"video": cast("nn.ModuleList", whole["layers"])},
        closings={"video": whole["closing"]},
        finishing=("future",),
        adaptive=frozenset({"video"}),
    )
    time = case.times.repeat_interleave(PLACES[1] * PLACES[2], dim=1)
    heard = case.heard[:, None, None]
    read = attention(
        {"future": whole["tokens"](patches(case.latents, case.sizes.patch), time)},
        seen=Seen(
            places={"future": wan_places(PLACES)}, conditions={"future": whole["told"](time)}
        ),
        context=cast("Any", whole["told"]).words(case.text),
        context_bias=torch.zeros(heard.shape).masked_fill(~heard, HIDDEN),
    )
    return unpatched(whole["velocity"](read.last["future"]), PLACES, case.sizes.patch)


def without_torchvision(model: nn.Module) -> None:
    """Let diffusers' Cosmos run where torchvision, by which it resizes one empty mask, is not."""
    inside: Any = importlib.import_module(type(model).__module__)
    if not hasattr(inside, "transforms"):
        inside.transforms = SimpleNamespace(
            InterpolationMode=SimpleNamespace(NEAREST="nearest"),
            functional=SimpleNamespace(
                resize=lambda mask, side, interpolation: nn.functional.interpolate(
                    mask, side, mode=interpolation
                )
            ),
        )


@torch.no_grad()
def theirs(case: Case) -> Tensor:
    """What diffusers gives; its velocity points from data to noise."""
    library: Any = importlib.import_module("diffusers")
    model = getattr(library, case.kind)(**case.config).eval()
    rename = renaming(case.names, case.family)
    names = {rename(name) or "": name for name in model.state_dict()}
    made = made_weights({n: tuple(model.get_parameter(old).shape) for n, old in names.items()})
    model.load_state_dict({names[name]: value for name, value in made.items()})
    level = 1.0 - case.times
    if case.family == "ltx-video":
        found = model(
            case.latents.flatten(2).transpose(1, 2),
            case.text,
            1000.0 * level.repeat_interleave(PLACES[1] * PLACES[2], dim=1),
            case.heard.long(),
            num_frames=PLACES[0],
            height=PLACES[1],
            width=PLACES[2],
            rope_interpolation_scale=(8 / 25, 32, 32),
        ).sample
        return -unpatched(found, PLACES, case.sizes.patch)
    without_torchvision(model)
    level[:, 0] = 1e-4
    known = torch.zeros_like(case.latents[:, :1])
    known[:, :, 0] = 1.0
    return -model(
        case.latents,
        level.view(COUNT, 1, PLACES[0], 1, 1),
        case.text,
        condition_mask=known,
        padding_mask=torch.zeros(1, 1, 64, 64),
    ).sample


if __name__ == "__main__":
    found = {name: theirs(case).double().round(decimals=8).tolist() for name, case in CASES.items()}
    Path(sys.argv[1]).write_text(json.dumps(found) + "\n")
