"""Attention over explicit keys and values, with the kernel that is fastest where it runs.

Shape letters: B batch, H heads, L queries, S keys, K head width.
"""

import torch
from torch import Tensor
from torch.nn import functional as F


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
