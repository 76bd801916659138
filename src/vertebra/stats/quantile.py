"""Quantiles that refuse to be read off too few samples."""

import math
from collections.abc import Sequence

import numpy as np

from vertebra.stats.distributions import binomial_quantile
from vertebra.stats.interval import LEVEL, Estimate


def quantile(samples: Sequence[float], share: float, level: float = LEVEL) -> Estimate | None:
    """A quantile with a distribution-free interval from order statistics.

    Args:
        samples: Independent samples, any unit.
        share: For example 0.95 for p95.
        level: Confidence level; the interval covers at least this much.

    Returns:
        ``None`` when fewer than 1 / min(share, 1 - share) samples exist (20 for p95, 100 for p99):
        the number would be the maximum under another name. An end of the interval is ``None``
        when no sample lies beyond it.

    Raises:
        ValueError: When ``share`` is not inside (0, 1).
    """
    if not 0 < share < 1:
        raise ValueError(f"Found share {share}; expected a number inside (0, 1), as 0.95.")
    n = len(samples)
    if n < math.ceil(1 / min(share, 1 - share) - 1e-9):
        return None
    ordered = np.sort(np.asarray(samples, dtype=np.float64))
    tail = (1 - level) / 2
    # The k-th smallest sample lies above the quantile with probability P(Binomial(n, share) < k).
    below = binomial_quantile(tail, n, share)
    above = binomial_quantile(1 - tail, n, share) + 1
    return Estimate(
        value=float(np.quantile(ordered, share)),
        low=float(ordered[below - 1]) if below >= 1 else None,
        high=float(ordered[above - 1]) if above <= n else None,
        level=level,
        n=n,
        seeds=0,
        states=0,
        method="order statistics",
    )
