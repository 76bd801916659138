"""`vertebra serve` as a process, and `vertebra client record` against it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fakes.serving import Robot, openpi_message, robot_policy
from fakes.worlds import ACTION, OBSERVATION, Plane, make_state
from vertebra.cli.entry import run
from vertebra.data.check import check_dataset
from vertebra.data.lerobot_open import open_dataset
from vertebra.policy.checkpoint import save_policy
from vertebra.recipes.fast_wam import FAST_WAM
from vertebra.spec.record import record_from_plain
from vertebra.spec.storage import read_jsonl, write_json

ROBOT = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from fakes.worlds import Plane

def make():
    return Plane(max_steps=6)
"""


COMMAND = (sys.executable, "-m", "vertebra.cli", "serve")


@contextmanager
def served(checkpoint: Path, *words: str, key: str = "") -> Iterator[tuple[Any, dict[str, Any]]]:
    """A server process and what it said when it was ready."""
    process = subprocess.Popen(
        [*COMMAND, str(checkpoint), *words, "--port", "0", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "VERTEBRA_API_KEY": key, "OMP_NUM_THREADS": "1"},
    )
    assert process.stdout is not None
    said = ""
    try:
        for line in process.stdout:
            said += line
            if line == "}\n":
                break
        assert said, process.communicate()[1]
        yield process, json.loads(said)
    finally:
        process.terminate()
        process.communicate(timeout=60)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A tiny policy where a pilot would leave it."""
    save_policy(tmp_path / "job" / "checkpoint", robot_policy(FAST_WAM, OBSERVATION, ACTION), {})
    job = {"plan": "abc", "arm": "fast-wam", "demonstrations": 50, "seed": 2, "other": 1}
    write_json(tmp_path / "job" / "job.json", job)
    return tmp_path / "job" / "checkpoint"


@pytest.mark.slow
def test_serve_record_and_end(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    (tmp_path / "robot.py").write_text(ROBOT)
    out = tmp_path / "out"
    with served(checkpoint, "--drain-s", "20", key="k") as (process, said):
        assert said["recipe"] == "fast-wam"
        assert (said["demonstrations"], said["seed"], said["plan"]) == (50, 2, "abc")
        words = ["client", "record", said["address"], "--out", str(out), "--json"]
        words += ["--robot", f"{tmp_path / 'robot.py'}:make", "--scenes", "2"]
        assert run(words) == 2
        assert "401" in capsys.readouterr().err
        monkeypatch.setenv("VERTEBRA_API_KEY", "k")
        assert run(words) == 0
        told = json.loads(capsys.readouterr().out)
        assert run(words) == 2
        assert "choose another directory" in capsys.readouterr().err

        robot = Robot(said["address"], "k")
        process.send_signal(signal.SIGTERM)
        plane, state = Plane(), make_state("test", 0)
        message = openpi_message(plane.begin(state, state.tasks[0], 0))
        assert robot.send(message)["actions"].shape[1] == 2
        robot.close()
        assert process.wait(timeout=30) == 0

    records = [record_from_plain(row) for row in read_jsonl(out / "records.jsonl")]
    assert sum(told["outcomes"].values()) == len(records) == 2
    assert {(row.arm, row.pilot, row.demonstrations, row.seed) for row in records} == {
        ("fast-wam", "abc", 50, 2)
    }
    assert check_dataset(out / "dataset") == []
    opened = open_dataset(out / "dataset")
    assert [episode.length for episode in opened.episodes] == [row.steps for row in records]


def test_what_cannot_be_served_is_said(tmp_path: Path, capsys: Any) -> None:
    assert run(["serve", str(tmp_path)]) == 2
    assert "holds no checkpoint" in capsys.readouterr().err
    save_policy(tmp_path, robot_policy(FAST_WAM, OBSERVATION, ACTION), {})
    assert run(["serve", str(tmp_path), "--protocol", "roboarena"]) == 2
    assert "cannot be served to RoboArena" in capsys.readouterr().err
    write_json(tmp_path / "keys.json", {"images": {"side": "a"}})
    assert run(["serve", str(tmp_path), "--keys", str(tmp_path / "keys.json")]) == 2
    assert "one key for each" in capsys.readouterr().err
    (tmp_path / "empty").touch()
    assert run(["serve", str(tmp_path), "--api-key-file", str(tmp_path / "empty")]) == 2
    assert "is empty" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("robot", "words"),
    [("nothing", "give 'tabletop', or FILE.py:NAME"), ("{file}:missing", "has no function")],
)
def test_a_robot_that_is_not_there(robot: str, words: str, tmp_path: Path, capsys: Any) -> None:
    from fakes.policies import Seeker
    from fakes.serving import serving

    (tmp_path / "robot.py").write_text("x = 1\n")
    out = tmp_path / "out"
    with serving(Seeker()) as server:
        command = ["client", "record", server.url, "--out", str(out), "--robot"]
        command.append(robot.format(file=tmp_path / "robot.py"))
        assert run(command) == 2
        assert "give --arm, --demonstrations, --training-seed" in capsys.readouterr().err
        command += ["--arm", "seeker", "--demonstrations", "0", "--training-seed", "0"]
        assert run(command) == 2
    assert words in capsys.readouterr().err
    assert not out.exists()
