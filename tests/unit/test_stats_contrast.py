"""Differences between recipes: variance, degrees of freedom, and what more seeds would do."""

import itertools

import numpy as np
import pytest
import statsmodels.api as sm
import statsmodels.stats.api as sms

from vertebra.stats.contrast import Contrast, contrast, needed
from vertebra.stats.crossed import Rollout, group_variance

T4 = 2.7764451051977987


def with_seed_rates(*rates: float, states: int = 100, shift: int = 0) -> list[Rollout]:
    """State i + shift succeeds when it is below the rate of the seed."""
    return [
        Rollout(value=float((i * 37 + 11 * s + shift) % states < r * states), seed=s, state=i)
        for s, r in enumerate(rates)
        for i in range(states)
    ]


def between(first: list[Rollout], second: list[Rollout]) -> Contrast:
    found = contrast([(1.0, first), (-1.0, second)])
    assert found is not None
    return found


def test_two_arms_are_a_pooled_t_test_over_seeds() -> None:
    """With many states the scenes add nothing, and what is left is the textbook."""
    one, other = (0.5, 0.7, 0.9), (0.2, 0.4, 0.5)
    found = between(with_seed_rates(*one, states=5000), with_seed_rates(*other, states=5000))
    textbook = sms.CompareMeans(sms.DescrStatsW(one), sms.DescrStatsW(other))
    low, high = textbook.tconfint_diff(usevar="pooled")
    assert found.freedom == 4
    assert found.value == pytest.approx(np.mean(one) - np.mean(other), abs=1e-3)
    assert found.value - found.half() == pytest.approx(low, abs=0.01)
    assert found.value + found.half() == pytest.approx(high, abs=0.01)
    _, p, _ = textbook.ttest_ind(usevar="pooled", value=0.1)  # pyright: ignore[reportArgumentType]
    assert 2 * found.p_above(0.1) == pytest.approx(p, abs=0.01)
    equal, *_ = textbook.ttost_ind(-0.5, 0.5, usevar="pooled")
    assert max(found.p_below(0.5), found.p_above(-0.5)) == pytest.approx(equal, abs=0.01)


def test_more_rollouts_do_not_buy_certainty_about_the_recipe() -> None:
    few, many = (
        between(with_seed_rates(0.3, 0.5, 0.7, states=n), with_seed_rates(0.3, 0.5, 0.7, states=n))
        for n in (50, 5000)
    )
    assert many.half() > 0.8 * few.half()
    assert many.half() > 0.4


def test_scenes_that_suit_one_arm_widen_the_interval() -> None:
    """Equal rates in every seed, but won on other scenes by each side."""
    half = [float(i < 10) for i in range(20)]
    first = [Rollout(value=half[i], seed=s, state=i) for s in range(3) for i in range(20)]
    same = between(first, first)
    second = [Rollout(value=1 - half[i], seed=s, state=i) for s in range(3) for i in range(20)]
    opposed = between(first, second)
    assert same.state_variance == 0
    assert opposed.state_variance > 0.02
    assert opposed.half() > 3 * same.half()


def test_unanimous_rollouts_keep_an_interval() -> None:
    ones, zeros = with_seed_rates(1.0, 1.0, 1.0), with_seed_rates(0.0, 0.0, 0.0)
    found = between(ones, zeros)
    assert found.error == 0
    estimate = found.estimate()
    assert estimate.high == 1.0
    assert estimate.low is not None and 0.9 < estimate.low < 1.0
    assert found.p_above(0.5) < 1e-6 < found.p_above(0.999)


def test_swapping_the_sides_swaps_everything() -> None:
    one, other = with_seed_rates(0.4, 0.7, 0.8), with_seed_rates(0.3, 0.4, 0.6)
    there, back = between(one, other), between(other, one)
    assert there.value == -back.value
    assert there.p_above(0.05) == pytest.approx(back.p_below(-0.05))


def test_one_seed_has_no_contrast_and_strangers_are_refused() -> None:
    one = with_seed_rates(0.5)
    assert contrast([(1.0, one), (-1.0, one)]) is None
    assert contrast([(1.0, []), (-1.0, [])]) is None
    two = with_seed_rates(0.5, 0.5)
    with pytest.raises(ValueError, match="share"):
        contrast([(1.0, two), (-1.0, two[::-1])])


