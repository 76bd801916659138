"""The fit behind :mod:`vertebra.stats.scaling`: success against demonstrations, ceilings, seeds.

A ceiling below 1 is taken up when the data ask for it: when it lowers the deviance by more than
``CEILING_EVIDENCE`` dispersions. What is computed from the fits then covers all ceilings that fit
about as well as the best one.
"""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from vertebra.stats.distributions import Array, sigmoid, x_log_y

CEILINGS = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.5, 0.4, 0.3, 0.2)
CEILING_EVIDENCE = 3.0
"""Drop of deviance, in dispersions, from which on a ceiling below 1 is taken up."""
CEILING_SET = 2.0
"""Ceilings whose deviance is less than this above the best one are covered by every interval."""
BELOW_BEST = 0.05
"""Ceilings lower than the best rate that was measured, by more than this, are not tried."""
STEPS = 40


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One training: how many demonstrations it had and how often it succeeded.

    Attributes:
        demonstrations: Action-labelled demonstrations.
        successes: Successes; for chains the sum of completed links (then ``trials`` counts links).
        trials: Rollouts.
        seed: Training seed; shared by all numbers of demonstrations.
    """

    demonstrations: int
    successes: float | int
    trials: int
    seed: Hashable


@dataclass(frozen=True, kw_only=True)
class Fits:
    """Fits of one or two arms with a shared slope, one for every ceiling that is covered.

    Attributes:
        ceilings: [F, arms]; the first row is the best fit.
        theta: [F, arms + 1] intercepts at ``centre``, then the slope in logits per e-fold.
        covariance: [F, arms + 1, arms + 1], over training seeds.
        freedom: Degrees of freedom.
        centre: ln N at which intercepts are taken.
        fewest: Smallest number of demonstrations.
        most: Largest number.
    """

    ceilings: Array
    theta: Array
    covariance: Array
    freedom: int
    centre: float
    fewest: int
    most: int


@dataclass(frozen=True, kw_only=True)
class _Rows:
    """Rollouts that share a design row: single trainings, or all of one arm and number."""

    design: Array
    arm: NDArray[np.int64]
    successes: Array
    trials: Array


def fit(sides: Sequence[Sequence[Cell]], ceilings: Array | None = None) -> Fits | None:
    """Fit one or two arms with a shared slope.

    Args:
        sides: Trainings of each arm.
        ceilings: [1, arms] when they are known; searched otherwise.

    Returns:
        ``None`` when the fit is not determined: an arm with fewer than two seeds or two numbers of
        demonstrations, or rollouts that all ended alike at one side.
    """
    flat = [cell for side in sides for cell in side]
    seeds = [len({cell.seed for cell in side}) for side in sides]
    counts = [{cell.demonstrations for cell in side} for side in sides]
    if min(seeds) < 2 or min(map(len, counts)) < 2:
        return None
    centre = float(np.mean(np.log([cell.demonstrations for cell in flat])))
    rows = _rows(sides, centre)
    pooled = _rows([_pooled(side) for side in sides], centre)
    grid = _grid(pooled, len(sides)) if ceilings is None else ceilings
    theta, good = _newton(pooled, grid)
    if not good[0]:
        return None
    rising = theta[:, -1] > 0
    deviance = np.where(good & rising, _deviance(pooled, theta, grid), np.inf)
    kept = _kept(deviance, _dispersion(rows, theta[:1], grid[:1])) if rising[0] else [0]
    groups = [(a, cell.seed) for a, side in enumerate(sides) for cell in side]
    return Fits(
        ceilings=grid[kept],
        theta=theta[kept],
        covariance=np.array([_covariance(rows, theta[f], grid[f], groups, seeds) for f in kept]),
        freedom=sum(seeds) - len(sides),
        centre=centre,
        fewest=min(cell.demonstrations for cell in flat),
        most=max(cell.demonstrations for cell in flat),
    )


def _rows(sides: Sequence[Sequence[Cell]], centre: float) -> _Rows:
    flat = [cell for side in sides for cell in side]
    arm = np.array([a for a, side in enumerate(sides) for _ in side])
    x = np.log([cell.demonstrations for cell in flat]) - centre
    return _Rows(
        design=np.concatenate([np.eye(len(sides))[arm], x[:, None]], axis=1),
        arm=arm,
        successes=np.array([cell.successes for cell in flat], dtype=np.float64),
        trials=np.array([cell.trials for cell in flat], dtype=np.float64),
    )


def _pooled(side: Sequence[Cell]) -> list[Cell]:
    """One cell a number of demonstrations: all that the best parameters depend on."""
    found: dict[int, list[Cell]] = {}
    for cell in side:
        found.setdefault(cell.demonstrations, []).append(cell)
    return [
        Cell(
            demonstrations=count,
            successes=sum(cell.successes for cell in cells),
            trials=sum(cell.trials for cell in cells),
            seed=None,
        )
        for count, cells in found.items()
    ]


def _grid(pooled: _Rows, arms: int) -> Array:
    """Ceilings to try, [G, arms], none below what was reached; the first row has none at all."""
    rates = pooled.successes / pooled.trials
    tried = [
        [c for c in CEILINGS if c == 1.0 or c >= rates[pooled.arm == a].max() - BELOW_BEST]
        for a in range(arms)
    ]
    return np.array(list(product(*tried)))


def _curve(rows: _Rows, theta: Array, grid: Array) -> tuple[Array, Array]:
    """Rates and their derivatives by the linear predictor, [G, rows]."""
    top = grid[:, rows.arm]
    unit = sigmoid(np.clip(theta @ rows.design.T, -20, 20))
    return np.clip(top * unit, 1e-12, 1 - 1e-12), top * unit * (1 - unit)


def _information(rows: _Rows, rate: Array, slope: Array) -> Array:
    weight = rows.trials * slope**2 / (rate * (1 - rate))
    parts = rows.design.shape[1]
    found = rows.design.T @ (weight[:, :, None] * rows.design)
    return found + 1e-9 * np.eye(parts)


def _newton(rows: _Rows, grid: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Fisher scoring for all ceilings at once: parameters [G, P] and which are determined."""
    theta = np.zeros((len(grid), rows.design.shape[1]))
    step = np.ones_like(theta)
    for _ in range(STEPS):
        rate, slope = _curve(rows, theta, grid)
        score = (slope / (rate * (1 - rate)) * (rows.successes - rows.trials * rate)) @ rows.design
        step = np.linalg.solve(_information(rows, rate, slope), score[..., None])[..., 0]
        theta = theta + np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-8:
            break
    settled = np.abs(step).max(axis=1) < 1e-5
    return theta, settled & (np.abs(theta @ rows.design.T).max(axis=1) < 15)


