"""What a session remembers: what really happened, its own, and nothing that was only imagined."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from fakes.episodes import MAKES, SENTENCES
from fakes.networks import brief, label, observation, policy_of
from fakes.passes import executed, teachers_of
from vertebra import recipes
from vertebra.policy.acting import Session, TrainedPolicy
from vertebra.policy.recipe import Recipe
from vertebra.policy.rolling import EMPTY
from vertebra.spec.observation import Observation
from vertebra.spec.streams import Role

BRIEF = [brief(recipe) for recipe in recipes.ALL]
plain = pytest.mark.parametrize("recipe", BRIEF, ids=label)
rolling = pytest.mark.parametrize("recipe", [r for r in BRIEF if r.rolling], ids=label)
LENGTH = 3


def views(policy: TrainedPolicy, seed: int, done: int | None = None) -> list[Observation]:
    """What is seen, and what was executed before it, at the start of each chunk."""
    nothing = np.zeros((0, len(MAKES.dims)), np.float32)
    return [
        replace(
            observation(10 * seed + i, SENTENCES[seed]),
            executed=executed((done or seed) * 100 + i, policy.execute) if i else nothing,
        )
        for i in range(LENGTH)
    ]


def run(policy: TrainedPolicy, seed: int, seen: Sequence[Observation]) -> list[np.ndarray]:
    session, made = policy.start(seed), []
    for one in seen:
        session, act = policy.act(session, one)
        made.append(act.chunk)
    return made


def remembered(policy: TrainedPolicy, seed: int, seen: Sequence[Observation]) -> Session:
    session = policy.start(seed)
    for one in seen:
        session, _ = policy.act(session, one)
    return session


@plain
def test_interleaved_sessions_never_mix(recipe: Recipe) -> None:
    policy = policy_of(recipe)
    seen = {seed: views(policy, seed) for seed in (1, 2)}
    apart = {seed: run(policy, seed, seen[seed]) for seed in (1, 2)}
    sessions = {seed: policy.start(seed) for seed in (1, 2)}
    made: dict[int, list[np.ndarray]] = {1: [], 2: []}
    for seed in (1, 2, 2, 1, 2, 1):
        sessions[seed], act = policy.act(sessions[seed], seen[seed][len(made[seed])])
        made[seed].append(act.chunk)
    for seed in (1, 2):
        for alone, mixed in zip(apart[seed], made[seed], strict=True):
            assert (alone == mixed).all()


@plain
def test_sessions_in_one_batch_never_mix_also_when_one_is_ahead(recipe: Recipe) -> None:
    policy = policy_of(recipe)
    seen = {seed: views(policy, seed) for seed in (1, 2)}
    apart = {seed: run(policy, seed, seen[seed]) for seed in (1, 2)}
    first, act = policy.act(policy.start(1), seen[1][0])
    assert (act.chunk == apart[1][0]).all()
    sessions, at = [first, policy.start(2)], [1, 0]
    for _ in range(LENGTH - 1):
        both = policy.act_batch(sessions, [seen[s][at[s - 1]] for s in (1, 2)])
        for seed, (_, act) in zip((1, 2), both, strict=True):
            assert np.abs(act.chunk - apart[seed][at[seed - 1]]).max() < 1e-5
        sessions, at = [session for session, _ in both], [place + 1 for place in at]
    level = [remembered(policy, seed, seen[seed][:2]) for seed in (1, 2)]
    both = policy.act_batch(level, [seen[seed][2] for seed in (1, 2)])
    for seed, (_, act) in zip((1, 2), both, strict=True):
        assert np.abs(act.chunk - apart[seed][2]).max() < 1e-5


@rolling
def test_a_history_holds_what_was_real_and_nothing_that_was_imagined(recipe: Recipe) -> None:
    policy = policy_of(recipe)
    seen = views(policy, 1)
    one, other = (remembered(policy, seed, seen).history for seed in (1, 2))
    assert one is not None
    assert other is not None
    network = policy.network
    allowed = {*network.trunk.named(Role.GIVEN), *recipe.kept_teachers}
    assert set(one.heard) == allowed
    assert set(one.unheard) == (allowed if recipe.text_dropout else set())
    assert one.planned == (EMPTY, EMPTY), "what was only planned was carried on"
    assert (one.pending is not None) == recipe.leapfrogs
    for cache, others in ((one.heard, other.heard), (one.unheard, other.unheard)):
        for name, slot in cache.items():
            assert slot.times is not None
            assert slot.times.max() <= one.now
            for pair, twin in zip(slot.pairs, others[name].pairs, strict=True):
                # The other session imagined other frames and planned other actions.
                assert all(torch.equal(a, b) for a, b in zip(pair, twin, strict=True)), name


@plain
def test_other_executed_actions_change_the_next_chunk_where_the_table_says_so(
    recipe: Recipe,
) -> None:
    policy = policy_of(recipe)
    teachers = teachers_of(policy.network)
    looks_back = any(teachers[name] == "action" for name in recipe.kept_teachers)
    first = run(policy, 1, views(policy, 1, done=5))
    other = run(policy, 1, views(policy, 1, done=6))
    assert (first[0] == other[0]).all()
    # A leapfrogging policy answers with the chunk that it made one call before.
    assert bool((first[1] != other[1]).any()) == (looks_back and not recipe.leapfrogs)
    assert bool((first[2] != other[2]).any()) == looks_back


@rolling
def test_past_views_matter_as_long_as_they_lie_in_the_window(recipe: Recipe) -> None:
    policy = policy_of(recipe)
    seen, window = views(policy, 1), policy.network.shape.chunks
    assert window == 2
    changed = [replace(seen[0], images=observation(77).images), *seen[1:]]
    first, other = run(policy, 1, seen), run(policy, 1, changed)
    assert (first[0] != other[0]).any()
    assert (first[1] != other[1]).any(), "the view before this one was forgotten"


@plain
def test_a_session_is_a_value(recipe: Recipe) -> None:
    policy = policy_of(recipe)
    seen = views(policy, 1)
    session = remembered(policy, 1, seen[:2])
    once, again = (policy.act(session, seen[2])[1].chunk for _ in range(2))
    assert (once == again).all()
