"""Drawing flow times. All randomness comes from the generator that is passed in."""

import torch
from jaxtyping import Float
from torch import Tensor

from vertebra.spec.noise import BetaTimes, ShiftedUniform, Times


def draw_times(times: Times, count: int, generator: torch.Generator) -> Float[Tensor, " n"]:
    """``count`` flow times in [0, 1], float32, on the generator's device.

    A Beta(a, 1) variable is drawn as u ** (1 / a) and Beta(a, b) otherwise as a ratio of Gamma
    variables; torch's own Gamma sampler takes no generator, so b must be 1.

    Raises:
        ValueError: For a Beta distribution with b other than 1.
    """
    uniform = torch.rand(count, generator=generator, device=generator.device)
    match times:
        case BetaTimes(a=a, b=b, scale=scale):
            if b != 1.0:
                raise ValueError(f"BetaTimes needs b = 1 (drawn in closed form), found b = {b}.")
            return 1.0 - (scale * uniform ** (1.0 / a) + 1.0 - scale)
        case ShiftedUniform(shift=shift):
            return 1.0 - shift * uniform / (1.0 + (shift - 1.0) * uniform)
