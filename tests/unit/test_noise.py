"""Draws against closed distributions, recorded weights and levels, and what is refused."""

import json
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats

from vertebra.flow.grids import steps_of
from vertebra.flow.noise_levels import abars_of, sigma_of_abar, time_of_sigma
from vertebra.flow.times import draw_times
from vertebra.flow.weights import weight_at
from vertebra.policy.process import Process
from vertebra.policy.saved import recipe_from_plain, recipe_to_plain
from vertebra.recipes.pi0 import PI0
from vertebra.spec.noise import (
    Bell,
    BetaTimes,
    Between,
    DiscreteSteps,
    EdmWeight,
    KarrasGrid,
    LogitNormal,
    LogNormalSigma,
    PartlyClean,
    SameAs,
    ShiftedGrid,
    ShiftedUniform,
    Times,
)

COUNT = 20_000
COSMOS = LogNormalSigma(mean=math.log(4.0), std=1.2, uniform_share=0.3, low=1.0, high=85.0)
HISTORY = PartlyClean(clean=0.5, otherwise=Between(low=0.5, high=1.0))
Values = NDArray[np.float64]


def drawn(times: Times, count: int = COUNT, seed: int = 0) -> torch.Tensor:
    return draw_times(times, count, torch.Generator().manual_seed(seed))


def of_beta(a: float, b: float, scale: float) -> Callable[[Values], Values]:
    return lambda t: stats.beta.sf((1 - t - (1 - scale)) / scale, a, b)


def of_logit(mean: float, std: float, shift: float) -> Callable[[Values], Values]:
    return lambda t: stats.norm.cdf((np.log(t / (1 - t)) + mean + math.log(shift)) / std)


def of_sigma(times: LogNormalSigma) -> Callable[[Values], Values]:
    def cdf(t: Values) -> Values:
        sigma = (1 - t) / t
        normal = stats.norm.sf((np.log(sigma) - times.mean) / times.std)
        uniform = stats.uniform.sf(sigma, times.low, times.high - times.low)
        return times.uniform_share * uniform + (1 - times.uniform_share) * normal

    return cdf


@pytest.mark.parametrize(
    ("times", "cdf"),
    [
        (BetaTimes(a=7.0, b=1.0, scale=1.0), of_beta(7, 1, 1)),
        (BetaTimes(a=1.0, b=1.5), of_beta(1, 1.5, 0.999)),
        (BetaTimes(a=1.5, b=1.0), of_beta(1.5, 1, 0.999)),
        (BetaTimes(a=2.0, b=5.0, scale=0.9), of_beta(2, 5, 0.9)),
        (BetaTimes(a=0.3, b=0.5, scale=1.0), of_beta(0.3, 0.5, 1)),
        (BetaTimes(a=60.0, b=0.7, scale=1.0), of_beta(60, 0.7, 1)),
        (LogitNormal(), of_logit(0, 1, 1)),
        (LogitNormal(mean=0.5, std=0.7, shift=3.0), of_logit(0.5, 0.7, 3)),
        (LogNormalSigma(), of_logit(-1.2, 1.2, 1)),
        (COSMOS, of_sigma(COSMOS)),
        (LogNormalSigma(uniform_share=1.0), of_sigma(LogNormalSigma(uniform_share=1.0))),
        (Between(low=0.5, high=0.75), lambda t: np.clip((t - 0.5) / 0.25, 0, 1)),
    ],
    ids=lambda value: "" if callable(value) else str(value),
)
def test_draws_have_the_quantiles_of_their_distribution(
    times: Times, cdf: Callable[[Values], Values]
) -> None:
    found = np.clip(np.sort(drawn(times).double().numpy()), 1e-12, 1 - 1e-12)
    share = (np.arange(COUNT) + 0.5) / COUNT
    # Kolmogorov's distance, exceeded by one right sampler in a thousand; the seed is fixed.
    assert np.abs(cdf(found) - share).max() < 1.95 / math.sqrt(COUNT)


@pytest.mark.parametrize(
    "times",
    [
        BetaTimes(),
        BetaTimes(a=0.01, b=0.01, scale=1.0),
        ShiftedUniform(shift=0.05),
        LogitNormal(mean=3.0, std=20.0),
        LogNormalSigma(mean=0.0, std=50.0),
        COSMOS,
        DiscreteSteps(),
        DiscreteSteps(curve="linear"),
        HISTORY,
        PartlyClean(clean=0.5, otherwise=ShiftedUniform()),
    ],
    ids=str,
)
def test_draws_are_times_and_come_from_the_generator_alone(times: Times) -> None:
    first = drawn(times, 999)
    assert first.shape == (999,) and first.dtype == torch.float32
    assert bool(((first >= 0) & (first <= 1)).all())
    torch.manual_seed(1)
    assert torch.equal(first, drawn(times, 999))
    assert not torch.equal(first, drawn(times, 999, seed=1))
    assert drawn(times, 0).shape == (0,)


def test_a_share_is_clean_and_the_rest_is_as_described() -> None:
    found = drawn(HISTORY)
    clean = found == 1.0
    assert float(clean.float().mean()) == pytest.approx(0.5, abs=0.015)
    rest = found[~clean]
    assert 0.5 <= float(rest.min()) < 0.51
    assert float(rest.mean()) == pytest.approx(0.75, abs=0.01)


