"""The table is the figure of the paper, and the weights obey the table."""

import copy
import functools
from dataclasses import replace

import pytest

from checks.visibility import PICTURES, check_closure, check_edges, check_table
from fakes.networks import EVERY, SIGHTED, label, network_of
from vertebra import recipes
from vertebra.coupling.table import Joint, closure
from vertebra.policy.network import Network
from vertebra.policy.recipe import POINT, Recipe
from vertebra.spec.errors import IllegalRecipe
from vertebra.spec.streams import ALL, PAST


def flips(recipe: Recipe) -> list[tuple[str, str]]:
    """All pairs of streams; with a pointing token the pairs that it adds."""
    names = [stream.name for stream in recipe.coupling.streams]
    pairs = [(query, key) for query in names for key in names]
    return [pair for pair in pairs if POINT in pair] if POINT in names else pairs


@functools.cache
def weights_of(number: int) -> Network:
    return network_of(SIGHTED[number])


def flipped(recipe: Recipe, query: str, key: str) -> Recipe:
    """The recipe with one edge added or taken away; its legality is not asked."""
    joint = recipe.coupling
    row = dict(joint.sees[query])
    if key in row:
        del row[key]
    else:
        row[key] = ALL
    return with_coupling(recipe, joint.with_sight(query, **row))


def with_coupling(recipe: Recipe, joint: Joint) -> Recipe:
    changed = copy.copy(recipe)
    object.__setattr__(changed, "coupling", joint)
    return changed


def test_every_recipe_has_a_picture_and_every_picture_a_recipe() -> None:
    assert set(PICTURES) == {recipe.name for recipe in recipes.ALL}


@pytest.mark.parametrize("recipe", EVERY, ids=label)
def test_the_table_is_the_picture(recipe: Recipe) -> None:
    check_table(recipe)


@pytest.mark.parametrize("recipe", SIGHTED, ids=label)
def test_the_weights_obey_the_picture(recipe: Recipe) -> None:
    check_edges(recipe)
    check_closure(recipe)


@pytest.mark.parametrize(
    ("recipe", "query", "key"),
    [(recipe, *pair) for recipe in SIGHTED for pair in flips(recipe)],
    ids=lambda value: label(value) if isinstance(value, Recipe) else value,
)
def test_one_flipped_edge_is_noticed_twice(recipe: Recipe, query: str, key: str) -> None:
    wrong = flipped(recipe, query, key)
    with pytest.raises(AssertionError, match=query):
        check_table(wrong)
    circular = POINT in recipe.coupling.experts and POINT in closure(wrong.coupling, wrong.pixels)
    if circular or not wrong.coupling.sees[query]:
        # Cannot be run at all: what is pointed at is read from the camera tokens, and an empty row
        # leaves attention without a key.
        with pytest.raises(IllegalRecipe, match=r"depends on 'point'|may see nothing"):
            replace(wrong, source="tried")
        return
    with pytest.raises(AssertionError, match=query):
        check_edges(wrong, weights_of(SIGHTED.index(recipe)))


@pytest.mark.parametrize("recipe", SIGHTED, ids=label)
def test_a_shortened_reach_is_noticed(recipe: Recipe) -> None:
    row = {**recipe.coupling.sees["action"], recipe.pixels: PAST}
    wrong = with_coupling(recipe, recipe.coupling.with_sight("action", **row))
    with pytest.raises(AssertionError, match="action"):
        check_table(wrong)
