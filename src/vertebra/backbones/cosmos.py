"""Layers of the video transformer of Cosmos-Predict 2 and 2.5, under diffusers' names of weights.

The same layers, with widths of their own, serve action experts that stand beside it.

Source: huggingface/diffusers @ v0.42.1 src/diffusers/models/transformers/transformer_cosmos.py;
    NVIDIA, arXiv:2501.03575. Equality is tested against that library. Places in time are never
    stretched by the rate of frames: NVlabs/cosmos-policy @ 18a2acc cosmos_policy/_src/predict2/
    configs/video2world/experiment/reason_embeddings/stage3_2B.py (rope_enable_fps_modulation).

Shape letters: B batch, L tokens, S context tokens, H heads, K head width, D width.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vertebra.backbones.features import require_features
from vertebra.backbones.wan import THETA, ExactNorm, FeedForward
from vertebra.nn.attention import HeadShape, attend, join_heads, rotated_halves, split_heads

EPS = 1e-6
HEAD_EPS = 1e-5
"""Added to the variance of a query or a key."""


@dataclass(frozen=True, kw_only=True)
class CosmosSizes:
    """Widths and counts of one Cosmos transformer, or of an expert built like one.

    Attributes:
        width: Token width.
        layers: Layers.
        heads: Heads.
        head_width: Width of a head.
        hidden: Hidden width of the MLP.
        narrow: Width between the two maps of a flow time.
        text_width: Width of the text encoder's states.
        context_width: Width of what the layers read of them; where it is another one, a map stands
            between the two.
        channels: Channels of the latents.
        padded: Whether one more channel says which pixels are padding.
        patch: Frames, rows and columns of latents a token.
        axes: How much of a head each axis of a place turns.
        stretch: For each axis by how much longer clips may be than those of the first training.
    """

    width: int
    layers: int
    heads: int
    head_width: int
    hidden: int
    narrow: int = 256
    text_width: int = 1024
    context_width: int = 1024
    channels: int = 16
    padded: bool = True
    patch: tuple[int, int, int] = (1, 2, 2)
    axes: tuple[int, ...]
    stretch: tuple[float, ...] = (1.0, 3.0, 3.0)

    @property
    def channels_out(self) -> int:
        """Channels that are predicted."""
        return self.channels

    def beside(self, width: int) -> "CosmosSizes":
        """Sizes of an expert beside this model, whose tokens lie on one axis."""
        axes = (self.head_width,)
        return replace(self, width=width, hidden=4 * width, axes=axes, stretch=(1.0,))


def cosmos_sizes(config: Mapping[str, Any]) -> CosmosSizes:
    """Sizes from the ``config.json`` of a ``CosmosTransformer3DModel``.

    Raises:
        ValueError: For another class, and for what only Cosmos 1, Cosmos-Predict2-Text2Image and
            Cosmos-Transfer have.
    """
    heads, head_width = config["num_attention_heads"], config["attention_head_dim"]
    frames, rows, columns = config["patch_size"]
    context = config["text_embed_dim"]
    projects = config.get("use_crossattn_projection", False)
    channels = config["in_channels"]
    require_features(
        "This is no Cosmos-Predict2 or 2.5 that makes videos of a picture",
        (
            ("_class_name", config.get("_class_name"), "CosmosTransformer3DModel"),
            ("patch_size[0]", frames, 1),
            ("extra_pos_embed_type", config.get("extra_pos_embed_type", "learnable"), None),
            ("img_context_dim_in", config.get("img_context_dim_in"), None),
            ("controlnet_block_every_n", config.get("controlnet_block_every_n"), None),
            (
                "in_channels (one more than out_channels, for what is known)",
                channels,
                config["out_channels"] + 1,
            ),
            *(
                (
                    (
                        "encoder_hidden_states_channels",
                        config["encoder_hidden_states_channels"],
                        context,
                    ),
                )
                if projects
                else ()
            ),
        ),
    )
    side = 2 * (head_width // 6)
    return CosmosSizes(
        width=heads * head_width,
        layers=config["num_layers"],
        heads=heads,
        head_width=head_width,
        hidden=int(config["mlp_ratio"] * heads * head_width),
        narrow=config["adaln_lora_dim"],
        text_width=config["crossattn_proj_in_channels"] if projects else context,
        context_width=context,
        channels=channels - 1,
        padded=config["concat_padding_mask"],
        patch=(frames, rows, columns),
        axes=(head_width - 2 * side, side, side),
        stretch=tuple(config["rope_scale"]),
    )


class CosmosModulation(nn.Module):
    """What a flow time does to one part of a layer: two maps of it, and what all layers share."""

    def __init__(self, sizes: CosmosSizes, count: int) -> None:
        super().__init__()
        self.count, self.width = count, sizes.width
        self.norm = ExactNorm(sizes.width, EPS, elementwise_affine=False)
        self.linear_1 = nn.Linear(sizes.width, sizes.narrow, bias=False)
        self.linear_2 = nn.Linear(sizes.narrow, count * sizes.width, bias=False)

    def told(self, condition: Tensor | None) -> tuple[Tensor, ...]:
        """Shift, scale and, where there are three, gate of a condition, each [B, L or 1, D]."""
        if condition is None:
            raise AssertionError("a layer of Cosmos needs the flow time of its tokens")
        own = self.linear_2(self.linear_1(F.silu(condition[..., : self.width])))
        shared = condition[..., self.width : (1 + self.count) * self.width]
        return (own + shared).chunk(self.count, dim=-1)

    def forward(self, tokens: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
        """Normalised, scaled and shifted tokens."""
        return (self.norm(tokens) * (1.0 + scale) + shift).type_as(tokens)


class CosmosAttention(nn.Module):
    """Projections of one attention, whose queries and keys are normalised in each head.

    Args:
        sizes: Widths.
        read: Width of what keys and values are made of.
    """

    def __init__(self, sizes: CosmosSizes, read: int) -> None:
        super().__init__()
        inner = sizes.heads * sizes.head_width
        self.heads = sizes.heads
        self.to_q = nn.Linear(sizes.width, inner, bias=False)
        self.to_k = nn.Linear(read, inner, bias=False)
        self.to_v = nn.Linear(read, inner, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(inner, sizes.width, bias=False)])
        self.norm_q = nn.RMSNorm(sizes.head_width, eps=HEAD_EPS)
        self.norm_k = nn.RMSNorm(sizes.head_width, eps=HEAD_EPS)

    def queries(self, x: Tensor) -> Tensor:
        """Normalised queries [B, H, L, K]."""
        return self.norm_q(split_heads(self.to_q(x), self.heads))

    def keys_values(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised keys, and values [B, H, L, K]."""
        key = self.norm_k(split_heads(self.to_k(x), self.heads))
        return key, split_heads(self.to_v(x), self.heads)

    def forward(self, x: Tensor, context: Tensor, bias: Tensor | None) -> Tensor:
        """Cross-attention of tokens [B, L, D] to a context [B, S, C]."""
        return self.merged(attend(self.queries(x), *self.keys_values(context), bias))

    def merged(self, attended_BHLK: Tensor) -> Tensor:
        """What was attended to, as an update of tokens [B, L, D]."""
        return self.to_out[0](join_heads(attended_BHLK))


