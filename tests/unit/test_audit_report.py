"""An audit finds planted tamperings of every kind, and nothing in a run that nobody touched."""

import json
import re
import shutil
from pathlib import Path

import pytest

from fakes.pilots import make_setting
from fakes.training import PARTS
from vertebra.audit.report import audit_run
from vertebra.audit.report_finding import KINDS
from vertebra.audit.report_numbers import compare_page, differences
from vertebra.cli.audit import _drawing
from vertebra.cli.entry import run as command
from vertebra.pilot.evidence import SEAL, records_evidence, sealed
from vertebra.pilot.run import run_pilot
from vertebra.pilot.work import run_job
from vertebra.report.render import write_report
from vertebra.spec.record import record_from_plain
from vertebra.spec.storage import digest, read_json, read_jsonl, write_json, write_jsonl
from vertebra.verdict.run import read_run
from vertebra.verdict.summarise import summarise

JOB = "jobs/pi0+blind-n4-s0"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    base = tmp_path_factory.mktemp("audited")
    assert run_pilot(make_setting(base), base / "out") == []
    write_report(base / "out")
    return base / "out"


@pytest.fixture
def out(finished, tmp_path):
    return Path(shutil.copytree(finished, tmp_path / "moved"))


def _kinds(out):
    return {finding.kind for finding in audit_run(out).findings}


def _edit(path, change):
    value = read_json(path)
    change(value)
    write_json(path, value)


def _edit_records(out, change, job=JOB):
    path = out / job / "records.jsonl"
    write_jsonl(path, change(list(read_jsonl(path))))


def _make_consistent(out, job=JOB):
    """What a careful forger does: evidence, seal and verdict are written anew."""
    records = [record_from_plain(row) for row in read_jsonl(out / job / "records.jsonl")]
    path = out / job / "result.json"
    result = read_json(path)
    result["evidence"]["records"] = records_evidence(records)
    write_json(path, sealed(result))
    write_json(out / "verdict.json", summarise(read_run(out)))


def _changed(rows, place, **values):
    rows[place] = {**rows[place], **values}
    return rows


def test_an_untouched_run_has_no_findings_even_after_it_was_moved(finished, out):
    assert finished != out
    for directory in (finished, out):
        found = audit_run(directory, _drawing())
        assert found.findings == () and found.unchecked == ()
        assert found.jobs == 6 and found.episodes == 4 * 11 + 2 * 9 + 18


def test_an_unfinished_run_has_no_findings(out):
    shutil.rmtree(out / "jobs" / "fast-wam-n4-s0")
    for name in ("verdict.json", "report.html", "ledger.json"):
        (out / name).unlink()
    found = audit_run(out)
    assert found.findings == () and found.jobs == 5
    assert found.unchecked == ("verdict.json is absent", "report.html is absent")


def test_a_number_edited_in_the_verdict(out):
    def change(verdict):
        verdict["points"][0]["success"]["value"] = 0.123

    _edit(out / "verdict.json", change)
    (finding,) = audit_run(out).findings
    assert finding.kind == "edited number" and finding.found == "0.123"
    assert finding.where == "verdict.json: points[0].success.value"


def test_a_word_and_a_number_edited_on_the_page(out):
    page = (out / "report.html").read_text()
    edited = re.sub(r"<h2>pi0</h2>", "<h2>pi9</h2>", page, count=1)
    edited, count = re.subn(r'("value":)0\.\d+', r"\g<1>0.98765", edited, count=1)
    assert edited != page and count == 1
    (out / "report.html").write_text(edited)
    findings = audit_run(out, _drawing()).findings
    assert {finding.kind for finding in findings} == {"edited number"}
    charts = [one for one in findings if "chart-specs" in one.where]
    assert [one.found for one in charts] == ["0.98765"]
    lines = [one for one in findings if "line" in one.where]
    assert len(lines) == 1 and "pi9" in lines[0].found and "pi0" in lines[0].expected
    assert audit_run(out).findings == (), "without the extra the page is not checked, and said"


def test_another_drawing_program_is_told(out):
    page = (out / "report.html").read_text()
    cheating = page.replace("data-drawn", "data-cheat")
    written_at = re.findall(r"vertebra report ([^<\n]+)</code>", page)[0]
    (finding,) = compare_page(cheating, page, Path(written_at))
    assert "the program that draws" in finding.where


@pytest.mark.parametrize("careful", [False, True])
def test_a_dropped_error_episode(out, careful):
    def fail(rows):
        return _changed(rows, 2, outcome="error", error="Traceback: it broke", achieved=[])

    _edit_records(out, fail)
    _make_consistent(out)
    assert audit_run(out).findings == (), "an error is no tampering"
    _edit_records(out, lambda rows: [row for row in rows if row["outcome"] != "error"])
    if careful:
        _make_consistent(out)
    found = audit_run(out).findings
    dropped = [one for one in found if one.kind == "dropped episode"]
    assert any("layout" in one.expected for one in dropped)
    if not careful:
        assert any("outcomes.error" in one.where and one.expected == "1" for one in dropped)


@pytest.mark.parametrize("careful", [False, True])
@pytest.mark.parametrize("part", ["scene_seed", "seed"])
def test_a_changed_seed_of_an_episode(out, part, careful):
    _edit_records(out, lambda rows: _changed(rows, 0, **{part: rows[0][part] + 1}))
    if careful and part == "scene_seed":
        _make_consistent(out)
    assert "changed seed" in _kinds(out)


def test_a_changed_seed_of_a_training(out):
    def change(job):
        job["training"]["seeds"]["noise"] += 1

    _edit(out / JOB / "job.json", change)
    assert "changed seed" in _kinds(out)


