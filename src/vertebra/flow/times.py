"""Drawing flow times. All randomness comes from the generator that is passed in."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from vertebra.flow.noise_levels import abars_of, shifted, sigma_of_abar, time_of_sigma
from vertebra.spec.noise import (
    BetaTimes,
    Between,
    DiscreteSteps,
    LogitNormal,
    LogNormalSigma,
    PartlyClean,
    SameAs,
    ShiftedUniform,
    Times,
)


def draw_times(times: Times, count: int, generator: torch.Generator) -> Float[Tensor, " n"]:
    """``count`` flow times in [0, 1], float32, on the generator's device.

    Raises:
        ValueError: For ``SameAs``, which names the draw of another stream.
    """
    match times:
        case BetaTimes(a=a, b=b, scale=scale):
            drawn = 1.0 - (scale * _beta(a, b, count, generator) + 1.0 - scale)
        case ShiftedUniform(shift=shift):
            drawn = 1.0 - shifted(_uniform(count, generator), shift)
        case LogitNormal(mean=mean, std=std, shift=shift):
            # Above in terms of the noise level s; logit(1 - s) = -logit(s).
            drawn = torch.sigmoid(-(mean + math.log(shift) + std * _normal(count, generator)))
        case LogNormalSigma():
            drawn = time_of_sigma(_sigmas(times, count, generator))
        case DiscreteSteps(count=levels):
            known = time_of_sigma(sigma_of_abar(abars_of(times))).float().to(generator.device)
            drawn = known[
                torch.randint(levels, (count,), generator=generator, device=generator.device)
            ]
        case Between(low=low, high=high):
            drawn = low + (high - low) * _uniform(count, generator)
        case PartlyClean(clean=clean, otherwise=otherwise):
            is_clean = _uniform(count, generator) < clean
            drawn = draw_times(otherwise, count, generator).masked_fill(is_clean, 1.0)
        case SameAs(stream=stream):
            raise ValueError(
                f"SameAs has no draw of its own: use the times that were drawn for '{stream}'."
            )
    return drawn.clamp(0.0, 1.0)  # rounding may leave the interval by one unit in the last place


def _uniform(count: int, generator: torch.Generator) -> Tensor:
    return torch.rand(count, generator=generator, device=generator.device)


def _normal(count: int, generator: torch.Generator) -> Tensor:
    return torch.randn(count, generator=generator, device=generator.device)


def _sigmas(times: LogNormalSigma, count: int, generator: torch.Generator) -> Tensor:
    is_uniform = _uniform(count, generator) < times.uniform_share
    normal = (times.mean + times.std * _normal(count, generator)).exp()
    uniform = times.low + (times.high - times.low) * _uniform(count, generator)
    return torch.where(is_uniform, uniform, normal)


def _beta(a: float, b: float, count: int, generator: torch.Generator) -> Tensor:
    """Beta(a, b): by its inverse distribution where that is closed, else from Gamma variables."""
    if b == 1.0:
        return _uniform(count, generator) ** (1.0 / a)
    if a == 1.0:
        return 1.0 - _uniform(count, generator) ** (1.0 / b)
    return torch.sigmoid(_log_gamma(a, count, generator) - _log_gamma(b, count, generator))


def _log_gamma(shape: float, count: int, generator: torch.Generator) -> Tensor:
    """Logarithms of Gamma(shape) variables; torch's own sampler takes no generator.

    Source: Marsaglia and Tsang, "A simple method for generating gamma variables", ACM TOMS 26
        (2000): rejection from a cubed normal; a shape below 1 by a power of a uniform.
    """
    if shape < 1.0:
        power = (1.0 - _uniform(count, generator)).log() / shape
        return _log_gamma(shape + 1.0, count, generator) + power
    d = shape - 1.0 / 3.0
    kept: list[Tensor] = []
    missing = count
    while missing:
        normal = _normal(missing, generator)
        uniform = 1.0 - _uniform(missing, generator)  # in (0, 1]
        root = 1.0 + normal / math.sqrt(9.0 * d)
        log_cube = 3.0 * root.clamp(min=1e-6).log()
        bound = 0.5 * normal.square() + d * (1.0 - root**3 + log_cube)
        accepted = log_cube[(root > 0) & (uniform.log() < bound)]
        kept.append(math.log(d) + accepted)
        missing -= len(accepted)
    return torch.cat(kept) if kept else torch.empty(0, device=generator.device)
