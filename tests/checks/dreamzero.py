"""One DreamZero with weights and inputs that anyone can make again, in our network and in its own.

Run as ``python -m checks.dreamzero FILE`` from ``tests`` with ``groot/vla/model/dreamzero/modules/
{wan_video_dit_action_casual_chunk,wan2_1_submodule,wan2_1_attention,attention}.py`` and
``groot/vla/model/n1_5/modules/action_encoder.py`` of dreamzero @ ab790c1 on the path (and
diffusers, einops installed), this records what the original gives when its transformer and its
cache are called in the order of our schedule. Its attention kernels, which are for GPUs, are
replaced by torch's in float32.
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
from torch import Tensor, nn

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
from vertebra.backbones.sizes import TINY
from vertebra.flow.grids import steps_of
from vertebra.policy.adapt_dreamzero import GREY, dreamzero_body, dreamzero_sizes, our_name, renamed
from vertebra.policy.network import Network
from vertebra.policy.rolling import History, RollingPasses
from vertebra.policy.senses import Given
from vertebra.policy.shape import Shape
from vertebra.policy.wan_parts import unpatched
from vertebra.recipes.dreamzero import CHUNK, DREAMZERO
from vertebra.schedules.generate import generate
from vertebra.schedules.kinds import Together

TEXT, WORDS, SEEN, STATE = 6, 512, 257, 5
PATCH = (1, 2, 2)
MODEL: dict[str, Any] = {
    "model_type": "i2v",
    "frame_seqlen": ROWS * COLUMNS,
    "dim": 36,
    "in_dim": 2 * CHANNELS + 4,
    "ffn_dim": 24,
    "freq_dim": 16,
    "text_dim": TEXT,
    "out_dim": CHANNELS,
    "num_heads": 2,
    "num_layers": 2,
    "eps": 1e-6,
    "action_dim": len(MAKES.dims),
    "max_state_dim": STATE,
    "max_chunk_size": 4,
    "hidden_size": 8,
    "num_action_per_block": TINY.chunk,
}
TARGET = "groot.vla.model.dreamzero.modules.wan_video_dit_action_casual_chunk.CausalWanModel"
CONFIG: dict[str, Any] = {
    "action_head_cfg": {"config": {"diffusion_model_cfg": {"_target_": TARGET, **MODEL}}}
}
SIZES = dreamzero_sizes(CONFIG)
SHAPE = shape_on_latents(DREAMZERO)
AS_IT_ACTS = replace(
    SHAPE,
    recipe=replace(
        DREAMZERO,
        coupling=DREAMZERO.coupling.with_sight("state", **CHUNK),  # type: ignore[union-attr]
    ),
)
"""With what the state sees when DreamZero acts; in training it sees itself."""


def looked(pictures: Tensor) -> Tensor:
    """States of the picture encoder for pictures of ``given``."""
    return numbers(f"looks {int(pictures[0, 0, 0, 0])}", (len(pictures), SEEN, 1280))


def given(at: int) -> Given:
    """Two observations, whose pictures say when they were taken."""
    picture = torch.full((COUNT, PX, PX, 3), at, dtype=torch.uint8)
    return Given(
        images={camera.name: picture for camera in NEEDS.cameras},
        state=numbers(f"state {at}", (COUNT, len(NEEDS.state))),
        instructions=tuple(SENTENCES[:COUNT]),
    )


def encoded(pictures: Tensor) -> Tensor:
    """The latents of pictures of ``given``; a later frame is one picture held."""
    times = pictures[0, :, 0, 0, 0].tolist()
    assert pictures.shape[2:] == (PX, PX * len(NEEDS.cameras), 3)
    assert len(times) in (1, 1 + PICTURES)
    held = [times[0], *times[1::PICTURES]]
    return torch.stack([frame(at)[: len(pictures)] for at in held], dim=2)


def told(texts: Sequence[str]) -> tuple[Tensor, Tensor]:
    """States of sentences, all of them read."""
    return states(texts, WORDS, TEXT), torch.ones(len(texts), WORDS, dtype=torch.bool)


PARTS: dict[str, Any] = {"encode": encoded, "look": looked, "texts": told}


def original_names() -> list[str]:
    """All names of weights of DreamZero's transformer, written down from its modules."""
    both = ("weight", "bias")
    attention = [f"{part}.{kind}" for part in "qkvo" for kind in both]
    attention += ["norm_q.weight", "norm_k.weight"]
    block = ["modulation", "norm3.weight", "norm3.bias", "cross_attn.norm_k_img.weight"]
    block += [f"{part}.{name}" for part in ("self_attn", "cross_attn") for name in attention]
    linears = ("ffn.0", "ffn.2", "cross_attn.k_img", "cross_attn.v_img")
    block += [f"{name}.{kind}" for name in linears for kind in both]
    ends = ["text_embedding.0", "text_embedding.2", "time_embedding.0", "time_embedding.2"]
    ends += ["time_projection.1", "patch_embedding", "head.head"]
    ends += [f"img_emb.proj.{place}" for place in (0, 1, 3, 4)]
    banks = [f"{name}.layer{i}" for name in ("state_encoder", "action_decoder") for i in (1, 2)]
    banks += [f"action_encoder.W{i}" for i in (1, 2, 3)]
    names = [f"{name}.{kind}" for name in ends for kind in both]
    names += [f"{name}.{kind}" for name in banks for kind in ("W", "b")]
    names += [f"blocks.{layer}.{n}" for layer in range(MODEL["num_layers"]) for n in block]
    return [f"action_head.model.{name}" for name in ("head.modulation", *names)]


