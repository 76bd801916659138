"""How many independent trials an exact test needs."""

# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from scipy import stats as scipy_stats

MOST = 10_000


def trials_needed(rate: float, against: float, *, alpha: float = 0.05, power: float = 0.8) -> int:
    """Fewest trials at which a one-sided exact binomial test has its power.

    Args:
        rate: True success rate.
        against: Success rate that is to be ruled out; smaller.
        alpha: Level of the test.
        power: Probability that it rules it out.

    Raises:
        ValueError: When ``rate`` is not above ``against``, or more than 10,000 trials are needed.
    """
    if not 0 <= against < rate <= 1:
        raise ValueError(f"The rate is {rate}, to be told from {against}: it must be larger.")
    for trials in range(1, MOST + 1):
        critical = int(scipy_stats.binom.isf(alpha, trials, against)) + 1
        if critical <= trials and scipy_stats.binom.sf(critical - 1, trials, rate) >= power:
            return trials
    raise ValueError(f"More than {MOST} trials are needed to tell {rate} from {against}.")
