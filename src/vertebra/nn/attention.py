"""Attention over explicit keys and values, with the kernel that is fastest where it runs.

Shape letters: B batch, H heads, L queries, S keys, K head width.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

LONGEST_CHUNKS = 64.0
"""Chunk times further apart than about this look alike to the slowest turning pair."""


@dataclass(frozen=True, kw_only=True)
class HeadShape:
    """Heads of one attention.

    Attributes:
        queries: Heads of the queries.
        keys: Heads of keys and values; each serves the same number of query heads.
        width: Width of a head.
    """

    queries: int
    keys: int
    width: int


def attend(q_BHLK: Tensor, k_BHSK: Tensor, v_BHSK: Tensor, bias: Tensor | None) -> Tensor:
    """softmax(q k / sqrt(K) + bias) v.

    On the CPU the explicit form is used while gradients are recorded, because the backward pass of
    the fused kernel is about four times slower there in bfloat16; elsewhere the fused kernel is
    used.

    Args:
        q_BHLK: Queries.
        k_BHSK: Keys; fewer heads than the queries have are shared by neighbouring ones.
        v_BHSK: Values, with as many heads as the keys.
        bias: Added to the scores, broadcastable to [B, H, L, S]; ``None`` when all is visible.
    """
    if (sharing := q_BHLK.shape[1] // k_BHSK.shape[1]) > 1:
        k_BHSK = k_BHSK.repeat_interleave(sharing, dim=1)
        v_BHSK = v_BHSK.repeat_interleave(sharing, dim=1)
    if q_BHLK.is_cuda or not torch.is_grad_enabled():
        mask = None if bias is None else bias.to(q_BHLK.dtype)
        return F.scaled_dot_product_attention(q_BHLK, k_BHSK, v_BHSK, attn_mask=mask)
    scores = (q_BHLK * q_BHLK.shape[-1] ** -0.5) @ k_BHSK.transpose(-1, -2)
    if bias is not None:
        scores = scores + bias.to(scores.dtype)
    return scores.softmax(-1).to(v_BHSK.dtype) @ v_BHSK


def split_heads(x_BLD: Tensor, heads: int) -> Tensor:
    """[B, L, H * K] to [B, H, L, K]."""
    batch, length, width = x_BLD.shape
    return x_BLD.view(batch, length, heads, width // heads).transpose(1, 2)


def join_heads(x_BHLK: Tensor) -> Tensor:
    """[B, H, L, K] to [B, L, H * K]."""
    batch, heads, length, width = x_BHLK.shape
    return x_BHLK.transpose(1, 2).reshape(batch, length, heads * width)


def turned(x_BHLK: Tensor, times_L: Tensor) -> Tensor:
    """Queries or keys [B, H, L, K] turned by their chunk time.

    Scores then depend on differences of times only, so that cached keys stay right as time goes on.

    Source: Su et al., arXiv:2104.09864 (rotary position embedding).
    """
    half = x_BHLK.shape[-1] // 2
    rate = LONGEST_CHUNKS ** -(torch.arange(half, device=x_BHLK.device) / half)
    return rotated_halves(x_BHLK, times_L.to(rate)[:, None] * rate)


def rotated_halves(x_BHLK: Tensor, angle: Tensor) -> Tensor:
    """Each number of the first half turned with its partner in the second half.

    Args:
        x_BHLK: Queries or keys.
        angle: [L, K / 2] or [B, L, K / 2].
    """
    cosine, sine = _waves(x_BHLK, angle)
    half = x_BHLK.shape[-1] // 2
    first, second = x_BHLK[..., :half], x_BHLK[..., half:]
    return torch.cat([first * cosine - second * sine, first * sine + second * cosine], dim=-1)


def rotated_pairs(x_BHLK: Tensor, angle: Tensor) -> Tensor:
    """Each number at an even place turned with the one behind it; shapes as above."""
    cosine, sine = _waves(x_BHLK, angle)
    first, second = x_BHLK[..., 0::2], x_BHLK[..., 1::2]
    return torch.stack(
        [first * cosine - second * sine, first * sine + second * cosine], dim=-1
    ).flatten(-2)


def _waves(x_BHLK: Tensor, angle: Tensor) -> tuple[Tensor, Tensor]:
    if angle.ndim == 3:
        angle = angle[:, None]
    return angle.cos().to(x_BHLK.dtype), angle.sin().to(x_BHLK.dtype)
