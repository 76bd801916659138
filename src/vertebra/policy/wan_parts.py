"""What stands between a Wan and our streams: patches, flow times, directions.

What is written for any sizes serves other video models too.

The noise level is one minus our flow time, and the velocity of released weights points from data to
noise; both are turned round here, so that weights stay as they were released.
"""

import math
from collections.abc import Callable, Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from vertebra.backbones.video_sizes import VideoSizes
from vertebra.backbones.wan import WanSizes
from vertebra.backbones.wan_ends import WanEmbedder

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
