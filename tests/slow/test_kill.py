"""A pilot killed with SIGKILL at random moments ends as if nothing had happened."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fakes import pilots
from fakes.training import STEP_S
from vertebra.spec.record import record_from_plain
from vertebra.spec.storage import read_json, read_jsonl

pytestmark = pytest.mark.slow


def _hashes(out: Path) -> dict[str, list[str]]:
    """Content hashes of all records (timing apart), by directory."""
    return {
        str(path.parent.relative_to(out)): [
            record_from_plain(row).content_hash() for row in read_jsonl(path)
        ]
        for path in sorted(out.rglob("records.jsonl"))
    }


def _processes_of(directory: Path) -> list[str]:
    found: list[str] = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace")
        except OSError:
            continue
        if str(directory) in words:
            found.append(words)
    return found


def _run_killed(
    command: list[str], out: Path, *, least_s: float, most_s: float, kills: int = 3
) -> None:
    """Run a command to its end, killing it at random moments first; nothing finished is redone."""
    rng = random.Random(5)  # noqa: S311 - not for secrets
    finished: dict[Path, int] = {}
    for turn in range(kills + 1):
        process = subprocess.Popen(command)
        try:
            code = process.wait(rng.uniform(least_s, most_s) if turn < kills else 900.0)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
        else:
            assert turn == kills, f"it ended with exit code {code} before kill {turn + 1}"
            assert code == 0
        for path in out.rglob("result.json"):
            if "rehearsal" not in path.parts:
                finished.setdefault(path, path.stat().st_mtime_ns)
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    deadline = time.monotonic() + 5
    while _processes_of(out) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not _processes_of(out)


def _require_equal(one: Path, other: Path) -> None:
    assert _hashes(one) == _hashes(other)
    assert len(_hashes(one)) >= 6
    plans = [read_json(root / "plan.json") for root in (one, other)]
    for name in ("hash", "samples", "jobs", "arms"):
        assert plans[0][name] == plans[1][name]
    assert read_json(one / "split.json") == read_json(other / "split.json")


def test_pilot_of_small_parts_survives_kills(tmp_path, monkeypatch):
    command = [sys.executable, pilots.__file__, str(tmp_path)]
    subprocess.run([*command, str(tmp_path / "whole")], check=True, env=os.environ)
    monkeypatch.setenv(STEP_S, "0.1")
    killed = tmp_path / "killed"
    _run_killed([*command, str(killed)], killed, least_s=2.0, most_s=4.0)
    _require_equal(killed, tmp_path / "whole")