def weights() -> dict[str, Tensor]:
    """Weights under DreamZero's own names."""
    own = Network(SHAPE, dreamzero_body(SHAPE, SIZES, **PARTS)).state_dict()
    start = len("action_head.model.")
    plain = {name[start:]: tuple(own[str(our_name(name))].shape) for name in original_names()}
    return {f"action_head.model.{name}": value for name, value in made_weights(plain).items()}


def network(shape: Shape = SHAPE) -> Network:
    """Our network with these weights."""
    made = Network(shape, dreamzero_body(shape, SIZES, **PARTS))
    made.load_state_dict(renamed(weights(), shape.recipe.table))
    return made.eval()


@torch.no_grad()
def our_chunks(made: Network) -> dict[str, Tensor]:
    """Two chunks, one after the other, by the recipe's schedule."""
    found: dict[str, Tensor] = {}
    history, done = History(), None
    for at in (0, 1):
        passes = RollingPasses(made, given(at), history, done)
        values = generate(made.shape.schedule, passes, noise(SHAPE, at)).values
        found |= {f"{name} {at}": values[name] for name in ("future", "action")}
        history, done = passes.history, torch.zeros_like(values["action"])
    return found


TRAINED = {"future": torch.tensor([[0.3], [0.8]]), "action": torch.tensor([[0.1], [0.6]])}
"""Flow times of one chunk in training."""


@torch.no_grad()
def our_velocities(made: Network) -> dict[str, Tensor]:
    """Velocities from data to noise of one chunk, read as in training."""
    noisy = {name: (noise(SHAPE, 0)[name], time) for name, time in TRAINED.items()}
    teachers = {"clean_future": (noise(SHAPE, 1)["future"], torch.ones(COUNT, 1))}
    read = made.look([made.scene(given(0))], {**noisy, **teachers})
    return {f"{n} trained": -value for n, value in made.velocities(read, noisy).items()}


def attention(q: Tensor, k: Tensor, v: Tensor, *_: Any, **__: Any) -> Tensor:
    """Attention of [B, L, H, K], as the kernels of the original have it."""
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    return nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2)


