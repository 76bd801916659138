"""Success against demonstrations: the fit, its intervals, ceilings, and what it refuses to say."""

import math

import numpy as np
import pytest
import statsmodels.api as sm

from vertebra.stats.growth import Cell, fit
from vertebra.stats.scaling import Curve, DemoRatio, demo_ratio, fit_curve

COUNTS = (100, 200, 400, 800)


def cells(
    *, midpoint: float = 250.0, slope: float = 1.2, ceiling: float = 1.0, trials: int = 200
) -> list[Cell]:
    """Expected successes of three seeds half a logit apart."""
    return [
        Cell(
            demonstrations=n,
            successes=round(
                trials * ceiling / (1 + math.exp(-slope * math.log(n / midpoint) - shift))
            ),
            trials=trials,
            seed=seed,
        )
        for seed, shift in enumerate((-0.5, 0.0, 0.5))
        for n in COUNTS
    ]


def fitted(used: list[Cell] | None = None) -> Curve:
    curve = fit_curve(cells() if used is None else used)
    assert curve is not None
    return curve


def test_fit_agrees_with_statsmodels() -> None:
    used = cells()
    x = sm.add_constant(np.log([cell.demonstrations for cell in used]))
    counts = np.array([(cell.successes, cell.trials - cell.successes) for cell in used])
    model = sm.GLM(counts, x, family=sm.families.Binomial())
    groups = np.array([cell.seed for cell in used])
    options = {"groups": groups, "use_correction": False}
    theirs = model.fit(cov_type="cluster", cov_kwds=options)
    fits = fit([used])
    assert fits is not None and fits.ceilings[0, 0] == 1.0 and len(fits.ceilings) == 1
    intercept = fits.theta[0, 0] - fits.centre * fits.theta[0, 1]
    assert (intercept, fits.theta[0, 1]) == pytest.approx(tuple(theirs.params), rel=1e-6)
    # Ours: S / (S - 1), at the centre of the data, and at least rollout noise in every direction.
    turn = np.array([[1.0, fits.centre], [0.0, 1.0]])
    clustered = 1.5 * turn @ np.asarray(theirs.cov_params()) @ turn.T
    binomial = turn @ np.asarray(model.fit(scale=1.0).cov_params()) @ turn.T
    assert fits.covariance[0, 0, 0] == pytest.approx(clustered[0, 0], rel=0.02)
    for row in (np.array([1.0, 0.0]), np.array([0.0, 1.0]), np.array([1.0, -0.7])):
        ours = row @ fits.covariance[0] @ row
        assert ours >= max(row @ clustered @ row, row @ binomial @ row) * (1 - 1e-6)


def test_seeds_that_differ_widen_the_interval_however_many_rollouts() -> None:
    few, many = fitted(cells(trials=200)), fitted(cells(trials=20_000))
    one, other = few.at(300), many.at(300)
    assert other[2] - other[1] > 0.9 * (one[2] - one[1])


def test_crossing_lies_where_the_curve_meets_the_target() -> None:
    crossing = fitted().crossing(0.6)
    assert crossing is not None
    assert fitted().at(crossing.demonstrations)[0] == pytest.approx(0.6)
    assert crossing.demonstrations == pytest.approx(250 * 1.5 ** (1 / 1.2), rel=0.03)


def test_crossing_interval_inverts_the_band() -> None:
    used = [
        Cell(demonstrations=n, successes=k + d, trials=400, seed=d)
        for n, k in zip(COUNTS, (80, 150, 230, 300), strict=True)
        for d in (-8, 0, 8)
    ]
    curve = fitted(used)
    crossing = curve.crossing(0.5)
    assert crossing is not None and crossing.low is not None and crossing.high is not None
    assert curve.at(crossing.low)[2] == pytest.approx(0.5, abs=1e-6)
    assert curve.at(crossing.high)[1] == pytest.approx(0.5, abs=1e-6)


@pytest.mark.parametrize("target", [0.1, 0.95])
def test_a_target_that_is_not_bracketed_has_no_crossing(target: float) -> None:
    assert fitted().crossing(target) is None
    ratio, why = demo_ratio(cells(), cells(midpoint=300), target)
    assert ratio is None
    assert "bracketed" in why


def test_the_curve_is_not_read_beyond_a_factor_of_two() -> None:
    curve = fitted()
    curve.at(1600)
    for demonstrations in (1601, 49):
        with pytest.raises(ValueError, match="factor of two"):
            curve.at(demonstrations)


def test_a_falling_curve_has_no_price() -> None:
    falling = [
        Cell(demonstrations=n, successes=k, trials=100, seed=seed)
        for n, k in ((100, 70), (400, 40))
        for seed in range(3)
    ]
    assert fitted(falling).crossing(0.5) is None


