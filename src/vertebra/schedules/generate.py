"""Run a schedule: from noise to actions and, where the schedule asks for it, imagined streams."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from vertebra.flow.grids import steps_of
from vertebra.schedules.kinds import (
    ActionOnly,
    Plan,
    RealTimeChunking,
    Rolling,
    Schedule,
    ScoreTerm,
    Simple,
    Together,
    VideoFirst,
)
from vertebra.spec.noise import Grid

Kept = TypeVar("Kept")
ACTION = "action"
FINISHED = 1.0


class Denoiser(Protocol[Kept]):
    """What a schedule needs from a policy. What is kept between passes is a value."""

    @property
    def grids(self) -> Mapping[str, Grid]:
        """How the steps of each noisy stream lie in flow time.

        A stream without a grid is predicted in a single step.
        """
        ...

    @property
    def opening(self) -> int:
        """Network passes of ``begin``."""
        ...

    def begin(self, noise: Mapping[str, Tensor]) -> Kept:
        """Read what is given, once; and what is read at pure noise."""
        ...

    def velocity(
        self, values: Mapping[str, Tensor], at: Mapping[str, float], kept: Kept
    ) -> Mapping[str, Tensor]:
        """Velocities of the streams in ``values``, each at its flow time."""
        ...

    def finish(self, name: str, value: Tensor, at: float, kept: Kept) -> Kept:
        """Store a stream as far as it was denoised, for those who read it.

        Costs one pass, or none when nobody reads it: then ``kept`` itself comes back.
        """
        ...

    def predict(self, values: Mapping[str, Tensor], kept: Kept) -> Tensor:
        """The action, from finished streams, without noise."""
        ...

    def passes(self, names: tuple[str, ...]) -> int:
        """Network passes of one step of these streams (two under guidance)."""
        ...

    def numbers(self, value: Tensor) -> Mapping[str, Tensor]:
        """The named numbers [B] in a finished stream ``value``."""
        ...

    def rows(self, kept: Kept, index: Tensor) -> Kept:
        """What is kept of some samples of the batch, in the order of ``index``."""
        ...


@dataclass(kw_only=True)
class Ledger:
    """Passes and seconds by stage, written while a schedule runs."""

    evaluations: dict[str, int] = field(default_factory=dict[str, int])
    stage_s: dict[str, float] = field(default_factory=dict[str, float])
    last: float = field(default_factory=time.perf_counter)

    def add(self, stage: str, passes: int) -> None:
        """Passes since the last call belong to this stage."""
        now = time.perf_counter()
        self.stage_s[stage] = self.stage_s.get(stage, 0.0) + now - self.last
        self.evaluations[stage] = self.evaluations.get(stage, 0) + passes
        self.last = now


@dataclass(frozen=True, kw_only=True)
class Generated:
    """What a schedule made.

    Attributes:
        values: Finished streams.
        evaluations: Stage to number of passes.
        stage_s: Stage to seconds.
    """

    values: Mapping[str, Tensor]
    evaluations: Mapping[str, int]
    stage_s: Mapping[str, float]


def candidates_of(schedule: Schedule) -> int:
    """How many sets of noise a schedule wants for one observation."""
    while isinstance(schedule, Rolling):
        schedule = schedule.inner
    return schedule.candidates if isinstance(schedule, Plan) else 1


def redraws_of(schedule: Schedule) -> int:
    """How many more sets of noise each candidate of a plan is scored with."""
    while isinstance(schedule, Rolling):
        schedule = schedule.inner
    return schedule.futures if isinstance(schedule, Plan) else 0


def generate(
    schedule: Schedule,
    denoiser: Denoiser[Kept],
    noise: Mapping[str, Tensor],
    *,
    again: Mapping[str, Tensor] | None = None,
    before: Tensor | None = None,
) -> Generated:
    """Follow a schedule.

    Args:
        schedule: What is denoised when.
        denoiser: Reads, denoises and finishes streams.
        noise: Noise for every stream that the schedule generates or reads [B * candidates, L, C];
            candidates of one observation lie together.
        again: Noise for the futures by which a plan scores [B * candidates * futures, L, C].
        before: What remains of the chunk before [B, L, A], for real-time chunking.
    """
    while isinstance(schedule, Rolling):
        schedule = schedule.inner
    ledger = Ledger()
    kept = denoiser.begin(noise)
    ledger.add("prefix", denoiser.opening)
    if isinstance(schedule, Plan):
        values = _planned(schedule, denoiser, noise, again or {}, kept, ledger)
    else:
        values = _simple(schedule, denoiser, noise, kept, ledger, before)
    return Generated(
        values=values, evaluations=dict(ledger.evaluations), stage_s=dict(ledger.stage_s)
    )


def _simple(
    schedule: Simple,
    denoiser: Denoiser[Kept],
    noise: Mapping[str, Tensor],
    kept: Kept,
    ledger: Ledger,
    before: Tensor | None,
) -> dict[str, Tensor]:
    match schedule:
        case ActionOnly(steps=steps, marginal=marginal, chunking=chunking):
            still = {name: (noise[name], 0.0) for name in marginal}
            values = _walk(
                denoiser, {ACTION: noise[ACTION]}, steps, kept, held=still, goal=(chunking, before)
            )
            ledger.add("action", steps * denoiser.passes((ACTION,)))
            return values
        case Together(steps=steps):
            names = tuple(denoiser.grids)
            values = _walk(denoiser, {name: noise[name] for name in names}, steps, kept)
            ledger.add("action", steps * denoiser.passes(names))
            return values
        case VideoFirst():
            values, kept = _imagined(schedule, denoiser, noise, kept, ledger)
            return {**values, ACTION: _acted(schedule, denoiser, noise, values, kept, ledger)}


def _imagined(
    schedule: VideoFirst,
    denoiser: Denoiser[Kept],
    noise: Mapping[str, Tensor],
    kept: Kept,
    ledger: Ledger,
) -> tuple[dict[str, Tensor], Kept]:
    values: dict[str, Tensor] = {}
    steps, until = schedule.video_steps, schedule.until
    for name in denoiser.grids:
        if name == ACTION:
            continue
        values |= _walk(denoiser, {name: noise[name]}, steps, kept, until=until)
        before, kept = kept, denoiser.finish(name, values[name], until, kept)
        reading = (kept is not before) * denoiser.passes(tuple(denoiser.grids))
        ledger.add("video", steps * denoiser.passes((name,)) + reading)
    return values, kept


def _acted(
    schedule: VideoFirst,
    denoiser: Denoiser[Kept],
    noise: Mapping[str, Tensor],
    values: Mapping[str, Tensor],
    kept: Kept,
    ledger: Ledger,
) -> Tensor:
    if ACTION not in denoiser.grids:
        action = denoiser.predict(values, kept)
        ledger.add("action", 1)
        return action
    action = _walk(denoiser, {ACTION: noise[ACTION]}, schedule.steps, kept)[ACTION]
    ledger.add("action", schedule.steps * denoiser.passes((ACTION,)))
    return action


def _planned(
    plan: Plan,
    denoiser: Denoiser[Kept],
    noise: Mapping[str, Tensor],
    again: Mapping[str, Tensor],
    kept: Kept,
    ledger: Ledger,
) -> dict[str, Tensor]:
    count = plan.candidates
    total = next(iter(noise.values())).shape[0]
    asked = torch.arange(total // count).repeat_interleave(count)
    kept = denoiser.rows(kept, asked)
    if isinstance(plan.inner, VideoFirst):
        values, kept = _imagined(plan.inner, denoiser, noise, kept, ledger)
        best = _best(_scores(plan.score, denoiser.numbers(values["value"])), count)
        values = {name: value[best] for name, value in values.items()}
        chosen = {ACTION: noise[ACTION][best]}
        kept = denoiser.rows(kept, best)
        return {**values, ACTION: _acted(plan.inner, denoiser, chosen, values, kept, ledger)}
    values = _simple(plan.inner, denoiser, noise, kept, ledger, None)
    scores = _scores(plan.score, denoiser.numbers(values["value"]))
    if plan.futures:
        each = torch.arange(total).repeat_interleave(plan.futures)
        fresh = {name: value for name, value in again.items() if name != ACTION}
        held = {ACTION: (values[ACTION][each], FINISHED)}
        steps = plan.inner.steps
        anew = _walk(denoiser, fresh, steps, denoiser.rows(kept, each), held=held)
        ledger.add("plan", steps * denoiser.passes(tuple(denoiser.grids)))
        scores = _scores(plan.score, denoiser.numbers(anew["value"]))
        scores = scores.view(total, plan.futures).mean(1)
    best = _best(scores, count)
    return {name: value[best] for name, value in values.items()}


def _scores(terms: tuple[ScoreTerm, ...], numbers: Mapping[str, Tensor]) -> Tensor:
    return torch.stack([term.weight * numbers[term.of] for term in terms]).sum(0)


def _best(scores: Tensor, count: int) -> Tensor:
    """Row of the best candidate of each observation; the first one of equals."""
    best = scores.view(-1, count).argmax(1)
    return best + count * torch.arange(len(best), device=best.device)


def _walk(
    denoiser: Denoiser[Kept],
    start: Mapping[str, Tensor],
    steps: int,
    kept: Kept,
    *,
    until: float = FINISHED,
    held: Mapping[str, tuple[Tensor, float]] | None = None,
    goal: tuple[RealTimeChunking | None, Tensor | None] = (None, None),
) -> dict[str, Tensor]:
    """Euler steps of some streams, each on its own grid; ``held`` ones stay as they are."""
    held = held or {}
    grids = {name: steps_of(denoiser.grids[name], steps, until) for name in start}
    values = {name: (1.0 - grids[name][0]) * value for name, value in start.items()}
    fixed = {name: value for name, (value, _) in held.items()}
    rest = {name: at for name, (_, at) in held.items()}
    for step in range(steps):
        at = {name: grid[step] for name, grid in grids.items()}
        rates = denoiser.velocity({**values, **fixed}, {**at, **rest}, kept)
        moved: dict[str, Tensor] = {}
        for name, value in values.items():
            rate = rates[name].to(value.dtype)
            if name == ACTION and goal[0] is not None and goal[1] is not None:
                rate = _towards(goal[0], goal[1], value, rate, at[name])
            moved[name] = value + rate * (grids[name][step + 1] - at[name])
        values = moved
    return values


def _towards(
    chunking: RealTimeChunking, before: Tensor, value: Tensor, rate: Tensor, at: float
) -> Tensor:
    """The velocity that leads the first actions to where the chunk before goes on."""
    length = before.shape[1]
    place = torch.arange(length, device=value.device)
    fading = 1.0 - (place - chunking.frozen + 1) / (chunking.soft + 1)
    weight = fading.clamp(0.0, 1.0)[None, :, None].to(value.dtype)
    straight = (before.to(value.dtype) - value[:, :length]) / (1.0 - at)
    head = (1.0 - weight) * rate[:, :length] + weight * straight
    return torch.cat([head, rate[:, length:]], dim=1)
