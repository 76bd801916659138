"""Jobs and whole pilots of small parts: what is written, what is redone, and what is not."""

from dataclasses import replace
from pathlib import Path

import pytest

from fakes import pilots
from fakes.pilots import make_setting
from fakes.training import CRASH, PARTS, STEP_S
from vertebra.pilot.execute import execute
from vertebra.pilot.jobs import Stage, job_from_plain
from vertebra.pilot.layout import JobDirectory, locked
from vertebra.pilot.plan import jobs_of, plan_from_plain
from vertebra.pilot.run import Watch, dry_run, run_pilot
from vertebra.pilot.work import run_job
from vertebra.spec.record import record_from_plain
from vertebra.spec.storage import read_json, read_jsonl, write_json
from vertebra.verdict.run import read_run
from vertebra.verdict.summarise import summarise

JOBS = (
    "fast-wam+blind-n4-s0",
    "fast-wam-n2-s0",
    "fast-wam-n4-s0",
    "pi0+blind-n4-s0",
    "pi0-n2-s0",
    "pi0-n4-s0",
)


def _hashes(out: Path) -> dict[str, list[str]]:
    """Content hashes of all records, by directory."""
    return {
        str(path.parent.relative_to(out)): [
            record_from_plain(row).content_hash() for row in read_jsonl(path)
        ]
        for path in sorted(out.rglob("records.jsonl"))
    }


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A finished pilot, and what its watchers were told."""
    base = tmp_path_factory.mktemp("undisturbed")
    told = {"steps": [], "events": [], "reports": []}
    setting = make_setting(base)
    out = base / "out"

    def report(directory):
        told["reports"].append(sorted(p.parent.name for p in directory.glob("jobs/*/result.json")))

    watch = Watch(
        step=told["steps"].append,
        event=lambda event, left: told["events"].append((event, left)),
        arm_finished=report,
    )
    assert run_pilot(replace(setting, watch=watch), out) == []
    return setting, out, told


def test_a_pilot_leaves_what_the_report_reads(undisturbed):
    _, out, _ = undisturbed
    assert sorted(path.name for path in (out / "jobs").iterdir()) == sorted(JOBS)
    run = read_run(out)
    assert len(run.jobs) == 6 and set(run.latency) == {
        "pi0",
        "fast-wam",
        "pi0+blind",
        "fast-wam+blind",
    }
    assert {len(s) for stages in run.latency.values() for s in stages.values()} == {200}
    assert {record.arm for record in run.references} == {"demonstrator", "random"}
    summary = summarise(run)
    assert (summary.jobs_planned, summary.jobs_finished) == (6, 6)
    sighted = next(point for point in summary.points if point.arm == "pi0")
    blind = next(point for point in summary.points if point.arm == "pi0+blind")
    assert sighted.success is not None and blind.success is not None
    assert sighted.success.value == 1.0 and blind.success.value == pytest.approx(1 / 3)
    plan = plan_from_plain(read_json(out / "plan.json"))
    assert plan.samples == 40 and plan.environment == "plane-v1"
    assert read_json(out / "environment.json")["machine"]["cores"] >= 1


def test_conditions_and_counts_decide_how_many_episodes_a_job_has(undisturbed):
    _, out, _ = undisturbed
    counts = {name: len(list(read_jsonl(out / "jobs" / name / "records.jsonl"))) for name in JOBS}
    assert {name: count for name, count in counts.items() if "n4" in name} == {
        name: 3 * 3 + 2 for name in JOBS if "n4" in name
    }
    assert counts["pi0-n2-s0"] == 9
    assert len(list(read_jsonl(out / "reference" / "records.jsonl"))) == 2 * 9


def test_films_of_failures_are_listed_for_the_first_seed(undisturbed):
    _, out, _ = undisturbed
    shown = read_json(out / "jobs" / "pi0+blind-n4-s0" / "show" / "show.json")
    assert [entry["kind"] for entry in shown] == ["rollout"] * 4
    assert any("timeout" in entry["caption"] for entry in shown)
    assert all((out / "jobs/pi0+blind-n4-s0/show" / e["file"]).exists() for e in shown)


def test_the_first_report_comes_early_and_the_first_arms_are_of_both_families(undisturbed):
    _, _, told = undisturbed
    assert len(told["reports"]) == 6 + 1 + 1
    assert len(told["reports"][0]) < len(told["reports"][-1]) == 6
    started = [event.job for event, _ in told["events"] if event.kind == "started"]
    assert started[:3] == ["reference", "pi0-n4-s0", "fast-wam-n4-s0"]
    kinds = [event.kind for event, _ in told["events"]]
    assert kinds.count("started") == kinds.count("finished") == 7
    left = [seconds for event, seconds in told["events"] if event.kind == "finished"]
    assert left[-1] == 10.0 and left[0] > left[-1]


def test_the_ledger_adds_up(undisturbed):
    _, out, _ = undisturbed
    ledger = read_json(out / "ledger.json")
    assert ledger["finished"] == ledger["planned"] == 6 and ledger["failed"] == []
    assert ledger["total"]["samples"] == 6 * 40
    by = {row["job"]: row for row in ledger["jobs"]}
    assert by["pi0-n4-s0"]["language_labels"] == 4
    assert by["pi0+blind-n4-s0"]["language_labels"] == 0
    assert by["pi0-n2-s0"]["demonstrations"] == 2


def test_a_second_call_redoes_nothing(undisturbed):
    setting, out, _ = undisturbed
    before = {path: path.stat().st_mtime_ns for path in out.rglob("result.json")}
    events = []
    watch = Watch(event=lambda event, left: events.append(event))
    assert run_pilot(replace(setting, watch=watch), out) == []
    assert events == [] and before == {p: p.stat().st_mtime_ns for p in out.rglob("result.json")}


def test_another_question_is_refused_and_named(undisturbed):
    setting, out, _ = undisturbed
    other = replace(setting, question=replace(setting.question, seeds=2, samples=44))
    with pytest.raises(ValueError, match=r"seeds: locked is 1, asked is 2") as caught:
        run_pilot(other, out)
    assert "samples: locked is 40, asked is 44" in str(caught.value)
    with pytest.raises(ValueError, match="locked is content"):
        material = replace(setting.material, data_hash="other")
        run_pilot(replace(setting, material=material), out)


def test_jobs_of_a_plan_are_what_lies_on_disk(undisturbed):
    setting, out, _ = undisturbed
    plan = plan_from_plain(read_json(out / "plan.json"))
    for job in jobs_of(plan, setting.material):
        assert job_from_plain(read_json(out / "jobs" / job.id / "job.json")) == job


def test_without_a_simulator_there_are_offline_figures_and_latency(tmp_path):
    setting = make_setting(tmp_path, simulator=False)
    assert run_pilot(setting, tmp_path / "out") == []
    run = read_run(tmp_path / "out")
    assert run.plan.environment is None and run.references == ()
    offline = {job.id: job.offline for job in run.jobs if job.offline}
    assert len(offline) == 6 and all(not job.records for job in run.jobs)
    assert offline["pi0-n4-s0"]["sensitivity"] > 2
    assert offline["pi0+blind-n4-s0"]["sensitivity"] == 0
    assert set(run.latency) == {"pi0", "fast-wam", "pi0+blind", "fast-wam+blind"}
    assert "cannot tell" in summarise(run).verdict.word.lower()


def test_a_dry_run_measures_and_leaves_nothing(tmp_path):
    setting = make_setting(tmp_path, samples=None, budget_s=600.0)
    forecast, is_locked = dry_run(setting, tmp_path / "out")
    assert not is_locked and not (tmp_path / "out").exists()
    assert forecast.samples > 1000 and 300 < forecast.wall_s < 600
    assert len(forecast.job_s) == 6


def test_too_many_demonstrations_are_refused_before_anything_runs(tmp_path):
    setting = make_setting(tmp_path)
    question = replace(setting.question, counts=(2, 400))
    with pytest.raises(ValueError, match="400 demonstrations are asked for, fake has 10"):
        run_pilot(replace(setting, question=question), tmp_path / "out")
    assert not (tmp_path / "out" / "rehearsal").exists()


def test_a_crash_is_told_and_tried_again(tmp_path, monkeypatch):
    setting = make_setting(tmp_path)
    trap = tmp_path / "trap"
    monkeypatch.setenv(CRASH, str(trap))
    events = []

    def watch(event, left):
        if event.kind == "started" and not events:
            trap.write_text("")
        events.append(event)

    out = tmp_path / "out"
    assert run_pilot(replace(setting, watch=Watch(event=watch)), out) == []
    crashed = [event for event in events if event.kind == "crashed"]
    assert len(crashed) == 1 and "exit code 9" in crashed[0].why
    assert len(list(out.glob("jobs/*/result.json"))) == 6


def test_a_job_that_keeps_crashing_is_listed_and_the_rest_goes_on(tmp_path, monkeypatch):
    setting, out = make_setting(tmp_path), tmp_path / "out"
    monkeypatch.setenv(CRASH, "always:jobs/pi0-n4-s0")
    failures = run_pilot(setting, out)
    assert [failure.job for failure in failures] == ["pi0-n4-s0"]
    assert "exit code 7" in failures[0].why and failures[0].log.exists()
    assert "exit code 7" in read_json(out / "jobs/pi0-n4-s0/failed.json")["why"]
    assert len(list(out.glob("jobs/*/result.json"))) == 5
    assert read_json(out / "ledger.json")["failed"] == ["pi0-n4-s0"]
    assert set(read_json(out / "latency.json")) == {"fast-wam", "pi0+blind", "fast-wam+blind"}
    monkeypatch.delenv(CRASH)
    assert run_pilot(setting, out) == []
    assert not (out / "jobs/pi0-n4-s0/failed.json").exists()
    assert len(read_json(out / "latency.json")) == 4


def test_a_process_that_refuses_its_input_is_not_tried_again(tmp_path):
    job = JobDirectory(root=tmp_path / "bad")
    write_json(job.spec, {"version": 1, "kind": "soup"})
    events = []
    (failure,) = execute([job], command=pilots.COMMAND, workers=1, on_event=events.append)
    assert "kind 'soup'" in failure.why and "exit code 2" in failure.why
    assert [event.kind for event in events] == ["started", "failed"]


def test_two_processes_never_carry_out_one_job(undisturbed, tmp_path):
    _, out, _ = undisturbed
    spec = tmp_path / "job" / "job.json"
    write_json(spec, read_json(out / "jobs/pi0-n4-s0/job.json"))
    with (
        locked(spec.parent / ".lock", "busy"),
        pytest.raises(ValueError, match="Another process carries out pi0-n4-s0"),
    ):
        run_job(spec, PARTS, lambda stage: None)
    stages: list[Stage] = []
    run_job(spec, PARTS, stages.append)
    run_job(spec, PARTS, stages.append)
    names = [stage.name for stage in stages]
    assert names == ["training"] * 20 + ["evaluation"] * 2
    first = [record_from_plain(r).content_hash() for r in read_jsonl(spec.parent / "records.jsonl")]
    assert first == _hashes(out)["jobs/pi0-n4-s0"]


def test_two_pilots_never_share_a_directory(tmp_path):
    with (
        locked(tmp_path / "out" / ".lock", "busy"),
        pytest.raises(ValueError, match="Another pilot works in"),
    ):
        run_pilot(make_setting(tmp_path), tmp_path / "out")


def test_an_evaluation_that_was_killed_continues_at_its_block(undisturbed, tmp_path):
    _, out, _ = undisturbed
    plain = read_json(out / "jobs/pi0-n4-s0/job.json")
    plain["evaluation"]["lanes"] = 2
    spec = tmp_path / "job" / "job.json"
    write_json(spec, plain)

    class Killed(BaseException):
        pass

    def die(stage):
        if stage.name == "evaluation" and stage.done == 4:
            raise Killed

    with pytest.raises(Killed):
        run_job(spec, PARTS, die)
    blocks = {p.name: p.stat().st_mtime_ns for p in (spec.parent / "blocks").iterdir()}
    assert len(blocks) == 2 and not (spec.parent / "records.jsonl").exists()
    stages: list[Stage] = []
    run_job(spec, PARTS, stages.append)
    assert [s.done for s in stages if s.name == "evaluation"] == [4, 6, 8, 10, 11]
    assert not (spec.parent / "blocks").exists()
    again = [record_from_plain(r).content_hash() for r in read_jsonl(spec.parent / "records.jsonl")]
    assert again == _hashes(out)["jobs/pi0-n4-s0"]


def test_half_written_files_are_swept(undisturbed, tmp_path):
    _, out, _ = undisturbed
    spec = tmp_path / "job" / "job.json"
    write_json(spec, read_json(out / "jobs/pi0-n2-s0/job.json"))
    (spec.parent / ".result.json.999999.part").write_text("{")
    run_job(spec, PARTS, lambda stage: None)
    assert list(spec.parent.rglob("*.part")) == []


def test_ctrl_c_ends_every_process(tmp_path, monkeypatch):
    monkeypatch.setenv(STEP_S, "0.2")
    setting = make_setting(tmp_path)

    def stop(event, left):
        if event.kind == "stage":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_pilot(replace(setting, watch=Watch(event=stop)), tmp_path / "out")
    assert not _alive(tmp_path)
    with locked(tmp_path / "out" / ".lock", "still held"):
        pass


def _alive(directory: Path) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace")
        except OSError:
            continue
        if str(directory) in words and "job_main" in words:
            found.append(words)
    return found
