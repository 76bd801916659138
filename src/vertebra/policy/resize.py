"""Weights of a wide expert as the first weights of a narrow one.

Source: FastWAM @ 45d8e14 src/fastwam/models/wan22/action_dit.py (interpolated along every axis;
    maps of fewer numbers are made larger by the root of how many fewer).
"""

import torch
from torch import Tensor
from torch.nn import functional as F


def resized(weight: Tensor, shape: torch.Size) -> Tensor:
    """A weight interpolated to another shape with as many axes.

    Where a matrix reads fewer numbers than before, it is scaled so that what comes out is as large.
    """
    if weight.shape == shape:
        return weight.clone()
    found = weight.float()
    for axis, length in enumerate(shape):
        if found.shape[axis] != length:
            moved = found.movedim(axis, -1)
            flat = moved.reshape(1, -1, moved.shape[-1])
            narrow = F.interpolate(flat, length, mode="linear", align_corners=True)
            found = narrow.reshape(*moved.shape[:-1], length).movedim(-1, axis)
    if weight.ndim == 2 and weight.shape[1] > shape[1]:
        found = found * (weight.shape[1] / shape[1]) ** 0.5
    return found
