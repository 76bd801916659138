"""How success grows with demonstrations, how many a target takes, and how many times more.

Model: success p of a training on N demonstrations of arm a,

    p = c_a * sigmoid(alpha_a + beta * ln N),

with a ceiling c_a <= 1, fitted by maximum (quasi-)likelihood. Trainings of one seed share their
subsets across N, so the unit is the training seed here too: scores are summed over all N of one arm
and seed, and intervals are t with sum(seeds - 1) degrees of freedom. Dispersion over single
cells (quasi-binomial) assumes independent cells; where the N share their seed it covers
about 65 % at nominal 95 % (tests/laws/test_intervals.py), a plain binomial interval less.

A ceiling below 1 is taken up when the data ask for it; every interval then covers all ceilings that
fit about as well as the best one (:mod:`vertebra.stats.growth`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vertebra.stats.distributions import Array, logit, sigmoid, t_above, t_quantile
from vertebra.stats.growth import Cell, Fits, fit, standard_error
from vertebra.stats.interval import LEVEL


@dataclass(frozen=True, kw_only=True)
class Crossing:
    """Where a fitted curve meets a target.

    Attributes:
        demonstrations: Point estimate, inside the range that was measured.
        low: Lower end of its interval; ``None`` when open (fewer than half of the fewest measured).
        high: Upper end; ``None`` when open (more than twice the most that was measured).
    """

    demonstrations: float
    low: float | None
    high: float | None


@dataclass(frozen=True, kw_only=True)
class DemoRatio:
    """ln(demonstrations of the second arm / demonstrations of the first) at a target.

    Above 0 the first arm needs fewer. Implements :class:`vertebra.stats.contrast.Tested`.

    Attributes:
        fits: Joint fits of both arms.
        target: Success rate at which it is read.
        seeds: Training seeds of an arm.
        cells: Trainings.
    """

    fits: Fits
    target: float
    seeds: int
    cells: int

    @property
    def value(self) -> float:
        """Logarithm of the ratio, by the best fit."""
        gap = self._gaps()[0]
        return float(gap / self.fits.theta[0, -1])

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """Ends of the interval of the logarithm; infinite where the data leave it open."""
        t = t_quantile(level, self.fits.freedom)
        ends = [
            _fieller(gap, theta[-1], self._covariance(f), t)
            for f, (gap, theta) in enumerate(zip(self._gaps(), self.fits.theta, strict=True))
        ]
        return min(low for low, _ in ends), max(high for _, high in ends)

    def p_above(self, margin: float) -> float:
        """One-sided p value of "the logarithm is at most ``margin``"."""
        return max(t_above(t, self.fits.freedom) for t in self._t(margin))

    def p_below(self, margin: float) -> float:
        """One-sided p value of "the logarithm is at least ``margin``"."""
        return max(t_above(-t, self.fits.freedom) for t in self._t(margin))

    def _gaps(self) -> Array:
        """Slope times the logarithm of the ratio, for every fit; not finite beyond a ceiling."""
        aims = _aims(self.target, self.fits.ceilings)
        intercepts = self.fits.theta[:, :2]
        with np.errstate(invalid="ignore"):  # beyond both ceilings: infinite minus infinite
            return (aims[:, 1] - intercepts[:, 1]) - (aims[:, 0] - intercepts[:, 0])

    def _covariance(self, f: int) -> Array:
        """2 x 2, of (gap, slope)."""
        turn = np.array([[1.0, -1.0, 0.0], [0.0, 0.0, 1.0]])
        return turn @ self.fits.covariance[f] @ turn.T

    def _t(self, margin: float) -> list[float]:
        found: list[float] = []
        for f, (gap, theta) in enumerate(zip(self._gaps(), self.fits.theta, strict=True)):
            if not math.isfinite(gap):
                found += [math.inf, -math.inf]  # under this ceiling nothing is excluded
                continue
            row = np.array([1.0, -margin])
            error = standard_error(row, self._covariance(f))
            found.append(float(gap - margin * theta[-1]) / error)
        return found


@dataclass(frozen=True, kw_only=True)
class Curve:
    """The curve of one arm.

    Attributes:
        fits: Its fits; the first is the best.
        cells: Number of trainings.
        seeds: Number of training seeds.
        reached: Mean rate at the largest number of demonstrations.
        started: Mean rate at the smallest number.
        holds: Whether the curve, fitted without the largest number, foretells it; ``None`` when
            fewer than two other numbers were measured.
    """

    fits: Fits
    cells: int
    seeds: int
    reached: float
    started: float
    holds: bool | None

    @property
    def ceiling(self) -> float:
        """The ceiling of the best fit (1 when the data ask for none)."""
        return float(self.fits.ceilings[0, 0])

    def at(self, demonstrations: float | int, level: float = LEVEL) -> tuple[float, float, float]:
        """Rate and its interval (value, low, high).

        Raises:
            ValueError: Beyond twice the largest or below half the smallest number measured.
        """
        fewest, most = self.fits.fewest, self.fits.most
        if not fewest / 2 <= demonstrations <= 2 * most:
            raise ValueError(
                f"Asked for {demonstrations} demonstrations; measured were {fewest} to {most}. "
                "The curve is not read beyond a factor of two."
            )
        row = np.array([1.0, math.log(demonstrations) - self.fits.centre])
        middle = self.fits.theta @ row
        square = np.einsum("p,fpq,q->f", row, self.fits.covariance, row)
        half = t_quantile(level, self.fits.freedom) * np.sqrt(np.maximum(square, 0))
        top = self.fits.ceilings[:, 0]
        low, high = top * sigmoid(middle - half), top * sigmoid(middle + half)
        return float((top * sigmoid(middle))[0]), float(low.min()), float(high.max())

    def crossing(self, target: float, level: float = LEVEL) -> Crossing | None:
        """Demonstrations at which the curve meets a target rate (Fieller interval).

        Returns:
            ``None`` when the target is not bracketed: neither the rates at the smallest and the
            largest number nor the best fit enclose it, or the curve does not rise.
        """
        if not self.started <= target <= self.reached:
            return None
        return self._meets(target, level, 1.0)

    def reaching(self, target: float, level: float = LEVEL) -> Crossing | None:
        """The smallest number of demonstrations that reaches a target, read up to a factor of two.

        Returns:
            ``None`` when the best fit does not meet the target between half of the fewest and twice
            the most that were measured, or, outside of what was measured, when the curve does not
            foretell its own largest number.
        """
        found = self._meets(target, level, 2.0)
        if found is None or self.fits.fewest <= found.demonstrations <= self.fits.most:
            return found
        return None if self.holds is False else found

    def _meets(self, target: float, level: float, reach: float) -> Crossing | None:
        """Where the best fit meets a target, within ``reach`` times what was measured."""
        fits = self.fits
        aims = _aims(target, fits.ceilings)[:, 0]
        slope = float(fits.theta[0, 1])
        x = fits.centre + (aims[0] - fits.theta[0, 0]) / slope if slope > 0 else math.inf
        least, most = math.log(fits.fewest / reach), math.log(fits.most * reach)
        if not least - 1e-9 <= x <= most + 1e-9:
            return None
        t = t_quantile(level, fits.freedom)
        turn = np.array([[-1.0, 0.0], [0.0, 1.0]])
        ends = [
            _fieller(float(aim - theta[0]), float(theta[1]), turn @ covariance @ turn, t)
            for aim, theta, covariance in zip(aims, fits.theta, fits.covariance, strict=True)
        ]
        low = fits.centre + min(end for end, _ in ends)
        high = fits.centre + max(end for _, end in ends)
        return Crossing(
            demonstrations=math.exp(x),
            low=math.exp(low) if low >= math.log(fits.fewest / 2) else None,
            high=math.exp(high) if high <= math.log(2 * fits.most) else None,
        )


def fit_curve(cells: Sequence[Cell]) -> Curve | None:
    """Fit success of one arm against demonstrations.

    Args:
        cells: One a training.

    Returns:
        ``None`` when a curve is not determined: fewer than two numbers of demonstrations or two
        seeds, or every rollout ended alike at one side (the slope is unbounded then).

    Raises:
        ValueError: On counts that contradict each other.
    """
    used = _used(cells)
    counts = sorted({cell.demonstrations for cell in used})
    fits = fit([used])
    if fits is None:
        return None
    return Curve(
        fits=fits,
        cells=len(used),
        seeds=len({cell.seed for cell in used}),
        reached=_rate(used, counts[-1]),
        started=_rate(used, counts[0]),
        holds=_holds(used, counts, fits.ceilings[:1]),
    )


def demo_ratio(
    first: Sequence[Cell], second: Sequence[Cell], target: float
) -> tuple[DemoRatio | None, str]:
    """How many times as many demonstrations the second arm needs for a target.

    Args:
        first: Trainings of one arm.
        second: Trainings of the other.
        target: Success rate.

    Returns:
        The ratio, or ``None`` and the reason in words.
    """
    sides = [_used(first), _used(second)]
    curves = [fit_curve(side) for side in sides]
    if curves[0] is None or curves[1] is None:
        return None, "a curve is not determined (too few trainings, or no success)"
    if any(curve.crossing(target) is None for curve in curves if curve is not None):
        return None, "the target is not bracketed by the measured rates of both"
    if any(curve.holds is False for curve in curves if curve is not None):
        return None, "a curve does not foretell its own largest number of demonstrations"
    fits = fit(sides)
    if fits is None or not fits.theta[0, -1] > 0:
        return None, "the two curves do not rise together"
    if target >= fits.ceilings[0].min():
        return None, "a curve levels off below the target"
    seeds = min(curve.seeds for curve in curves if curve is not None)
    cells = len(sides[0]) + len(sides[1])
    return DemoRatio(fits=fits, target=target, seeds=seeds, cells=cells), ""


def _used(cells: Sequence[Cell]) -> list[Cell]:
    for cell in cells:
        if cell.demonstrations < 1 or not 0 <= cell.successes <= cell.trials:
            raise ValueError(f"Found {cell}; expected demonstrations >= 1 and counts in order.")
    return [cell for cell in cells if cell.trials > 0]


def _rate(cells: Sequence[Cell], demonstrations: int) -> float:
    chosen = [cell for cell in cells if cell.demonstrations == demonstrations]
    return sum(cell.successes for cell in chosen) / sum(cell.trials for cell in chosen)


def _holds(cells: Sequence[Cell], counts: Sequence[int], ceiling: Array) -> bool | None:
    """Whether the fit to all but the largest number foretells the rates there (95 %)."""
    rest = [cell for cell in cells if cell.demonstrations < counts[-1]]
    last = [cell for cell in cells if cell.demonstrations == counts[-1]]
    fits = fit([rest], ceiling) if len(counts) > 2 else None
    if fits is None:
        return None
    row = np.array([1.0, math.log(counts[-1]) - fits.centre])
    middle = float(fits.theta[0] @ row)
    half = t_quantile(LEVEL, fits.freedom) * standard_error(row, fits.covariance[0])
    top = float(ceiling[0, 0])
    rates = [cell.successes / cell.trials for cell in last]
    low, high = top * sigmoid(np.array([middle - half, middle + half]))
    noise = max(
        float(np.var(rates, ddof=1)) / len(rates) if len(rates) > 1 else 0.0,
        float(np.mean(rates)) * (1 - float(np.mean(rates))) / sum(c.trials for c in last),
    )
    slack = t_quantile(LEVEL, fits.freedom) * math.sqrt(noise)
    return bool(low - slack <= float(np.mean(rates)) <= high + slack)


def _aims(target: float, ceilings: Array) -> Array:
    """Logit of the target on the scale of each ceiling; infinite at or above it."""
    share = np.minimum(target / ceilings, 1.0)
    return logit(share)


def _fieller(gap: float, slope: float, covariance: Array, t: float) -> tuple[float, float]:
    """All r with |gap - r slope| within t standard errors; infinite ends when open."""
    if not math.isfinite(gap) or not slope > 0:
        return -math.inf, math.inf
    square = slope**2 - t * t * covariance[1, 1]
    linear = gap * slope - t * t * covariance[0, 1]
    constant = gap**2 - t * t * covariance[0, 0]
    root = linear**2 - square * constant
    if square <= 0 or root < 0:
        return -math.inf, math.inf
    return float((linear - math.sqrt(root)) / square), float((linear + math.sqrt(root)) / square)
