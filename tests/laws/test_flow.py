"""Path, times and solver, against what can be calculated by hand."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from checks import flow
from vertebra.flow.solver import euler
from vertebra.flow.times import draw_times
from vertebra.spec.noise import BetaTimes, ShiftedUniform


@pytest.mark.parametrize(
    "check",
    [
        flow.check_path,
        flow.check_draws,
        flow.check_solver,
        flow.check_schedules,
        flow.check_losses,
    ],
)
def test_time_0_is_noise_and_time_1_is_data(check) -> None:
    check()


@settings(max_examples=25, deadline=None)
@given(a=st.floats(0.5, 4.0), scale=st.floats(0.5, 1.0), seed=st.integers(0, 99))
def test_beta_times_have_mean_range_and_quantiles_of_a_beta(
    a: float, scale: float, seed: int
) -> None:
    drawn = draw_times(BetaTimes(a=a, scale=scale), 4000, torch.Generator().manual_seed(seed))
    assert drawn.dtype == torch.float32 and drawn.shape == (4000,)
    assert float(drawn.min()) >= 0.0 and float(drawn.max()) <= scale + 1e-6
    assert float(drawn.mean()) == pytest.approx(scale * (1 - a / (a + 1)), abs=0.025)
    for share in (0.1, 0.5, 0.9):
        # P(t <= q) = P(Beta >= (scale - q) / scale), and P(Beta <= x) = x ** a.
        q = float(drawn.quantile(share))
        assert 1 - max(0.0, (scale - q) / scale) ** a == pytest.approx(share, abs=0.03)


@settings(max_examples=25, deadline=None)
@given(shift=st.floats(1.0, 10.0), share=st.floats(0.05, 0.95), seed=st.integers(0, 99))
def test_shifted_times_have_the_quantiles_of_the_formula(
    shift: float, share: float, seed: int
) -> None:
    drawn = draw_times(ShiftedUniform(shift=shift), 4000, torch.Generator().manual_seed(seed))
    assert float(drawn.min()) >= 0.0 and float(drawn.max()) <= 1.0
    u = 1 - share  # the larger u, the noisier, the smaller t
    wanted = 1 - shift * u / (1 + (shift - 1) * u)
    # The spread of an empirical quantile, from the density of t there, four standard deviations.
    density = (1 + (shift - 1) * u) ** 2 / shift
    spread = 4 * math.sqrt(share * (1 - share) / 4000) / density
    assert float(drawn.quantile(share)) == pytest.approx(wanted, abs=spread + 1e-3)


def test_a_beta_that_cannot_be_drawn_exactly_is_refused() -> None:
    with pytest.raises(ValueError, match="b = 1"):
        draw_times(BetaTimes(b=2.0), 3, torch.Generator())


@settings(max_examples=50, deadline=None)
@given(rate=st.floats(-2.0, 2.0), steps=st.integers(1, 20))
def test_euler_on_a_linear_field_is_the_product_of_its_steps(rate: float, steps: int) -> None:
    start = {
        "x": torch.tensor([1.0, -2.0], dtype=torch.float64),
        "y": torch.ones(3, dtype=torch.float64),
    }
    end = euler(lambda v, at: {"x": rate * v["x"], "y": 0 * v["y"] + at}, start, steps)
    assert torch.allclose(end["x"], start["x"] * (1 + rate / steps) ** steps, rtol=1e-12)
    assert torch.allclose(end["y"], 1 + torch.tensor(0.5 * (1 - 1 / steps), dtype=torch.float64))
    assert bool((start["y"] == 1).all()), "what went in is not changed"


def test_euler_converges_to_the_flow() -> None:
    ends = [euler(lambda v, at: {"x": v["x"]}, {"x": torch.ones(1)}, n)["x"] for n in (10, 1000)]
    assert float(ends[0]) == pytest.approx(1.1**10, rel=1e-5)
    assert float(ends[1]) == pytest.approx(math.e, rel=1e-3)
