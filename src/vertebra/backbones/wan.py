"""Layers of Wan's video transformer, under the names that diffusers gives their weights.

The same layers, with widths of their own, serve action experts that stand beside it (Fast-WAM).

Source: huggingface/diffusers @ v0.42.1 src/diffusers/models/transformers/transformer_wan.py; Team
    Wan, arXiv:2503.20314. Equality is tested against that library. Experts narrower than their
    heads: FastWAM @ 45d8e14 src/fastwam/models/wan22/action_dit.py.

Shape letters: B batch, L tokens, S context tokens, H heads, K head width, D width.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vertebra.backbones.features import require_features
from vertebra.nn.attention import HeadShape, attend, join_heads, rotated_pairs, split_heads

THETA = 10000.0
"""Base of the wavelengths of places."""
TEXT_TOKENS = 512
"""In a context that begins with picture tokens the last ones are this many text tokens."""


@dataclass(frozen=True, kw_only=True)
class WanSizes:
    """Widths and counts of one Wan transformer, or of an expert built like one.

    Attributes:
        width: Token width.
        layers: Layers.
        heads: Heads.
        head_width: Width of a head.
        hidden: Hidden width of the MLP.
        text_width: Width of the text encoder's states.
        axes: How much of a head each axis of a place turns; empty for time, height and width as
            Wan shares them out.
        waves: Features of a flow time.
        channels_in: Channels of the (noisy) latents, with whatever conditions stand beside them.
        channels_out: Channels that are predicted.
        patch: Frames, rows and columns of latents a token.
        picture_width: Width of the picture encoder's states that every layer also reads, 0 for
            none.
        picture_places: Learned places of those states, 0 for none.
        cross_norm: Whether tokens are normalised before they read the context.
        eps: Added to every variance.
    """

    width: int
    layers: int
    heads: int
    head_width: int
    hidden: int
    text_width: int = 4096
    axes: tuple[int, ...] = ()
    waves: int = 256
    channels_in: int = 16
    channels_out: int = 16
    patch: tuple[int, int, int] = (1, 2, 2)
    picture_width: int = 0
    picture_places: int = 0
    cross_norm: bool = True
    eps: float = 1e-6

    @property
    def shared_out(self) -> tuple[int, ...]:
        """``axes``, or how Wan shares out a head."""
        if self.axes:
            return self.axes
        side = 2 * (self.head_width // 6)
        return (self.head_width - 2 * side, side, side)

    def beside(self, width: int) -> "WanSizes":
        """Sizes of an expert beside this model, whose tokens lie on one axis."""
        return replace(self, width=width, hidden=4 * width, axes=(self.head_width,))


def wan_sizes(config: Mapping[str, Any]) -> WanSizes:
    """Sizes from the ``config.json`` of a ``WanTransformer3DModel``.

    Raises:
        ValueError: For another class, or another normalisation of queries and keys.
    """
    require_features(
        "This is not a Wan transformer",
        (
            ("_class_name", config.get("_class_name"), "WanTransformer3DModel"),
            ("qk_norm", config.get("qk_norm", "rms_norm_across_heads"), "rms_norm_across_heads"),
        ),
    )
    heads, head_width = config["num_attention_heads"], config["attention_head_dim"]
    frames, rows, columns = config["patch_size"]
    return WanSizes(
        width=heads * head_width,
        layers=config["num_layers"],
        heads=heads,
        head_width=head_width,
        hidden=config["ffn_dim"],
        text_width=config["text_dim"],
        waves=config["freq_dim"],
        channels_in=config["in_channels"],
        channels_out=config["out_channels"],
        patch=(frames, rows, columns),
        picture_width=config.get("image_dim") or 0,
        picture_places=config.get("pos_embed_seq_len") or 0,
        cross_norm=config.get("cross_attn_norm", True),
        eps=config.get("eps", 1e-6),
    )


class ExactNorm(nn.LayerNorm):
    """Layer normalisation in float32, whatever the weights and the input are."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        """Normalise the last axis; float32."""
        gain = None if self.weight is None else self.weight.float()
        shift = None if self.bias is None else self.bias.float()
        return F.layer_norm(input.float(), self.normalized_shape, gain, shift, self.eps)


class FeedForward(nn.Module):
    """Two linear maps with a GELU between them.

    Args:
        width: Width of the input.
        hidden: Width between the two.
        out: Width of the output.
        approximate: The form of the GELU, as torch calls it.
        bias: Whether the maps add something.
    """

    def __init__(
        self, width: int, hidden: int, out: int, approximate: str = "tanh", *, bias: bool = True
    ) -> None:
        super().__init__()
        self.approximate = approximate
        first = nn.ModuleDict({"proj": nn.Linear(width, hidden, bias=bias)})
        self.net = nn.ModuleList([first, nn.Identity(), nn.Linear(hidden, out, bias=bias)])

    def forward(self, x: Tensor) -> Tensor:
        """[..., width] to [..., out]."""
        first = cast("nn.ModuleDict", self.net[0])["proj"]
        return self.net[2](F.gelu(first(x), approximate=self.approximate))


class WanAttention(nn.Module):
    """Projections of one attention, whose queries and keys are normalised over all heads.

    Args:
        sizes: Widths.
        pictures: Whether there are also keys and values of pictures.
    """

    def __init__(self, sizes: WanSizes, *, pictures: bool = False) -> None:
        super().__init__()
        width, inner, eps = sizes.width, sizes.heads * sizes.head_width, sizes.eps
        self.heads = sizes.heads
        self.to_q = nn.Linear(width, inner)
        self.to_k = nn.Linear(width, inner)
        self.to_v = nn.Linear(width, inner)
        self.to_out = nn.ModuleList([nn.Linear(inner, width)])
        self.norm_q = nn.RMSNorm(inner, eps=eps)
        self.norm_k = nn.RMSNorm(inner, eps=eps)
        self.pictures = pictures
        if pictures:
            self.add_k_proj = nn.Linear(width, inner)
            self.add_v_proj = nn.Linear(width, inner)
            self.norm_added_k = nn.RMSNorm(inner, eps=eps)

    def queries(self, x: Tensor) -> Tensor:
        """Normalised queries [B, H, L, K]."""
        return split_heads(self.norm_q(self.to_q(x)), self.heads)

    def keys_values(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised keys, and values [B, H, L, K]."""
        key = split_heads(self.norm_k(self.to_k(x)), self.heads)
        return key, split_heads(self.to_v(x), self.heads)

    def forward(self, x: Tensor, context: Tensor, bias: Tensor | None) -> Tensor:
        """Cross-attention of tokens [B, L, D] to a context [B, S, D], pictures first in it.

        Args:
            x: Tokens.
            context: What they read.
            bias: Bias [B, 1, 1, S] of the context's padding.
        """
        query = self.queries(x)
        first = context.shape[1] - TEXT_TOKENS if self.pictures else 0
        text_bias = None if bias is None else bias[..., first:]
        read = attend(query, *self.keys_values(context[:, first:]), text_bias)
        if self.pictures:
            seen = context[:, :first]
            key = split_heads(self.norm_added_k(self.add_k_proj(seen)), self.heads)
            value = split_heads(self.add_v_proj(seen), self.heads)
            read = read + attend(query, key, value, None)
        return self.merged(read)

    def merged(self, attended_BHLK: Tensor) -> Tensor:
        """What was attended to, as an update of tokens [B, L, D]."""
        return self.to_out[0](join_heads(attended_BHLK))