@pytest.mark.parametrize("curve", ["linear", "cosine"])
def test_discrete_steps_draw_every_level_alike(curve) -> None:
    times = DiscreteSteps(count=20, curve=curve)
    levels = time_of_sigma(sigma_of_abar(abars_of(times))).float()
    counts = (drawn(times)[:, None] == levels).sum(0)
    assert int(counts.sum()) == COUNT
    assert stats.chisquare(counts.numpy()).pvalue > 0.001


def test_levels_of_ddpm_are_the_published_ones() -> None:
    linear = abars_of(DiscreteSteps(curve="linear"))
    assert float(linear[0]) == pytest.approx(0.9999)
    assert float(linear[-1]) == pytest.approx(4.0358e-5, rel=1e-4)
    cosine = abars_of(DiscreteSteps(count=100))
    wanted = [math.cos((k / 100 + 0.008) / 1.008 * math.pi / 2) ** 2 for k in range(101)]
    assert cosine[:-1].tolist() == pytest.approx([value / wanted[0] for value in wanted[1:-1]])
    assert float(cosine[-1] / cosine[-2]) == pytest.approx(0.001), "the last beta is capped"


def test_the_time_of_another_stream_is_not_drawn() -> None:
    with pytest.raises(ValueError, match="drawn for 'video'"):
        drawn(SameAs(stream="video"))


def test_bell_weights_are_the_recorded_ones() -> None:
    """Numbers printed by the scheduler of FastWAM @ 45d8e14 at 1000 * (1 - time)."""
    time = torch.tensor([0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0], dtype=torch.float64)
    half = [0.0, 0.6312462687, 1.4563204050, 2.0764040947]
    assert weight_at(Bell(), time).tolist() == pytest.approx([*half, *half[-2::-1]], abs=1e-6)
    half = [0.0, 0.4802146256, 1.1078819036, 1.5796047449]
    found = weight_at(Bell(shift=1.0), time).tolist()
    assert found == pytest.approx([*half, *half[-2::-1]], abs=1e-6)
    assert float(weight_at(Bell(), torch.tensor(1 / 6))) == pytest.approx(1.0248619318, abs=1e-6)


@pytest.mark.parametrize("shift", [1.0, 5.0])
def test_bell_weights_of_shifted_times_have_mean_one(shift: float) -> None:
    weights = weight_at(Bell(shift=shift), drawn(ShiftedUniform(shift=shift)))
    assert float(weights.mean()) == pytest.approx(1.0, abs=0.015)


def test_shifted_steps_are_the_recorded_ones() -> None:
    """Numbers printed by ``build_inference_schedule(5)`` of FastWAM @ 45d8e14."""
    levels = [1000.0, 952.3810424, 882.3529053, 769.2307739, 555.5556030, 0.0]
    times = steps_of(ShiftedGrid(shift=5.0), 5)
    assert [1000 * (1 - time) for time in times] == pytest.approx(levels, abs=1e-3)


def test_karras_levels_end_at_the_smallest_and_then_at_the_data() -> None:
    times = steps_of(KarrasGrid(sigma_max=80.0, sigma_min=4.0, rho=7.0), 5)
    levels = [1 / time - 1 for time in times]
    wanted = [(80 ** (1 / 7) + i / 4 * (4 ** (1 / 7) - 80 ** (1 / 7))) ** 7 for i in range(5)]
    assert levels == pytest.approx([*wanted, 0.0])
    assert steps_of(KarrasGrid(), 1) == pytest.approx((1 / 81, 1.0))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: BetaTimes(a=0.0, b=-1.0, scale=1.5), "a must.*b must.*scale must"),
        (lambda: ShiftedUniform(shift=0.0), "shift must"),
        (lambda: LogitNormal(mean=math.nan, std=0.0, shift=-1.0), "mean must.*std must.*shift"),
        (lambda: LogNormalSigma(uniform_share=1.1, low=3.0, high=2.0), "uniform_share.*low < high"),
        (lambda: DiscreteSteps(count=0), "count must"),
        (lambda: Between(low=0.7, high=0.2), "low <= high"),
        (lambda: PartlyClean(clean=2.0, otherwise=Between(low=0.0, high=1.0)), "clean must"),
        (lambda: SameAs(stream=""), "must be named"),
        (lambda: Bell(shift=0.0), "shift must"),
        (lambda: EdmWeight(sigma_data=0.0), "sigma_data must"),
        (lambda: ShiftedGrid(shift=math.inf), "shift must"),
        (lambda: KarrasGrid(sigma_min=90.0, rho=0.0), "sigma_min < sigma_max.*rho must"),
    ],
)
def test_impossible_noise_is_refused_with_every_reason(make: Callable[[], object], said) -> None:
    with pytest.raises(ValueError, match=said):
        make()


def test_an_unknown_curve_read_from_a_file_is_refused() -> None:
    steps = DiscreteSteps()
    object.__setattr__(steps, "curve", "sigmoid")  # the type check of the tests forbids the call
    with pytest.raises(ValueError, match="curve must be 'linear' or 'cosine'"):
        steps.__post_init__()


@pytest.mark.parametrize("times", [COSMOS, DiscreteSteps(), HISTORY, LogitNormal(shift=3.0)])
def test_a_recipe_with_such_times_survives_being_written(times: Times) -> None:
    recipe = replace(PI0, noise={"action": Process(times=times)})
    assert recipe_from_plain(json.loads(json.dumps(recipe_to_plain(recipe)))) == recipe
