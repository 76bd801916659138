"""One Fast-WAM with weights and inputs that anyone can make again, in our network and in its own.

Run as ``python -m checks.fast_wam FILE`` from ``tests`` with the ``src`` of FastWAM @ 45d8e14 on
the path (and einops, rich, pillow installed), this records what the original gives.
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
from torch import Tensor

from checks.library import fill, made_weights, numbers
from fakes.episodes import MAKES, NEEDS, PX, SENTENCES
from vertebra.backbones.sizes import TINY, Latents
from vertebra.backbones.wan import WanSizes
from vertebra.policy.adapt_fast_wam import FastWamSizes, fast_wam_body, our_name, renamed
from vertebra.policy.network import Network
from vertebra.policy.passes import Passes
from vertebra.policy.senses import Given
from vertebra.policy.shape import Shape
from vertebra.policy.wan_parts import patches
from vertebra.recipes.fast_wam import FAST_WAM
from vertebra.schedules.generate import generate

COUNT, LAYERS, HEADS, HEAD_WIDTH = 2, 2, 2, 18
CHANNELS, TEXT, WAVES, WORDS = 4, 12, 16, 5
LATENT = (3, 4, 6)
"""Frames, rows and columns of latents; two by two make a token."""
SIZES = FastWamSizes(
    video=WanSizes(
        width=36,
        layers=LAYERS,
        heads=HEADS,
        head_width=HEAD_WIDTH,
        hidden=24,
        text_width=TEXT,
        waves=WAVES,
        channels_in=CHANNELS,
        channels_out=CHANNELS,
    ),
    action=WanSizes(
        width=10,
        layers=LAYERS,
        heads=HEADS,
        head_width=HEAD_WIDTH,
        hidden=16,
        text_width=TEXT,
        waves=WAVES,
        axes=(HEAD_WIDTH,),
    ),
    actions=len(MAKES.dims),
    state=len(NEEDS.state),
)
STEPS = {"video": torch.tensor([700.0, 250.0]), "action": torch.tensor([900.0, 100.0])}
SHAPE = Shape(
    recipe=FAST_WAM,
    size=replace(
        TINY,
        action_steps=None,
        latents=Latents(frames=LATENT[0] - 1, rows=2, columns=3, numbers=4 * CHANNELS),
    ),
    needs=NEEDS,
    makes=MAKES,
    vocabulary=(),
    pointing=False,
)


def latents() -> Tensor:
    """The first frame clean, and the noisy ones after it."""
    return numbers("latents", (COUNT, CHANNELS, *LATENT))


def chunk() -> Tensor:
    """Noisy actions."""
    return numbers("chunk", (COUNT, TINY.horizon, len(MAKES.dims)))


def states() -> tuple[Tensor, Tensor]:
    """States of the words, the last of which is padding in the first sample."""
    mask = torch.ones(COUNT, WORDS, dtype=torch.bool)
    mask[0, -1] = False
    return numbers("states", (COUNT, WORDS, TEXT)), mask


def given() -> Given:
    """Two observations."""
    return Given(
        images={c.name: torch.zeros(COUNT, PX, PX, 3, dtype=torch.uint8) for c in NEEDS.cameras},
        state=numbers("state", (COUNT, len(NEEDS.state))),
        instructions=tuple(SENTENCES[:COUNT]),
    )


def _encoded(pictures: Tensor) -> Tensor:
    assert pictures.shape == (COUNT, 1, PX, PX * len(NEEDS.cameras), 3)
    return latents()[:, :, :1]


def _told(texts: Sequence[str]) -> tuple[Tensor, Tensor]:
    assert all(
        text.endswith(f"instruction: {said}")
        for text, said in zip(texts, given().instructions, strict=True)
    )
    return states()


def network(shape: Shape = SHAPE) -> Network:
    """Our network with weights under Fast-WAM's names."""
    body = fast_wam_body(shape, SIZES, _encoded, _told)
    made = Network(shape, body)
    own = {name: tuple(value.shape) for name, value in made.state_dict().items()}
    theirs = {name: own[our_name(name)] for name in original_names()}
    made.load_state_dict(renamed(made_weights(theirs), shape.recipe.table))
    return made.eval()


def original_names() -> list[str]:
    """All names of weights of Fast-WAM, written down from its modules."""
    attention = [f"{p}.{kind}" for p in "qkvo" for kind in ("weight", "bias")]
    attention += ["norm_q.weight", "norm_k.weight"]
    block = ["modulation", "norm3.weight", "norm3.bias"]
    block += [f"{part}.{name}" for part in ("self_attn", "cross_attn") for name in attention]
    linears = ("ffn.0", "ffn.2")
    block += [f"{name}.{kind}" for name in linears for kind in ("weight", "bias")]
    told = ("text_embedding.0", "text_embedding.2", "time_embedding.0", "time_embedding.2")
    both = [f"{n}.{kind}" for n in (*told, "time_projection.1") for kind in ("weight", "bias")]
    both += [f"blocks.{layer}.{name}" for layer in range(LAYERS) for name in block]
    video = [*both, "head.modulation"]
    video += [f"{n}.{k}" for n in ("patch_embedding", "head.head") for k in ("weight", "bias")]
    action = [*both, *(f"{n}.{k}" for n in ("action_encoder", "head") for k in ("weight", "bias"))]
    return [
        *(f"mot.mixtures.video.{name}" for name in video),
        *(f"mot.mixtures.action.{name}" for name in action),
        *("proprio_encoder.weight", "proprio_encoder.bias"),
    ]


