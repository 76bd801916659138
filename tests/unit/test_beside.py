"""Two pilots side by side: differences where the same was measured, and none elsewhere."""

import json
from dataclasses import replace

import pytest

from fakes.run import ARMS, write_run
from vertebra.cli.entry import run as command
from vertebra.policy.saved import recipe_to_plain
from vertebra.recipes import by_name
from vertebra.spec.criteria import Criteria
from vertebra.spec.storage import read_json, to_plain, write_json
from vertebra.stats.crossed import Rollout, rate
from vertebra.study.synthetic import Scenario, Truth, pilots
from vertebra.verdict.beside import beside, separate

QUICK = {"pictures": False, "latency": False, "counts": (800,), "scenes": (12, 2, 2)}


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("first"), arms=ARMS[:2], seed_sd=0.05, **QUICK)


def _edit(out, **values):
    plan = read_json(out / "plan.json")
    write_json(out / "plan.json", {**plan, **values})


def test_a_pilot_beside_itself_has_no_changes(first):
    found = beside(first, first)
    assert found.changes == () and found.barriers == ()
    assert {row.words for row in found.rows} == {"not shown to differ"}
    ends = [(row.low, row.high) for row in found.rows]
    assert all(low is not None and high is not None and low < 0 < high for low, high in ends)


def test_a_planted_difference_is_found(first, tmp_path):
    arms = (ARMS[0], replace(ARMS[1], act=0.02))
    found = beside(first, write_run(tmp_path, arms=arms, seed_sd=0.05, rng_seed=5, **QUICK))
    words = {(row.arm, row.measure): row.words for row in found.rows}
    assert words["fast-wam", "success"] == "lower in the second"
    assert words["pi0", "success"] == "not shown to differ"


def test_what_the_protocols_do_not_allow_is_not_worded(first, tmp_path, capsys):
    arms = (ARMS[0], replace(ARMS[1], act=0.02))
    other = write_run(tmp_path / "other", arms=arms, seed_sd=0.05, **QUICK)
    _edit(
        other,
        evaluation={"scenes": 7},
        data_hash="another",
        criteria=to_plain(Criteria(target_success=0.8)),
    )
    found = beside(first, other)
    assert found.barriers == ("other scenes", "other data")
    assert all(row.low is None for row in found.rows)
    assert {row.words for row in found.rows} == {"may not be compared: other scenes, other data"}
    changed = {change.what: (change.first, change.second) for change in found.changes}
    assert changed["criterion target_success"] == ("0.6", "0.8")
    assert changed["data"] == ("not said", "another")
    page = tmp_path / "both.html"
    assert command(["compare", str(first), str(other), "--html", str(page)]) == 0
    printed = capsys.readouterr().out
    assert "may not be compared" in printed and "points)" not in printed
    text = page.read_text()
    assert "Numbers may not be compared" in text and "lower in the second" not in text
    assert command(["compare", str(first), str(other), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["barriers"] == ["other scenes", "other data"]


def test_one_seed_and_missing_arms_are_not_worded(first, tmp_path):
    found = beside(first, write_run(tmp_path, arms=ARMS[:1], seeds=(0,), **QUICK))
    words = {row.arm: row.words for row in found.rows}
    assert words["fast-wam"] == "only in one of them"
    assert words["pi0"] == "cannot tell: 3 training seeds are needed in both"


def test_another_definition_of_a_recipe_bars_its_numbers_only(first, tmp_path):
    other = write_run(tmp_path, arms=ARMS[:2], seed_sd=0.05, **QUICK)
    arms = read_json(other / "plan.json")["arms"]
    definition = recipe_to_plain(by_name("pi0"))
    _edit(other, arms=[{**arms[0], "definition": definition}, arms[1]])
    words = {row.arm: row.words for row in beside(first, other).rows}
    assert words["pi0"] == "may not be compared: another definition of the recipe"
    assert words["fast-wam"] == "not shown to differ"


def test_the_interval_covers_a_known_difference():
    """Two pilots of one recipe each, with other seeds and scenes: nominal 95 %."""
    sides = [Scenario(arms=(Truth(logit=logit),), counts=(800,)) for logit in (0.9, 0.1)]
    true = sides[1].rate(0, 800) - sides[0].rate(0, 800)
    held = 0
    draws = 120
    for one, other in zip(
        *(pilots(side, draws, 3 + k) for k, side in enumerate(sides)), strict=True
    ):
        ends = separate(*(_estimate(pilot.success[0, :, -1]) for pilot in (one, other)))
        assert ends is not None
        held += ends[0] <= true <= ends[1]
    assert held / draws >= 0.95


def _estimate(table):
    found = rate(
        [
            Rollout(value=float(value), seed=s, state=c)
            for s, row in enumerate(table.tolist())
            for c, value in enumerate(row)
        ]
    )
    assert found is not None
    return found