def test_an_interaction_has_four_arms_and_their_degrees_of_freedom() -> None:
    arms = [with_seed_rates(*(r + d for d in (-0.05, 0.0, 0.05))) for r in (0.8, 0.5, 0.4, 0.3)]
    found = contrast(list(zip((1.0, -1.0, -1.0, 1.0), arms, strict=True)))
    assert found is not None
    assert found.freedom == 8
    assert found.value == pytest.approx(0.2, abs=0.01)


def test_weights_of_a_task_mix_move_the_difference() -> None:
    def skill(rate: float, weight: float, states: range) -> list[Rollout]:
        return [
            Rollout(value=float(i % 10 < 10 * rate), seed=s, state=i, weight=weight)
            for s, i in itertools.product(range(3), states)
        ]

    def mixed(lift: float, push: float, weights: tuple[float, float]) -> list[Rollout]:
        rows = skill(lift, weights[0], range(100)) + skill(push, weights[1], range(100, 200))
        return sorted(rows, key=lambda r: (r.seed, r.state))

    for weights, value in (((1.0, 1.0), 0.0), ((2.0, 0.0), 0.4), ((0.0, 2.0), -0.4)):
        found = between(mixed(0.9, 0.2, weights), mixed(0.5, 0.6, weights))
        assert found.value == pytest.approx(value, abs=1e-9)


def test_seeds_needed_shrink_with_the_difference_and_grow_with_the_questions() -> None:
    other = with_seed_rates(0.2, 0.3, 0.4, states=1000)
    large = between(with_seed_rates(0.6, 0.7, 0.8, states=1000), other)
    small = between(with_seed_rates(0.35, 0.45, 0.55, states=1000), other)
    few, many, more = (
        needed(large, 0.05, 0.05),
        needed(small, 0.05, 0.05),
        needed(small, 0.05, 0.01),
    )
    assert few is not None and many is not None and more is not None
    assert 3 <= few[0] < many[0] < more[0]
    planned = small.planned(many[0], many[1] / small.states)
    assert planned.value - planned.half() > 0.05
    same = between(other, other)
    settled = needed(same, 0.05, 0.05)
    assert settled is None or settled[0] > 10  # equivalence within 5 points is expensive
    assert large.half() / large.error == pytest.approx(T4)


def test_a_mixed_model_gives_the_same_difference_and_error() -> None:
    """Trainings as random intercepts, fitted by statsmodels: one estimand, the same numbers."""
    rng = np.random.default_rng(3)
    rows: list[tuple[float, int, int]] = []
    sides: list[list[Rollout]] = []
    for arm in range(2):
        levels = 0.6 - 0.2 * arm + rng.normal(0, 0.3, 5)
        values = levels[:, None] + rng.normal(0, 0.4, (5, 60))
        sides.append(
            [
                Rollout(value=float(values[s, c]), seed=s, state=c)
                for s in range(5)
                for c in range(60)
            ]
        )
        rows += [(float(v), arm, 5 * arm + s) for s in range(5) for v in values[s]]
    found = between(*sides)
    value, arm, training = (np.array(column) for column in zip(*rows, strict=True))
    model = sm.MixedLM(value, sm.add_constant(arm.astype(float)), groups=training)
    theirs = model.fit(reml=True)
    assert found.value == pytest.approx(-theirs.params[1], abs=1e-6)
    assert np.sqrt(found.seed_variance) == pytest.approx(theirs.bse[1], rel=1e-3)


def test_the_part_of_the_scenes_is_the_clustered_variance() -> None:
    rng = np.random.default_rng(4)
    states = np.tile(np.arange(20), 3)
    values = rng.normal(0, 1, 60) + np.repeat(rng.normal(0, 1, 20)[None], 3, axis=0).ravel()
    groups, variance = group_variance(values - values.mean(), states.tolist())
    theirs = sm.OLS(values, np.ones(60)).fit(cov_type="cluster", cov_kwds={"groups": states})
    assert groups == 20
    assert np.sqrt(variance) == pytest.approx(float(theirs.bse[0]), rel=1e-9)
