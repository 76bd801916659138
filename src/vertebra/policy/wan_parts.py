"""What stands between a Wan and our streams: patches, flow times, directions.

What is written for any sizes serves other video models too.

The noise level is one minus our flow time, and the velocity of released weights points from data to
noise; both are turned round here, so that weights stay as they were released.
"""

import math
from collections.abc import Callable, Mapping, Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from vertebra.backbones.video_sizes import VideoSizes
from vertebra.backbones.wan import WanSizes
from vertebra.backbones.wan_ends import WanEmbedder
from vertebra.coupling.table import Joint
from vertebra.spec.streams import Role

STEPS = 1000.0
"""The number of the noisiest step."""
Encode = Callable[[Tensor], Tensor]
"""From pictures [B, F, H, W, 3], uint8, to latents [B, C, F', H', W']."""
Texts = Callable[[Sequence[str]], tuple[Tensor, Tensor]]
"""From instructions to states of a text encoder [B, S, text_width] and a mask [B, S]."""


def patches(latents: Tensor, patch: tuple[int, int, int]) -> Tensor:
    """Latents [B, C, F, H, W] as one vector for each token [B, L, C * patch]."""
    batch, channels, *sides = latents.shape
    frames, rows, columns = (side // cut for side, cut in zip(sides, patch, strict=True))
    parts = latents.view(
        batch, channels, frames, patch[0], rows, patch[1], columns, patch[2]
    ).permute(0, 2, 4, 6, 1, 3, 5, 7)
    return parts.flatten(4).flatten(1, 3)


def unpatched(vectors: Tensor, grid: tuple[int, int, int], patch: tuple[int, int, int]) -> Tensor:
    """The inverse of ``patches``: vectors [B, L, C * patch] on a grid as latents."""
    parts = vectors.unflatten(1, grid).unflatten(-1, (-1, *patch))
    ordered = parts.permute(0, 4, 1, 5, 2, 6, 3, 7)
    return ordered.flatten(6, 7).flatten(4, 5).flatten(2, 3)


INSIDE: tuple[tuple[str, str], ...] = (
    ("self_attn.o.", "attn1.to_out.0."),
    ("cross_attn.o.", "attn2.to_out.0."),
    ("self_attn.norm_", "attn1.norm_"),
    ("self_attn.", "attn1.to_"),
    ("cross_attn.norm_k_img.", "attn2.norm_added_k."),
    ("cross_attn.k_img.", "attn2.add_k_proj."),
    ("cross_attn.v_img.", "attn2.add_v_proj."),
    ("cross_attn.norm_", "attn2.norm_"),
    ("cross_attn.", "attn2.to_"),
    ("norm3.", "norm2."),
    ("ffn.0.", "ffn.net.0.proj."),
    ("ffn.2.", "ffn.net.2."),
    ("modulation", "scale_shift_table"),
    ("text_embedding.0.", "text_embedder.linear_1."),
    ("text_embedding.2.", "text_embedder.linear_2."),
    ("time_embedding.0.", "time_embedder.linear_1."),
    ("time_embedding.2.", "time_embedder.linear_2."),
    ("time_projection.1.", "time_proj."),
)
"""Wan's own names of parts, which policies on it keep, and those of diffusers."""


def inside(name: str) -> str:
    """What diffusers calls a part of a layer, or of what tells times and words, of Wan."""
    for old, new in INSIDE:
        before, part, after = name.partition(old)
        if part and (not before or before.rstrip(".").isdigit()):
            return before + new + after
    return name


def wrong_experts(table: Joint, experts: Mapping[str, str]) -> list[str]:
    """What a released model does not know in the streams of a table, in words.

    Args:
        table: The table.
        experts: The weights that serve each stream that it knows.
    """
    wrong = [
        f"stream '{name}' is served by '{expert}', expected {experts.get(name, 'no such stream')}"
        for name, expert in table.experts.items()
        if experts.get(name) != expert
    ]
    return wrong + [f"stream '{name}' is embedded as {e}" for name, e in table.embed.items()]


def shared_out(weights: Mapping[str, Tensor], table: Joint) -> dict[str, Tensor]:
    """Weights, with those of an input once more for every clean copy of its stream."""
    found = dict(weights)
    for teacher in table.named(Role.TEACHER):
        of = f"inputs.{table.stream(teacher).of}."
        found |= {
            f"inputs.{teacher}.{name.removeprefix(of)}": value
            for name, value in weights.items()
            if name.startswith(of)
        }
    return found


class PatchTokens(nn.Module):
    """Vectors of patches as tokens, whatever their flow time; the time is their condition."""

    def __init__(self, sizes: WanSizes) -> None:
        super().__init__()
        self.patch_embedding = nn.Conv3d(sizes.channels_in, sizes.width, sizes.patch, sizes.patch)

    def forward(self, vectors_BLC: Tensor, time_BL: Tensor | None = None) -> Tensor:
        """[B, L, C * patch] to tokens [B, L, D]."""
        weight = self.patch_embedding.weight.flatten(1)
        return F.linear(vectors_BLC, weight, self.patch_embedding.bias)


class PatchVelocity(nn.Module):
    """Tokens as velocities of patch vectors, from noise to data.

    Args:
        sizes: Of the video model.
        bias: Whether the map adds something.
    """

    def __init__(self, sizes: VideoSizes, *, bias: bool = True) -> None:
        super().__init__()
        self.order = (math.prod(sizes.patch), sizes.channels_out)
        self.proj_out = nn.Linear(sizes.width, math.prod(self.order), bias=bias)

    def forward(self, closed: Tensor) -> Tensor:
        """[B, L, D] to [B, L, C * patch]."""
        return -self.proj_out(closed).unflatten(-1, self.order).transpose(-1, -2).flatten(-2)


class ActionTokens(nn.Linear):
    """Noisy actions as tokens; the time is their condition."""

    def forward(self, input: Tensor, time_BL: Tensor | None = None) -> Tensor:  # noqa: A002
        """[B, L, A] to tokens [B, L, D]."""
        return super().forward(input)


class ActionVelocity(nn.Linear):
    """Tokens as velocities of actions, from noise to data."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        """[B, L, D] to [B, L, A]."""
        return -super().forward(input)


class Unclosed(nn.Module):
    """Nothing follows the last layer."""

    def forward(self, tokens: Tensor, condition: Tensor | None) -> Tensor:
        """The tokens as they are."""
        return tokens


class Told(WanEmbedder):
    """Flow times as conditions of an expert, and words as its context."""

    def forward(self, time_BL: Tensor) -> Tensor:
        """Flow times [B, L] to conditions [B, L, 7 D]."""
        return self.conditions(STEPS * (1.0 - time_BL))
