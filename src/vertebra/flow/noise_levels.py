"""Noise levels of other conventions as flow times; see ``vertebra.spec.noise`` for the path."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from vertebra.spec.noise import DiscreteSteps

LINEAR_BETAS = (1e-4, 0.02)
COSINE_OFFSET = 0.008
LARGEST_BETA = 0.999


def time_of_sigma(sigma: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """Flow time of an EDM noise level: infinity is 0, no noise is 1."""
    return 1.0 / (1.0 + sigma)


def sigma_of_time(time: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """EDM noise level of a flow time: the inverse of ``time_of_sigma``."""
    return (1.0 - time) / time


def sigma_of_abar(abar: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """EDM noise level of DDPM's share of signal variance."""
    return ((1.0 - abar) / abar).sqrt()


def abars_of(steps: DiscreteSteps) -> Float[Tensor, " n"]:
    """DDPM's share of signal variance after steps 1 to ``count``, float64, decreasing."""
    if steps.curve == "linear":
        first, last = LINEAR_BETAS
        betas = torch.linspace(first, last, steps.count, dtype=torch.float64)
    else:
        done = torch.arange(steps.count + 1, dtype=torch.float64) / steps.count
        signal = ((done + COSINE_OFFSET) / (1 + COSINE_OFFSET) * math.pi / 2).cos().square()
        betas = (1.0 - signal[1:] / signal[:-1]).clamp(max=LARGEST_BETA)
    return (1.0 - betas).cumprod(0)


def shifted(level: Float[Tensor, "*n"], shift: float) -> Float[Tensor, "*n"]:
    """A noise level in [0, 1] moved towards noise by a shift above 1; 1 / shift moves it back."""
    return shift * level / (1.0 + (shift - 1.0) * level)
