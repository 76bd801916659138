"""Quantiles and tails of the few distributions used here, with types (SciPy ships none)."""

# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special
from scipy import stats as scipy_stats

Array = NDArray[np.floating[Any]]


def t_quantile(level: float, freedom: int) -> float:
    """The t value whose two-sided coverage is ``level``, with ``freedom`` degrees of freedom."""
    return float(special.stdtrit(freedom, 0.5 + level / 2))


def t_above(value: float, freedom: int) -> float:
    """P(T > value) of a t distribution with ``freedom`` degrees of freedom."""
    return float(special.stdtr(freedom, -value))


def normal_quantile(level: float) -> float:
    """The normal value whose two-sided coverage is ``level``."""
    return float(special.ndtri(0.5 + level / 2))


def beta_quantile(share: float, a: int, b: int) -> float:
    """The ``share`` quantile of Beta(a, b)."""
    return float(special.betaincinv(a, b, share))


def binomial_quantile(share: float, trials: int, rate: float) -> int:
    """The smallest k with P(Binomial(trials, rate) <= k) >= ``share``."""
    return int(scipy_stats.binom.ppf(share, trials, rate))


def binomial_p(successes: int, trials: int, rate: float) -> float:
    """Two-sided exact binomial p value."""
    return float(scipy_stats.binomtest(successes, trials, rate).pvalue)


def sigmoid(values: Array) -> Array:
    """1 / (1 + exp(-x)), any shape."""
    return np.asarray(special.expit(values), dtype=np.float64)


def logit(shares: Array) -> Array:
    """ln(p / (1 - p)), any shape; infinite at 0 and 1."""
    return np.asarray(special.logit(shares), dtype=np.float64)


def x_log_y(x: Array, y: Array) -> Array:
    """``x ln y``, and 0 where x is 0; any shape."""
    return np.asarray(special.xlogy(x, y), dtype=np.float64)
