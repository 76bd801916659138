"""Finished policies run again: in a world that does not wait, and with one thing changed."""

import json
import shutil
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fakes.pilots import make_setting
from fakes.policies import Seeker
from fakes.training import PARTS
from fakes.worlds import Plane
from vertebra.audit.report import audit_run
from vertebra.cli import again as commands
from vertebra.cli.entry import run as command
from vertebra.envs.libero.shift import FACTORS
from vertebra.envs.outside import outside_from_words
from vertebra.evaluate.profile import Profile, profile_from_file, timed
from vertebra.evaluate.realtime import RealTime
from vertebra.pilot.again import Setting, asked_again, evaluate_again, finished_cells, locked_plan
from vertebra.pilot.layout import RunDirectory
from vertebra.pilot.realtime import in_real_time, realtime_setting, seconds_by_arm
from vertebra.pilot.robustness import (
    TABLETOP_FACTORS,
    factor_setting,
    factors_by_name,
    factors_of,
    in_lock_step,
)
from vertebra.pilot.run import run_pilot
from vertebra.pilot.worlds import settings_from_plain
from vertebra.policy.protocol import Act
from vertebra.report.render import write_report
from vertebra.spec.storage import read_json, read_jsonl, write_json, write_jsonl
from vertebra.verdict.run import read_run
from vertebra.verdict.summarise import summarise

HOW = RealTime(rate_hz=10.0)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    base = tmp_path_factory.mktemp("again")
    setting = make_setting(base, twins="none", simulator=True)
    question = replace(setting.question, counts=(4,), seeds=2)
    assert run_pilot(replace(setting, question=question), base / "out") == []
    return base / "out"


@pytest.fixture
def out(finished, tmp_path):
    return Path(shutil.copytree(finished, tmp_path / "out"))


def _realtime(out, *, latency_s, slowdown=1.0, told=None):
    run = RunDirectory(root=out)
    plan = locked_plan(run)
    cells = finished_cells(run, plan)
    seconds = {cell.arm.name: ((latency_s,), "a board") for cell in cells}
    setting = realtime_setting(plan, HOW, seconds, slowdown=slowdown, scenes=2)
    evaluate_again(
        run,
        plan,
        cells,
        setting,
        PARTS,
        lambda cell: in_real_time(
            HOW, seconds[cell.arm.name][0], PARTS.make_environment, slowdown=slowdown
        ),
        lambda *what: None if told is None else told.append(what),
    )
    return setting


def test_a_slow_board_is_charged_and_stands_beside_the_plan(out):
    _realtime(out, latency_s=0.05)
    slow = _realtime(out, latency_s=0.05, slowdown=10.0)
    found = {(one.arm, one.label): one for one in summarise(read_run(out)).again}
    assert len(found) == 4 and "emulated 10 x slower" in slow.words
    for (_, label), one in found.items():
        assert one.planned is not None and one.difference is not None and one.waiting is not None
        assert one.planned.value == 1.0 and one.success.n == 2 * 6
        if label == slow.label:
            assert one.waiting.emulated and one.waiting.held_share > 0.3
            assert one.waiting.stale_share == 1.0
            assert one.waiting.p50_s is not None and one.waiting.p50_s.value == 0.5
        else:
            assert not one.waiting.emulated and one.waiting.held_share == 0.0
            assert one.difference.value == 0.0 and one.waiting.stale_share == 0.0


def test_what_is_done_is_not_done_again_unless_the_policy_is_another(out):
    setting = _realtime(out, latency_s=0.05)
    root = out / "again" / "realtime" / setting.label
    before = {path: path.stat().st_mtime_ns for path in root.rglob("result.json")}
    assert len(before) == 4
    _realtime(out, latency_s=0.05)
    assert before == {path: path.stat().st_mtime_ns for path in before}
    job = out / "jobs" / "pi0-n4-s0" / "result.json"
    result = read_json(job)
    result["evidence"]["checkpoint"] = {"policy.json": "another"}
    write_json(job, result)
    _realtime(out, latency_s=0.05)
    changed = {p.parent.name for p in before if before[p] != p.stat().st_mtime_ns}
    assert changed == {"pi0-n4-s0"}


