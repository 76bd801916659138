"""Rollouts on a robot count under the locked plan, and never mix with simulated ones."""

import json
from collections import Counter
from dataclasses import replace

import pytest

from fakes.run import write_run
from vertebra.cli.entry import run as command
from vertebra.spec.record import record_from_plain
from vertebra.spec.storage import read_jsonl, write_jsonl
from vertebra.spec.task import Outcome
from vertebra.verdict.real import protocol, with_records
from vertebra.verdict.run import read_run
from vertebra.verdict.summarise import summarise


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("real"), pictures=False, counts=(200, 800))


def _elsewhere(run, change=lambda record: record, jobs="*-800-*"):
    """The pilot's own episodes as if they had happened on a robot."""
    return [
        change(replace(record_from_plain(row), environment="our robot", split="real"))
        for path in sorted(run.glob(f"jobs/{jobs}/records.jsonl"))
        for row in read_jsonl(path)
    ]


def _write(directory, records):
    write_jsonl(directory / "day-1" / "records.jsonl", records)
    return [directory]


def test_real_rollouts_replace_simulated_ones(run, tmp_path):
    planned = read_run(run)
    records = [r for r in _elsewhere(run) if "+" not in r.arm and r.condition == "asked"]
    found = with_records(planned, _write(tmp_path, records))
    assert found.plan.environment == "our robot" and len(found.jobs) == 2 * 3
    assert sum(len(job.records) for job in found.jobs) == len(records)
    assert found.references == () and found.plan.hash == planned.plan.hash
    summary = summarise(found)
    assert {point.arm for point in summary.points} == {"pi0", "fast-wam"}
    assert all(point.grounding is not None for point in summary.points)
    assert summary.running == () and summary.jobs_finished == summary.jobs_planned == 6
    assert summary.verdict.first == "pi0"


def test_other_outcomes_on_the_robot_turn_the_verdict(run, tmp_path):
    def fails(record):
        if record.arm != "pi0":
            return record
        return replace(record, outcome=Outcome.FAILURE, achieved=(), first_touched=None)

    records = [r for r in _elsewhere(run, fails) if r.condition == "asked"]
    summary = summarise(with_records(read_run(run), _write(tmp_path, records)))
    assert (summary.verdict.word, summary.verdict.first) == ("second better", "pi0")
    again = summarise(read_run(run))
    assert again.verdict.word != "second better"


def test_several_counts_give_a_burden(run, tmp_path):
    records = _elsewhere(run, jobs="pi0-*") + _elsewhere(run, jobs="fast-wam-*")
    summary = summarise(with_records(read_run(run), _write(tmp_path, records)))
    assert {price.arm for price in summary.prices} == {"pi0", "fast-wam"}
    assert {point.demonstrations for point in summary.points} == {200, 800}


def test_a_server_that_tells_its_arm_is_believed_over_the_operators_name(run, tmp_path):
    def renamed(record):
        return replace(record, arm="blue box", software={"about": {"arm": record.arm}})

    records = _elsewhere(run, renamed, jobs="pi0-800-*")
    found = with_records(read_run(run), _write(tmp_path, records))
    assert {job.arm for job in found.jobs} == {"pi0"}


def test_what_cannot_be_counted_is_refused_with_all_reasons(run, tmp_path):
    records = _elsewhere(run, jobs="pi0-800-s0")
    odd = [
        replace(records[0], pilot="other"),
        replace(records[1], seed=9),
        replace(records[2], environment="another robot"),
        records[3],
        records[3],
    ]
    with pytest.raises(ValueError, match="cannot be used") as caught:
        with_records(read_run(run), _write(tmp_path, odd))
    said = str(caught.value)
    assert "1 episodes are of plan 'other'" in said and "seed 9, which is no finished" in said
    assert "several environments" in said and "1 of 5 episodes appear twice" in said
    with pytest.raises(ValueError, match="holds no episode records"):
        with_records(read_run(run), [tmp_path / "empty"])


def test_a_protocol_is_balanced_blind_and_repeatable(run):
    trials, key = protocol(read_run(run), 4)
    assert sorted(key.values()) == sorted(
        f"{arm}-800-s{seed}" for arm in ("pi0", "fast-wam") for seed in range(3)
    )
    assert len(trials) == 4 * 6 * 2 and [t.number for t in trials] == list(range(1, 49))
    counts = Counter((t.scene, t.policy, t.instruction) for t in trials)
    assert set(counts.values()) == {1} and len(counts) == 48
    assert [t.scene for t in trials] == sorted(t.scene for t in trials)
    orders = {tuple(t.policy for t in trials if t.scene == scene) for scene in range(1, 5)}
    assert len(orders) == 4
    assert protocol(read_run(run), 4) == (trials, key) != protocol(read_run(run), 4, seed=1)
    with pytest.raises(ValueError, match="found 0 and"):
        protocol(read_run(run), 0)


def test_the_command_judges_by_records_and_prints_the_protocol(run, tmp_path, capsys):
    _write(tmp_path, _elsewhere(run))
    assert command(["verdict", str(run), "--records", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["environment"] == "our robot"
    assert command(["verdict", str(run), "--protocol", "2"]) == 0
    said = capsys.readouterr().out
    assert "not for the operator" in said and said.count("  first") == 12
    assert command(["verdict", str(run), "--protocol", "2", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["trials"]) == 24
