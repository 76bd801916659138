"""What stands before and behind the layers of Cosmos, under diffusers' names of its weights.

Source: huggingface/diffusers @ v0.42.1 src/diffusers/models/transformers/transformer_cosmos.py.

Shape letters: B batch, L tokens, S context tokens, D width.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vertebra.backbones.cosmos import EPS, CosmosModulation, CosmosSizes
from vertebra.backbones.wan_ends import step_waves


class CosmosClosing(CosmosModulation):
    """What follows the last layer: a normalisation under the flow time."""

    def __init__(self, sizes: CosmosSizes) -> None:
        super().__init__(sizes, 2)

    def forward(self, tokens: Tensor, condition: Tensor | None) -> Tensor:  # type: ignore[override]
        """Normalised, scaled and shifted tokens."""
        return super().forward(tokens, *self.told(condition))


class StepMaps(nn.Module):
    """Waves of a flow time to what all layers share of it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(width, width, bias=False)
        self.linear_2 = nn.Linear(width, 3 * width, bias=False)

    def forward(self, waves: Tensor) -> Tensor:
        """[..., D] to [..., 3 D]."""
        return self.linear_2(F.silu(self.linear_1(waves)))


class CosmosEmbedder(nn.Module):
    """Flow times as conditions; states of a text encoder as a context."""

    def __init__(self, sizes: CosmosSizes) -> None:
        super().__init__()
        self.width = sizes.width
        self.t_embedder = StepMaps(sizes.width)
        self.norm = nn.RMSNorm(sizes.width, eps=EPS)
        self.crossattn_proj = (
            nn.Sequential(nn.Linear(sizes.text_width, sizes.context_width), nn.GELU())
            if sizes.text_width != sizes.context_width
            else None
        )

    def conditions(self, levels: Tensor) -> Tensor:
        """What layers and end make of levels [B, n], from 1 (noise) to 0 (data): [B, n, 4 D]."""
        waves = step_waves(levels, self.width).to(self.norm.weight.dtype)
        return torch.cat([self.norm(waves), self.t_embedder(waves)], dim=-1)

    def words(self, states: Tensor) -> Tensor:
        """States of the text encoder [B, S, text_width] as a context [B, S, context_width]."""
        return states if self.crossattn_proj is None else self.crossattn_proj(states)
