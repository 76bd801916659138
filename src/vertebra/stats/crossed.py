"""Rates and paired differences when every training seed met the same initial states.

The unit that a verdict generalises over is the *recipe*, so the training seed is a random effect;
the initial states are a sample too, and all seeds share them. Rollouts are therefore crossed:
each belongs to one seed and one state. The interval adds the squares of two half-widths, a
t interval over seeds (S - 1 degrees of freedom) and a t interval over states (C - 1):

    half^2 = t(S-1)^2 V_seed + t(C-1)^2 V_state,
    V_g    = G / (G - 1) * sum_g (sum of residuals in group g)^2 / N^2

Each V also holds the rollout noise, so the sum counts that noise twice: a little wide, never
narrow. With three seeds t(2) = 4.30, which is what three seeds are worth. A percentile bootstrap
over three seeds is not an alternative: it covers about 75 % at nominal 95 %.

Source: Cameron, Gelbach and Miller, J. Business & Economic Statistics 29 (2011), two-way
clustered variance. Deviations: the half-widths are added instead of V_seed + V_state - V_both with
one number of degrees of freedom, because that loses coverage when V_seed comes out small by luck.
"""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vertebra.stats.distributions import t_quantile
from vertebra.stats.interval import LEVEL, Estimate
from vertebra.stats.proportion import exact_bounds


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """One outcome with the two groups it belongs to.

    Attributes:
        value: 0 or 1 for an outcome, -1, 0 or 1 for a difference of two.
        seed: Training seed.
        state: Initial state.
    """

    value: float
    seed: Hashable
    state: Hashable


@dataclass(frozen=True, kw_only=True)
class _Spread:
    """Mean and the two variances of it."""

    mean: float
    n: int
    seeds: int
    states: int
    seed_variance: float
    state_variance: float

    def half(self, level: float) -> float:
        """Half-width of the interval at a level (0 only when nothing varies)."""
        square = 0.0
        for groups, variance in (
            (self.seeds, self.seed_variance),
            (self.states, self.state_variance),
        ):
            if groups > 1:
                square += t_quantile(level, groups - 1) ** 2 * variance
        return max(math.sqrt(square), _unseen(self.n, level))


def rate(rollouts: Sequence[Rollout], level: float = LEVEL) -> Estimate | None:
    """Success rate of a recipe over crossed seeds and states.

    The interval is the hull of the crossed interval and the Clopper-Pearson interval of all
    rollouts, cut to [0, 1]; so it has a width even when every rollout ended alike.

    Args:
        rollouts: Values 0 or 1.
        level: Confidence level.

    Returns:
        ``None`` without rollouts. With a single seed the interval speaks of that checkpoint only
        and ``method`` says so.

    Raises:
        ValueError: When a value is neither 0 nor 1.
    """
    if not rollouts:
        return None
    if any(rollout.value not in (0.0, 1.0) for rollout in rollouts):
        raise ValueError("A rate needs outcomes that are 0 or 1; found others.")
    spread = _spread(rollouts)
    exact_low, exact_high = exact_bounds(
        round(sum(r.value for r in rollouts)), len(rollouts), level
    )
    half = spread.half(level)
    low = min(exact_low, max(0.0, spread.mean - half))
    high = max(exact_high, min(1.0, spread.mean + half))
    return _estimate(spread, low, high, level)


def difference(
    first: Sequence[Rollout], second: Sequence[Rollout], level: float = LEVEL
) -> Estimate | None:
    """Paired difference ``first - second`` of two recipes.

    Args:
        first: Outcomes of one recipe; ``second`` in the same order: pair i has the same seed,
            the same initial state and the same instruction.
        second: Outcomes of the other recipe.
        level: Confidence level.

    Returns:
        ``None`` without pairs.

    Raises:
        ValueError: When the pairs do not belong together.
    """
    pairs = list(zip(first, second, strict=True))
    if any((a.seed, a.state) != (b.seed, b.state) for a, b in pairs):
        raise ValueError("Pairs must share training seed and initial state; sort both sides alike.")
    if not pairs:
        return None
    spread = _spread([replace(a, value=a.value - b.value) for a, b in pairs])
    half = spread.half(level)
    return _estimate(
        spread, max(-1.0, spread.mean - half), min(1.0, spread.mean + half), level, paired=True
    )


