"""Plain intervals, paired tests, corrections and quantiles against known values."""

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from vertebra.stats.interval import t_mean
from vertebra.stats.paired import holm, mcnemar_exact
from vertebra.stats.proportion import clopper_pearson, wilson
from vertebra.stats.quantile import quantile


@pytest.mark.parametrize(("k", "n"), [(0, 20), (17, 20), (20, 20), (1, 450), (225, 450)])
def test_proportions_agree_with_statsmodels(k: int, n: int) -> None:
    for ours, method in ((clopper_pearson, "beta"), (wilson, "wilson")):
        estimate = ours(k, n)
        low, high = proportion_confint(k, n, method=method)
        assert estimate is not None
        assert estimate.value == k / n
        assert estimate.n == n
        assert estimate.low == pytest.approx(max(0.0, np.nan_to_num(low)), abs=1e-9)
        assert estimate.high == pytest.approx(1.0 if k == n else high, abs=1e-9)


def test_no_trials_is_undefined_not_zero() -> None:
    assert clopper_pearson(0, 0) is None
    assert wilson(0, 0) is None
    assert t_mean([]) is None
    assert quantile([], 0.5) is None


@pytest.mark.parametrize(("k", "n"), [(3, 2), (-1, 2), (0, -1)])
def test_impossible_counts_are_refused(k: int, n: int) -> None:
    for interval in (clopper_pearson, wilson):
        with pytest.raises(ValueError, match="successes"):
            interval(k, n)


def test_t_interval_of_three_seeds_uses_two_degrees_of_freedom() -> None:
    estimate = t_mean([1.0, 2.0, 3.0])
    assert estimate is not None
    assert estimate.low == pytest.approx(2 - 4.302653 / np.sqrt(3), abs=1e-5)
    assert estimate.high == pytest.approx(2 + 4.302653 / np.sqrt(3), abs=1e-5)


@pytest.mark.parametrize("values", [[1.0], [2.0, 2.0, 2.0]])
def test_a_mean_without_spread_has_no_interval(values: list[float]) -> None:
    estimate = t_mean(values)
    assert estimate is not None
    assert (estimate.low, estimate.high) == (None, None)
    assert not estimate.excludes_zero
    assert "no interval" in estimate.method


def test_mcnemar_is_exact_and_never_zero_without_discordance() -> None:
    assert mcnemar_exact(0, 0) == 1.0
    assert mcnemar_exact(10, 0) == pytest.approx(2 / 2**10)
    assert mcnemar_exact(8, 3) == pytest.approx(mcnemar_exact(3, 8))
    with pytest.raises(ValueError, match="discordant"):
        mcnemar_exact(-1, 3)


def test_holm_agrees_with_statsmodels_in_any_order() -> None:
    p = [0.04, 0.001, 0.03, 0.2, 0.03]
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1])
    assert holm([]) == ()


def test_quantiles_refuse_too_few_samples() -> None:
    few, many = list(range(99)), [float(i) for i in range(1000)]
    assert quantile([float(v) for v in few], 0.99) is None
    p99 = quantile(many, 0.99)
    assert p99 is not None
    assert p99.value == pytest.approx(np.quantile(many, 0.99))
    assert p99.low is not None
    assert p99.high is not None
    assert p99.low < p99.value < p99.high
    with pytest.raises(ValueError, match="share"):
        quantile(many, 1.0)


def test_a_quantile_interval_stays_open_where_no_sample_lies() -> None:
    p99 = quantile([float(i) for i in range(100)], 0.99)
    assert p99 is not None
    assert p99.high is None
    assert p99.low is not None