def test_the_page_and_the_audit_know_about_it(out):
    setting = _realtime(out, latency_s=0.05, slowdown=10.0)
    page = write_report(out).read_text()
    assert "What if the world does not wait?" in page and setting.words in page
    assert "What if something else changes?" not in page
    assert audit_run(out).findings == ()
    path = out / "again" / "realtime" / setting.label / "pi0-n4-s0" / "records.jsonl"
    write_jsonl(path, [{**row, "outcome": "success"} for row in read_jsonl(path)][1:])
    kinds = {finding.kind for finding in audit_run(out).findings}
    assert {"dropped episode", "edited number"} <= kinds


def test_records_of_another_plan_are_refused(out):
    setting = _realtime(out, latency_s=0.05)
    path = out / "again" / "realtime" / setting.label / "pi0-n4-s0" / "job.json"
    write_json(path, {**read_json(path), "plan": "another"})
    with pytest.raises(ValueError, match="of another plan or training"):
        read_run(out)


def test_one_label_stands_for_one_setting(out):
    run = RunDirectory(root=out)
    plan = locked_plan(run)
    one = Setting(
        kind="robustness",
        label="x",
        words="blank words",
        facts={},
        environment=plan.question.environment or {},
        draws=(asked_again(plan, 1, condition="blank"),),
    )
    again = (run, plan, finished_cells(run, plan)[:1])
    rest = (PARTS, lambda cell: in_lock_step(PARTS.make_environment), lambda *what: None)
    evaluate_again(*again, one, *rest)
    (found,) = summarise(read_run(out)).again
    assert found.waiting is None and found.success.value == 0.0
    assert found.difference is not None and found.difference.value == -1.0
    with pytest.raises(ValueError, match="another evaluation under the name 'x'"):
        evaluate_again(*again, replace(one, words="other"), *rest)


def test_robustness_repeats_the_plans_scenes_with_what_its_environment_can_change(out):
    plan = locked_plan(RunDirectory(root=out))
    with pytest.raises(ValueError, match="Nothing that could be changed is known of 'plane-v1'"):
        factors_by_name(plan, ["camera"])
    question = replace(plan.question, environment={"kind": "tabletop", "size": 64})
    tabletop = replace(plan, question=question)
    with pytest.raises(ValueError, match=r"No such factors: \['gravity'\]; .* choose from"):
        factors_by_name(tabletop, ["gravity", "light"])
    assert factors_by_name(tabletop, ()) == TABLETOP_FACTORS
    (language, camera) = factors_by_name(tabletop, ["language", "camera", "language"])
    moved = factor_setting(tabletop, camera, 2)
    assert moved.environment["shift"] == {"camera_m": (0.05, 0.0, 0.03)}
    assert moved.draws == (replace(plan.question.draws[0], scenes=2),)
    reworded = factor_setting(tabletop, language, None)
    assert "shift" not in reworded.environment and reworded.draws[0].conditions == ("paraphrase",)


def test_worlds_outside_bring_their_own_factors(out):
    plan = locked_plan(RunDirectory(root=out))
    settings = outside_from_words("libero:libero_goal").to_plain()
    question = replace(plan.question, environment=settings, draws=plan.question.draws[:1])
    libero = replace(plan, question=question)
    assert set(question.draws[0].conditions) == {"asked"}
    assert factors_of(libero) == FACTORS[:-1], "its scenes have no other words in this plan"
    reworded = replace(question.draws[0], conditions=("paraphrase",))
    both = replace(question, draws=(*question.draws, reworded))
    assert factors_of(replace(plan, question=both)) == FACTORS
    layout = next(one for one in FACTORS if one.name == "layout")
    setting = factor_setting(libero, layout, 1)
    assert setting.environment == {**settings, "shift": {"swapped": True}}
    assert settings_from_plain(setting.environment) == outside_from_words("libero:libero_goal")


def test_seconds_come_from_one_machine_for_all(out):
    run = RunDirectory(root=out)
    plan = locked_plan(run)
    cells = finished_cells(run, plan)
    here = seconds_by_arm(read_json(run.latency), [], cells)
    assert set(here) == {"pi0", "fast-wam"} and here["pi0"][1] == "this machine"
    with pytest.raises(ValueError, match=r"\['fast-wam'\] were never timed"):
        seconds_by_arm({}, [_profile("pi0")], cells)
    both = [_profile("pi0"), _profile("fast-wam", processor="other")]
    with pytest.raises(ValueError, match="of different machines"):
        seconds_by_arm({}, both, cells)
    slow = [_profile(arm, slowdown=10.0) for arm in ("pi0", "fast-wam")]
    assert seconds_by_arm({}, slow, cells)["pi0"][1] == "a chip, emulated 10 x slower"