def _deviance(rows: _Rows, theta: Array, grid: Array) -> Array:
    y, n = rows.successes, rows.trials
    rate, _ = _curve(rows, theta, grid)
    parts = x_log_y(y, y / (n * rate)) + x_log_y(n - y, (n - y) / (n * (1 - rate)))
    return np.asarray(2 * parts.sum(axis=1), dtype=np.float64)


def _dispersion(rows: _Rows, theta: Array, grid: Array) -> float:
    """Pearson dispersion of the trainings around the fit without ceilings, at least 1."""
    rate, _ = _curve(rows, theta, grid)
    squares = (rows.successes - rows.trials * rate) ** 2 / (rows.trials * rate * (1 - rate))
    return max(1.0, float(squares.sum()) / max(1, len(rows.trials) - theta.shape[1]))


def _kept(deviance: Array, dispersion: float) -> list[int]:
    """Which fits are covered, the best one first; row 0 is the fit without ceilings."""
    best = int(deviance.argmin())
    if deviance[0] - deviance[best] <= CEILING_EVIDENCE * dispersion:
        return [0]
    near = deviance - deviance[best] <= CEILING_SET * dispersion
    return [best, *(int(f) for f in np.flatnonzero(near) if f != best)]


def _covariance(
    rows: _Rows,
    theta: Array,
    ceilings: Array,
    groups: Sequence[tuple[int, Hashable]],
    seeds: Sequence[int],
) -> Array:
    """Covariance over training seeds; in no direction smaller than rollout noise makes it."""
    rates, slopes = _curve(rows, theta[None], ceilings[None])
    rate, slope = rates[0], slopes[0]
    inverse = np.asarray(np.linalg.inv(_information(rows, rates, slopes)[0]), dtype=np.float64)
    index = {group: place for place, group in enumerate(dict.fromkeys(groups))}
    belongs = np.eye(len(index))[[index[group] for group in groups]]
    weight = slope / (rate * (1 - rate)) * (rows.successes - rows.trials * rate)
    scores = belongs.T @ (rows.design * weight[:, None])
    influence = np.asarray(scores @ inverse, dtype=np.float64)
    share = np.array([seeds[arm] / (seeds[arm] - 1) for arm, _ in index])
    found = np.asarray((influence * share[:, None]).T @ influence, dtype=np.float64)
    # Eigenvalues relative to rollout noise, at least 1.
    root = np.linalg.cholesky(inverse)
    inner = np.linalg.solve(root, np.linalg.solve(root, found).T)
    values, vectors = np.linalg.eigh((inner + inner.T) / 2)
    turned = root @ vectors
    return np.asarray((turned * np.maximum(values, 1.0)) @ turned.T, dtype=np.float64)


def standard_error(row: Array, covariance: Array) -> float:
    """Standard error of a linear combination."""
    return math.sqrt(max(0.0, float(row @ covariance @ row)))
