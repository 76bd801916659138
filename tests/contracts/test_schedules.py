"""Schedules do what they say: plans choose the best, guidance of one is none, prefixes stay."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from fakes.networks import given_of, label, network_of, observation, policy_of
from fakes.passes import drawn, source
from vertebra import recipes
from vertebra.flow.path import between
from vertebra.policy.passes import Passes
from vertebra.policy.recipe import Recipe
from vertebra.schedules.generate import Denoiser, generate
from vertebra.schedules.kinds import (
    ActionOnly,
    Guidance,
    Plan,
    Rolling,
    ScoreTerm,
    Together,
    VideoFirst,
)
from vertebra.spec.noise import Grid, UniformGrid

BATCH, CANDIDATES, FUTURES = 3, 4, 2


class Judge(Denoiser[Tensor]):
    """Leaves noise as it is; what it keeps is which observation each row belongs to."""

    def __init__(self, score: Mapping[float, float] | None = None) -> None:
        self.score = score or {}
        self.acted: list[int] = []

    @property
    def grids(self) -> Mapping[str, Grid]:
        return {name: UniformGrid() for name in ("future", "value", "action")}

    @property
    def opening(self) -> int:
        return 1

    def begin(self, noise: Mapping[str, Tensor]) -> Tensor:
        return torch.arange(BATCH)

    def velocity(
        self, values: Mapping[str, Tensor], at: Mapping[str, float], kept: Tensor
    ) -> Mapping[str, Tensor]:
        assert all(len(value) == len(kept) for value in values.values())
        if set(values) == {"action"}:
            self.acted.append(len(kept))
        return {name: torch.zeros_like(value) for name, value in values.items()}

    def finish(self, name: str, value: Tensor, at: float, kept: Tensor) -> Tensor:
        return kept

    def predict(self, values: Mapping[str, Tensor], kept: Tensor) -> Tensor:
        raise AssertionError("no inverse dynamics here")

    def passes(self, names: tuple[str, ...]) -> int:
        return 1

    def numbers(self, value: Tensor) -> Mapping[str, Tensor]:
        return {"good": value[:, 0, 0], "bad": value[:, 0, 1]}

    def rows(self, kept: Tensor, index: Tensor) -> Tensor:
        return kept[index]


def candidates() -> tuple[dict[str, Tensor], list[int]]:
    """Candidates whose actions name them, whose values judge them; the best row of each."""
    rows = BATCH * CANDIDATES
    good, bad = torch.rand(2, rows, generator=source())
    noise = {
        "action": torch.arange(rows).float().view(rows, 1, 1),
        "future": 100 + torch.arange(rows).float().view(rows, 1, 1),
        "value": torch.stack([good, bad], dim=-1)[:, None],
    }
    total = (good - 2 * bad).view(BATCH, CANDIDATES)
    best = [int(row) + CANDIDATES * i for i, row in enumerate(total.argmax(1))]
    return noise, best


SCORE = (ScoreTerm(of="good"), ScoreTerm(of="bad", weight=-2.0))


@pytest.mark.parametrize(
    "inner", [Together(steps=2), VideoFirst(video_steps=2, steps=2)], ids=["together", "first"]
)
def test_a_plan_acts_on_the_candidate_with_the_best_score(inner: Together | VideoFirst) -> None:
    noise, best = candidates()
    judge = Judge()
    plan = Plan(inner=inner, candidates=CANDIDATES, score=SCORE)
    made = generate(plan, judge, noise)
    assert made.values["action"].flatten().tolist() == [float(row) for row in best]
    assert made.values["future"].flatten().tolist() == [100.0 + row for row in best]
    if isinstance(inner, VideoFirst):
        assert set(judge.acted) == {BATCH}, "the action is made for the best candidate only"
        # two streams are imagined, and nobody reads them again
        assert made.evaluations == {"prefix": 1, "video": 4, "action": 2}
    else:
        assert made.evaluations == {"prefix": 1, "action": 2}


def test_a_plan_may_score_by_futures_that_are_imagined_anew() -> None:
    noise, _ = candidates()
    rows = BATCH * CANDIDATES
    good, bad = torch.rand(2, rows * FUTURES, generator=source(1))
    again = {
        "future": torch.zeros(rows * FUTURES, 1, 1),
        "value": torch.stack([good, bad], dim=-1)[:, None],
        "action": torch.full((rows * FUTURES, 1, 1), torch.nan),
    }
    plan = Plan(inner=Together(steps=2), candidates=CANDIDATES, score=SCORE, futures=FUTURES)
    made = generate(plan, Judge(), noise, again=again)
    total = (good - 2 * bad).view(BATCH, CANDIDATES, FUTURES).mean(-1)
    best = [float(row) + CANDIDATES * i for i, row in enumerate(total.argmax(1))]
    assert made.values["action"].flatten().tolist() == best
    assert made.evaluations == {"prefix": 1, "action": 2, "plan": 2}


def test_a_planning_policy_takes_the_chunk_that_its_own_values_prefer() -> None:
    recipe = recipes.by_name("cortex2")
    assert isinstance(recipe.schedule, Plan)
    assert recipe.schedule.candidates == 2
    best, worst = (
        policy_of(replace(recipe, schedule=replace(recipe.schedule, score=score)))
        for score in (
            (ScoreTerm(of="progress"),),
            (ScoreTerm(of="progress", weight=-1.0),),
        )
    )
    chunks = [policy.act(policy.start(3), observation(0))[1].chunk for policy in (best, worst)]
    assert (chunks[0] != chunks[1]).any(), "two candidates, and both are best and worst"


GUIDED = [recipe for recipe in recipes.ALL if getattr(recipe.plain_schedule, "guidance", ())]


def guided(recipe: Recipe, *weights: float) -> Recipe:
    """The recipe under other guidance."""
    plain = recipe.plain_schedule
    assert not isinstance(plain, ActionOnly)
    inner = replace(plain, guidance=tuple(Guidance(stream="future", weight=w) for w in weights))
    schedule = recipe.schedule
    if isinstance(schedule, Rolling):
        return replace(recipe, schedule=replace(schedule, inner=inner))
    return replace(recipe, schedule=inner)


@pytest.mark.parametrize("recipe", GUIDED, ids=label)
def test_guidance_of_weight_one_is_none_and_more_is_more(recipe: Recipe) -> None:
    none, one, two = (policy_of(guided(recipe, *w)) for w in ((), (1.0,), (2.0,)))
    acts = [policy.act(policy.start(3), observation(0))[1] for policy in (none, one, two)]
    assert (acts[0].chunk == acts[1].chunk).all()
    assert acts[0].evaluations == acts[1].evaluations
    frames = [next(iter(act.imagined.values())) for act in acts]
    assert (frames[0] == frames[1]).all()
    assert (frames[0] != frames[2]).any()
    assert sum(acts[2].evaluations.values()) > sum(acts[1].evaluations.values())


@torch.no_grad()
def test_guidance_goes_away_from_what_silence_would_give() -> None:
    recipe = guided(recipes.by_name("unipi"), 3.0)
    network = network_of(recipe)
    given = given_of()
    values = {"future": drawn(network)["future"]}
    passes = Passes(network, given)
    found = passes.velocity(values, {"future": 0.4}, passes.begin(values))["future"]
    heard, silent = (
        Passes(network_of(guided(recipe)), replace(given, instructions=words))
        for words in (given.instructions, ("",) * 3)
    )
    with_words, without = (
        one.velocity(values, {"future": 0.4}, one.begin(values))["future"]
        for one in (heard, silent)
    )
    assert torch.allclose(found, without + 3.0 * (with_words - without), atol=1e-5)


def test_real_time_chunking_keeps_the_frozen_prefix() -> None:
    recipe = recipes.by_name("pi0-rtc")
    policy = policy_of(recipe)
    schedule = recipe.plain_schedule
    assert isinstance(schedule, ActionOnly)
    assert schedule.chunking is not None
    frozen, soft = schedule.chunking.frozen, schedule.chunking.soft
    session, before = policy.act(policy.start(1), observation(0))
    done = before.chunk[: policy.execute]
    _, after = policy.act(session, replace(observation(1), executed=done))
    rest = before.chunk[policy.execute :]
    assert np.abs(after.chunk[:frozen] - rest[:frozen]).max() < 1e-6
    free = policy_of(replace(recipe, schedule=ActionOnly(steps=schedule.steps)))
    other, _ = free.act(free.start(1), observation(0))
    _, unbound = free.act(other, replace(observation(1), executed=done))
    pulled = np.abs(after.chunk[: len(rest)] - rest).max(1)
    alone = np.abs(unbound.chunk[: len(rest)] - rest).max(1)
    assert (pulled[frozen : frozen + soft] < alone[frozen : frozen + soft]).all()
    assert (after.chunk[frozen + soft :] == unbound.chunk[frozen + soft :]).all()


class Noted(Passes):
    """Notes what the network is asked."""

    def velocity(self, values, at, kept):
        self.asked = [*getattr(self, "asked", []), (dict(values), dict(at))]
        return super().velocity(values, at, kept)


@torch.no_grad()
def test_a_marginal_never_learns_of_the_future() -> None:
    recipe = recipes.by_name("motus-vla")
    network = network_of(recipe)
    noise = drawn(network)
    passes = Noted(network, given_of())
    made = generate(replace(recipe.plain_schedule, steps=3), passes, noise)
    assert set(made.values) == {"action"}
    assert len(passes.asked) == 3
    for values, at in passes.asked:
        assert at["future"] == 0.0
        assert torch.equal(values["future"], noise["future"])
    # At that time nothing of the future is left in what training shows.
    some, other = (torch.randn(noise["future"].shape, generator=source(s)) for s in (1, 2))
    time = torch.zeros(len(some), 1, 1)
    shown = [between(noise["future"], future, time) for future in (some, other)]
    assert torch.equal(shown[0], shown[1])
    assert torch.equal(shown[0], noise["future"])
