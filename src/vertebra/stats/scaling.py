"""How success grows with demonstrations, and how many a target would take.

Model: logit p(N) = intercept + slope * ln N, fitted by maximum likelihood to one cell per training
(demonstrations, seed). Training seeds vary more than a binomial allows, so variances are multiplied
by the Pearson dispersion (at least 1) and the interval uses t with cells - 2 degrees of freedom:
a plain binomial interval covers 67 % at nominal 95 % when seeds vary by 0.4 logit.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vertebra.stats.distributions import t_quantile
from vertebra.stats.interval import LEVEL


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One training: how many demonstrations it had and how often it succeeded."""

    demonstrations: int
    successes: int
    trials: int


@dataclass(frozen=True, kw_only=True)
class Crossing:
    """Where a fitted curve meets a target.

    Attributes:
        demonstrations: Point estimate, inside the range that was measured.
        low: Lower end of its interval; ``None`` when open (fewer than anything measured).
        high: Upper end; ``None`` when open (more than twice the most that was measured).
    """

    demonstrations: float
    low: float | None
    high: float | None


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A fitted curve.

    Attributes:
        intercept: Logit at one demonstration.
        slope: Logits per e-fold of demonstrations.
        covariance: 2 x 2, of (intercept, slope), dispersion included.
        dispersion: Pearson dispersion, at least 1.
        cells: Number of trainings.
        fewest: Smallest number of demonstrations measured.
        most: Largest number measured.
    """

    intercept: float
    slope: float
    covariance: tuple[tuple[float, float], tuple[float, float]]
    dispersion: float
    cells: int
    fewest: int
    most: int

    def at(self, demonstrations: int | float, level: float = LEVEL) -> tuple[float, float, float]:
        """Rate and its interval (value, low, high).

        Raises:
            ValueError: Beyond twice the largest or below half the smallest number measured.
        """
        if not self.fewest / 2 <= demonstrations <= 2 * self.most:
            raise ValueError(
                f"Asked for {demonstrations} demonstrations; measured were {self.fewest} to "
                f"{self.most}. The curve is not read beyond a factor of two."
            )
        x = math.log(demonstrations)
        (aa, ab), (_, bb) = self.covariance
        half = self._t(level) * math.sqrt(max(0.0, aa + 2 * x * ab + x * x * bb))
        middle = self.intercept + self.slope * x
        return _sigmoid(middle), _sigmoid(middle - half), _sigmoid(middle + half)

    def crossing(self, target: float, level: float = LEVEL) -> Crossing | None:
        """Demonstrations at which the curve meets a target rate (Fieller interval).

        Returns:
            ``None`` when the target is not bracketed by the fitted curve inside the measured
            range, or the curve does not rise.
        """
        aim = math.log(target / (1 - target))
        if self.slope <= 0:
            return None
        x = (aim - self.intercept) / self.slope
        if not math.log(self.fewest) - 1e-9 <= x <= math.log(self.most) + 1e-9:
            return None
        low, high = self._fieller(aim, level)
        within_low = low is not None and low >= math.log(self.fewest / 2)
        within_high = high is not None and high <= math.log(2 * self.most)
        return Crossing(
            demonstrations=math.exp(x),
            low=math.exp(low) if low is not None and within_low else None,
            high=math.exp(high) if high is not None and within_high else None,
        )

    def _t(self, level: float) -> float:
        return t_quantile(level, self.cells - 2)

    def _fieller(self, aim: float, level: float) -> tuple[float | None, float | None]:
        """All ln N whose confidence band holds the target; open ends are ``None``."""
        (aa, ab), (_, bb) = self.covariance
        t2 = self._t(level) ** 2
        offset = self.intercept - aim
        square = self.slope**2 - t2 * bb
        linear = offset * self.slope - t2 * ab
        constant = offset**2 - t2 * aa
        root = linear**2 - square * constant
        if square <= 0 or root < 0:
            return None, None
        return (-linear - math.sqrt(root)) / square, (-linear + math.sqrt(root)) / square


def fit_curve(cells: Sequence[Cell]) -> Curve | None:
    """Fit success against demonstrations.

    Args:
        cells: One a training.

    Returns:
        ``None`` when a curve is not determined: fewer than two different numbers of
        demonstrations, fewer than three trainings, or every rollout ended alike at one side
        (the slope is unbounded then).

    Raises:
        ValueError: On counts that contradict each other.
    """
    for cell in cells:
        if cell.demonstrations < 1 or not 0 <= cell.successes <= cell.trials:
            raise ValueError(f"Found {cell}; expected demonstrations >= 1 and counts in order.")
    used = [cell for cell in cells if cell.trials > 0]
    counts = sorted({cell.demonstrations for cell in used})
    if len(counts) < 2 or len(used) < 3:
        return None
    x = np.array([[1.0, math.log(cell.demonstrations)] for cell in used])
    successes = np.array([cell.successes for cell in used], dtype=np.float64)
    trials = np.array([cell.trials for cell in used], dtype=np.float64)
    solution = _iterate(x, successes, trials)
    if solution is None:
        return None
    beta, information = solution
    expected = 1 / (1 + np.exp(-(x @ beta)))
    pearson = np.sum(
        (successes - trials * expected) ** 2 / (trials * expected * (1 - expected))
    ) / (len(used) - 2)
    dispersion = max(1.0, float(pearson))
    covariance = dispersion * np.linalg.inv(information)
    return Curve(
        intercept=float(beta[0]),
        slope=float(beta[1]),
        covariance=(
            (float(covariance[0, 0]), float(covariance[0, 1])),
            (float(covariance[1, 0]), float(covariance[1, 1])),
        ),
        dispersion=dispersion,
        cells=len(used),
        fewest=counts[0],
        most=counts[-1],
    )


def _iterate(
    x: NDArray[np.float64], successes: NDArray[np.float64], trials: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Newton steps; ``None`` when they run away (a side without any success or any failure)."""
    beta = np.zeros(2)
    for _ in range(100):
        expected = 1 / (1 + np.exp(-np.clip(x @ beta, -30, 30)))
        weight = trials * expected * (1 - expected)
        information = x.T @ (weight[:, None] * x)
        if np.linalg.cond(information) > 1e12:
            return None
        step = np.linalg.solve(information, x.T @ (successes - trials * expected))
        beta = beta + np.clip(step, -5, 5)
        if np.max(np.abs(x @ beta)) > 15:
            return None
        if np.max(np.abs(step)) < 1e-10:
            return beta, information
    return None


def _sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-max(-500.0, min(500.0, value))))
