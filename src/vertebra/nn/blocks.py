"""One layer of one expert, in the pieces that joint attention needs."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vertebra.nn.attention import attend, join_heads, split_heads


class Norm(nn.Module):
    """Layer normalisation with a learned gain, in the dtype of the input.

    Deviations: The large systems use root-mean-square normalisation; its CPU kernel is not fused.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last axis."""
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
    ) -> None:
        super().__init__()
        inner = heads * head_width
        self.heads = heads
        self.final = final
        self.norm = Norm(width)
        self.kv = nn.Linear(width, 2 * inner, bias=False)
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

    def keys_values(self, normed: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values [B, H, L, K] of normalised tokens."""
        key, value = self.kv(normed).chunk(2, dim=-1)
        return split_heads(key, self.heads), split_heads(value, self.heads)

    def queries(self, normed: Tensor) -> Tensor:
        """Queries [B, H, L, K] of normalised tokens."""
        return split_heads(self.q(normed), self.heads)

    def absorb(
        self, tokens: Tensor, attended_BHLK: Tensor, context: Tensor | None, bias: Tensor | None
    ) -> Tensor:
        """Add the attention result, then cross-attention, then the MLP."""
        tokens = tokens + self.out(join_heads(attended_BHLK))
        if self.has_context:
            if context is None:
                raise AssertionError("this expert was built with a context and got none")
            key, value = self.cross_kv(context).chunk(2, dim=-1)
            heads = self.heads // 2
            query = split_heads(self.cross_q(self.cross_norm(tokens)), heads)
            read = attend(query, split_heads(key, heads), split_heads(value, heads), bias)
            tokens = tokens + self.cross_out(join_heads(read))
        return tokens + self.down(F.relu(self.up(self.mlp_norm(tokens))))
