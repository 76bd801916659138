"""Euler's method along the learned velocity."""

from collections.abc import Callable

from torch import Tensor


def euler(
    velocity: Callable[[dict[str, Tensor], float], dict[str, Tensor]],
    noise: dict[str, Tensor],
    steps: int,
) -> dict[str, Tensor]:
    """Carry noise (time 0) to data (time 1) in equal steps.

    Args:
        velocity: Maps the present values and the time to their velocities.
        noise: One tensor for each denoised stream.
        steps: How many evaluations.
    """
    values = dict(noise)
    for step in range(steps):
        rates = velocity(values, step / steps)
        values = {
            name: value + rates[name].to(value.dtype) / steps for name, value in values.items()
        }
    return values
