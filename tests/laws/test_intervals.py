"""Laws of intervals: what is promised is kept, at three training seeds too."""

import itertools

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats as distributions

from vertebra.stats.contrast import Contrast, contrast
from vertebra.stats.crossed import Rollout, rate
from vertebra.stats.paired import holm
from vertebra.stats.proportion import clopper_pearson
from vertebra.study.synthetic import Scenario, Truth, pilots

SEEDS, STATES, INSTRUCTIONS = 3, 30, 3
REPEATS = 200


def outcomes(
    rng: np.random.Generator, logit: float, seed_sd: float, state_sd: float
) -> NDArray[np.float64]:
    """[seeds, states, instructions] outcomes with random seeds and states (logit-normal)."""
    seed = rng.normal(0, seed_sd, (SEEDS, 1, 1))
    state = rng.normal(0, state_sd, (1, STATES, 1))
    p = 1 / (1 + np.exp(-(logit + seed + state + np.zeros((SEEDS, STATES, INSTRUCTIONS)))))
    return (rng.random(p.shape) < p).astype(np.float64)


def rollouts(values: NDArray[np.float64]) -> list[Rollout]:
    return [
        Rollout(value=float(values[s, c, k]), seed=s, state=c)
        for s, c, k in itertools.product(range(SEEDS), range(STATES), range(INSTRUCTIONS))
    ]


def between(first: list[Rollout], second: list[Rollout]) -> Contrast:
    found = contrast([(1.0, first), (-1.0, second)])
    assert found is not None
    return found


def true_rate(rng: np.random.Generator, logit: float, sd: float) -> float:
    return float(np.mean(1 / (1 + np.exp(-(logit + rng.normal(0, sd, 200_000))))))


@pytest.mark.parametrize(("logit", "state_sd"), [(0.0, 0.0), (1.4, 1.0), (-2.5, 0.5)])
def test_rates_of_three_seeds_cover_at_seed_sd_of_0_4_logit(logit: float, state_sd: float) -> None:
    rng = np.random.default_rng(1)
    truth = true_rate(rng, logit, float(np.hypot(0.4, state_sd)))
    covered = 0
    for _ in range(REPEATS):
        estimate = rate(rollouts(outcomes(rng, logit, 0.4, state_sd)))
        assert estimate is not None and estimate.low is not None and estimate.high is not None
        covered += estimate.low <= truth <= estimate.high
    assert covered / REPEATS >= 0.93


def test_equal_recipes_are_rarely_called_different() -> None:
    """Two arms of one recipe: independent seeds, the same states."""
    rng = np.random.default_rng(2)
    wrong = 0
    for _ in range(REPEATS):
        state = rng.normal(0, 1.0, (1, STATES, 1))
        sides = []
        for _side in range(2):
            p = 1 / (1 + np.exp(-(0.5 + rng.normal(0, 0.4, (SEEDS, 1, 1)) + state)))
            sides.append(rollouts((rng.random((SEEDS, STATES, INSTRUCTIONS)) < p).astype(float)))
        wrong += between(*sides).estimate().excludes_zero
    assert wrong / REPEATS <= 0.06


def test_a_bootstrap_over_three_seeds_would_lie() -> None:
    """The reason for the method: percentile bootstrap over seeds covers about 75 %."""
    rng = np.random.default_rng(3)
    truth = true_rate(rng, 0.0, 0.4)
    picks = np.array(list(itertools.product(range(SEEDS), repeat=SEEDS)))
    covered = 0
    for _ in range(REPEATS):
        means = outcomes(rng, 0.0, 0.4, 0.0).mean(axis=(1, 2))
        low, high = np.quantile(means[picks].mean(axis=1), [0.025, 0.975])
        covered += low <= truth <= high
    assert covered / REPEATS < 0.85


