"""Exact test for paired outcomes of two checkpoints, and correction for several questions."""

from collections.abc import Sequence

from vertebra.stats.distributions import binomial_p


def mcnemar_exact(only_first: int, only_second: int) -> float:
    """Two-sided exact McNemar p value.

    It speaks of two *checkpoints*: with one training seed a side it calls 20 to 60 % of equal
    recipes different. For recipes use :mod:`vertebra.stats.crossed`.

    Args:
        only_first: Pairs in which only the first succeeded.
        only_second: Pairs in which only the second succeeded.

    Returns:
        1.0 when no pair differs.

    Raises:
        ValueError: On negative counts.
    """
    if only_first < 0 or only_second < 0:
        raise ValueError(f"Found discordant counts {only_first}, {only_second}; expected >= 0.")
    total = only_first + only_second
    if total == 0:
        return 1.0
    return binomial_p(only_first, total, 0.5)


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Holm's step-down correction; the family-wise error stays at the level compared with.

    Args:
        p_values: One for each question asked, in any order.

    Returns:
        Adjusted p values in the order given.

    Source: Holm, Scandinavian J. Statistics 6 (1979).
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = largest
    return tuple(adjusted)