class CosmosLayer(nn.Module):
    """One layer: self-attention, cross-attention to a context and MLP, all under the flow time.

    A condition [B, L or 1, 4 D] is what ``CosmosEmbedder.conditions`` gives. Places are whole
    numbers [L, A] or [B, L, A], one for each axis.
    """

    def __init__(self, sizes: CosmosSizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.head_shape = HeadShape(queries=sizes.heads, keys=sizes.heads, width=sizes.head_width)
        self.norm1 = CosmosModulation(sizes, 3)
        self.attn1 = CosmosAttention(sizes, sizes.width)
        self.norm2 = CosmosModulation(sizes, 3)
        self.attn2 = CosmosAttention(sizes, sizes.context_width)
        self.norm3 = CosmosModulation(sizes, 3)
        self.ff = FeedForward(
            sizes.width, sizes.hidden, sizes.width, approximate="none", bias=False
        )

    def modulation(self, condition: Tensor | None) -> tuple[Tensor, ...]:
        """Shift, scale and gate of attention, cross-attention and MLP, each [B, L or 1, D]."""
        norms = (self.norm1, self.norm2, self.norm3)
        return tuple(part for norm in norms for part in norm.told(condition))

    def normed(self, tokens: Tensor, modulation: tuple[Tensor, ...]) -> Tensor:
        """Normalised tokens, as the attention sees them."""
        return self.norm1(tokens, *modulation[:2])

    def keys_values(self, normed: Tensor, places: Tensor | None) -> tuple[Tensor, Tensor]:
        """Keys and values [B, H, L, K]."""
        key, value = self.attn1.keys_values(normed)
        return self._placed(key, places), value

    def queries(self, normed: Tensor, places: Tensor | None) -> Tensor:
        """Queries [B, H, L, K]."""
        return self._placed(self.attn1.queries(normed), places)

    def absorb(
        self,
        tokens: Tensor,
        attended_BHLK: Tensor,
        context: Tensor | None,
        bias: Tensor | None,
        modulation: tuple[Tensor, ...],
    ) -> Tensor:
        """Add the attention result, then what is read from the context [B, S, C], then the MLP."""
        if context is None:
            raise AssertionError("a layer of Cosmos reads a context and got none")
        _, _, gate, shift, scale, cross_gate, mlp_shift, mlp_scale, mlp_gate = modulation
        tokens = (tokens + gate * self.attn1.merged(attended_BHLK)).type_as(tokens)
        normed = self.norm2(tokens, shift, scale)
        tokens = (tokens + cross_gate * self.attn2(normed, context, bias)).type_as(tokens)
        update = mlp_gate * self.ff(self.norm3(tokens, mlp_shift, mlp_scale))
        return (tokens + update).type_as(tokens)

    def _placed(self, x_BHLK: Tensor, places: Tensor | None) -> Tensor:
        if places is None:
            raise AssertionError("a layer of Cosmos needs the place of every token")
        angles: list[Tensor] = []
        for axis, (share, stretch) in enumerate(
            zip(self.sizes.axes, self.sizes.stretch, strict=True)
        ):
            base = THETA * stretch ** (share / (share - 2))
            rate = base ** -(torch.arange(0, share, 2, device=x_BHLK.device) / share)
            angles.append(places[..., axis, None].to(rate) * rate)
        return rotated_halves(x_BHLK, torch.cat(angles, dim=-1))


def cosmos_layers(sizes: CosmosSizes) -> nn.ModuleList:
    """All layers, with new weights."""
    return nn.ModuleList(CosmosLayer(sizes) for _ in range(sizes.layers))