@pytest.mark.parametrize(
    "used",
    [
        [],
        [cell for cell in cells() if cell.demonstrations == 100],
        [cell for cell in cells() if cell.seed == 0],
        [
            Cell(demonstrations=n, successes=0, trials=50, seed=s)
            for n in (100, 400)
            for s in range(3)
        ],
        [
            Cell(demonstrations=n, successes=k, trials=50, seed=s)
            for n, k in ((1, 0), (9, 50))
            for s in range(3)
        ],
        [
            Cell(demonstrations=n, successes=0, trials=0, seed=s)
            for n in (100, 400)
            for s in range(3)
        ],
    ],
)
def test_undetermined_curves_are_none(used: list[Cell]) -> None:
    assert fit_curve(used) is None


def test_impossible_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="in order"):
        fit_curve([Cell(demonstrations=10, successes=5, trials=4, seed=0)])
    with pytest.raises(ValueError, match="demonstrations"):
        fit_curve([Cell(demonstrations=0, successes=1, trials=4, seed=0)])


def test_the_ratio_is_what_was_planted_and_turns_with_the_sides() -> None:
    ratio, _ = demo_ratio(cells(midpoint=200), cells(midpoint=400), 0.5)
    back, _ = demo_ratio(cells(midpoint=400), cells(midpoint=200), 0.5)
    assert ratio is not None and back is not None
    assert math.exp(ratio.value) == pytest.approx(2.0, rel=0.03)
    low, high = ratio.interval()
    assert low < math.log(2) < high
    assert ratio.fits.freedom == 4
    assert back.interval() == pytest.approx((-high, -low), abs=1e-6)
    assert 2 * ratio.p_above(low) == pytest.approx(0.05, abs=1e-4)
    assert 2 * ratio.p_below(high) == pytest.approx(0.05, abs=1e-4)


def test_an_unequal_ceiling_is_taken_up_and_covered() -> None:
    """Without ceilings the ratio at 0.6 would be read as about 2; with 0.68 as ceiling it is 5."""
    first, second = cells(midpoint=120, slope=1.8), cells(midpoint=120, slope=1.8, ceiling=0.68)
    curve = fitted(second)
    assert curve.ceiling == pytest.approx(0.7, abs=0.051)
    true = (0.68 / 0.6 - 1) ** (-1 / 1.8) / (1 / 0.6 - 1) ** (-1 / 1.8)
    ratio, why = demo_ratio(first, second, 0.6)
    assert ratio is not None, why
    low, high = ratio.interval()
    assert low <= math.log(true) <= high
    assert len(ratio.fits.ceilings) > 1


def test_a_curve_that_misses_its_own_largest_count_is_not_read() -> None:
    def broken(cell: Cell) -> Cell:
        rate = {100: 0.2, 200: 0.4, 400: 0.6, 800: 0.61}[cell.demonstrations]
        return Cell(
            demonstrations=10 * cell.demonstrations if rate == 0.61 else cell.demonstrations,
            successes=round(2000 * rate),
            trials=2000,
            seed=cell.seed,
        )

    used = [broken(cell) for cell in cells()]
    assert fitted().holds is True
    assert fitted([c for c in cells() if c.demonstrations < 300]).holds is None
    assert fitted(used).holds is False or fitted(used).ceiling < 0.7


def test_chain_lengths_are_read_as_links() -> None:
    """Mean chain length 2.5 of 5 is a rate of 0.5 over links."""
    chains = [
        Cell(
            demonstrations=cell.demonstrations,
            successes=5 * cell.successes,
            trials=5 * cell.trials,
            seed=cell.seed,
        )
        for cell in cells()
    ]
    one, other = fitted().crossing(0.5), fitted(chains).crossing(0.5)
    assert one is not None and other is not None
    assert other.demonstrations == pytest.approx(one.demonstrations, rel=1e-3)
    # Five times the links of the same rollouts are not five times the evidence.
    assert other.low is not None and one.low is not None
    assert other.low == pytest.approx(one.low, rel=0.1)


def test_a_target_above_a_ceiling_is_left_open() -> None:
    """Nothing is excluded, and nothing warns, where the best ceilings lie below the target."""
    fits = fit([cells(midpoint=90, slope=2.5, ceiling=0.5), cells(midpoint=120, ceiling=0.5)])
    assert fits is not None and fits.ceilings.min() < 0.75
    ratio = DemoRatio(fits=fits, target=0.75, seeds=3, cells=24)
    low, high = ratio.interval()
    assert (low, high) == (-math.inf, math.inf)
    assert ratio.p_above(0.0) >= 0.5 and ratio.p_below(0.0) >= 0.5
