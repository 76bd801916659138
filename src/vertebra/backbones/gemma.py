"""Layers of Gemma, for joint attention, under the names that transformers gives their weights.

Source: huggingface/transformers @ v5.23.0 src/transformers/models/gemma/modeling_gemma.py;
    Gemma Team, arXiv:2403.08295. Equality is tested against that library.

Shape letters: B batch, L tokens, H heads, K head width, D width.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vertebra.nn.attention import HeadShape, join_heads, rotated_halves, split_heads


@dataclass(frozen=True, kw_only=True)
class GemmaSizes:
    """Widths and counts of one Gemma transformer.

    Attributes:
        width: Token width.
        layers: Layers.
        heads: Heads of the queries.
        kv_heads: Heads of keys and values.
        head_width: Width of a head.
        hidden: Hidden width of the MLP.
        eps: Added to the mean square before its root.
        theta: Base of the rotary wavelengths.
    """

    width: int
    layers: int
    heads: int
    kv_heads: int
    head_width: int
    hidden: int
    eps: float = 1e-6
    theta: float = 10000.0


def gemma_sizes(config: Mapping[str, Any]) -> GemmaSizes:
    """Sizes from the ``config.json`` of a Gemma (or of the text part of a PaliGemma).

    Raises:
        ValueError: For another kind of model, or for features that these layers do not have.
    """
    kind = config.get("model_type")
    rope = config.get("rope_parameters") or {}
    activation = config.get("hidden_act", config.get("hidden_activation", "gelu_pytorch_tanh"))
    wrong = [
        f"{what} is {found!r}, expected {expected!r}"
        for what, found, expected in (
            ("model_type", kind, "gemma"),
            ("hidden_act", activation or "gelu_pytorch_tanh", "gelu_pytorch_tanh"),
            ("attention_bias", config.get("attention_bias", False), False),
            ("rope_type", rope.get("rope_type", "default"), "default"),
        )
        if found != expected
    ]
    if wrong:
        raise ValueError("These are not the layers of a Gemma 1: " + "; ".join(wrong) + ".")
    return GemmaSizes(
        width=config["hidden_size"],
        layers=config["num_hidden_layers"],
        heads=config["num_attention_heads"],
        kv_heads=config["num_key_value_heads"],
        head_width=config.get("head_dim", 256),
        hidden=config["intermediate_size"],
        eps=config.get("rms_norm_eps", 1e-6),
        theta=rope.get("rope_theta", config.get("rope_theta", 10000.0)),
    )


class GemmaNorm(nn.Module):
    """Root-mean-square normalisation whose gain is stored as its difference from one."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Normalise the last axis in float32; a condition changes nothing here."""
        exact = x.float()
        scaled = exact * torch.rsqrt(exact.square().mean(-1, keepdim=True) + self.eps)
        return (scaled * (1.0 + self.weight.float())).type_as(x)


class GemmaLayer(nn.Module):
    """One layer of a Gemma: grouped-query attention and a gated MLP, each after a normalisation.

    Places are positions in the text, [L] or [B, L].
    """

    def __init__(self, sizes: GemmaSizes) -> None:
        super().__init__()
        width, own = sizes.width, sizes.head_width
        self.head_shape = HeadShape(queries=sizes.heads, keys=sizes.kv_heads, width=own)
        self.theta = sizes.theta
        self.input_layernorm = GemmaNorm(width, sizes.eps)
        self.self_attn = nn.ModuleDict(
            {
                "q_proj": nn.Linear(width, sizes.heads * own, bias=False),
                "k_proj": nn.Linear(width, sizes.kv_heads * own, bias=False),
                "v_proj": nn.Linear(width, sizes.kv_heads * own, bias=False),
                "o_proj": nn.Linear(sizes.heads * own, width, bias=False),
            }
        )
        self.post_attention_layernorm = GemmaNorm(width, sizes.eps)
        self.mlp = nn.ModuleDict(
            {
                "gate_proj": nn.Linear(width, sizes.hidden, bias=False),
                "up_proj": nn.Linear(width, sizes.hidden, bias=False),
                "down_proj": nn.Linear(sizes.hidden, width, bias=False),
            }
        )

    def modulation(self, condition: Tensor | None) -> tuple[Tensor, ...]:
        """Nothing: the layer is not adaptive."""
        return ()

    def normed(self, tokens: Tensor, modulation: tuple[Tensor, ...]) -> Tensor:
        """Normalised tokens, as the attention sees them."""
        return self.input_layernorm(tokens)

    def keys_values(self, normed: Tensor, places: Tensor | None) -> tuple[Tensor, Tensor]:
        """Keys and values [B, H of keys, L, K]."""
        key = split_heads(self.self_attn["k_proj"](normed), self.head_shape.keys)
        value = split_heads(self.self_attn["v_proj"](normed), self.head_shape.keys)
        return self._placed(key, places), value

    def queries(self, normed: Tensor, places: Tensor | None) -> Tensor:
        """Queries [B, H, L, K]."""
        return self._placed(
            split_heads(self.self_attn["q_proj"](normed), self.head_shape.queries), places
        )

    def absorb(
        self,
        tokens: Tensor,
        attended_BHLK: Tensor,
        context: Tensor | None,
        bias: Tensor | None,
        modulation: tuple[Tensor, ...],
    ) -> Tensor:
        """Add the attention result, then the MLP; there is no cross-attention."""
        tokens = tokens + self.self_attn["o_proj"](join_heads(attended_BHLK))
        normed = self.post_attention_layernorm(tokens)
        gate = F.gelu(self.mlp["gate_proj"](normed), approximate="tanh")
        return tokens + self.mlp["down_proj"](gate * self.mlp["up_proj"](normed))

    def _placed(self, x_BHLK: Tensor, places: Tensor | None) -> Tensor:
        if places is None:
            raise AssertionError("a Gemma needs the position of every token")
        half = x_BHLK.shape[-1] // 2
        rate = self.theta ** -(torch.arange(half, device=x_BHLK.device) / half)
        return rotated_halves(x_BHLK, places[..., None].to(rate) * rate)


def gemma_layers(sizes: GemmaSizes) -> nn.ModuleList:
    """All layers of a Gemma, with new weights."""
    return nn.ModuleList(GemmaLayer(sizes) for _ in range(sizes.layers))
