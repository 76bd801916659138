"""No recipe claims more than a test or a record shows."""

import ast
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from vertebra.policy.recipe import Recipe
from vertebra.recipes import ALL
from vertebra.reproduce.record import Measured, Reproduction, rung_of
from vertebra.reproduce.targets import TARGETS, Target
from vertebra.stats.proportion import exact_bounds

TESTS = Path(__file__).parents[1]
EVIDENCE: dict[str, dict[str, list[str]]] = json.loads(
    (TESTS / "contracts/status_evidence.json").read_text()
)["recipes"]
RUNGS = ("maps", "parity", "loads", "reproduces")


RECORDS = TESTS.parent / "docs" / "reproductions"


def shown(rung: str, evidence: str) -> bool:
    """Whether a test that always runs, or a record of a reproduction, backs a rung."""
    if evidence.endswith(".json"):
        earned = rung_of(json.loads((RECORDS / evidence).read_text()))
        return bool(earned) and RUNGS.index(earned) >= RUNGS.index(rung)
    return not any("slow" in mark or "skip" in mark for mark in marks(evidence))


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
        backing = [one for one in tests if shown(rung, one)]
        assert backing, f"{name}: nothing that always runs, and no record, backs '{rung}'"
        if rung in RUNGS[2:]:  # released weights are seen by records only
            assert all(one.endswith(".json") for one in tests)


def test_every_record_of_a_reproduction_can_be_read_and_is_of_its_recipe() -> None:
    for path in RECORDS.glob("*.json"):
        plain = json.loads(path.read_text())
        rung_of(plain)
        assert path.stem == f"{plain['target']['recipe']}-{plain['target']['benchmark']}"


def test_a_partial_record_backs_no_rung(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = TARGETS[0]
    half = [replace(one, episodes=one.episodes // 2) for one in target.parts]
    whole = [_perfect(target, one.name, one.episodes) for one in target.parts]
    partly = [_perfect(target, one.name, one.episodes) for one in half]
    monkeypatch.setitem(globals(), "RECORDS", tmp_path)
    for name, parts in (("whole.json", whole), ("partly.json", partly)):
        done = Reproduction(target=target, weights={"a": "b"}, parts=tuple(parts))
        (tmp_path / name).write_text(json.dumps(done.to_plain()))
    assert shown("loads", "whole.json")
    assert not shown("reproduces", "whole.json")  # 500 of 500 is better than what was published
    assert not shown("loads", "partly.json")


def _perfect(target: Target, name: str, episodes: int) -> Measured:
    low, high = exact_bounds(episodes, episodes, target.level)
    return Measured(
        name=name,
        environment="made up",
        episodes=episodes,
        successes=episodes,
        errors=0,
        low=low,
        high=high,
        records="",
    )
