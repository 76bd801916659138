"""Layers of language models, for joint attention, under the names that transformers gives them.

One layer serves Gemma, Llama and Qwen: they differ in how gains are stored, in biases, in the gate,
in the axes of places and in what is normalised, and all of that is data.

Source: huggingface/transformers @ v5.23.0 src/transformers/models/{gemma,gemma3,llama,qwen2_5_vl,
    qwen3_vl}/modeling_*.py; Gemma Team, arXiv:2403.08295. Equality is tested against that library.

Shape letters: B batch, L tokens, H heads, K head width, D width, A axes of places.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vertebra.nn.attention import HeadShape, join_heads, rotated_halves, split_heads


@dataclass(frozen=True, kw_only=True)
class DecoderSizes:
    """Widths and counts of one language model, or of an expert built like one.

    Attributes:
        width: Token width.
        layers: Layers.
        heads: Heads of the queries.
        kv_heads: Heads of keys and values.
        head_width: Width of a head.
        hidden: Hidden width of the MLP.
        eps: Added to the mean square before its root.
        theta: Base of the rotary wavelengths.
        stretch: What places are divided by.
        local: Layers whose places are not stretched and turn with ``local_theta`` as base.
        local_theta: Base of the rotary wavelengths in those layers.
        gate: ``gelu`` (its tanh form) or ``silu``.
        gain: What is added to the stored gain of a normalisation: 1 in Gemma, 0 elsewhere.
        biased: Whether queries, keys and values have a bias.
        axes: Which axis of a place each rotary wavelength turns by; empty where a place is one
            number.
        normed_heads: Whether each head of queries and keys is normalised.
        normed_results: Whether results of attention and MLP are normalised before they are added.
        adaptive: Whether a condition of the tokens scales, shifts and gates the layer (pi0.5).
    """

    width: int
    layers: int
    heads: int
    kv_heads: int
    head_width: int
    hidden: int
    eps: float = 1e-6
    theta: float = 10000.0
    stretch: float = 1.0
    local: tuple[int, ...] = ()
    local_theta: float = 10000.0
    gate: str = "gelu"
    gain: float = 1.0
    biased: bool = False
    axes: tuple[int, ...] = ()
    normed_heads: bool = False
    normed_results: bool = False
    adaptive: bool = False


class RootNorm(nn.Module):
    """Root-mean-square normalisation.

    Args:
        sizes: Of the model that it stands in.
        width: Of what is normalised; that of the tokens when left out.
    """

    def __init__(self, sizes: DecoderSizes, width: int | None = None) -> None:
        super().__init__()
        self.eps, self.gain = sizes.eps, sizes.gain
        self.weight = nn.Parameter(torch.full((width or sizes.width,), 1.0 - sizes.gain))

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Normalise the last axis in float32; a condition changes nothing here."""
        exact = x.float()
        scaled = exact * torch.rsqrt(exact.square().mean(-1, keepdim=True) + self.eps)
        return (scaled * (self.gain + self.weight.float())).type_as(x)