def _profile(arm, *, processor="a chip", slowdown=1.0):
    return Profile(
        arm=arm,
        checkpoint="c",
        machine={"processor": processor},
        slowdown=slowdown,
        seconds={"chunk": (0.1, 0.2)},
        weight_bytes=8_000_000,
        peak_bytes=10,
        memory_bytes=100,
        copy_bytes_s=4e9,
    )


def test_the_verdict_takes_the_latency_of_a_board(out):
    assert summarise(read_run(out)).timed_on == "this machine"
    for arm in ("pi0", "fast-wam"):
        write_json(out / "profiles" / f"{arm}.json", _profile(arm, slowdown=10.0).to_plain())
    summary = summarise(read_run(out))
    assert summary.timed_on == "a chip, EMULATED 10 x slower"
    assert {row.arm for row in summary.latency} == {"pi0", "fast-wam"}
    page = write_report(out).read_text()
    assert "On a chip, EMULATED 10 x slower, one chunk at a time" in page
    assert audit_run(out).findings == ()
    write_json(out / "profiles" / "more.json", _profile("pi0", processor="other").to_plain())
    write_json(out / "profiles" / "odd.json", {"version": 7})
    with pytest.raises(ValueError, match=r"no latency profile(.|\n)*both of pi0(.|\n)*machines"):
        read_run(out)


class Blank(Seeker):
    """Looks at nothing; takes its time."""

    def act(self, session, observation, deadline_s=None):
        assert set(observation.images) == {"top"} and observation.executed.shape == (0, 2)
        return session, self.waited()

    def waited(self):
        time.sleep(self.slow_s)
        return Act(chunk=np.zeros((8, 2), np.float32), stage_s={"action": self.slow_s})


def test_a_profile_is_a_file_that_says_when_it_is_emulated(tmp_path):
    path = tmp_path / "profile.json"
    one = _profile("pi0", slowdown=10.0)
    write_json(path, one.to_plain())
    plain = read_json(path)
    assert plain["emulated"] is True and plain["fits"] is True
    assert profile_from_file(path) == one and one.least_s == pytest.approx(0.04)
    assert not replace(one, slowdown=1.0, peak_bytes=1000).fits
    assert timed(Blank(), repeats=3).keys() == {"chunk", "action"}
    fast, slow = (timed(Blank(slow_s=0.002), repeats=3, slowdown=s) for s in (1.0, 50.0))
    assert min(slow["chunk"]) > 0.1 > min(fast["chunk"]) >= 0.002
    with pytest.raises(ValueError, match="slowdown is 0"):
        timed(Blank(), repeats=1, slowdown=0)
    for broken in ({"version": 1, "seconds": {}}, {"version": 9}, []):
        write_json(path, broken)
        with pytest.raises(ValueError, match=r"latency profile"):
            profile_from_file(path)
    write_json(path, {**one.to_plain(), "seconds": {"prefix": [1.0]}})
    with pytest.raises(ValueError, match="no timed inference"):
        profile_from_file(path)


def test_commands_run_and_say_what_came_of_it(out, capsys, monkeypatch):
    monkeypatch.setattr("vertebra.pilot.parts.real_parts", lambda: PARTS)
    asked = ["realtime", str(out), "--slowdown", "1000", "--scenes", "1"]
    assert command(asked) == 0
    said = capsys.readouterr().out
    assert "emulated 1000 x slower" in said and "of the actions stale" in said
    assert command([*asked, "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 2
    assert command(["realtime", str(out), "--rate", "20"]) == 2
    assert "another rate is another environment" in capsys.readouterr().err
    assert command(["robustness", str(out), "--factors", "gravity"]) == 2
    assert command(["robustness", str(out)]) == 2
    assert "Nothing that could be changed" in capsys.readouterr().err
    assert command(["realtime", str(out / "jobs")]) == 2
    assert commands.profile.__doc__


def test_a_pilot_without_a_simulator_or_a_finished_training_is_refused(out):
    run = RunDirectory(root=out)
    plan = locked_plan(run)
    shutil.rmtree(out / "jobs")
    with pytest.raises(ValueError, match="No sighted training at 4 demonstrations"):
        finished_cells(run, plan)
    assert Plane.name == plan.environment
