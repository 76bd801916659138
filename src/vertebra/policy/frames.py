"""Coarse frames as vectors: the space in which a mini video model imagines.

A future frame is stored as its change against the present one, so that "nothing moves" is zero.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

CHANGE_SCALE = 0.25
"""A change of a quarter of the brightness range counts as 1."""


def shrink(image_BHWC: Tensor, px: int) -> Tensor:
    """uint8 images [B, H, W, 3] to float [B, 3, px, px] in [0, 1] by area averaging."""
    pixels = image_BHWC.permute(0, 3, 1, 2).float() / 255.0
    return F.adaptive_avg_pool2d(pixels, px)


def to_patches(change_BCHW: Tensor, patch: int) -> Tensor:
    """[B, 3, px, px] to [B, tokens, 3 * patch * patch]."""
    return F.unfold(change_BCHW, patch, stride=patch).transpose(1, 2)


def from_patches(patches_BLC: Tensor, px: int, patch: int) -> Tensor:
    """The inverse of ``to_patches``."""
    return F.fold(patches_BLC.transpose(1, 2), px, patch, stride=patch)


def base(now_BHWC: Tensor, px: int, absolute: bool) -> Tensor:
    """What a change is measured against [B, 3, px, px]: the present frame, or plain grey."""
    now = shrink(now_BHWC, px)
    return torch.full_like(now, 0.5) if absolute else now


def changes(
    now_BHWC: Tensor, future_BFHWC: Tensor, px: int, patch: int, *, absolute: bool = False
) -> Tensor:
    """Future frames as patch vectors of their change [B, F * tokens, C].

    With ``absolute`` the present frame is not known when they are made: they are told against grey.
    """
    batch, frames = future_BFHWC.shape[:2]
    later = shrink(future_BFHWC.flatten(0, 1), px).view(batch, frames, 3, px, px)
    change = (later - base(now_BHWC, px, absolute)[:, None]) / CHANGE_SCALE
    return to_patches(change.flatten(0, 1), patch).reshape(batch, -1, 3 * patch * patch)


def imagined_frames(
    now_BHWC: Tensor,
    patches_BLC: Tensor,
    frames: int,
    px: int,
    patch: int,
    *,
    absolute: bool = False,
) -> Tensor:
    """Patch vectors of changes back to pictures, uint8 [B, F, px, px, 3]."""
    batch = patches_BLC.shape[0]
    change = from_patches(
        patches_BLC.reshape(batch * frames, -1, 3 * patch * patch).float(), px, patch
    )
    start = base(now_BHWC, px, absolute)[:, None]
    pixels = start + CHANGE_SCALE * change.view(batch, frames, 3, px, px)
    return (pixels.clamp(0, 1) * 255.0).round().to(torch.uint8).permute(0, 1, 3, 4, 2)
