"""One LingBot-VA with weights and inputs that anyone can make again, in our network and its own.

Run as ``python -m checks.lingbot_va FILE`` from ``tests`` with ``modules/model.py`` and
``utils/utils.py`` of lingbot-va @ 6f092cb wan_va, and an empty ``flash_attn_func`` of
``flash_attn_interface``, on the path (and diffusers, einops installed), this records what the
original gives when its transformer and its cache are called in the order of our schedule.
"""

import importlib
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from checks.latent_robot import (
    CHANNELS,
    COLUMNS,
    COUNT,
    PICTURES,
    ROWS,
    frame,
    noise,
    shape_on_latents,
    states,
)
from checks.library import fill, made_weights, numbers
from fakes.episodes import MAKES, NEEDS, PX, SENTENCES
from vertebra.flow.grids import steps_of
from vertebra.policy.adapt_lingbot_va import lingbot_va_body, lingbot_va_sizes, our_name, renamed
from vertebra.policy.network import Network
from vertebra.policy.rolling import History, RollingPasses
from vertebra.policy.senses import Given
from vertebra.policy.wan_parts import unpatched
from vertebra.recipes.lingbot_va import LINGBOT_VA_SHARED
from vertebra.schedules.generate import generate
from vertebra.schedules.kinds import VideoFirst

TEXT, WORDS = 12, 5
PATCH = (1, 2, 2)
USED = (0, 1, 3)
CONFIG: dict[str, Any] = {
    "_class_name": "WanTransformer3DModel",
    "patch_size": PATCH,
    "num_attention_heads": 2,
    "attention_head_dim": 18,
    "in_channels": CHANNELS,
    "out_channels": CHANNELS,
    "action_dim": len(MAKES.dims),
    "text_dim": TEXT,
    "freq_dim": 16,
    "ffn_dim": 24,
    "num_layers": 2,
    "cross_attn_norm": True,
    "eps": 1e-6,
    "rope_max_seq_len": 32,
    "pos_embed_seq_len": None,
    "attn_mode": "torch",
}
SIZES = replace(lingbot_va_sizes(CONFIG), used=USED)
SHAPE = shape_on_latents(LINGBOT_VA_SHARED)


def executed() -> Tensor:
    """What was done with the first chunk."""
    return numbers("executed", (COUNT, *SHAPE.vectors("action")))


def given(at: int) -> Given:
    """Two observations, whose pictures say when they were taken."""
    picture = torch.full((COUNT, PX, PX, 3), at, dtype=torch.uint8)
    return Given(
        images={camera.name: picture for camera in NEEDS.cameras},
        state=numbers("state", (COUNT, len(NEEDS.state))),
        instructions=tuple(SENTENCES[:COUNT]),
    )


def encoded(pictures: Tensor) -> Tensor:
    """The latents of pictures of ``given``; a later frame is one picture held."""
    times = pictures[0, :, 0, 0, 0].tolist()
    assert pictures.shape[2:] == (PX, PX * len(NEEDS.cameras), 3)
    assert all(times[1 + i] == times[-1] for i in range(len(times) - 1))
    assert len(times) in (1, 1 + PICTURES)
    return torch.stack([frame(at) for at in dict.fromkeys(times)], dim=2)


def told(texts: Sequence[str]) -> tuple[Tensor, Tensor]:
    """States of sentences, all of them read."""
    return states(texts, WORDS, TEXT), torch.ones(len(texts), WORDS, dtype=torch.bool)


def original_shapes() -> dict[str, tuple[int, ...]]:
    """All names of weights of LingBot-VA with their shapes, from those of our own."""
    body = lingbot_va_body(SHAPE, SIZES, encoded, told)
    own = {name: tuple(value.shape) for name, value in Network(SHAPE, body).state_dict().items()}
    return {name: own[our_name(name)] for name in original_names()}


def original_names() -> list[str]:
    """All names of weights of LingBot-VA, written down from its modules."""
    both = ("weight", "bias")
    linears = [f"{part}.to_{p}" for part in ("attn1", "attn2") for p in ("q", "k", "v", "out.0")]
    linears += ["norm2", "ffn.net.0.proj", "ffn.net.2"]
    block = [f"{name}.{kind}" for name in linears for kind in both]
    block += [f"{part}.norm_{p}.weight" for part in ("attn1", "attn2") for p in ("q", "k")]
    block.append("scale_shift_table")
    embedder = ("time_embedder.linear_1", "time_embedder.linear_2", "time_proj")
    embedder += ("text_embedder.linear_1", "text_embedder.linear_2")
    owners = ("condition_embedder", "condition_embedder_action")
    ends = [f"{owner}.{name}" for owner in owners for name in embedder]
    ends += ["patch_embedding_mlp", "action_embedder", "proj_out", "action_proj_out"]
    return [
        "scale_shift_table",
        *(f"{name}.{kind}" for name in ends for kind in both),
        *(f"blocks.{layer}.{name}" for layer in range(CONFIG["num_layers"]) for name in block),
    ]


