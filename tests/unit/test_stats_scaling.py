"""Success against demonstrations: the fit, its interval and what it refuses to say."""

import math

import numpy as np
import pytest
import statsmodels.api as sm

from vertebra.stats.scaling import Cell, Curve, fit_curve

CELLS = [Cell(demonstrations=200, successes=k, trials=78) for k in (30, 22, 38)] + [
    Cell(demonstrations=800, successes=k, trials=78) for k in (60, 48, 65)
]


def fitted(cells: list[Cell] = CELLS) -> Curve:
    curve = fit_curve(cells)
    assert curve is not None
    return curve


def test_fit_agrees_with_statsmodels_quasi_binomial() -> None:
    x = sm.add_constant(np.log([cell.demonstrations for cell in CELLS]))
    shares = np.array([cell.successes / cell.trials for cell in CELLS])
    trials = np.array([cell.trials for cell in CELLS])
    model = sm.GLM(shares, x, family=sm.families.Binomial(), var_weights=trials)
    theirs = model.fit(scale="X2")
    ours = fitted()
    assert (ours.intercept, ours.slope) == pytest.approx(tuple(theirs.params), rel=1e-6)
    assert ours.dispersion == pytest.approx(theirs.scale, rel=1e-6)
    assert np.array(ours.covariance) == pytest.approx(theirs.cov_params(), rel=1e-5)


def test_dispersion_never_narrows_below_binomial() -> None:
    even = [
        Cell(demonstrations=n, successes=k, trials=100)
        for n, k in ((100, 30), (400, 60))
        for _ in range(3)
    ]
    assert fitted(even).dispersion == 1.0


def test_crossing_lies_where_the_curve_meets_the_target() -> None:
    crossing = fitted().crossing(0.6)
    assert crossing is not None
    assert fitted().at(crossing.demonstrations)[0] == pytest.approx(0.6)
    assert 200 < crossing.demonstrations < 800


def test_crossing_interval_inverts_the_band() -> None:
    cells = [
        Cell(demonstrations=n, successes=k + d, trials=400)
        for n, k in ((100, 80), (200, 150), (400, 230), (800, 300))
        for d in (-8, 0, 8)
    ]
    curve = fitted(cells)
    crossing = curve.crossing(0.5)
    assert crossing is not None and crossing.low is not None and crossing.high is not None
    assert curve.at(crossing.low)[2] == pytest.approx(0.5, abs=1e-6)
    assert curve.at(crossing.high)[1] == pytest.approx(0.5, abs=1e-6)


@pytest.mark.parametrize("target", [0.2, 0.9])
def test_a_target_that_is_not_bracketed_has_no_crossing(target: float) -> None:
    assert fitted().crossing(target) is None


def test_the_curve_is_not_read_beyond_a_factor_of_two() -> None:
    curve = fitted()
    curve.at(1600)
    with pytest.raises(ValueError, match="factor of two"):
        curve.at(1601)
    with pytest.raises(ValueError, match="factor of two"):
        curve.at(99)


def test_a_falling_curve_has_no_price() -> None:
    falling = [
        Cell(demonstrations=n, successes=k, trials=100)
        for n, k in ((100, 70), (400, 40))
        for _ in range(3)
    ]
    assert fitted(falling).crossing(0.5) is None


@pytest.mark.parametrize(
    "cells",
    [
        [],
        CELLS[:3],
        [CELLS[0], CELLS[3]],
        [Cell(demonstrations=n, successes=0, trials=50) for n in (100, 100, 400, 400)],
        [Cell(demonstrations=n, successes=s, trials=50) for n, s in ((1, 0), (1, 0), (9, 50))],
        [Cell(demonstrations=n, successes=0, trials=0) for n in (100, 100, 400, 400)],
    ],
)
def test_undetermined_curves_are_none(cells: list[Cell]) -> None:
    assert fit_curve(cells) is None


def test_impossible_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="in order"):
        fit_curve([Cell(demonstrations=10, successes=5, trials=4)])
    with pytest.raises(ValueError, match="demonstrations"):
        fit_curve([Cell(demonstrations=0, successes=1, trials=4)])


def test_logit_scale_is_symmetric() -> None:
    value, low, high = fitted().at(400)
    logit = [math.log(p / (1 - p)) for p in (low, value, high)]
    assert logit[1] - logit[0] == pytest.approx(logit[2] - logit[1])
