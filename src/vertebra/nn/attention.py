"""Attention over explicit keys and values, with the kernel that is fastest where it runs.

Shape letters: B batch, H heads, L queries, S keys, K head width.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

LONGEST_CHUNKS = 64.0
"""Chunk times further apart than about this look alike to the slowest turning pair."""


def attend(q_BHLK: Tensor, k_BHSK: Tensor, v_BHSK: Tensor, bias: Tensor | None) -> Tensor:
    """softmax(q k / sqrt(K) + bias) v.

    On the CPU the explicit form is used while gradients are recorded, because the backward pass of
    the fused kernel is about four times slower there in bfloat16; elsewhere the fused kernel is
    used.

    Args:
        q_BHLK: Queries.
        k_BHSK: Keys.
        v_BHSK: Values.
        bias: Added to the scores, broadcastable to [B, H, L, S]; ``None`` when all is visible.
    """
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
    angle = times_L.to(rate)[:, None] * rate
    cosine, sine = angle.cos().to(x_BHLK.dtype), angle.sin().to(x_BHLK.dtype)
    first, second = x_BHLK[..., :half], x_BHLK[..., half:]
    return torch.cat([first * cosine - second * sine, first * sine + second * cosine], dim=-1)
