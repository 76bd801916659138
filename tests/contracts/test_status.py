"""No recipe claims more than a test or a record shows."""

import ast
import json
from pathlib import Path
from typing import Any

import pytest

from vertebra.policy.recipe import Recipe
from vertebra.recipes import ALL

TESTS = Path(__file__).parents[1]
EVIDENCE: dict[str, dict[str, list[str]]] = json.loads(
    (TESTS / "contracts/status_evidence.json").read_text()
)["recipes"]
RUNGS = ("maps", "parity", "loads", "reproduces")


def marks(named: str) -> list[str]:
    """The decorators of a test, as written.

    Raises:
        AssertionError: When there is no such test.
    """
    file, _, function = named.partition("::")
    tree = ast.parse((TESTS / file).read_text())
    found = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == function]
    assert found, f"{named} does not exist"
    return [ast.unparse(decorator) for decorator in found[0].decorator_list]


@pytest.mark.parametrize("recipe", ALL, ids=lambda recipe: recipe.name)
def test_the_status_is_the_highest_rung_that_is_backed(recipe: Recipe) -> None:
    backed: dict[str, Any] = EVIDENCE.get(recipe.name, {})
    assert set(backed) <= set(RUNGS)
    assert recipe.status == (max(backed, key=RUNGS.index) if backed else "sketch")
    if backed:
        assert list(backed) == list(RUNGS[: RUNGS.index(recipe.status) + 1]), "a rung is missing"


@pytest.mark.parametrize("name", EVIDENCE)
def test_each_rung_is_backed_by_a_test_that_always_runs(name: str) -> None:
    assert name in {recipe.name for recipe in ALL}
    for rung, tests in EVIDENCE[name].items():
        always = [t for t in tests if not any("slow" in m or "skip" in m for m in marks(t))]
        assert always, f"{name}: nothing that always runs backs '{rung}'"
