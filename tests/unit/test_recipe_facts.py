"""What is derived from a recipe is what a session of it does at tiny size."""

from dataclasses import replace

import pytest
import torch

from fakes.networks import SIGHTED, label, observation, policy_of
from vertebra import recipes
from vertebra.coupling.kinds import whole
from vertebra.policy.acting import Session, TrainedPolicy
from vertebra.policy.protocol import Act
from vertebra.policy.recipe import Recipe
from vertebra.recipes.facts import (
    Imagination,
    Means,
    Memory,
    beats,
    contexts,
    evaluations,
    imagination,
    memory,
    sights,
)
from vertebra.schedules.kinds import Together
from vertebra.spec.streams import POINT

CHUNKS = 3
"""From the third chunk on even a leapfrogging session has a whole chunk behind it."""


def under_way(policy: TrainedPolicy) -> tuple[Session, Act, list[str]]:
    """A session after some chunks, its last answer, and the passes that really made it."""
    network, calls = policy.network, list[str]()
    for name in ("attention", "head", "inverse"):
        part = getattr(network, name, None)
        if isinstance(part, torch.nn.Module):
            part.register_forward_pre_hook(lambda *_, name=name: calls.append(name))
    session, done = policy.start(3), None
    for turn in range(CHUNKS):
        calls.clear()
        view = observation(turn)
        if done is not None:
            view = replace(view, executed=done.chunk[: policy.execute])
        session, done = policy.act(session, view)
    assert done is not None
    return session, done, calls


def at_size_of(policy: TrainedPolicy, recipe: Recipe) -> Recipe:
    """The recipe with the steps and candidates of that size."""
    return replace(recipe, schedule=policy.network.shape.schedule)


every = pytest.mark.parametrize("recipe", recipes.ALL, ids=label)


@pytest.mark.parametrize("recipe", SIGHTED, ids=label)
def test_what_a_session_does_and_keeps_is_derived(recipe: Recipe) -> None:
    policy = policy_of(recipe)
    session, done, calls = under_way(policy)
    derived = at_size_of(policy, recipe)
    assert evaluations(derived) == done.evaluations
    held, history = memory(derived), session.history
    assert set(held.streams) == (set() if history is None else set(history.heard))
    if history is not None:
        times = history.heard["frame"].times
        assert times is not None and len(set(times.tolist())) == held.chunks
    assert (held.chunk == "next") == (history is not None and history.pending is not None)
    assert (held.chunk == "rest") == (session.last is not None)
    if POINT in recipe.table.experts:
        return  # where the instruction points to is read in a look of its own
    assert len(calls) == sum(done.evaluations.values())


@every
def test_sights_are_the_rows_of_the_table_and_the_contexts(recipe: Recipe) -> None:
    seen = sights(recipe.coupling)
    assert len({(s.query, s.key, s.means is Means.CROSS) for s in seen}) == len(seen)
    rows = {(s.query, s.key): s.reach for s in seen if s.means is not Means.CROSS}
    table = whole(recipe.coupling)
    wanted = {(q, key): reach for q, row in table.sees.items() for key, reach in row.items()}
    if "inverse" in table.experts.values():
        del wanted["action", "action"]  # it infers actions and looks at none
    assert rows == wanted
    assert set(contexts(recipe.coupling)) == set(table.context)


@every
def test_what_is_reused_was_kept_by_an_earlier_pass(recipe: Recipe) -> None:
    made = beats(recipe)
    assert made[-1].stage in ("action", "plan")
    past = set(memory(recipe).streams)
    kept = set[str]()
    for beat in made:
        known = kept | past | set(beat.touched)
        trunk = {name for name in beat.streams if name in recipe.trunk.experts}
        assert {key for name in trunk for key in recipe.trunk.sees[name]} <= known
        assert list(beat.times) == sorted(beat.times)
        kept |= set(beat.keeps)


def test_given_streams_that_see_noise_are_read_in_every_pass() -> None:
    assert beats(recipes.by_name("motus-vla"))[0].anew == ("image", "text", "frame", "state")
    assert beats(recipes.by_name("gr00t"))[-1].anew == ("state",)
    assert not any(beat.anew for beat in beats(recipes.by_name("fast-wam-joint")))


def test_imagination_is_derived() -> None:
    told = {recipe.name: imagination(recipe) for recipe in recipes.ALL}
    assert told["pi0"] is Imagination.NONE
    assert told["fast-wam"] is Imagination.SKIPPED
    assert told["fast-wam-joint"] is Imagination.NEEDED
    assert told["fast-wam-idm"] is Imagination.NEEDED
    assert told["vpp"] is Imagination.ONCE
    assert told["motus-vla"] is Imagination.SKIPPED
    wasteful = replace(recipes.by_name("fast-wam"), schedule=Together())
    assert imagination(wasteful) is Imagination.SKIPPABLE


def test_without_guidance_nothing_runs_twice() -> None:
    plain = recipes.by_name("dreamzero-flash")
    assert evaluations(plain) == {"prefix": 2, "action": 1}
    assert memory(plain) == Memory(streams=("frame", "state", "clean_future"), chunks=4)
    assert evaluations(recipes.by_name("dreamzero")) == {"prefix": 4, "action": 8}
