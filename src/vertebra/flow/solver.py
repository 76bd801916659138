"""Euler's method along the learned velocity."""

from collections.abc import Callable
from itertools import pairwise

from torch import Tensor

from vertebra.flow.grids import steps_of
from vertebra.spec.noise import Grid, UniformGrid

EQUAL_STEPS = UniformGrid()


def euler(
    velocity: Callable[[dict[str, Tensor], float], dict[str, Tensor]],
    noise: dict[str, Tensor],
    steps: int,
    *,
    grid: Grid = EQUAL_STEPS,
    until: float = 1.0,
) -> dict[str, Tensor]:
    """Carry noise (time 0) towards data (time 1).

    A grid that starts after time 0 starts at the point of the path whose data is still zero, which
    is how EDM starts: sigma_max times noise.

    Args:
        velocity: Maps the present values and the time to their velocities.
        noise: One tensor for each denoised stream.
        steps: How many evaluations.
        grid: How the steps lie in time.
        until: The time of the values that are returned, 1 for data.

    Raises:
        ValueError: When the grid has no such steps.
    """
    times = steps_of(grid, steps, until)
    values = {name: (1.0 - times[0]) * value for name, value in noise.items()}
    for at, after in pairwise(times):
        # Equal steps are divided by their number, which is exact where a difference is not.
        divisor = steps / until if isinstance(grid, UniformGrid) else 1.0 / (after - at)
        rates = velocity(values, at)
        values = {
            name: value + rates[name].to(value.dtype) / divisor for name, value in values.items()
        }
    return values