def p_value(first: Sequence[Rollout], second: Sequence[Rollout]) -> float | None:
    """Two-sided p value of "no difference": one minus the highest level that excludes zero.

    Args:
        first: Outcomes of one recipe, paired as in :func:`difference`.
        second: Outcomes of the other recipe.

    Returns:
        ``None`` without pairs or with a single training seed.
    """
    spread = _difference_spread(first, second)
    if spread is None or spread.seeds < 2:
        return None
    distance = abs(spread.mean)
    if distance <= spread.half(0.0):
        return 1.0
    inside, outside = 0.0, 1.0
    for _ in range(60):
        middle = (inside + outside) / 2
        if spread.half(middle) < distance:
            inside = middle
        else:
            outside = middle
    return 1.0 - inside


def seeds_needed(
    first: Sequence[Rollout],
    second: Sequence[Rollout],
    level: float = LEVEL,
    most: int = 50,
) -> int | None:
    """How many seeds a side would settle a difference of the size seen, at the spread seen.

    Args:
        first: Outcomes of one recipe, paired as in :func:`difference`.
        second: Outcomes of the other recipe.
        level: Confidence level.
        most: Largest number that is tried.

    Returns:
        ``None`` when it cannot be said: fewer than two seeds, or not even ``most`` seeds would do
        (then more initial states are needed too, or there is no difference worth the name).
    """
    spread = _difference_spread(first, second)
    if spread is None or spread.seeds < 2:
        return None
    for seeds in range(max(3, spread.seeds), most + 1):
        planned = replace(
            spread, seeds=seeds, seed_variance=spread.seed_variance * spread.seeds / seeds
        )
        if planned.half(level) < abs(spread.mean):
            return seeds
    return None


def _difference_spread(first: Sequence[Rollout], second: Sequence[Rollout]) -> _Spread | None:
    pairs = [replace(a, value=a.value - b.value) for a, b in zip(first, second, strict=True)]
    return _spread(pairs) if pairs else None


def _spread(rollouts: Sequence[Rollout]) -> _Spread:
    values = np.array([rollout.value for rollout in rollouts], dtype=np.float64)
    residuals = values - values.mean()
    seeds, seed_variance = _group_variance(residuals, [r.seed for r in rollouts])
    states, state_variance = _group_variance(residuals, [r.state for r in rollouts])
    return _Spread(
        mean=float(values.mean()),
        n=len(values),
        seeds=seeds,
        states=states,
        seed_variance=seed_variance,
        state_variance=state_variance,
    )


def _group_variance(
    residuals: NDArray[np.float64], groups: Sequence[Hashable]
) -> tuple[int, float]:
    """Number of groups and the variance of the mean that they imply (0 for one group)."""
    index = {group: position for position, group in enumerate(dict.fromkeys(groups))}
    sums = np.zeros(len(index))
    np.add.at(sums, [index[group] for group in groups], residuals)
    count = len(index)
    if count < 2:
        return count, 0.0
    return count, float(count / (count - 1) * np.sum(sums**2) / len(residuals) ** 2)


def _unseen(n: int, level: float) -> float:
    """Largest share that may have stayed unseen in n rollouts that all ended alike."""
    return 1.0 - ((1.0 - level) / 2) ** (1.0 / n) if level < 1.0 else 1.0


def _estimate(
    spread: _Spread, low: float, high: float, level: float, *, paired: bool = False
) -> Estimate:
    if spread.seeds == 1:
        method = "one training seed: speaks of this checkpoint, not of the recipe"
    else:
        method = f"t over {spread.seeds} seeds and {spread.states} initial states, crossed"
    return Estimate(
        value=spread.mean,
        low=low,
        high=high,
        level=level,
        n=spread.n,
        seeds=spread.seeds,
        states=spread.states,
        method=method + (", paired" if paired else ""),
    )