class Original:
    """DreamZero's own transformer, with its cache."""

    def __init__(self) -> None:
        where = "groot.vla.model.dreamzero.modules"
        importlib.import_module(f"{where}.wan2_1_submodule").flash_attention = attention  # type: ignore[attr-defined]
        model = importlib.import_module(f"{where}.wan_video_dit_action_casual_chunk")
        self.own = model.CausalWanModel(**MODEL).eval()
        for block in self.own.blocks:
            block.self_attn.attn.forward = attention
        fill(self.own)
        self.said = (states(given(0).instructions, WORDS, TEXT), states([""] * COUNT, WORDS, TEXT))
        empty = torch.zeros(2, COUNT, 0, MODEL["num_heads"], MODEL["dim"] // MODEL["num_heads"])
        self.caches = [[empty] * MODEL["num_layers"] for _ in self.said]

    @staticmethod
    def beside(first: Tensor | None) -> Tensor:
        """What stands beside one frame [B, 4 + C, 1, H, W]: of a first one, or of a later one."""
        shown = frame(GREY)[:1].expand(COUNT, -1, -1, -1) if first is None else first
        mask = torch.full((COUNT, 4, *shown.shape[2:]), float(first is not None))
        return torch.cat([mask, shown], dim=1)[:, :, None]

    def __call__(
        self,
        latents: Tensor,
        at: int,
        start: int,
        *,
        first: bool = False,
        keep: bool = False,
        action: Tensor | None = None,
        level: float = 0.0,
    ) -> list[tuple[Tensor, Tensor | None]]:
        """Velocities of one frame [B, C, H, W] and an action, with and without words."""
        found: list[tuple[Tensor, Tensor | None]] = []
        doing: dict[str, Any] = {}
        if action is not None:
            state = nn.functional.pad(given(at).state, (0, STATE - len(NEEDS.state)))
            doing = {"action": action, "state": state[:, None]}
            doing["timestep_action"] = torch.full(action.shape[:2], 1000.0 * level)
        for i, said in enumerate(self.said):
            video, acted, caches = self.own(
                latents[:, :, None],
                timestep=torch.full((COUNT, 1), 1000.0 * level),
                context=said,
                seq_len=ROWS * COLUMNS,
                kv_cache=self.caches[i],
                crossattn_cache=None,
                current_start_frame=start,
                y=self.beside(latents if first else None),
                clip_feature=looked(next(iter(given(at).images.values()))),
                **doing,
            )
            if keep:
                self.caches[i] = caches
            found.append((video[:, :, 0], acted))
        return found

    def chunk(self, at: int, schedule: Together) -> dict[str, Tensor]:
        """One chunk after the first ``at`` ones, as our schedule makes it."""
        self(frame(at), at, at, first=True, keep=True)
        video, action = noise(SHAPE, at)["future"], noise(SHAPE, at)["action"]
        video = unpatched(video, (1, ROWS, COLUMNS), PATCH)[:, :, 0]
        times = steps_of(SHAPE.recipe.noise["action"].grid, schedule.steps, 1.0)
        (guidance,) = schedule.guidance
        for now, after in pairwise(times):
            heard, unheard = self(video, at, at + 1, action=action, level=1.0 - now)
            rate = unheard[0] + guidance.weight * (heard[0] - unheard[0])
            video, action = video - (after - now) * rate, action - (after - now) * heard[1]  # type: ignore[operator]
        return {f"future {at}": cut(video), f"action {at}": action}

    def trained(self) -> dict[str, Tensor]:
        """One chunk read as in training: the first frame and one noisy one after it."""
        noisy, clean = (
            unpatched(noise(SHAPE, at)["future"], (1, ROWS, COLUMNS), PATCH) for at in (0, 1)
        )
        first = frame(0)[:, :, None]
        steps = {name: 1000.0 * (1.0 - time) for name, time in TRAINED.items()}
        state = nn.functional.pad(given(0).state, (0, STATE - len(NEEDS.state)))
        # Its layers give what they should in training only, with gradients and checkpoints.
        own = torch.enable_grad()(self.own)
        video, action = own(
            torch.cat([first, noisy], dim=2),
            timestep=torch.cat([torch.zeros(COUNT, 1), steps["future"]], dim=1),
            timestep_action=steps["action"].repeat(1, TINY.chunk),
            context=self.said[0],
            seq_len=2 * ROWS * COLUMNS,
            clean_x=torch.cat([first, clean], dim=2),
            y=torch.cat([self.beside(frame(0)), self.beside(None)], dim=2),
            clip_feature=looked(next(iter(given(0).images.values()))),
            action=noise(SHAPE, 0)["action"],
            state=state[:, None],
            embodiment_id=torch.zeros(COUNT, dtype=torch.long),
        )
        return {"future trained": cut(video.detach()[:, :, 1]), "action trained": action.detach()}


def cut(latents: Tensor) -> Tensor:
    """Latents of one frame as vectors of patches."""
    rows = latents.unflatten(3, (COLUMNS, 2)).unflatten(2, (ROWS, 2))
    return rows.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)


@torch.no_grad()
def record() -> dict[str, Any]:
    """What the original gives."""
    own, schedule = Original(), SHAPE.recipe.plain_schedule
    assert isinstance(schedule, Together)
    found = {**own.trained(), **own.chunk(0, schedule)}
    own(frame(1), 1, 1, keep=True)
    found |= own.chunk(1, schedule)
    return {name: value.double().round(decimals=8).tolist() for name, value in found.items()}


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(record()) + "\n")