def weights() -> dict[str, Tensor]:
    """Weights under LingBot-VA's own names."""
    return made_weights(original_shapes())


def network() -> Network:
    """Our network with these weights."""
    made = Network(SHAPE, lingbot_va_body(SHAPE, SIZES, encoded, told))
    made.load_state_dict(renamed(weights(), SHAPE.recipe.table))
    return made.eval()


@torch.no_grad()
def our_chunks(made: Network) -> dict[str, Tensor]:
    """Two chunks, one after the other, by the recipe's schedule."""
    found: dict[str, Tensor] = {}
    history, done = History(), None
    for at in (0, 1):
        passes = RollingPasses(made, given(at), history, done)
        values = generate(SHAPE.schedule, passes, noise(SHAPE, at)).values
        found |= {f"future {at}": values["future"], f"action {at}": values["action"][..., USED]}
        history, done = passes.history, executed()
    return found


class Original:
    """LingBot-VA's own transformer, with its cache, for our observations with and without words."""

    def __init__(self) -> None:
        model = importlib.import_module("modules.model")
        config = {name: value for name, value in CONFIG.items() if name[0] != "_"}
        self.grid = importlib.import_module("utils.utils").get_mesh_id
        self.own = model.WanTransformer3DModel(**config).eval()
        fill(self.own)
        self.own.create_empty_cache(
            "pos", 20, ROWS * COLUMNS, SHAPE.horizon, "cpu", torch.float32, 2 * COUNT
        )
        self.said = states([*given(0).instructions, *("",) * COUNT], WORDS, TEXT)

    def __call__(self, value: Tensor, level: float, start: int, *, keep: int) -> Tensor:
        """Velocities of latents [B, C, 1, H, W] or actions [B, L, A], twice as many."""
        acts = value.ndim == 3
        if acts:
            mask = torch.zeros(value.shape[-1])
            mask[list(USED)] = 1.0
            value = (value * mask).transpose(1, 2)[:, :, None, :, None]
        frames, rows, columns = value.shape[2:]
        cut = 1 if acts else 2
        grid = self.grid(frames, rows // cut, columns // cut, int(acts), 1, start, action=acts)
        inputs = {
            "noisy_latents": value.repeat(2, 1, 1, 1, 1),
            "timesteps": torch.full((2 * COUNT, frames), 1000.0 * level),
            "grid_id": grid[None].repeat(2 * COUNT, 1, 1),
            "text_emb": self.said,
        }
        return self.own(inputs, update_cache=keep, cache_name="pos", action_mode=acts)

    def chunk(self, at: int, schedule: VideoFirst) -> dict[str, Tensor]:
        """One chunk after the first ``at`` ones, as our schedule makes it."""
        self(frame(at)[:, :, None], 0.0, at, keep=2)
        grids = SHAPE.recipe.noise
        video, action = noise(SHAPE, at)["future"], noise(SHAPE, at)["action"]
        times = steps_of(grids["future"].grid, schedule.video_steps, schedule.until)
        (guidance,) = schedule.guidance
        for now, after in pairwise(times):
            latents = unpatched(video, (1, ROWS, COLUMNS), PATCH)
            parts = self(latents, 1.0 - now, at + 1, keep=0)
            rate = parts.view(2 * COUNT, ROWS * COLUMNS, 4, CHANNELS).transpose(2, 3).flatten(2)
            heard, unheard = rate[:COUNT], rate[COUNT:]
            video = video - (after - now) * (unheard + guidance.weight * (heard - unheard))
        latents = unpatched(video, (1, ROWS, COLUMNS), PATCH)
        self(latents, 1.0 - schedule.until, at + 1, keep=1)
        times = steps_of(grids["action"].grid, schedule.steps, 1.0)
        for now, after in pairwise(times):
            action = action - (after - now) * self(action, 1.0 - now, at + 1, keep=0)[:COUNT]
        return {f"future {at}": video, f"action {at}": action[..., USED]}


@torch.no_grad()
def record() -> dict[str, Any]:
    """What the original gives."""
    own, schedule = Original(), SHAPE.recipe.plain_schedule
    assert isinstance(schedule, VideoFirst)
    found = own.chunk(0, schedule)
    own.own.clear_pred_cache("pos")
    own(frame(1)[:, :, None], 0.0, 1, keep=2)
    own(executed(), 0.0, 1, keep=2)
    found |= own.chunk(1, schedule)
    return {name: value.double().round(decimals=8).tolist() for name, value in found.items()}


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(record()) + "\n")
