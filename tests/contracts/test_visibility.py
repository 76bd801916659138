"""The table is what was transcribed, but for declared differences, and the weights obey it."""

import copy
import functools
import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from checks.visibility import (
    DECLARED,
    SYSTEMS,
    check_closure,
    check_edges,
    check_fidelity,
    check_table,
    system_of,
    tables,
)
from fakes.networks import EVERY, SIGHTED, label, network_of
from vertebra import recipes
from vertebra.coupling.kinds import Head, Inverse
from vertebra.coupling.table import Joint, unseeing
from vertebra.policy.network import Network
from vertebra.policy.recipe import Recipe
from vertebra.spec.errors import IllegalRecipe
from vertebra.spec.streams import ALL, POINT, Reach

SAMPLE = 6
"""Flips a recipe that the fast tests also look for in the weights; the slow ones try all."""

Flip = tuple[str, str, Reach | None]
"""Query, key, and the reach that stands there instead (``None``: no sight at all)."""


def flips(recipe: Recipe) -> Iterator[Flip]:
    """Every other reach of every edge; with a pointing token only the edges that it adds."""
    others = tuple(Reach) if recipe.rolling else (ALL,)
    for part in tables(recipe):
        names = [stream.name for stream in part.streams]
        for query, key in ((query, key) for query in names for key in names):
            if (POINT in names or POINT in recipe.table.experts) and POINT not in (query, key):
                continue
            now = part.sees[query].get(key)
            yield from ((query, key, reach) for reach in (None, *others) if reach is not now)


def flipped(recipe: Recipe, flip: Flip) -> Recipe:
    """The recipe with one edge changed; its legality is not asked."""
    query, key, reach = flip
    coupling = recipe.coupling

    def changed(table: Joint) -> Joint:
        row = {name: old for name, old in table.sees[query].items() if name != key}
        return table.with_sight(query, **row, **({} if reach is None else {key: reach}))

    if isinstance(coupling, Joint):
        return unchecked(recipe, changed(coupling))
    if isinstance(coupling, Head) and query in coupling.head.experts:
        return unchecked(recipe, replace(coupling, head=changed(coupling.head)))
    return unchecked(recipe, replace(coupling, trunk=changed(coupling.trunk)))


def unchecked(recipe: Recipe, coupling: Any) -> Recipe:
    other = copy.copy(recipe)
    object.__setattr__(other, "coupling", coupling)
    return other


@functools.cache
def weights_of(number: int) -> Network:
    return network_of(SIGHTED[number])


def test_every_recipe_is_transcribed_and_every_transcription_a_recipe() -> None:
    names = {recipe.name for recipe in recipes.ALL}
    assert {system_of(recipe) for recipe in recipes.ALL} == set(SYSTEMS)
    assert set(DECLARED) <= names


@pytest.mark.parametrize("recipe", recipes.ALL, ids=label)
def test_a_recipe_is_what_was_transcribed_but_for_what_is_declared(recipe: Recipe) -> None:
    check_fidelity(recipe)


@pytest.mark.parametrize("recipe", EVERY, ids=label)
def test_the_table_is_the_wanted_one(recipe: Recipe) -> None:
    check_table(recipe)


@pytest.mark.parametrize("recipe", SIGHTED, ids=label)
def test_the_weights_obey_the_wanted_table(recipe: Recipe) -> None:
    check_edges(recipe)
    check_closure(recipe)


@pytest.mark.parametrize("recipe", SIGHTED, ids=label)
def test_every_flipped_edge_is_noticed_in_the_table(recipe: Recipe) -> None:
    for flip in flips(recipe):
        expected = rf"^{recipe.name} [\s\S]*{flip[0]} sees {flip[1]}"
        wrong = flipped(recipe, flip)
        with pytest.raises(AssertionError, match=expected):
            check_table(wrong)
        if POINT not in recipe.table.experts:
            with pytest.raises(
                AssertionError, match=f"^{recipe.name}:[\\s\\S]*{flip[0]} sees {flip[1]}'"
            ):
                check_fidelity(wrong)


@pytest.mark.parametrize("recipe", SIGHTED, ids=label)
def test_a_sample_of_flipped_edges_is_noticed_in_the_weights(recipe: Recipe) -> None:
    found = list(flips(recipe))
    for flip in random.Random(recipe.name).sample(  # noqa: S311
        found, min(SAMPLE, len(found))
    ):
        check_flip_in_weights(recipe, flip)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", SIGHTED, ids=label)
def test_every_flipped_edge_is_noticed_in_the_weights(recipe: Recipe) -> None:
    for flip in flips(recipe):
        check_flip_in_weights(recipe, flip)


def check_flip_in_weights(recipe: Recipe, flip: Flip) -> None:
    wrong = flipped(recipe, flip)
    if any(unseeing(table) for table in tables(wrong)):
        # Cannot be run at all: a row without a key at the first chunk time.
        with pytest.raises(IllegalRecipe, match="may see nothing"):
            replace(wrong, source="tried")
        return
    with pytest.raises(AssertionError, match=f"^{recipe.name}: .*{flip[0]} sees {flip[1]}'"):
        check_edges(wrong, weights_of(SIGHTED.index(recipe)))


@pytest.mark.parametrize("recipe", recipes.ALL, ids=label)
def test_other_contexts_features_and_frames_are_noticed(recipe: Recipe) -> None:
    coupling = recipe.coupling
    changed: list[tuple[Any, str]] = []
    for name in ("text", "state"):
        trunk = recipe.trunk
        other = replace(trunk, context=tuple({*trunk.context} ^ {name}))
        whole = other if isinstance(coupling, Joint) else replace(coupling, trunk=other)
        changed.append((whole, f"reads {name} across"))
    if isinstance(coupling, Head):
        for stream in coupling.trunk.streams:
            reads = replace(coupling.reads, of=tuple({*coupling.reads.of} ^ {stream.name}))
            changed.append((replace(coupling, reads=reads), f"features hold {stream.name}"))
    if isinstance(coupling, Inverse):
        reads = tuple({*coupling.reads} ^ {"frame"})
        changed.append((replace(coupling, reads=reads), "action sees frame"))
    for whole, fact in changed:
        for check in (check_table, check_fidelity):
            with pytest.raises(AssertionError, match=fact):
                check(unchecked(recipe, whole))


def test_a_declaration_of_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = recipes.by_name("unipi")
    entry = DECLARED["unipi"]
    empty = {"why": "none", "facts": {"future sees action": [None, "all"]}}
    monkeypatch.setitem(
        DECLARED,
        "unipi",
        {**entry, "differences": [*entry["differences"], empty]},
    )
    with pytest.raises(AssertionError, match=r"unipi:[\s\S]*future sees action' is declared"):
        check_fidelity(recipe)
