"""Weights of training losses over flow time, all as factors of the squared velocity error."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from vertebra.flow.noise_levels import shifted
from vertebra.flow.predictions import natural_scale
from vertebra.spec.noise import Bell, EdmWeight, Flat, Predicts, Weighting

BELL_LEVELS = 1000


def weight_at(
    weighting: Weighting, time: Float[Tensor, "*t"], predicts: Predicts = Predicts.VELOCITY
) -> Float[Tensor, "*t"]:
    """What the squared error of the velocity is multiplied with at these times.

    EDM weighs the squared error of the data, which is (1 - t) ** 2 times that of the velocity; the
    product ((1 - t) ** 2 + (sigma_data * t) ** 2) / sigma_data ** 2 is finite everywhere.

    Args:
        weighting: Which weight.
        time: Flow times.
        predicts: What the network's output is; only ``Flat`` depends on it.
    """
    match weighting:
        case Flat():
            return natural_scale(predicts, time)
        case Bell(shift=shift):
            u = 1.0 - torch.arange(BELL_LEVELS, dtype=torch.float64) / BELL_LEVELS
            return _bell(1.0 - time) / float(_bell(shifted(u, shift)).mean())
        case EdmWeight(sigma_data=sigma_data):
            return ((1.0 - time) / sigma_data).square() + time.square()


def _bell(level: Tensor) -> Tensor:
    """Zero at levels 0 and 1, greatest in the middle, not normalised."""
    return (-2.0 * (level - 0.5).square()).exp() - math.exp(-0.5)