@torch.no_grad()
def our_velocities(made: Network) -> dict[str, Tensor]:
    """Velocities from data to noise of video and action, read together."""
    future = patches(latents()[:, :, 1:], SIZES.video.patch)
    times = {name: (1.0 - steps / 1000.0)[:, None] for name, steps in STEPS.items()}
    noisy = {"future": (future, times["video"]), "action": (chunk(), times["action"])}
    found = made.velocities(made.look([made.scene(given())], noisy), noisy)
    return {"future": -found["future"], "action": -found["action"]}


@torch.no_grad()
def our_actions(made: Network) -> Tensor:
    """A chunk by the recipe's schedule: the frame once, then ten equal steps of the action."""
    passes = Passes(made, given())
    return generate(made.shape.schedule, passes, {"action": chunk()}).values["action"]


def original() -> Any:
    """The same Fast-WAM from its own classes, with the methods of its model."""
    where = "fastwam.models.wan22"
    video, action, mot, model = (
        importlib.import_module(f"{where}.{name}")
        for name in ("wan_video_dit", "action_dit", "mot", "fastwam")
    )
    shared = {"text_dim": TEXT, "freq_dim": WAVES, "eps": 1e-6, "num_heads": HEADS}
    shared |= {"attn_head_dim": HEAD_WIDTH, "num_layers": LAYERS}
    watching = video.WanVideoDiT(
        hidden_dim=36,
        in_dim=CHANNELS,
        ffn_dim=24,
        out_dim=CHANNELS,
        patch_size=(1, 2, 2),
        has_image_input=False,
        seperated_timestep=True,
        video_attention_mask_mode="first_frame_causal",
        **shared,
    )
    doing = action.ActionDiT(hidden_dim=10, action_dim=len(MAKES.dims), ffn_dim=16, **shared)
    own = SimpleNamespace(
        video_expert=watching,
        action_expert=doing,
        device=torch.device("cpu"),
        mot=mot.MoT({"video": watching, "action": doing}, mot_checkpoint_mixed_attn=False),
    )
    own.whole = torch.nn.ModuleDict(
        {"mot": own.mot, "proprio_encoder": torch.nn.Linear(len(NEEDS.state), TEXT)}
    ).eval()
    fill(own.whole)
    names = (
        "_build_mot_attention_mask",
        "_predict_joint_noise",
        "_predict_action_noise_with_cache",
    )
    for name in names:
        setattr(own, name, getattr(model.FastWAM, name).__get__(own))
    return own


@torch.no_grad()
def record() -> dict[str, Any]:
    """What the original gives."""
    own = original()
    text, mask = states()
    proprio = own.whole["proprio_encoder"](given().state)[:, None]
    told = {
        "context": torch.cat([text, proprio], dim=1),
        "context_mask": torch.cat([mask, torch.ones(COUNT, 1, dtype=torch.bool)], dim=1),
    }
    future, action = own._predict_joint_noise(
        latents(),
        chunk(),
        STEPS["video"],
        STEPS["action"],
        fuse_vae_embedding_in_latents=True,
        **told,
    )
    seen = own.video_expert.pre_dit(
        latents()[:, :, :1],
        torch.zeros(COUNT),
        fuse_vae_embedding_in_latents=True,
        **told,
    )
    mask = own._build_mot_attention_mask(6, TINY.horizon, 6, own.device)
    cache = own.mot.prefill_video_cache(
        seen["tokens"],
        seen["freqs"],
        seen["t_mod"],
        {"context": seen["context"], "mask": seen["context_mask"]},
        mask[:6, :6],
    )
    made = chunk()
    for step in range(FAST_WAM.plain_schedule.steps):
        level = 1.0 - step / FAST_WAM.plain_schedule.steps
        velocity = own._predict_action_noise_with_cache(
            latents_action=made,
            timestep_action=torch.full((COUNT,), 1000.0 * level),
            video_kv_cache=cache,
            attention_mask=mask,
            video_seq_len=6,
            **told,
        )
        made = made - velocity / FAST_WAM.plain_schedule.steps
    future = patches(future[:, :, 1:], SIZES.video.patch)
    found = {"future": future, "action": action, "chunk": made}
    return {name: value.double().round(decimals=8).tolist() for name, value in found.items()}


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(record()) + "\n")
