"""What an estimate is, and the plain t interval over independent numbers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vertebra.stats.distributions import t_quantile

LEVEL = 0.95
"""Confidence level of every interval unless told otherwise."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A number with its uncertainty and everything it rests on.

    Attributes:
        value: The point estimate.
        low: Lower end of the interval; ``None`` when no interval can be given.
        high: Upper end; ``None`` when no interval can be given.
        level: Confidence level of the interval.
        n: Observations (rollouts, frames, latency samples) behind it.
        seeds: Training seeds behind it (0 when seeds play no part).
        states: Distinct initial states behind it (0 when they play no part).
        method: How the interval was made, in a few words.
    """

    value: float
    low: float | None
    high: float | None
    level: float
    n: int
    seeds: int
    states: int
    method: str

    @property
    def excludes_zero(self) -> bool:
        """Whether an interval exists and does not contain 0."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


def t_mean(values: Sequence[float], level: float = LEVEL) -> Estimate | None:
    """Mean of independent numbers (one a training seed) with a t interval.

    Args:
        values: One number a seed, any unit.
        level: Confidence level.

    Returns:
        ``None`` without values; an estimate without an interval for a single value or when all
        values are equal (their spread says nothing then).
    """
    count = len(values)
    if count == 0:
        return None
    mean = float(np.mean(values))
    spread = float(np.std(values, ddof=1)) if count > 1 else 0.0
    if spread == 0.0:
        low = high = None
        method = "one seed: no interval" if count == 1 else "equal values: no interval"
    else:
        half = t_quantile(level, count - 1) * spread / math.sqrt(count)
        low, high = mean - half, mean + half
        method = f"t over {count} seeds"
    return Estimate(
        value=mean, low=low, high=high, level=level, n=count, seeds=count, states=0, method=method
    )