@pytest.mark.parametrize("careful", [False, True])
def test_a_swapped_outcome(out, careful):
    rows = list(read_jsonl(out / JOB / "records.jsonl"))
    place = next(n for n, row in enumerate(rows) if row["outcome"] == "timeout")
    _edit_records(out, lambda rows: _changed(rows, place, outcome="success"))
    if careful:
        _make_consistent(out)
    assert "swapped label" in _kinds(out)


def test_a_swapped_instruction(out):
    _edit_records(out, lambda rows: _changed(rows, 0, instruction="go to nowhere"))
    _make_consistent(out)
    assert _kinds(out) == {"swapped label"}


def test_two_arms_under_each_others_names(out):
    one, other = out / "jobs/pi0-n4-s0", out / "jobs/pi0+blind-n4-s0"
    one.rename(out / "aside")
    other.rename(one)
    (out / "aside").rename(other)
    assert "swapped label" in _kinds(out)
    for job, arm in ((one, "pi0"), (other, "pi0+blind")):

        def relabel(spec, job=job, arm=arm):
            spec |= {"id": job.name, "arm": arm, "blind": "+" in arm}

        _edit(job / "job.json", relabel)
        spec = digest(read_json(job / "job.json"))
        _edit(job / "result.json", lambda result, spec=spec: result["evidence"].update(job=spec))
        _edit_records(out, lambda rows, arm=arm: [row | {"arm": arm} for row in rows], job)
        _make_consistent(out, job)
    found = audit_run(out).findings
    assert any(one.where.startswith("pi0-n4-s0: training.recipe") for one in found)


def test_a_stale_record_of_another_plan_and_of_another_training(out, tmp_path):
    _edit_records(out, lambda rows: _changed(rows, 0, pilot="another"))
    assert "stale record" in _kinds(out)
    other = Path(shutil.copytree(out, tmp_path / "other"))
    spec = read_json(out / JOB / "job.json")
    spec["training"]["samples"] = 60
    shutil.rmtree(other / JOB)
    write_json(other / JOB / "job.json", spec)
    run_job(other / JOB / "job.json", PARTS, lambda stage: None)
    shutil.copy(other / JOB / "records.jsonl", out / JOB / "records.jsonl")
    assert _kinds(out) == {"edited record"}
    shutil.rmtree(out / JOB)
    shutil.copytree(other / JOB, out / JOB)
    found = audit_run(out).findings
    assert any(f.where == "pi0+blind-n4-s0: training.samples" for f in found)


def test_a_checkpoint_of_another_training(out):
    path = out / JOB / "checkpoint" / "policy.json"
    path.write_text(path.read_text().replace("0.0", "0.1"))
    assert _kinds(out) == {"stale record"}


def test_an_edited_result_ledger_latency_and_plan(out):
    _edit(out / JOB / "result.json", lambda r: r["ledger"].update(train_seconds=1e-3))
    _edit(out / "latency.json", lambda latency: latency["pi0"]["chunk"].__setitem__(0, 1e-9))
    _edit(out / "episodes.json", lambda lists: lists["largest"].pop())
    where = {f.where.partition(":")[0]: f.kind for f in audit_run(out).findings}
    assert where["pi0+blind-n4-s0"] == "edited number"
    assert where["ledger.json"] == where["latency.json"] == "edited number"
    assert where["episodes.json"] == "edited plan"
    _edit(out / "plan.json", lambda plan: plan["seeds"].append(1))
    _edit(out / "plan.json", lambda plan: plan["question"].update(seeds=2))
    assert any(one.where == "plan.json" for one in audit_run(out).findings)


def test_an_added_episode_and_a_foreign_training(out):
    _edit_records(out, lambda rows: [*rows, {**rows[0], "task": "reach/mars"}, rows[0]])
    shutil.copytree(out / JOB, out / "jobs" / "pi0-n4-s9")
    kinds = _kinds(out)
    assert {"added episode", "swapped label"} <= kinds <= set(KINDS)


def test_what_cannot_be_checked_is_said(out):
    shutil.rmtree(out / JOB / "checkpoint")
    (out / "split.json").unlink()

    def strip(result):
        del result["evidence"], result[SEAL]

    _edit(out / "jobs/pi0-n2-s0/result.json", strip)
    found = audit_run(out)
    assert found.findings == ()
    said = "\n".join(found.unchecked)
    assert "pi0+blind-n4-s0: its checkpoint was removed" in said and "split.json" in said
    assert "pi0-n2-s0: its result has no evidence" in said and "extra 'report'" in said


def test_a_verdict_of_another_version_is_not_called_edited(out):
    _edit(out / "verdict.json", lambda verdict: verdict.update(version=1))
    found = audit_run(out)
    assert found.findings == () and "another version of vertebra" in found.unchecked[0]


def test_the_command_says_what_it_found_and_fails(out, capsys):
    assert command(["audit", "report", str(out)]) == 0
    assert "6 trainings and 80 episodes checked, no findings" in capsys.readouterr().out
    assert command(["audit", "report", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ok"] is True
    _edit_records(out, lambda rows: rows[1:])
    assert command(["audit", "report", str(out)]) == 1
    assert "dropped episode" in capsys.readouterr().out
    assert command(["audit", "report", str(out / "jobs")]) == 2


def test_floats_may_differ_in_their_last_digits_only():
    assert list(differences({"a": 0.1 + 0.2}, {"a": 0.3})) == []
    assert list(differences({"a": [1, 2]}, {"a": [1, 2.001]})) == [("a[1]", 2, 2.001)]
    assert list(differences({"a": True}, {"a": 1})) == [("a", True, 1)]
    assert list(differences({}, {"a": 1})) == [("a", "absent", 1)]
