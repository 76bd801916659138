"""One layer of one expert, in the pieces that joint attention needs."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vertebra.nn.attention import HeadShape, attend, join_heads, split_heads, turned


class Norm(nn.Module):
    """Layer normalisation with a learned gain, in the dtype of the input.

    Deviations: The large systems use root-mean-square normalisation; its CPU kernel is not fused.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Normalise the last axis; a condition changes nothing here."""
        with torch.autocast(x.device.type, enabled=False):
            return F.layer_norm(x, (x.shape[-1],), self.gain.to(x.dtype), None, 1e-6)


class ExpertLayer(nn.Module):
    """Projections, cross-attention and MLP of one expert in one layer.

    The joint attention itself lies outside: ``queries`` and ``keys_values`` give what it needs,
    ``absorb`` takes what it returned.

    Args:
        width: Token width of this expert.
        heads: Attention heads (shared by all experts).
        head_width: Width of a head (shared by all experts).
        hidden: Hidden width of the MLP.
        context_width: Width of the context that the layer also reads by cross-attention, with half
            the heads; 0 for none.
        final: Whether nothing but keys and values is ever needed from the last layer, so that the
            rest is not built.
        adaptive: Whether a condition of the tokens (their flow time) shifts, scales and gates the
            layer (adaRMS of openpi's pi0.5, AdaLN of diffusion transformers); it starts without
            effect.
    """

    def __init__(
        self,
        *,
        width: int,
        heads: int,
        head_width: int,
        hidden: int,
        context_width: int,
        final: bool,
        adaptive: bool = False,
    ) -> None:
        super().__init__()
        inner = heads * head_width
        self.heads = heads
        self.head_shape = HeadShape(queries=heads, keys=heads, width=head_width)
        self.final = final
        self.adaptive = adaptive
        self.norm = Norm(width)
        self.kv = nn.Linear(width, 2 * inner, bias=False)
        if adaptive:
            self.modulate = nn.Linear(width, (2 if final else 6) * width)
            nn.init.zeros_(self.modulate.weight)
            nn.init.zeros_(self.modulate.bias)
        if final:
            return
        self.q = nn.Linear(width, inner, bias=False)
        self.out = nn.Linear(inner, width, bias=False)
        self.mlp_norm = Norm(width)
        self.up = nn.Linear(width, hidden)
        self.down = nn.Linear(hidden, width)
        self.has_context = context_width > 0
        if self.has_context:
            self.cross_norm = Norm(width)
            narrow = inner // 2
            self.cross_q = nn.Linear(width, narrow, bias=False)
            self.cross_kv = nn.Linear(context_width, 2 * narrow, bias=False)
            self.cross_out = nn.Linear(narrow, width, bias=False)

    def modulation(self, condition: Tensor | None) -> tuple[Tensor, ...]:
        """Shift, scale (and for the MLP: gate, shift, scale, gate) of tokens, each [B, L, D].

        Empty in a layer that is not adaptive.
        """
        if not self.adaptive:
            return ()
        if condition is None:
            raise AssertionError("an adaptive layer needs a condition")
        return self.modulate(F.silu(condition)).chunk(2 if self.final else 6, dim=-1)

    def normed(self, tokens: Tensor, modulation: tuple[Tensor, ...]) -> Tensor:
        """Normalised tokens, as the attention sees them."""
        return _modulated(self.norm(tokens), modulation[:2])

    def keys_values(self, normed: Tensor, places: Tensor | None) -> tuple[Tensor, Tensor]:
        """Keys and values [B, H, L, K] of normalised tokens; places are chunk times [L]."""
        key, value = self.kv(normed).chunk(2, dim=-1)
        return self._placed(key, places), split_heads(value, self.heads)

    def queries(self, normed: Tensor, places: Tensor | None) -> Tensor:
        """Queries [B, H, L, K] of normalised tokens."""
        return self._placed(self.q(normed), places)

    def _placed(self, flat: Tensor, places: Tensor | None) -> Tensor:
        split = split_heads(flat, self.heads)
        return split if places is None else turned(split, places)

    def absorb(
        self,
        tokens: Tensor,
        attended_BHLK: Tensor,
        context: Tensor | None,
        bias: Tensor | None,
        modulation: tuple[Tensor, ...] = (),
    ) -> Tensor:
        """Add the attention result, then cross-attention, then the MLP."""
        gates = (1.0 + modulation[2], 1.0 + modulation[5]) if modulation else (1.0, 1.0)
        tokens = tokens + gates[0] * self.out(join_heads(attended_BHLK))
        if self.has_context:
            if context is None:
                raise AssertionError("this expert was built with a context and got none")
            key, value = self.cross_kv(context).chunk(2, dim=-1)
            heads = self.heads // 2
            query = split_heads(self.cross_q(self.cross_norm(tokens)), heads)
            read = attend(query, split_heads(key, heads), split_heads(value, heads), bias)
            tokens = tokens + self.cross_out(join_heads(read))
        normed = _modulated(self.mlp_norm(tokens), modulation[3:5])
        return tokens + gates[1] * self.down(F.relu(self.up(normed)))


def _modulated(normed: Tensor, shift_scale: tuple[Tensor, ...]) -> Tensor:
    if not shift_scale:
        return normed
    shift, scale = shift_scale
    return normed * (1.0 + scale) + shift
