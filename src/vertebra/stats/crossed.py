"""Rates of one recipe, and what changes within its checkpoints, over crossed seeds and states.

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

Differences between recipes are in :mod:`vertebra.stats.contrast`.
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
        weight: Weight in a task mix; the mean over all rollouts is 1.
    """

    value: float
    seed: Hashable
    state: Hashable
    weight: float = 1.0


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
        return max(math.sqrt(square), unseen(self.n, level))


def rate(rollouts: Sequence[Rollout], level: float = LEVEL) -> Estimate | None:
    """Success rate of a recipe over crossed seeds and states.

    The interval is the hull of the crossed interval and the Clopper-Pearson interval of all
    rollouts (of as many as their weights leave effective), cut to [0, 1]; so it has a width even
    when every rollout ended alike.

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
    effective = max(1, round(len(rollouts) ** 2 / sum(r.weight**2 for r in rollouts)))
    hits = min(effective, max(0, round(spread.mean * effective)))
    exact_low, exact_high = exact_bounds(hits, effective, level)
    half = spread.half(level)
    low = min(exact_low, max(0.0, spread.mean - half))
    high = max(exact_high, min(1.0, spread.mean + half))
    return _estimate(spread, low, high, level)


def difference(
    first: Sequence[Rollout], second: Sequence[Rollout], level: float = LEVEL
) -> Estimate | None:
    """Difference ``first - second`` of two treatments of the same checkpoints.

    Args:
        first: Outcomes under one treatment (other words, another camera); ``second`` in the same
            order: pair i has the same checkpoint, initial state and task.
        second: Outcomes under the other.
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


def share_of_groups(groups: Sequence[Sequence[float]], level: float = LEVEL) -> Estimate:
    """A share of one checkpoint whose trials come in groups (pairs of a scene), the units.

    The interval is the hull of t over the means of the groups and of the Clopper-Pearson interval
    of as many trials as there are groups, cut to [0, 1].

    Args:
        groups: Values in [0, 1] of every group.
        level: Confidence level.

    Raises:
        ValueError: When there is no group, one is empty, or a value is outside [0, 1].
    """
    if not groups or any(not group or min(group) < 0 or max(group) > 1 for group in groups):
        raise ValueError(f"Found {len(groups)} groups; each needs values, all in [0, 1].")
    means = np.array([np.mean(group) for group in groups])
    count, value = len(means), float(means.mean())
    low, high = exact_bounds(round(value * count), count, level)
    half = 0.0
    if count > 1:
        half = t_quantile(level, count - 1) * float(means.std(ddof=1)) / math.sqrt(count)
    return Estimate(
        value=value,
        low=min(low, value, max(0.0, value - half)),
        high=max(high, value, min(1.0, value + half)),
        level=level,
        n=sum(len(group) for group in groups),
        seeds=1,
        states=count,
        method=f"t over {count} scenes, one training: speaks of this checkpoint",
    )


def _spread(rollouts: Sequence[Rollout]) -> _Spread:
    values = np.array([r.value * r.weight for r in rollouts], dtype=np.float64)
    residuals = values - values.mean()
    seeds, seed_variance = group_variance(residuals, [r.seed for r in rollouts])
    states, state_variance = group_variance(residuals, [r.state for r in rollouts])
    return _Spread(
        mean=float(values.mean()),
        n=len(values),
        seeds=seeds,
        states=states,
        seed_variance=seed_variance,
        state_variance=state_variance,
    )


def group_variance(residuals: NDArray[np.float64], groups: Sequence[Hashable]) -> tuple[int, float]:
    """Number of groups and the variance of the mean that they imply (0 for one group)."""
    index = {group: position for position, group in enumerate(dict.fromkeys(groups))}
    sums = np.zeros(len(index))
    np.add.at(sums, [index[group] for group in groups], residuals)
    count = len(index)
    if count < 2:
        return count, 0.0
    return count, float(count / (count - 1) * np.sum(sums**2) / len(residuals) ** 2)


def unseen(n: int, level: float) -> float:
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
