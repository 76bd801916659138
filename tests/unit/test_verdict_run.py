"""Reading a run directory: everything that would make a number a lie is refused by name."""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from fakes.run import ARMS, write_run
from vertebra.pilot.jobs import Ledger
from vertebra.spec.storage import read_json, read_jsonl, write_json, write_jsonl
from vertebra.train.loop import TrainResult
from vertebra.verdict.cost import price
from vertebra.verdict.run import read_run
from vertebra.verdict.summarise import summarise

JOB = "pi0-800-s0"


def small_run(out: Path, **more: Any) -> Path:
    return write_run(out, **{"pictures": False, "scenes": (6, 3, 3), **more})


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    return small_run(tmp_path, finished=2)


def change(path: Path, **changes: Any) -> None:
    write_json(path, {**read_json(path), **changes})


def test_a_folder_without_a_plan_is_no_pilot(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no plan\.json"):
        read_run(tmp_path)


def test_another_version_of_the_plan_is_refused(run_dir: Path) -> None:
    change(run_dir / "plan.json", version=2)
    with pytest.raises(ValueError, match="version 2"):
        read_run(run_dir)


def test_missing_parts_of_the_plan_are_all_named(run_dir: Path) -> None:
    plan = read_json(run_dir / "plan.json")
    del plan["hash"], plan["seeds"]
    write_json(run_dir / "plan.json", plan)
    with pytest.raises(ValueError, match=r"\['hash', 'seeds'\]"):
        read_run(run_dir)


def test_a_job_without_a_result_is_not_finished(run_dir: Path) -> None:
    (run_dir / "jobs" / JOB / "result.json").unlink()
    assert [job.id for job in read_run(run_dir).jobs] == ["fast-wam-800-s0"]


def test_jobs_come_in_the_order_of_the_plan(tmp_path: Path) -> None:
    run = read_run(small_run(tmp_path))
    order = [(s.arm, s.demonstrations, s.seed) for s in run.plan.slots]
    assert [(j.arm, j.demonstrations, j.seed) for j in run.jobs] == order
    assert len(order) == 18


def test_a_listed_grid_replaces_the_default_one(run_dir: Path) -> None:
    slots = [{"arm": "pi0", "demonstrations": 800, "seed": 0}]
    slots += [{"arm": "fast-wam", "demonstrations": 800, "seed": 0}]
    change(run_dir / "plan.json", jobs=slots)
    assert len(read_run(run_dir).plan.slots) == 2


def test_all_broken_jobs_are_named_at_once(run_dir: Path) -> None:
    change(run_dir / "jobs" / JOB / "job.json", seed=9)
    (run_dir / "jobs" / "fast-wam-800-s0" / "result.json").write_text("{")
    with pytest.raises(ValueError, match="not valid JSON") as caught:
        read_run(run_dir)
    assert JOB in str(caught.value)


@pytest.mark.parametrize(
    "changes", [{"pilot": "another"}, {"arm": "fast-wam"}, {"seed": 1}, {"demonstrations": 7}]
)
def test_episodes_of_another_plan_or_job_are_refused(
    run_dir: Path, changes: dict[str, Any]
) -> None:
    path = run_dir / "jobs" / JOB / "records.jsonl"
    rows = list(read_jsonl(path))
    rows[3] |= changes
    write_jsonl(path, rows)
    with pytest.raises(ValueError, match="expected"):
        read_run(run_dir)


def test_episodes_that_count_twice_are_refused(run_dir: Path) -> None:
    path = run_dir / "jobs" / JOB / "records.jsonl"
    rows = list(read_jsonl(path))
    write_jsonl(path, [*rows, rows[0]])
    with pytest.raises(ValueError, match="1 of 73 episodes appear twice"):
        read_run(run_dir)


def test_latency_and_references_are_optional(tmp_path: Path) -> None:
    small_run(tmp_path, finished=1, latency=False)
    (tmp_path / "reference" / "records.jsonl").unlink()
    summary = summarise(read_run(tmp_path))
    assert summary.latency == ()
    assert summary.references == ()


def test_references_stand_on_both_sides_of_the_trained_arms(tmp_path: Path) -> None:
    summary = summarise(read_run(small_run(tmp_path)))
    found = {r.arm: r.success.value for r in summary.references}
    trained = [p.success.value for p in summary.points if p.success is not None]
    assert found["demonstrator"] > max(trained)
    assert found["random"] < min(trained)
    assert {r.success.seeds for r in summary.references} == {0}


def test_latency_quantiles_are_undefined_on_few_samples(run_dir: Path) -> None:
    write_json(run_dir / "latency.json", {"pi0": {"chunk": [0.01] * 19, "prefix": [0.002] * 99}})
    chunk, prefix = sorted(summarise(read_run(run_dir)).latency, key=lambda row: row.n)
    assert chunk.p50_s is not None
    assert chunk.p95_s is None
    assert prefix.p95_s is not None
    assert prefix.p99_s is None


def test_the_whole_chunk_comes_after_its_stages(run_dir: Path) -> None:
    stages = [row.stage for row in summarise(read_run(run_dir)).latency if row.arm == "pi0"]
    assert stages == ["prefix", "action", "chunk"]


def test_the_ledger_is_a_mean_over_trainings(tmp_path: Path) -> None:
    summary = summarise(read_run(small_run(tmp_path)))
    cost = next(c for c in summary.costs if (c.arm, c.demonstrations) == ("pi0", 800))
    assert (cost.trainings, cost.privileged_targets, cost.language_labels) == (3, 12_000, 800)
    blind = next(c for c in summary.costs if c.arm == "pi0+blind")
    assert (blind.language_labels, blind.privileged_targets) == (0, 0)


def test_a_ledger_without_a_part_is_refused(run_dir: Path) -> None:
    path = run_dir / "jobs" / JOB / "result.json"
    result = read_json(path)
    del result["ledger"]["privileged_targets"]
    write_json(path, result)
    with pytest.raises(ValueError, match="privileged_targets"):
        summarise(read_run(run_dir))


@pytest.mark.parametrize(
    ("target", "words"),
    [(0.02, "< 200"), (0.995, "> 800"), (0.55, "95 % interval")],
)
def test_price_of_a_target(tmp_path: Path, target: float, words: str) -> None:
    small_run(tmp_path, seed_sd=0.05, arms=ARMS[:1], scenes=(26, 0, 0))
    change(tmp_path / "plan.json", question={"target_success": target})
    assert words in price(read_run(tmp_path), "pi0").words


def test_one_count_has_no_price(tmp_path: Path) -> None:
    run = read_run(small_run(tmp_path, counts=(800,), arms=ARMS[:1]))
    assert price(run, "pi0").words.startswith("cannot tell: finished at 1")
    assert price(run, "pi0").crossing is None


def test_the_fake_speaks_the_language_of_the_pilot(run_dir: Path) -> None:
    """Field by field: what the tests of the verdict read is what trainings write."""
    result = read_json(run_dir / "jobs" / JOB / "result.json")
    assert set(result["ledger"]) == {field.name for field in fields(Ledger)}
    assert set(result["training"]) <= {field.name for field in fields(TrainResult)}


def test_plan_facts_are_plain_json(run_dir: Path) -> None:
    json.dumps(dict(read_run(run_dir).plan.facts))