class AdaptiveNorm(nn.Module):
    """Root-mean-square normalisation whose gain, shift and gate follow from a condition (adaRMS).

    Source: openpi @ 15a9616 src/openpi/models_pytorch/transformers_replace/models/gemma/
        modeling_gemma.py (``GemmaRMSNorm`` with ``cond_dim``).
    """

    def __init__(self, sizes: DecoderSizes) -> None:
        super().__init__()
        self.eps = sizes.eps
        self.dense = nn.Linear(sizes.width, 3 * sizes.width)
        nn.init.zeros_(self.dense.weight)
        nn.init.zeros_(self.dense.bias)

    def told(self, condition: Tensor) -> tuple[Tensor, ...]:
        """Scale, shift and gate, each [B, L or 1, D]."""
        return self.dense(condition).chunk(3, dim=-1)

    def forward(self, x: Tensor, condition: Tensor | None) -> Tensor:
        """Normalise the last axis in float32 under a condition."""
        if condition is None:
            raise AssertionError("an adaptive normalisation needs a condition")
        scale, shift, _ = self.told(condition)
        return self.scaled(x, scale, shift)

    def scaled(self, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        """Normalise the last axis in float32 under a known scale and shift."""
        exact = x.float()
        normed = exact * torch.rsqrt(exact.square().mean(-1, keepdim=True) + self.eps)
        return (normed * (1.0 + scale.float()) + shift.float()).type_as(x)


class DecoderLayer(nn.Module):
    """One layer: grouped-query attention and a gated MLP, each after a normalisation.

    Places are positions in the text, [L] or [B, L]; where a place has axes [L, A] or [B, L, A].

    Args:
        sizes: Of the model that it stands in.
        number: Of the layer, from 0.
    """

    def __init__(self, sizes: DecoderSizes, number: int = 0) -> None:
        super().__init__()
        local = number in sizes.local
        self.theta = sizes.local_theta if local else sizes.theta
        self.stretch = 1.0 if local else sizes.stretch
        width, own = sizes.width, sizes.head_width
        self.sizes = sizes
        self.head_shape = HeadShape(queries=sizes.heads, keys=sizes.kv_heads, width=own)
        norm = AdaptiveNorm if sizes.adaptive else RootNorm
        self.input_layernorm = norm(sizes)
        self.self_attn = nn.ModuleDict(
            {
                "q_proj": nn.Linear(width, sizes.heads * own, bias=sizes.biased),
                "k_proj": nn.Linear(width, sizes.kv_heads * own, bias=sizes.biased),
                "v_proj": nn.Linear(width, sizes.kv_heads * own, bias=sizes.biased),
                "o_proj": nn.Linear(sizes.heads * own, width, bias=False),
            }
        )
        if sizes.normed_heads:
            self.self_attn.update({name: RootNorm(sizes, own) for name in ("q_norm", "k_norm")})
        self.post_attention_layernorm = norm(sizes)
        self.mlp = nn.ModuleDict(
            {
                "gate_proj": nn.Linear(width, sizes.hidden, bias=False),
                "up_proj": nn.Linear(width, sizes.hidden, bias=False),
                "down_proj": nn.Linear(sizes.hidden, width, bias=False),
            }
        )
        result = RootNorm if sizes.normed_results else _as_it_is
        self.after_attention, self.after_mlp = result(sizes), result(sizes)

    def modulation(self, condition: Tensor | None) -> tuple[Tensor, ...]:
        """Scale, shift and gate of the attention, then of the MLP; empty where not adaptive."""
        before, behind = self.input_layernorm, self.post_attention_layernorm
        if not isinstance(before, AdaptiveNorm) or not isinstance(behind, AdaptiveNorm):
            return ()
        if condition is None:
            raise AssertionError("an adaptive layer needs a condition")
        return (*before.told(condition), *behind.told(condition))

    def normed(self, tokens: Tensor, modulation: tuple[Tensor, ...]) -> Tensor:
        """Normalised tokens, as the attention sees them."""
        return _normed(self.input_layernorm, tokens, modulation[:2])

    def keys_values(self, normed: Tensor, places: Tensor | None) -> tuple[Tensor, Tensor]:
        """Keys and values [B, H of keys, L, K]."""
        key = self._split("k", normed, self.head_shape.keys)
        value = split_heads(self.self_attn["v_proj"](normed), self.head_shape.keys)
        return self._placed(key, places), value

    def queries(self, normed: Tensor, places: Tensor | None) -> Tensor:
        """Queries [B, H, L, K]."""
        return self._placed(self._split("q", normed, self.head_shape.queries), places)

    def absorb(
        self,
        tokens: Tensor,
        attended_BHLK: Tensor,
        context: Tensor | None,
        bias: Tensor | None,
        modulation: tuple[Tensor, ...],
    ) -> Tensor:
        """Add the attention result, then the MLP; there is no cross-attention."""
        gates = (modulation[2], modulation[5]) if modulation else (1.0, 1.0)
        result = self.after_attention(self.self_attn["o_proj"](join_heads(attended_BHLK)))
        tokens = tokens + gates[0] * result
        normed = _normed(self.post_attention_layernorm, tokens, modulation[3:5])
        gate = self.mlp["gate_proj"](normed)
        gate = F.silu(gate) if self.sizes.gate == "silu" else F.gelu(gate, approximate="tanh")
        result = self.after_mlp(self.mlp["down_proj"](gate * self.mlp["up_proj"](normed)))
        return tokens + gates[1] * result

    def _split(self, what: str, normed: Tensor, heads: int) -> Tensor:
        found = split_heads(self.self_attn[f"{what}_proj"](normed), heads)
        return self.self_attn[f"{what}_norm"](found) if self.sizes.normed_heads else found

    def _placed(self, x_BHLK: Tensor, places: Tensor | None) -> Tensor:
        if places is None:
            raise AssertionError("a language model needs the position of every token")
        half, axes = x_BHLK.shape[-1] // 2, self.sizes.axes
        rate = self.theta ** -(torch.arange(half, device=x_BHLK.device) / half) / self.stretch
        if not axes:
            return rotated_halves(x_BHLK, places[..., None].to(rate) * rate)
        return rotated_halves(x_BHLK, places[..., list(axes)].to(rate) * rate)


def _as_it_is(sizes: DecoderSizes) -> nn.Module:
    return nn.Identity()


def _normed(norm: nn.Module, tokens: Tensor, known: tuple[Tensor, ...]) -> Tensor:
    if isinstance(norm, AdaptiveNorm):
        return norm.scaled(tokens, known[0], known[1])
    return norm(tokens)


def decoder_layers(sizes: DecoderSizes) -> nn.ModuleList:
    """All layers, with new weights."""
    return nn.ModuleList(DecoderLayer(sizes, number) for number in range(sizes.layers))


def decoder_closing(sizes: DecoderSizes) -> nn.Module:
    """What follows the last layer."""
    return AdaptiveNorm(sizes) if sizes.adaptive else RootNorm(sizes)
