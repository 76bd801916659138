"""Path, times, predictions, weights and solver, against what can be calculated by hand."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from checks import flow
from vertebra.flow.grids import steps_of
from vertebra.flow.noise_levels import sigma_of_abar, sigma_of_time, time_of_sigma
from vertebra.flow.path import between, velocity
from vertebra.flow.predictions import from_velocity, natural_scale, target_of, to_velocity
from vertebra.flow.solver import euler
from vertebra.flow.times import draw_times
from vertebra.flow.weights import weight_at
from vertebra.spec.noise import (
    BetaTimes,
    EdmWeight,
    Flat,
    KarrasGrid,
    Predicts,
    ShiftedGrid,
    ShiftedUniform,
    UniformGrid,
)

GRIDS = st.one_of(
    st.just(UniformGrid()),
    st.builds(ShiftedGrid, shift=st.floats(0.1, 10.0)),
    st.builds(
        KarrasGrid,
        sigma_max=st.floats(20.0, 200.0),
        sigma_min=st.floats(0.002, 4.0),
        rho=st.floats(1.0, 10.0),
    ),
)


def drawn_pair(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise and data [4, 3], float64."""
    generator = torch.Generator().manual_seed(seed)
    noise, data = torch.randn(2, 4, 3, generator=generator, dtype=torch.float64)
    return noise, data


def scalar(value: float) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64)


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


@settings(max_examples=50, deadline=None)
@given(sigma=st.floats(1e-3, 1e3), abar=st.floats(1e-4, 1 - 1e-4), seed=st.integers(0, 99))
def test_edm_and_ddpm_samples_are_scaled_points_of_the_one_path(
    sigma: float, abar: float, seed: int
) -> None:
    noise, data = drawn_pair(seed)
    time = time_of_sigma(scalar(sigma))
    assert float(sigma_of_time(time)) == pytest.approx(sigma, rel=1e-9)
    edm = data + sigma * noise
    assert torch.allclose(edm * time, between(noise, data, time), rtol=1e-12, atol=1e-12)
    ddpm = math.sqrt(abar) * data + math.sqrt(1 - abar) * noise
    scale = math.sqrt(abar) + math.sqrt(1 - abar)
    at = time_of_sigma(sigma_of_abar(scalar(abar)))
    assert torch.allclose(ddpm / scale, between(noise, data, at), rtol=1e-12, atol=1e-12)


@settings(max_examples=50, deadline=None)
@given(time=st.floats(0.05, 0.95), predicts=st.sampled_from(Predicts), seed=st.integers(0, 99))
def test_what_is_regressed_on_means_the_velocity_of_the_path(
    time: float, predicts: Predicts, seed: int
) -> None:
    noise, data = drawn_pair(seed)
    at = scalar(time)
    point, wanted = between(noise, data, at), target_of(predicts, noise, data)
    found = to_velocity(predicts, wanted, point, at)
    assert torch.allclose(found, velocity(noise, data), rtol=1e-9, atol=1e-9)
    wrong = to_velocity(predicts, wanted + 0.1, point, at)
    scale = natural_scale(predicts, at)
    assert torch.allclose((wrong - found).square() * scale, torch.full_like(point, 0.01))


@settings(max_examples=50, deadline=None)
@given(
    time=st.floats(0.0, 1.0),
    predicts=st.sampled_from(Predicts),
    shortest=st.floats(1e-3, 0.2),
    seed=st.integers(0, 99),
)
def test_predictions_convert_back_and_stay_finite_at_both_ends(
    time: float, predicts: Predicts, shortest: float, seed: int
) -> None:
    output, point = drawn_pair(seed)
    for at in (scalar(time), scalar(0.0), scalar(1.0)):
        rate = to_velocity(predicts, output, point, at, shortest)
        assert bool((rate.abs() <= (output.abs() + point.abs()) / shortest + output.abs()).all())
        back = from_velocity(predicts, rate, point, at, shortest)
        assert torch.allclose(back, output, rtol=1e-9, atol=1e-9)


def test_near_its_end_a_prediction_is_divided_by_the_shortest_time() -> None:
    output, point = torch.ones(2), torch.zeros(2)
    late = torch.tensor([0.9, 0.99])
    assert to_velocity(Predicts.DATA, output, point, late).tolist() == pytest.approx([10.0, 20.0])
    assert natural_scale(Predicts.DATA, late).tolist() == pytest.approx([0.01, 0.0025])
    early = torch.tensor([0.1, 0.01])
    assert to_velocity(Predicts.NOISE, output, point, early).tolist() == pytest.approx([-10, -20])
    assert natural_scale(Predicts.NOISE, early).tolist() == pytest.approx([0.01, 0.0025])


@settings(max_examples=50, deadline=None)
@given(sigma=st.floats(0.01, 100.0), sigma_data=st.floats(0.2, 2.0), seed=st.integers(0, 99))
def test_edm_weighs_the_velocity_as_it_weighs_the_data(
    sigma: float, sigma_data: float, seed: int
) -> None:
    guess, data = drawn_pair(seed)
    at = time_of_sigma(scalar(sigma))
    point = torch.zeros_like(data)
    rates = [to_velocity(Predicts.DATA, value, point, at, 1e-9) for value in (guess, data)]
    published = (sigma**2 + sigma_data**2) / (sigma * sigma_data) ** 2 * (guess - data).square()
    ours = weight_at(EdmWeight(sigma_data=sigma_data), at) * (rates[0] - rates[1]).square()
    assert torch.allclose(ours, published, rtol=1e-9)


