"""Rates and differences over crossed training seeds and initial states."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from vertebra.stats.crossed import Rollout, difference, rate

T2 = 4.302652729911275


def table(values: NDArray[np.float64]) -> list[Rollout]:
    """[seeds, states, instructions] as rollouts."""
    return [
        Rollout(value=float(values[s, c, k]), seed=s, state=c)
        for s in range(values.shape[0])
        for c in range(values.shape[1])
        for k in range(values.shape[2])
    ]


def with_seed_rates(*rates: float, states: int = 100) -> list[Rollout]:
    """One rollout a state; state i succeeds when i / states is below the rate of the seed."""
    values = [[[float(i < r * states)] for i in range(states)] for r in rates]
    return table(np.array(values))


def test_spread_of_seeds_enters_with_two_degrees_of_freedom() -> None:
    rates = (0.4, 0.5, 0.6)
    estimate = rate(with_seed_rates(*rates))
    assert estimate is not None
    half = T2 * np.std(rates, ddof=1) / math.sqrt(3)
    assert estimate.value == pytest.approx(0.5)
    assert estimate.low is not None
    assert estimate.high is not None
    # The part over states makes it wider, never narrower.
    assert estimate.high - estimate.low > 2 * half
    assert (estimate.seeds, estimate.states, estimate.n) == (3, 100, 300)


def test_equal_seeds_do_not_make_a_certain_rate() -> None:
    estimate = rate(with_seed_rates(0.5, 0.5, 0.5))
    assert estimate is not None
    assert estimate.low is not None
    assert estimate.high is not None
    assert estimate.high - estimate.low > 0.15


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_unanimous_rollouts_keep_an_interval(value: float) -> None:
    estimate = rate(table(np.full((3, 50, 3), value)))
    assert estimate is not None
    assert estimate.low is not None
    assert estimate.high is not None
    assert estimate.value == value
    assert estimate.high - estimate.low > 0.005


def test_more_rollouts_of_the_same_seeds_do_not_buy_certainty_about_the_recipe() -> None:
    few, many = (rate(with_seed_rates(0.3, 0.5, 0.7, states=n)) for n in (50, 5000))
    assert few is not None and few.low is not None and few.high is not None
    assert many is not None and many.low is not None and many.high is not None
    assert many.high - many.low > 0.9 * (few.high - few.low)
    assert many.high - many.low > 0.8


def test_one_seed_speaks_of_the_checkpoint() -> None:
    estimate = rate(with_seed_rates(0.5))
    assert estimate is not None
    assert "checkpoint" in estimate.method
    assert estimate.seeds == 1


def test_values_between_are_no_outcomes() -> None:
    with pytest.raises(ValueError, match="0 or 1"):
        rate([Rollout(value=0.5, seed=0, state=0)])


def test_nothing_is_undefined() -> None:
    assert rate([]) is None
    assert difference([], []) is None


def test_pairs_must_belong_together() -> None:
    one, other = with_seed_rates(0.5, 0.5), with_seed_rates(0.5, 0.5)
    with pytest.raises(ValueError, match="share"):
        difference(one, other[::-1])


def test_pairing_removes_what_the_seeds_share() -> None:
    """Both sides vary by 40 points between seeds, but always 20 points apart."""
    first, second = with_seed_rates(0.4, 0.6, 0.8), with_seed_rates(0.2, 0.4, 0.6)
    paired = difference(first, second)
    alone = rate(first)
    assert paired is not None and paired.low is not None and paired.high is not None
    assert alone is not None and alone.low is not None and alone.high is not None
    assert paired.value == pytest.approx(0.2)
    assert paired.high - paired.low < 0.5 * (alone.high - alone.low)
    assert paired.excludes_zero


def test_swapping_the_sides_swaps_the_sign() -> None:
    first, second = with_seed_rates(0.4, 0.7, 0.8), with_seed_rates(0.3, 0.4, 0.6)
    there, back = difference(first, second), difference(second, first)
    assert there is not None and back is not None
    assert there.low is not None and back.high is not None
    assert there.value == pytest.approx(-back.value)
    assert there.low == pytest.approx(-back.high)


def test_total_difference_is_still_an_estimate() -> None:
    ones, zeros = table(np.ones((3, 20, 1))), table(np.zeros((3, 20, 1)))
    estimate = difference(ones, zeros)
    assert estimate is not None and estimate.low is not None
    assert estimate.high == 1.0
    assert 0.85 < estimate.low < 1.0
