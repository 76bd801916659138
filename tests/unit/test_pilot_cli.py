"""The command line: refusals in one message, reading commands, and the end of a pilot."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest

from fakes.run import write_run
from vertebra import __version__
from vertebra.cli import pilot as pilot_command
from vertebra.cli.arguments import PilotCommand
from vertebra.cli.entry import run
from vertebra.cli.watch import Steps
from vertebra.pilot import prepare
from vertebra.pilot.execute import Happened
from vertebra.pilot.jobs import Stage
from vertebra.recipes import ALL, chosen
from vertebra.spec.errors import MissingExtra


def _refused(words, capsys):
    assert run(words) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and "Traceback" not in printed.err
    assert printed.err.startswith("error: ")
    return printed.err


def test_the_version(capsys):
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"vertebra {__version__}\n"


def test_recipes_as_a_table_and_as_json(capsys):
    assert run(["recipes"]) == 0
    table = capsys.readouterr().out.splitlines()
    assert any(line.split()[:2] == ["recipe", "backbone"] for line in table)
    assert any(line.split()[:2] == ["pi0", "VLM"] for line in table)
    assert run(["recipes", "--json"]) == 0
    assert {"pi0", "fast-wam"} <= {row["recipe"] for row in json.loads(capsys.readouterr().out)}


def test_everything_that_cannot_be_meant_is_named_at_once(capsys, tmp_path):
    words = ["pilot", "--recipes", "pi0", "pi7", "--budget", "soon", "--env", "none"]
    words += [
        "--mapping",
        "m.json",
        "--workers",
        "0",
        "--scenes",
        "0",
        "--out",
        str(tmp_path / "o"),
    ]
    message = _refused(words, capsys)
    for part in ("'pi7'", "'soon'", "--env none", "--mapping", "--workers is 0", "--scenes is 0"):
        assert part in message
    assert not (tmp_path / "o").exists()
    assert "exclude each other" in _refused(["pilot", "--budget", "1h", "--samples", "64"], capsys)


def test_groups_of_recipes_stand_for_their_members():
    assert chosen(("all",)) == ALL
    assert [r.name for r in chosen(("pi0+blind", "all-four"))] == [
        "pi0+blind",
        "pi0",
        "fast-wam",
        "vlm-wam",
        "features-only",
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["verdict", "nowhere"], "holds no plan.json"),
        (["report", "nowhere"], "holds no plan.json"),
        (["job", "nowhere.json"], "does not exist"),
        (["data", "check", "nowhere", "--json"], None),
        (["data", "info", "nowhere"], "the directory does not exist"),
        (["pilot", "--data", "nowhere", "--out", "x/y"], "the directory does not exist"),
    ],
)
def test_missing_things_are_told_in_one_message(words, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if message is None:
        assert run(words) == 1
        assert json.loads(capsys.readouterr().out)["faults"][0]["code"] == "info-missing"
    else:
        assert message in _refused(words, capsys)


def test_a_traceback_can_be_asked_for(monkeypatch):
    monkeypatch.setenv("VERTEBRA_TRACEBACK", "1")
    with pytest.raises(ValueError, match=r"plan\.json"):
        run(["verdict", "nowhere"])


def test_a_missing_extra_is_named(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "vertebra.pilot.run", None)
    assert "pip install 'vertebra[pilot]'" in _refused(["pilot"], capsys)
    with pytest.raises(MissingExtra):
        pilot_command.run_pilot_command(PilotCommand())


def test_verdict_and_report_of_a_run(tmp_path, capsys):
    out = write_run(tmp_path / "run", finished=4)
    before = sorted(out.rglob("*"))
    assert run(["verdict", str(out)]) == 0
    assert "4 of 18 trainings finished" in capsys.readouterr().out
    assert run(["verdict", str(out), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["jobs_finished"] == 4
    assert sorted(out.rglob("*")) == before
    assert run(["report", str(out)]) == 0
    assert capsys.readouterr().out.strip() == str(out / "report.html")
    assert (out / "report.html").stat().st_size > 100_000


def test_plain_lines_tell_what_happens_when_there_is_no_terminal(capsys):
    steps = Steps(total=2)
    with steps:
        steps.tell("demonstrations", 5, 100, 30.0)
        steps.tell("demonstrations", 6, 100, 30.0)
        steps.tell("demonstrations", 100, 100, 0.0)
        steps.event(Happened(kind="started", job="a"), 60.0)
        stage = Stage(name="training", done=1, total=9, facts={"action": 0.5})
        steps.event(Happened(kind="stage", job="a", stage=stage), 50.0)
        steps.event(Happened(kind="crashed", job="a", seconds=1, why="exit code 9"), 50.0)
        steps.event(Happened(kind="finished", job="a", seconds=61.0), 3700.0)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "demonstrations: 5 of 100 about 30s left",
        "demonstrations: 100 of 100 about 0s left",
        "a crashed; it is tried once more: exit code 9",
        "[1/2] a finished after 1m01s; about 1h01m left",
    ]


def test_a_report_that_cannot_be_written_does_not_stop_a_pilot(tmp_path, capsys, monkeypatch):
    def broken(out):
        raise RuntimeError("no ink")

    monkeypatch.setattr("vertebra.report.render.write_report", broken)
    reports = pilot_command.Reports(tmp_path, Steps())
    reports.write(tmp_path)
    reports.require()
    write_run(tmp_path, finished=1, pictures=False)
    reports.write(tmp_path)
    assert "no ink" in capsys.readouterr().err
    with pytest.raises(RuntimeError, match="no ink"):
        reports.require()


def test_an_interrupted_pilot_says_how_to_continue(tmp_path, capsys, monkeypatch):
    def stop(*words, **more):
        raise KeyboardInterrupt

    monkeypatch.setattr("vertebra.pilot.prepare.make_material", stop)
    monkeypatch.setattr(sys, "argv", ["vertebra", "pilot", "--out", "a b"])
    assert run(["pilot", "--out", str(tmp_path / "a b")]) == 130
    assert "vertebra pilot --out 'a b'" in capsys.readouterr().err


def test_a_job_on_the_command_line_refuses_with_exit_code_2(tmp_path):
    spec = tmp_path / "job.json"
    spec.write_text('{"version": 1, "kind": "soup"}')
    command = [sys.executable, "-m", "vertebra.cli", "job", str(spec)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2 and "kind 'soup'" in done.stderr


def test_defaults_of_the_pilot_are_the_default_grid():
    command = PilotCommand()
    assert (command.recipes, command.seeds, command.scenes) == (("pi0", "fast-wam"), 3, None)
    assert prepare.TABLETOP_DEMONSTRATIONS == (300, 2000) and prepare.TABLETOP_SCENES == 50
    assert (pilot_command._budget(command), pilot_command._samples(command)) == (None, 32_000)
    timed = replace(command, budget="45m")
    assert (pilot_command._budget(timed), pilot_command._samples(timed)) == (45 * 60, None)
    assert pilot_command._samples(replace(command, samples=64)) == 64
