"""What stands before and behind the layers of Wan, under diffusers' names of its weights.

Source: huggingface/diffusers @ v0.42.1 src/diffusers/models/transformers/transformer_wan.py.

Shape letters: B batch, L tokens, S context tokens, D width; C, F, H, W channels, frames, rows and
columns of latents.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vertebra.backbones.wan import THETA, ExactNorm, FeedForward, WanSizes

KEYS: Mapping[str, str] = {
    "blocks.": "layers.",
    "scale_shift_table": "closing.scale_shift_table",
    "": "ends.",
}
"""Beginnings of diffusers' names of weights, the first that fits, and what stands for them here."""


class WanClosing(nn.Module):
    """What follows the last layer: a normalisation under the flow time."""

    def __init__(self, sizes: WanSizes) -> None:
        super().__init__()
        self.norm_out = ExactNorm(sizes.width, sizes.eps, elementwise_affine=False)
        self.scale_shift_table = nn.Parameter(torch.randn(1, 2, sizes.width) / sizes.width**0.5)

    def forward(self, tokens: Tensor, condition: Tensor | None) -> Tensor:
        """Normalised, scaled and shifted tokens."""
        if condition is None:
            raise AssertionError("the end of Wan needs the flow time of its tokens")
        known = condition[..., None, : tokens.shape[-1]]
        shift, scale = (self.scale_shift_table[None] + known).unbind(-2)
        return (self.norm_out(tokens) * (1.0 + scale) + shift).type_as(tokens)


class TwoLinears(nn.Module):
    """Two linear maps, with what the caller wants between them."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(width, out)
        self.linear_2 = nn.Linear(out, out)


class PictureEmbedder(nn.Module):
    """States of a picture encoder [B, S, C] as the first part of a context [B, S, D]."""

    def __init__(self, sizes: WanSizes) -> None:
        super().__init__()
        seen = sizes.picture_width
        self.norm1 = ExactNorm(seen)
        self.ff = FeedForward(seen, seen, sizes.width, approximate="none")
        self.norm2 = ExactNorm(sizes.width)
        self.pos_embed = (
            nn.Parameter(torch.zeros(1, sizes.picture_places, seen))
            if sizes.picture_places
            else None
        )

    def forward(self, states: Tensor) -> Tensor:
        """With learned places the states of two pictures are one sequence."""
        if self.pos_embed is not None:
            states = states.reshape(-1, 2 * states.shape[1], states.shape[2]) + self.pos_embed
        normed = self.norm1(states).type_as(states)
        return self.norm2(self.ff(normed)).type_as(states)


def step_waves(steps: Tensor, count: int) -> Tensor:
    """Cosines, then sines of numbers [B, n], at wavelengths that grow: [B, n, count], float32."""
    half = count // 2
    rate = torch.exp(-math.log(THETA) * torch.arange(half, device=steps.device) / half)
    angle = steps.float()[..., None] * rate
    return torch.cat([angle.cos(), angle.sin()], dim=-1)


class WanEmbedder(nn.Module):
    """Flow times as conditions; states of text and picture encoders as a context."""

    def __init__(self, sizes: WanSizes) -> None:
        super().__init__()
        width = sizes.width
        self.waves = sizes.waves
        self.time_embedder = TwoLinears(sizes.waves, width)
        self.time_proj = nn.Linear(width, 6 * width)
        self.text_embedder = TwoLinears(sizes.text_width, width)
        if sizes.picture_width:
            self.image_embedder = PictureEmbedder(sizes)

    def conditions(self, steps: Tensor) -> Tensor:
        """What layers and end make of steps [B, n], from 1000 (noise) to 0 (data): [B, n, 7 D]."""
        waves = step_waves(steps, self.waves).to(self.time_proj.weight.dtype)
        own = self.time_embedder
        told = own.linear_2(F.silu(own.linear_1(waves)))
        return torch.cat([told, self.time_proj(F.silu(told))], dim=-1)

    def words(self, states: Tensor) -> Tensor:
        """States of the text encoder [B, S, text_width] as a context [B, S, D]."""
        own = self.text_embedder
        return own.linear_2(F.gelu(own.linear_1(states), approximate="tanh"))


class WanEnds(nn.Module):
    """Latents as tokens, and tokens as latents again."""

    def __init__(self, sizes: WanSizes) -> None:
        super().__init__()
        self.patch, self.channels = sizes.patch, sizes.channels_out
        self.patch_embedding = nn.Conv3d(sizes.channels_in, sizes.width, sizes.patch, sizes.patch)
        self.condition_embedder = WanEmbedder(sizes)
        self.proj_out = nn.Linear(sizes.width, sizes.channels_out * math.prod(sizes.patch))

    def grid(self, latents: Tensor) -> tuple[int, int, int]:
        """Tokens of latents [B, C, F, H, W] along frames, rows and columns."""
        frames, rows, columns = (
            side // cut for side, cut in zip(latents.shape[2:], self.patch, strict=True)
        )
        return frames, rows, columns

    def tokens(self, latents: Tensor) -> Tensor:
        """Latents [B, C, F, H, W] as tokens [B, L, D], frame after frame and row after row."""
        return self.patch_embedding(latents).flatten(2).transpose(1, 2)

    def latents(self, closed: Tensor, grid: tuple[int, int, int]) -> Tensor:
        """Tokens after the last layer [B, L, D] as latents [B, C, F, H, W]."""
        parts = self.proj_out(closed).unflatten(1, grid).unflatten(-1, (*self.patch, self.channels))
        ordered = parts.permute(0, 7, 1, 4, 2, 5, 3, 6)
        return ordered.flatten(6, 7).flatten(4, 5).flatten(2, 3)


def wan_places(grid: tuple[int, int, int], *, start: int = 0) -> Tensor:
    """Frame (counted from ``start``), row and column of each token [L, 3]."""
    frames, rows, columns = (torch.arange(side) for side in grid)
    return torch.cartesian_prod(start + frames, rows, columns)