def test_cells_that_share_a_seed_counted_as_many_would_lie() -> None:
    """The reason for curves over seeds: quasi-binomial intervals of a ratio cover about 65 %."""
    scenario = Scenario(arms=(Truth(), Truth()), sharing=1.0, scene_sd=0.0)
    x = np.tile(np.log(scenario.counts), 2 * scenario.seeds)
    second = np.repeat([0.0, 1.0], len(x) // 2)
    design = np.stack([np.ones_like(x), second, x], axis=1)
    covered = 0
    for pilot in pilots(scenario, 80, 5):
        hits = pilot.success.sum(axis=3).ravel()
        model = sm.GLM(
            np.stack([hits, scenario.rollouts - hits], axis=1),
            design,
            family=sm.families.Binomial(),
        )
        fitted = model.fit(scale="X2")
        half = float(distributions.t.ppf(0.975, len(x) - 3)) * fitted.bse[1]
        covered += abs(fitted.params[1]) <= half
    assert covered / 80 < 0.85


def test_a_real_difference_is_found() -> None:
    """25 points at a seed sd of 0.1 logit: not only wide, also useful."""
    rng = np.random.default_rng(4)
    found = 0
    for _ in range(100):
        sides = [rollouts(outcomes(rng, logit, 0.1, 0.5)) for logit in (1.0, -0.4)]
        found += between(*sides).estimate().excludes_zero
    assert found >= 85


@settings(max_examples=60, deadline=None)
@given(n=st.integers(1, 60), p=st.floats(0.001, 0.999), level=st.sampled_from([0.8, 0.95]))
def test_clopper_pearson_never_covers_less_than_promised(n: int, p: float, level: float) -> None:
    covered = 0.0
    for k in range(n + 1):
        estimate = clopper_pearson(k, n, level)
        assert estimate is not None and estimate.low is not None and estimate.high is not None
        if estimate.low <= p <= estimate.high:
            covered += float(distributions.binom.pmf(k, n, p))
    assert covered >= level - 1e-9


TABLES = st.lists(
    st.tuples(st.booleans(), st.integers(0, 3), st.integers(0, 4)), min_size=1, max_size=40
)


@settings(max_examples=100, deadline=None)
@given(rows=TABLES)
def test_a_rate_lies_in_its_interval_and_in_the_unit_interval(
    rows: list[tuple[bool, int, int]],
) -> None:
    estimate = rate([Rollout(value=float(v), seed=s, state=c) for v, s, c in rows])
    assert estimate is not None and estimate.low is not None and estimate.high is not None
    assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1
    assert estimate.low < estimate.high
    assert estimate.n == len(rows)


@settings(max_examples=100, deadline=None)
@given(rows=TABLES, flips=st.lists(st.booleans(), min_size=40, max_size=40))
def test_interval_and_p_value_agree(rows: list[tuple[bool, int, int]], flips: list[bool]) -> None:
    first = [Rollout(value=float(v), seed=s, state=c) for v, s, c in rows]
    second = [
        Rollout(value=float(v != flip), seed=s, state=c)
        for (v, s, c), flip in zip(rows, flips, strict=False)
    ]
    found = contrast([(1.0, first), (-1.0, second)])
    if found is None:
        assert len({row.seed for row in first}) < 2
        return
    for margin in (0.0, 0.05, -0.2):
        two_sided = 2 * min(found.p_above(margin), found.p_below(margin))
        outside = abs(found.value - margin) > found.half()
        if abs(two_sided - 0.05) > 1e-6:
            assert outside == (two_sided < 0.05)


@given(p=st.lists(st.floats(0, 1), max_size=12))
def test_holm_keeps_order_and_never_lowers(p: list[float]) -> None:
    adjusted = holm(p)
    assert all(0 <= a <= 1 and a >= b for a, b in zip(adjusted, p, strict=True))
    order = sorted(range(len(p)), key=lambda i: p[i])
    assert [adjusted[i] for i in order] == sorted(adjusted)
