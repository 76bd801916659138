"""What a verdict is judged by: read, refused, locked, changed in the open."""

from pathlib import Path

import pytest

from fakes.run import ARMS, write_run
from vertebra.cli.entry import run as run_command
from vertebra.spec.criteria import Criteria, criteria_changes, criteria_from_plain
from vertebra.spec.storage import read_json, to_plain, write_json
from vertebra.verdict.run import change_criteria, read_run
from vertebra.verdict.summarise import summarise


def test_criteria_survive_json_and_have_a_hash() -> None:
    used = Criteria(mix={"lift": 2.0, "push": 1.0}, control_rate_hz=10.0, label_cost=0.5)
    assert criteria_from_plain(to_plain(used)) == used
    assert used.hash != Criteria().hash
    assert used.priced and not Criteria().priced


def test_all_that_cannot_be_meant_is_named_at_once() -> None:
    with pytest.raises(ValueError, match="cannot be used") as caught:
        Criteria(
            target_success=1.5,
            minimum_ratio=0.5,
            endpoints=("speed",),
            latency_limit_s=-1.0,
            mix={"lift": -1.0},
            gpu_hour_cost=-3.0,
            tuning_trials=-1,
        )
    told = str(caught.value)
    for name in ("target_success", "minimum_ratio", "endpoints", "latency_limit_s", "mix"):
        assert name in told
    assert "gpu_hour_cost" in told and "tuning_trials" in told
    with pytest.raises(ValueError, match="minimum is unknown"):
        criteria_from_plain({"minimum": 0.1})


def test_the_limit_is_one_period_of_the_control_rate_unless_given() -> None:
    assert Criteria().limit_s is None
    assert Criteria(control_rate_hz=10.0).limit_s == pytest.approx(0.1)
    assert Criteria(control_rate_hz=10.0, latency_limit_s=0.3).limit_s == 0.3


def test_differences_are_named() -> None:
    found = criteria_changes(Criteria(), Criteria(minimum_difference=0.1))
    assert found == ["minimum_difference: locked is 0.05, used is 0.1"]


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    arms = ARMS[:2]
    return write_run(tmp_path, arms=arms, counts=(800,), scenes=(6, 3, 3), pictures=False)


def test_older_plans_are_read_with_the_defaults_and_say_so(run_dir: Path) -> None:
    run = read_run(run_dir)
    assert not run.plan.locked_criteria
    assert run.plan.criteria == Criteria(target_success=0.6)
    assert any("locked no criteria" in s for s in summarise(run).verdict.sentences)


def test_locked_criteria_are_used(run_dir: Path) -> None:
    plan = read_json(run_dir / "plan.json")
    locked = Criteria(minimum_difference=0.0, endpoints=("success",))
    write_json(run_dir / "plan.json", {**plan, "criteria": to_plain(locked)})
    summary = summarise(read_run(run_dir))
    assert summary.criteria == locked
    assert summary.locked_criteria and summary.changes == ()
    assert {c.measure for c in summary.comparisons if c.kind == "sides"} == {"success"}
    assert not any("locked no criteria" in s for s in summary.verdict.sentences)


def test_a_change_after_locking_is_used_and_shown(run_dir: Path) -> None:
    told = change_criteria(run_dir, {"minimum_difference": 0.2}, "the gripper was replaced")
    summary = summarise(read_run(run_dir))
    assert summary.criteria.minimum_difference == 0.2
    assert summary.changes == told
    assert "locked is 0.05, used is 0.2" in told[0]
    assert "after 6 finished trainings" in told[0]
    assert "the gripper was replaced" in told[0]
    # A second change starts from what was locked, not from the first one.
    told = change_criteria(run_dir, {"target_success": 0.8}, "another customer")
    assert len(told) == 1 and "target_success" in told[0]


def test_a_change_needs_a_reason_and_sense(run_dir: Path) -> None:
    with pytest.raises(ValueError, match="reason"):
        change_criteria(run_dir, {"minimum_difference": 0.2}, " ")
    with pytest.raises(ValueError, match="minimum_ratio"):
        change_criteria(run_dir, {"minimum_ratio": 0.1}, "why not")
    assert read_run(run_dir).changes == ()


def test_a_change_by_command(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["plan", "change", str(run_dir), "--why", "too strict"]
    assert run_command([*words, "--set", "minimum_difference", "0.01"]) == 0
    assert "used is 0.01" in capsys.readouterr().out
    assert run_command([*words, "--set", "minimum_difference", "much"]) == 2
    assert run_command([*words, "--set", "unheard_of", "1"]) == 2
    assert "is unknown" in capsys.readouterr().err


def test_a_task_mix_weighs_skills(run_dir: Path) -> None:
    plan = read_json(run_dir / "plan.json")
    rates: list[float] = []
    for mix in ({}, {"lift": 1.0}, {"lift": 1.0, "push": 3.0}, {"fly": 1.0, "lift": 1.0}):
        write_json(run_dir / "plan.json", {**plan, "criteria": to_plain(Criteria(mix=mix))})
        summary = summarise(read_run(run_dir))
        point = next(p for p in summary.points if p.arm == "pi0")
        assert point.success is not None
        rates.append(point.success.value)
        by_skill = {s.skill: s.rate.value for s in point.slices if s.split == "layout"}
        if mix == {"lift": 1.0, "push": 3.0}:
            wanted = 0.25 * by_skill["lift"] + 0.75 * by_skill["push"]
            assert point.success.value == pytest.approx(wanted)
        if "fly" in mix:
            assert any("never asked for: fly" in s for s in summary.verdict.sentences)
    assert rates[1] == pytest.approx(by_skill["lift"])
    assert rates[3] == rates[1]