@pytest.mark.parametrize("predicts", Predicts)
def test_a_flat_weight_is_the_squared_error_of_what_is_predicted(predicts: Predicts) -> None:
    time = torch.linspace(0, 1, 11)
    assert torch.equal(weight_at(Flat(), time, predicts), natural_scale(predicts, time))


@settings(max_examples=100, deadline=None)
@given(grid=GRIDS, steps=st.integers(1, 60), until=st.floats(0.1, 1.0))
def test_grids_grow_from_noise_to_where_they_end(grid, steps: int, until: float) -> None:
    times = steps_of(grid, steps, until)
    assert len(times) == steps + 1 and times[-1] == until
    first = 1 / (1 + grid.sigma_max) if isinstance(grid, KarrasGrid) else 0.0
    assert times[0] == pytest.approx(first, abs=1e-12)
    assert all(before < after for before, after in pairwise(times))


@settings(max_examples=100, deadline=None)
@given(grid=GRIDS, steps=st.integers(2, 30), stop=st.integers(1, 29))
def test_a_grid_stopped_at_one_of_its_steps_takes_the_same_steps(
    grid, steps: int, stop: int
) -> None:
    times = steps_of(grid, steps)
    stop = min(stop, steps - 1)
    assert steps_of(grid, stop, until=times[stop]) == pytest.approx(times[: stop + 1], rel=1e-9)


@pytest.mark.parametrize(
    ("grid", "steps", "until", "said"),
    [
        (UniformGrid(), 0, 1.0, "steps must be 1 or more, found 0"),
        (ShiftedGrid(), 3, 0.0, r"until must lie in \(0, 1\], found 0"),
        (UniformGrid(), 3, 1.5, "found 1.5"),
        (KarrasGrid(sigma_max=9.0), 3, 0.1, r"\(0.1, 1\]"),
    ],
)
def test_impossible_steps_are_refused(grid, steps: int, until: float, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        steps_of(grid, steps, until)


def test_equal_steps_round_as_a_division_by_their_number() -> None:
    start = torch.randn(1000, generator=torch.Generator().manual_seed(0))
    found = euler(lambda v, at: {"x": torch.sin(v["x"]) + at}, {"x": start}, 10)["x"]
    wanted = start
    for step in range(10):
        wanted = wanted + (torch.sin(wanted) + step / 10) / 10
    assert torch.equal(found, wanted)


@settings(max_examples=50, deadline=None)
@given(grid=GRIDS, steps=st.integers(1, 12), seed=st.integers(0, 99))
def test_with_data_predicted_every_grid_ends_on_it_as_edm_and_ddim_do(
    grid, steps: int, seed: int
) -> None:
    noise, data = drawn_pair(seed)
    times = [scalar(time) for time in steps_of(grid, steps)]
    points: list[torch.Tensor] = []

    def predicted(values: dict[str, torch.Tensor], at: float) -> dict[str, torch.Tensor]:
        points.append(values["x"])
        return {"x": to_velocity(Predicts.DATA, data, values["x"], scalar(at), 1e-9)}

    end = euler(predicted, {"x": noise}, steps, grid=grid)["x"]
    assert torch.allclose(end, data, rtol=1e-9, atol=1e-9)
    for at, after, point, moved in zip(
        times[:-1], times[1:], points, (*points[1:], end), strict=True
    ):
        if at == 0 or after == 1:  # infinite or no noise: not a level of either
            continue
        # EDM: Euler in sigma along (x - data) / sigma; its sample is the point divided by time.
        sigma, lower = sigma_of_time(at), sigma_of_time(after)
        edm = point / at + (lower - sigma) * (point / at - data) / sigma
        assert torch.allclose(moved, edm * after, rtol=1e-9, atol=1e-9)
        # DDIM: the noise implied by the data is mixed again at the next level.
        abar, lower_abar = 1 / (1 + sigma**2), 1 / (1 + lower**2)
        ddpm = point * (abar.sqrt() + (1 - abar).sqrt())
        implied = (ddpm - abar.sqrt() * data) / (1 - abar).sqrt()
        ddim = lower_abar.sqrt() * data + (1 - lower_abar).sqrt() * implied
        scaled = ddim / (lower_abar.sqrt() + (1 - lower_abar).sqrt())
        assert torch.allclose(moved, scaled, rtol=1e-9, atol=1e-9)


def test_a_grid_that_starts_late_starts_at_sigma_max_times_noise() -> None:
    noise, _ = drawn_pair(0)
    seen: list[torch.Tensor] = []

    def still(values: dict[str, torch.Tensor], at: float) -> dict[str, torch.Tensor]:
        seen.append(values["x"] / at)
        return {"x": torch.zeros_like(values["x"])}

    euler(still, {"x": noise}, 1, grid=KarrasGrid(sigma_max=80.0))
    assert torch.allclose(seen[0], 80.0 * noise)


def test_a_solver_that_stops_early_is_on_the_path_there() -> None:
    noise, data = drawn_pair(0)
    for grid in (UniformGrid(), ShiftedGrid(shift=5.0)):
        found = euler(
            lambda v, at: {"x": velocity(noise, data)}, {"x": noise}, 3, grid=grid, until=0.6
        )
        assert torch.allclose(found["x"], between(noise, data, scalar(0.6)))
