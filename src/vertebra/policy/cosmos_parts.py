"""What stands between a Cosmos-Predict 2 or 2.5 and our streams.

Both were trained on the straight path between noise and data. Cosmos-Predict2 speaks of a sigma
and scales input and output so that its transformer sees that path at the level sigma / (1 + sigma)
and gives the velocity there; 2.5 says so itself. The level is one minus our flow time, and the
velocity points from data to noise; both are turned round here, so that weights stay as they were
released.

Source: huggingface/diffusers @ v0.42.1 src/diffusers/pipelines/cosmos/
    pipeline_cosmos2_video2world.py (c_in, c_skip, c_out, condition_mask, sigma_conditioning),
    pipeline_cosmos2_5_predict.py.
"""

import math

import torch
from torch import Tensor, nn

from vertebra.backbones.cosmos import CosmosSizes
from vertebra.backbones.cosmos_ends import CosmosEmbedder

KNOWN = 1e-4
"""The noise level of a frame that is known."""


class CosmosTokens(nn.Module):
    """Vectors of patches as tokens, beside which stands whether their frame is known.

    A frame whose flow time is 1 is known. No pixel is padding.
    """

    def __init__(self, sizes: CosmosSizes) -> None:
        super().__init__()
        self.each, self.padded = math.prod(sizes.patch), sizes.padded
        channels = sizes.channels + 1 + sizes.padded
        self.proj = nn.Linear(channels * self.each, sizes.width, bias=False)

    def forward(self, vectors_BLC: Tensor, time_BL: Tensor | None = None) -> Tensor:
        """[B, L, C * patch] to tokens [B, L, D]."""
        time = vectors_BLC.new_ones(vectors_BLC.shape[:2]) if time_BL is None else time_BL
        known = (time >= 1.0).to(vectors_BLC)[..., None].expand(-1, -1, self.each)
        beside = [known, torch.zeros_like(known)] if self.padded else [known]
        return self.proj(torch.cat([vectors_BLC, *beside], dim=-1))


class CosmosTold(CosmosEmbedder):
    """Flow times as conditions of an expert, and words as its context."""

    def forward(self, time_BL: Tensor) -> Tensor:
        """Flow times [B, L] to conditions [B, L, 4 D]."""
        return self.conditions((1.0 - time_BL).clamp(min=KNOWN))