class WanLayer(nn.Module):
    """One layer: self-attention and MLP under the flow time, cross-attention to a context.

    A condition [B, L or 1, 7 D] is what ``WanEmbedder.conditions`` gives. Places are numbers
    [L, A] or [B, L, A], one for each axis; a single one turns the whole head.
    """

    def __init__(self, sizes: WanSizes) -> None:
        super().__init__()
        width = sizes.width
        self.sizes = sizes
        self.head_shape = HeadShape(queries=sizes.heads, keys=sizes.heads, width=sizes.head_width)
        self.norm1 = ExactNorm(width, sizes.eps, elementwise_affine=False)
        self.attn1 = WanAttention(sizes)
        self.norm2 = ExactNorm(width, sizes.eps) if sizes.cross_norm else nn.Identity()
        self.attn2 = WanAttention(sizes, pictures=sizes.picture_width > 0)
        self.norm3 = ExactNorm(width, sizes.eps, elementwise_affine=False)
        self.ffn = FeedForward(width, sizes.hidden, width)
        self.scale_shift_table = nn.Parameter(torch.randn(1, 6, width) / width**0.5)

    def modulation(self, condition: Tensor | None) -> tuple[Tensor, ...]:
        """Shift, scale and gate of the attention, then of the MLP, each [B, L or 1, D], float32."""
        if condition is None:
            raise AssertionError("a layer of Wan needs the flow time of its tokens")
        known = condition[..., self.sizes.width :].float().unflatten(-1, (6, -1))
        return (self.scale_shift_table[None].float() + known).unbind(-2)

    def normed(self, tokens: Tensor, modulation: tuple[Tensor, ...]) -> Tensor:
        """Normalised tokens, as the attention sees them."""
        shift, scale = modulation[:2]
        return (self.norm1(tokens) * (1.0 + scale) + shift).type_as(tokens)

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
        """Add the attention result, then what is read from the context [B, S, D], then the MLP."""
        if context is None:
            raise AssertionError("a layer of Wan reads a context and got none")
        _, _, gate, mlp_shift, mlp_scale, mlp_gate = modulation
        update = self.attn1.merged(attended_BHLK)
        tokens = (tokens.float() + update * gate).type_as(tokens)
        tokens = tokens + self.attn2(self.norm2(tokens).type_as(tokens), context, bias)
        normed = self.norm3(tokens) * (1.0 + mlp_scale) + mlp_shift
        update = self.ffn(normed.type_as(tokens)).float()
        return (tokens.float() + update * mlp_gate).type_as(tokens)

    def _placed(self, x_BHLK: Tensor, places: Tensor | None) -> Tensor:
        if places is None:
            raise AssertionError("a layer of Wan needs the place of every token")
        angles: list[Tensor] = []
        single = places.shape[-1] == 1
        for axis, share in enumerate((x_BHLK.shape[-1],) if single else self.sizes.shared_out):
            rate = THETA ** -(torch.arange(0, share, 2, device=x_BHLK.device) / share)
            angles.append(places[..., axis, None].to(rate) * rate)
        return rotated_pairs(x_BHLK, torch.cat(angles, dim=-1))


def wan_layers(sizes: WanSizes) -> nn.ModuleList:
    """All layers, with new weights."""
    return nn.ModuleList(WanLayer(sizes) for _ in range(sizes.layers))
