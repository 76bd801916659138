"""What makes tokens of pictures for released vision-language models: encoders of the library.

Source: huggingface/transformers @ v5.23.0 src/transformers/models/{paligemma,smolvlm,gemma3,
    qwen2_vl,qwen2_5_vl,qwen3_vl}/.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from vertebra.backbones.decoder import DecoderSizes, RootNorm
from vertebra.policy.adapt_pi0 import framed


class Eyes(Protocol):
    """What makes tokens of pictures (a module)."""

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of tokens of one picture."""
        ...

    def __call__(self, picture_BHWC: Tensor) -> Tensor:
        """Pictures [B, H, W, 3], uint8, to tokens [B, rows * columns, D]."""
        ...


class SquareEyes(nn.Module):
    """A picture encoder for squares of one size, and a linear map behind it (PaliGemma).

    Args:
        tower: Normalised pictures [B, 3, px, px] in, something with a ``last_hidden_state`` out.
        config: Configuration of the tower.
        width: Width of the tokens.
    """

    def __init__(self, tower: nn.Module, config: Mapping[str, Any], width: int) -> None:
        super().__init__()
        self.px = int(config["image_size"])
        side = self.px // int(config["patch_size"])
        self.grid = (side, side)
        self.tower = tower
        self.projector = nn.Linear(int(config["hidden_size"]), width)

    def forward(self, picture_BHWC: Tensor) -> Tensor:
        """Pictures [B, H, W, 3], uint8, to tokens [B, rows * columns, D]."""
        pixels = framed(picture_BHWC, self.px, self.projector.weight.dtype)
        return self.projector(self.tower(pixels).last_hidden_state)


class ShuffledEyes(nn.Module):
    """A picture encoder for squares, whose neighbouring tokens are joined (SmolVLM2).

    Args:
        tower: Normalised pictures [B, 3, px, px] in, something with a ``last_hidden_state`` out.
        config: Configuration of the tower.
        joined: How many tokens along each side become one.
        width: Width of the tokens.
    """

    def __init__(
        self, tower: nn.Module, config: Mapping[str, Any], joined: int, width: int
    ) -> None:
        super().__init__()
        self.px, self.joined = int(config["image_size"]), joined
        side = self.px // int(config["patch_size"]) // joined
        self.grid = (side, side)
        self.tower = tower
        self.proj = nn.Linear(int(config["hidden_size"]) * joined**2, width, bias=False)

    def forward(self, picture_BHWC: Tensor) -> Tensor:
        """Pictures [B, H, W, 3], uint8, to tokens [B, rows * columns, D]."""
        pixels = framed(picture_BHWC, self.px, self.proj.weight.dtype)
        seen = self.tower(pixels).last_hidden_state
        side, cut = self.grid[0], self.joined
        parts = seen.view(len(seen), side, cut, side, cut, -1).permute(0, 1, 3, 2, 4, 5)
        return self.proj(parts.reshape(len(seen), side * side, -1))


class PooledEyes(nn.Module):
    """A picture encoder for squares, whose neighbouring tokens are averaged (Gemma 3).

    Args:
        tower: Normalised pictures [B, 3, px, px] in, something with a ``last_hidden_state`` out.
        config: Configuration of the tower.
        side: Tokens along each side of a picture.
        sizes: The language model.
    """

    def __init__(
        self, tower: nn.Module, config: Mapping[str, Any], side: int, sizes: DecoderSizes
    ) -> None:
        super().__init__()
        self.px, width = int(config["image_size"]), int(config["hidden_size"])
        self.pooled = self.px // int(config["patch_size"]) // side
        self.grid = (side, side)
        self.tower = tower
        self.norm = RootNorm(replace(sizes, eps=config["layer_norm_eps"]), width)
        self.projection = nn.Parameter(torch.zeros(width, sizes.width))

    def forward(self, picture_BHWC: Tensor) -> Tensor:
        """Pictures [B, H, W, 3], uint8, to tokens [B, rows * columns, D]."""
        pixels = framed(picture_BHWC, self.px, self.projection.dtype)
        seen = self.tower(pixels).last_hidden_state
        side, cut = self.grid[0], self.pooled
        parts = seen.view(len(seen), side, cut, side, cut, -1).mean((2, 4))
        return self.norm(parts.flatten(1, 2)) @ self.projection


class MergedEyes(nn.Module):
    """A picture encoder that takes patches of pictures of any size and joins their tokens (Qwen).

    Args:
        tower: Patches and grids in, something with a ``pooler_output`` out.
        config: Configuration of the tower.
        mean: Of its pictures in [0, 1], for each colour.
        deviation: Of its pictures, for each colour.

    Where the tower also gives states of earlier layers (Qwen3-VL), they stand behind the tokens.
    """

    SIDE = 8
    """Tokens along each side of a picture: 224 pixels in Qwen2.5-VL, 256 in Qwen3-VL."""

    def __init__(
        self,
        tower: nn.Module,
        config: Mapping[str, Any],
        *,
        mean: tuple[float, ...],
        deviation: tuple[float, ...],
    ) -> None:
        super().__init__()
        self.patch, self.joined = int(config["patch_size"]), int(config["spatial_merge_size"])
        self.frames = int(config["temporal_patch_size"])
        self.px = self.SIDE * self.joined * self.patch
        self.grid = (self.SIDE, self.SIDE)
        self.tower = tower
        self.mean, self.deviation = mean, deviation

    def forward(self, picture_BHWC: Tensor) -> Tensor:
        """Pictures [B, H, W, 3], uint8, to tokens [B, rows * columns, (1 + states) * D]."""
        dtype, device = next(self.tower.parameters()).dtype, picture_BHWC.device
        mean, deviation = (
            torch.tensor(numbers, dtype=dtype, device=device)[:, None, None]
            for numbers in (self.mean, self.deviation)
        )
        pixels = ((framed(picture_BHWC, self.px, dtype) + 1.0) / 2.0 - mean) / deviation
        side = self.SIDE * self.joined
        grids = torch.tensor([[1, side, side]], device=device).expand(len(pixels), -1)
        found = self.tower(self.patches(pixels), grid_thw=grids)
        parts = (found.pooler_output, *getattr(found, "deepstack_features", ()))
        return torch.cat(parts, dim=-1).unflatten(0, (len(pixels), -1))

    def patches(self, pixels: Tensor) -> Tensor:
        """Pictures [B, 3, px, px] as patches [B * rows * columns, N]; those to be joined together.

        A picture stands for several frames, all the same.
        """
        side, joined, patch = self.SIDE, self.joined, self.patch
        parts = pixels.reshape(len(pixels), 3, side, joined, patch, side, joined, patch)
        parts = parts.permute(0, 2, 5, 3, 6, 1, 4, 7)[..., None, :, :]
        return parts.expand(*parts.shape[:6], self.frames, patch, patch).reshape(
            -1, 3 * self.frames * patch**2
        )
