"""How the steps of a sampler lie in flow time."""

from vertebra.spec.noise import Grid, KarrasGrid, ShiftedGrid, UniformGrid


def steps_of(grid: Grid, steps: int, until: float = 1.0) -> tuple[float, ...]:
    """``steps`` + 1 increasing times, from the first one of the grid to ``until``.

    A grid that is stopped at the time of one of its own steps takes the same steps up to there.

    Args:
        grid: How the steps lie.
        steps: How many.
        until: The last time, 1 for data.

    Raises:
        ValueError: For no step, or when ``until`` lies outside (first time of the grid, 1].
    """
    first = 1.0 / (1.0 + grid.sigma_max) if isinstance(grid, KarrasGrid) else 0.0
    wrong = [f"steps must be 1 or more, found {steps}"] if steps < 1 else []
    if not first < until <= 1.0:
        wrong.append(f"until must lie in ({first:g}, 1], found {until}")
    if wrong:
        raise ValueError(f"{grid}: " + "; ".join(wrong) + ".")
    match grid:
        case UniformGrid():
            inner = [until * (step / steps) for step in range(steps)]
        case ShiftedGrid(shift=shift):
            end = shift * until / (1.0 + (shift - 1.0) * until)
            evenly = [end * step / steps for step in range(steps)]
            inner = [u / (u + shift * (1.0 - u)) for u in evenly]
        case KarrasGrid():
            inner = _karras(grid, steps, until)
    return (*inner, until)


def _karras(grid: KarrasGrid, steps: int, until: float) -> list[float]:
    """Times of the evaluations: the last one is at sigma_min if what follows is the data."""
    high = grid.sigma_max ** (1.0 / grid.rho)
    last, intervals = (grid.sigma_min, steps - 1) if until == 1.0 else (1 / until - 1, steps)
    low = last ** (1.0 / grid.rho)
    parts = [step / max(intervals, 1) for step in range(steps)]
    return [1.0 / (1.0 + (high + part * (low - high)) ** grid.rho) for part in parts]
