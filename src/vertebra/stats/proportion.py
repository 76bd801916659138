"""Intervals for one proportion whose observations are independent."""

import math

from vertebra.stats.distributions import beta_quantile, normal_quantile
from vertebra.stats.interval import LEVEL, Estimate


def clopper_pearson(successes: int, trials: int, level: float = LEVEL) -> Estimate | None:
    """Exact (conservative) interval: never covers less than ``level``.

    Args:
        successes: Number of successes.
        trials: Number of independent trials.
        level: Confidence level.

    Returns:
        ``None`` when there were no trials.

    Raises:
        ValueError: When the counts contradict each other.

    Source: Clopper and Pearson, Biometrika 26 (1934).
    """
    _require_counts(successes, trials)
    if trials == 0:
        return None
    low, high = exact_bounds(successes, trials, level)
    return _estimate(successes, trials, low, high, level, "Clopper-Pearson")


def exact_bounds(successes: int, trials: int, level: float) -> tuple[float, float]:
    """Ends of the Clopper-Pearson interval for at least one trial."""
    tail = (1 - level) / 2
    low, high = 0.0, 1.0
    if successes > 0:
        low = beta_quantile(tail, successes, trials - successes + 1)
    if successes < trials:
        high = beta_quantile(1 - tail, successes + 1, trials - successes)
    return low, high


def wilson(successes: int, trials: int, level: float = LEVEL) -> Estimate | None:
    """Score interval: shorter than the exact one, covers too little near 0 and 1.

    Args:
        successes: Number of successes.
        trials: Number of independent trials.
        level: Confidence level.

    Returns:
        ``None`` when there were no trials.

    Raises:
        ValueError: When the counts contradict each other.

    Source: Wilson, JASA 22 (1927).
    """
    _require_counts(successes, trials)
    if trials == 0:
        return None
    z = normal_quantile(level)
    rate = successes / trials
    scale = 1 + z * z / trials
    centre = (rate + z * z / (2 * trials)) / scale
    half = z * math.sqrt(rate * (1 - rate) / trials + z * z / (4 * trials * trials)) / scale
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == trials else min(1.0, centre + half)
    return _estimate(successes, trials, low, high, level, "Wilson")


def _require_counts(successes: int, trials: int) -> None:
    if trials < 0 or not 0 <= successes <= trials:
        raise ValueError(
            f"Found {successes} successes in {trials} trials; expected 0 <= successes <= trials."
        )


def _estimate(
    successes: int, trials: int, low: float, high: float, level: float, method: str
) -> Estimate:
    return Estimate(
        value=successes / trials,
        low=low,
        high=high,
        level=level,
        n=trials,
        seeds=0,
        states=0,
        method=method,
    )
