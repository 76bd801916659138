"""Quantiles and tails of the few distributions used here, with types (SciPy ships none)."""

# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from scipy import special
from scipy import stats as scipy_stats


def t_quantile(level: float, freedom: int) -> float:
    """The t value whose two-sided coverage is ``level``, with ``freedom`` degrees of freedom."""
    return float(special.stdtrit(freedom, 0.5 + level / 2))


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
