"""Time 0 is noise and time 1 is data: in the path, in the draws, in the solver, in the losses."""

from collections.abc import Mapping

import torch
from torch import Tensor

from fakes.networks import given_of, network_of
from vertebra.flow import path, solver, times
from vertebra.policy.losses import losses
from vertebra.policy.targets import Examples
from vertebra.recipes.pi0 import PI0
from vertebra.schedules.generate import Denoiser, generate
from vertebra.schedules.kinds import ActionOnly, Together, VideoFirst
from vertebra.spec.noise import BetaTimes, Grid, ShiftedUniform, UniformGrid


def check_path() -> None:
    """The path starts at noise, ends at data, and its derivative is the velocity."""
    generator = torch.Generator().manual_seed(0)
    noise, data = torch.randn(2, 5, 3, generator=generator, dtype=torch.float64)
    start, end = torch.zeros(5, 1, dtype=torch.float64), torch.ones(5, 1, dtype=torch.float64)
    assert (path.between(noise, data, start) == noise).all(), "time 0 is not noise"
    assert (path.between(noise, data, end) == data).all(), "time 1 is not data"
    for at in (0.0, 0.3, 0.9):
        before, after = (path.between(noise, data, start + at + step) for step in (0.0, 1e-6))
        slope = (after - before) / 1e-6
        assert (slope - path.velocity(noise, data)).abs().max() < 1e-6, "velocity is no derivative"


def check_draws() -> None:
    """Training favours the noisy end, which is time 0, by the published amount."""
    generator = torch.Generator().manual_seed(0)
    beta = times.draw_times(BetaTimes(a=1.5, b=1.0, scale=0.999), 20_000, generator)
    assert abs(float(beta.mean()) - (1 - (0.999 * 0.6 + 0.001))) < 0.01
    shifted = times.draw_times(ShiftedUniform(shift=5.0), 20_000, generator)
    assert abs(float(shifted.median()) - (1 - 5 * 0.5 / 3)) < 0.01


def check_solver() -> None:
    """Following the velocity of the path from noise arrives at data; time only grows."""
    noise, data = torch.randn(2, 4, generator=torch.Generator().manual_seed(0))
    asked: list[float] = []

    def velocity(values: dict[str, Tensor], at: float) -> dict[str, Tensor]:
        expected = path.between(noise, data, torch.tensor([at]))
        assert (values["x"] - expected).abs().max() < 1e-5, "the solver left the path"
        asked.append(at)
        return {"x": path.velocity(noise, data)}

    found = solver.euler(velocity, {"x": noise}, 5)["x"]
    assert (found - data).abs().max() < 1e-5, "noise was not carried to data"
    assert asked == [0.0, 0.2, 0.4, 0.6, 0.8]


class Oracle(Denoiser[tuple[str, ...]]):
    """Knows the data, and notes at which times it is asked."""

    def __init__(self, noise: Mapping[str, Tensor], data: Mapping[str, Tensor]) -> None:
        self.noise, self.data = noise, data
        self.asked: dict[str, list[float]] = {name: [] for name in data}
        self.finished: dict[str, Tensor] = {}

    @property
    def grids(self) -> Mapping[str, Grid]:
        return dict.fromkeys(self.data, UniformGrid())

    @property
    def opening(self) -> int:
        return 1

    def begin(self, noise: Mapping[str, Tensor]) -> tuple[str, ...]:
        return ()

    def velocity(
        self, values: Mapping[str, Tensor], at: Mapping[str, float], kept: tuple[str, ...]
    ) -> Mapping[str, Tensor]:
        for name, value in values.items():
            time = at[name]
            wanted = (1 - time) * self.noise[name] + time * self.data[name]
            assert (value - wanted).abs().max() < 1e-4, f"'{name}' is not what time {time} means"
            self.asked[name].append(time)
        return {name: self.data[name] - self.noise[name] for name in values}

    def finish(self, name: str, value: Tensor, at: float, kept: tuple[str, ...]) -> tuple[str, ...]:
        assert at == 1.0, "a finished stream is data"
        self.finished[name] = value
        return (*kept, name)

    def predict(self, values: Mapping[str, Tensor], kept: tuple[str, ...]) -> Tensor:
        raise AssertionError("the action is made from noise")

    def passes(self, names: tuple[str, ...]) -> int:
        return 1

    def numbers(self, value: Tensor) -> Mapping[str, Tensor]:
        raise AssertionError("nothing is scored")

    def rows(self, kept: tuple[str, ...], index: Tensor) -> tuple[str, ...]:
        raise AssertionError("nothing is chosen")


def check_schedules() -> None:
    """Every schedule carries what it generates from noise to data."""
    generator = torch.Generator().manual_seed(0)
    noise, data = (
        {name: torch.randn(2, 3, generator=generator) for name in ("future", "action")}
        for _ in range(2)
    )
    for schedule in (ActionOnly(steps=4), Together(steps=4), VideoFirst(video_steps=2, steps=4)):
        names = ("action",) if isinstance(schedule, ActionOnly) else ("future", "action")
        oracle = Oracle(noise, data)
        made = generate(schedule, oracle, {name: noise[name] for name in names})
        assert set(made.values) == set(names)
        for name, value in made.values.items():
            assert (value - data[name]).abs().max() < 1e-5, f"{schedule} does not reach the data"
        assert oracle.asked["action"] == [0.0, 0.25, 0.5, 0.75]
        assert made.evaluations["action"] == 4 and made.evaluations["prefix"] == 1
        assert set(made.stage_s) == set(made.evaluations)
        if isinstance(schedule, VideoFirst):
            assert oracle.asked["future"] == [0.0, 0.5]
            assert made.evaluations["video"] == 3, "two steps and one pass over the clean copy"
            assert list(oracle.finished) == ["future"]
        else:
            assert not oracle.finished and "video" not in made.evaluations


def check_losses() -> None:
    """What a network is shown in training is the path at the time that it is told."""
    network, rows = network_of(PI0), 64
    generator = torch.Generator().manual_seed(0)
    actions = torch.randn(rows, *network.shape.vectors("action"), generator=generator)
    given = given_of(["lift the red box"] * rows)
    frames = torch.zeros(rows, 1, 32, 32, 3, dtype=torch.uint8)
    seen: list[tuple[Tensor, Tensor]] = []
    handle = network.inputs["action"].register_forward_pre_hook(
        lambda module, arguments: seen.append(arguments)
    )
    examples = Examples(
        given=given,
        actions=actions,
        action_mask=torch.ones(actions.shape[:2], dtype=torch.bool),
        future=frames,
        future_mask=torch.ones(rows, 1, dtype=torch.bool),
        future_state=torch.zeros(rows, 1, network.shape.state_dims),
        points=torch.full((rows, 2, 2), torch.nan),
        frame=torch.zeros(rows, dtype=torch.long),
        length=torch.full((rows,), 9),
        real=torch.ones(rows, dtype=torch.bool),
    )
    with torch.no_grad():
        losses(network, [examples], generator)
    handle.remove()
    ((noisy, time),) = seen
    data = actions.repeat(1, noisy.shape[1] // actions.shape[1], 1)
    chosen = time < 0.9
    noise = ((noisy - time[..., None] * data) / (1 - time[..., None]))[chosen]
    assert abs(float(noise.std()) - 1) < 0.03, "noise and data are mixed at another time"
    assert abs(float((noise * data[chosen]).mean())) < 0.05, "what should be noise holds data"


def check_time_direction() -> None:
    """All of it."""
    check_path()
    check_draws()
    check_solver()
    check_schedules()
    check_losses()
