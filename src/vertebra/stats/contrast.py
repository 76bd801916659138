"""Differences between recipes: the training seed is the unit, initial states are paired.

Every arm was trained with S seeds, and all trainings met the same C initial states. A contrast is
a weighted sum of the arms' rates (+1 and -1 for a difference). Its variance has two parts:

    V = max(V_seed, V_noise) + max(0, V_state - V_noise)

``V_seed`` is how much trainings of one arm differ, the sample variances over seeds of all arms of
the contrast together, with sum(S - 1) degrees of freedom: four for two arms with three seeds each.
``V_state`` clusters the paired contrast by initial state and ``V_noise`` by state and seed; what
states vary beyond rollout noise is what the contrast owes to the scenes that were drawn. The
interval is t with the degrees of freedom of the seeds.

Trainings are not paired by seed, only their rollouts by initial state: the seed of one recipe
shares a subset with the same seed of another, but not an initialisation. Whatever they share makes
the interval a little too wide, and in exchange it has twice the degrees of freedom: t(4) = 2.78
instead of t(2) = 4.30. A percentile bootstrap over three seeds is not an alternative: it covers
about 75 % at nominal 95 %.

Source: Cameron, Gelbach and Miller, J. Business & Economic Statistics 29 (2011), two-way clustered
variance. Deviations: the seed part is pooled within arms, and neither part may fall below the noise
of the rollouts.
"""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vertebra.stats.crossed import Rollout, group_variance, unseen
from vertebra.stats.distributions import t_above, t_quantile
from vertebra.stats.interval import LEVEL, Estimate

MOST_SEEDS = 30
"""Seeds an arm beyond which nothing is proposed."""


class Tested(Protocol):
    """An unknown number about which one-sided hypotheses can be tested."""

    @property
    def value(self) -> float:
        """Point estimate."""
        ...

    def p_above(self, margin: float) -> float:
        """One-sided p value of "it is at most ``margin``"; small: it lies above."""
        ...

    def p_below(self, margin: float) -> float:
        """One-sided p value of "it is at least ``margin``"; small: it lies below."""
        ...


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """A weighted sum of rates with its two variances.

    Attributes:
        value: Point estimate.
        seed_variance: Variance of it through training seeds, rollout noise included.
        state_variance: Variance of it through initial states, beyond rollout noise.
        freedom: Degrees of freedom.
        n: Pairs of rollouts.
        seeds: Training seeds of an arm.
        states: Initial states.
        arms: Arms with a weight.
    """

    value: float
    seed_variance: float
    state_variance: float
    freedom: int
    n: int
    seeds: int
    states: int
    arms: int

    @property
    def error(self) -> float:
        """Standard error."""
        return math.sqrt(self.seed_variance + self.state_variance)

    def half(self, level: float = LEVEL) -> float:
        """Half-width of the interval; never 0, however much the rollouts agree."""
        return max(t_quantile(level, self.freedom) * self.error, unseen(self.n, level))

    def p_above(self, margin: float) -> float:
        """One-sided p value of "the contrast is at most ``margin``"."""
        return self._p(self.value - margin)

    def p_below(self, margin: float) -> float:
        """One-sided p value of "the contrast is at least ``margin``"."""
        return self._p(margin - self.value)

    def _p(self, distance: float) -> float:
        """The larger of the t tail and the chance that rollouts so unanimous hide it."""
        if self.error > 0:
            tail = t_above(distance / self.error, self.freedom)
        else:
            tail = 0.0 if distance > 0 else 1.0
        return max(tail, (1.0 - min(1.0, max(0.0, distance))) ** self.n)

    def estimate(self, level: float = LEVEL) -> Estimate:
        """As an estimate with an interval inside [-2, 2]."""
        half = self.half(level)
        most = 1.0 if self.arms <= 2 else 2.0
        return Estimate(
            value=self.value,
            low=max(-most, self.value - half),
            high=min(most, self.value + half),
            level=level,
            n=self.n,
            seeds=self.seeds,
            states=self.states,
            method=f"t({self.freedom}) over {self.seeds} seeds an arm, paired on "
            f"{self.states} initial states",
        )

    def planned(self, seeds: int, more_states: float) -> "Contrast":
        """What it would be with another number of seeds and ``more_states`` times the states."""
        return replace(
            self,
            seed_variance=self.seed_variance * self.seeds / seeds,
            state_variance=self.state_variance / more_states,
            freedom=self.arms * (seeds - 1),
            seeds=seeds,
            states=round(self.states * more_states),
            n=round(self.n * more_states * seeds / self.seeds),
        )


def contrast(sides: Sequence[tuple[float, Sequence[Rollout]]]) -> Contrast | None:
    """A weighted sum of the rates of several arms.

    Args:
        sides: Weight and rollouts of every arm; rollout i of each has the same seed index, initial
            state and instruction.

    Returns:
        ``None`` without rollouts or with fewer than two training seeds.

    Raises:
        ValueError: When the rollouts do not belong together.
    """
    keys = [[(r.seed, r.state) for r in rollouts] for _, rollouts in sides]
    if any(one != keys[0] for one in keys):
        raise ValueError("Pairs must share training seed and initial state; sort all arms alike.")
    if not keys or not keys[0]:
        return None
    seeds = _places([seed for seed, _ in keys[0]])
    states = [state for _, state in keys[0]]
    n, count = len(states), int(seeds.max()) + 1
    if count < 2:
        return None
    values = np.array([[r.value * r.weight for r in rows] for _, rows in sides])
    weights = np.array([weight for weight, _ in sides])
    sizes = np.bincount(seeds, minlength=count)
    seed_variance = 0.0
    for weight, row in zip(weights, values, strict=True):
        means = np.bincount(seeds, row, minlength=count) / sizes
        seed_variance += float(weight**2 * means.var(ddof=1) / count)
    paired = weights @ values
    residuals = paired - paired.mean()
    _, state_variance = group_variance(residuals, states)
    _, noise = group_variance(residuals, keys[0])
    return Contrast(
        value=float(paired.mean()),
        seed_variance=max(seed_variance, noise),
        state_variance=max(0.0, state_variance - noise),
        freedom=len(sides) * (count - 1),
        n=n,
        seeds=count,
        states=len(set(states)),
        arms=len(sides),
    )


def needed(found: Contrast, margin: float, alpha: float) -> tuple[int, int] | None:
    """Fewest seeds, and then states, that would settle a contrast of the size seen.

    Settled is: beyond the margin when the estimate lies beyond it, else within it.

    Args:
        found: The contrast.
        margin: Smallest difference that matters.
        alpha: Two-sided level, corrected for the number of questions.

    Returns:
        Seeds an arm and initial states, or ``None`` when not even 30 seeds and eight times the
        states would do.
    """
    beyond = abs(found.value) > margin
    gap = abs(abs(found.value) - margin)
    level = 1 - alpha if beyond else 1 - 2 * alpha
    for more_states in (1.0, 2.0, 4.0, 8.0):
        for seeds in range(max(3, found.seeds), MOST_SEEDS + 1):
            planned = found.planned(seeds, more_states)
            if planned.half(level) < gap:
                return seeds, planned.states
    return None


def _places(labels: Sequence[Hashable]) -> NDArray[np.int64]:
    index = {label: place for place, label in enumerate(dict.fromkeys(labels))}
    return np.array([index[label] for label in labels], dtype=np.int64)
