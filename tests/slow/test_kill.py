"""A pilot killed with SIGKILL at random moments ends as if nothing had happened."""

import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from fakes import pilots
from fakes.training import STEP_S
from vertebra.spec.record import record_from_plain
from vertebra.spec.storage import read_json, read_jsonl

pytestmark = pytest.mark.slow


def _hashes(out: Path) -> dict[str, list[str]]:
    """Content hashes of all records (timing and the commit apart), by directory."""
    return {
        str(path.parent.relative_to(out)): [
            replace(record_from_plain(row), software={}).content_hash() for row in read_jsonl(path)
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


def _finished(out: Path) -> dict[Path, int]:
    """Finished jobs and when they finished; rehearsals apart."""
    return {
        path: path.stat().st_mtime_ns
        for path in out.rglob("result.json")
        if "rehearsal" not in path.parts
    }


def _run_killed(command: list[str], out: Path, *, after: tuple[int, ...], most_s: float) -> None:
    """Run a command to its end, killing it at random moments first; nothing finished is redone.

    Args:
        command: What to run.
        out: Directory that it works in.
        after: It is killed once for each of these, when so many jobs have finished ...
        most_s: ... and up to this many seconds more have passed.
    """
    rng = random.Random(5)  # noqa: S311 - not for secrets
    before: dict[Path, int] = {}
    for jobs in after:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        while len(_finished(out)) < jobs:
            assert process.poll() is None, f"it ended before {jobs} jobs had finished"
            time.sleep(0.05)
        time.sleep(rng.uniform(0, most_s))
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, "it ended before it was killed"
        before = {**_finished(out), **before}
    assert len(before) >= after[-1]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    assert {path: path.stat().st_mtime_ns for path in before} == before
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
    monkeypatch.setenv(STEP_S, "0.1")
    command = [sys.executable, pilots.__file__, str(tmp_path)]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    subprocess.run([*command, str(whole)], check=True)
    _run_killed([*command, str(killed)], killed, after=(0, 2, 4), most_s=2.0)
    _require_equal(killed, whole)


def test_tiny_pilot_on_the_table_top_survives_kills(tmp_path):
    command = [sys.executable, "-m", "vertebra.cli", "pilot", "--size", "tiny", "--seeds", "1"]
    command += ["--demos", "6", "16", "--samples", "640", "--scenes", "2", "--workers", "2"]
    command += ["--precision", "fp32"]
    whole, killed = tmp_path / "runs" / "whole", tmp_path / "runs" / "killed"
    subprocess.run([*command, "--out", str(whole)], check=True, stdout=subprocess.DEVNULL)
    _run_killed([*command, "--out", str(killed)], killed, after=(0, 2, 4), most_s=6.0)
    _require_equal(killed, whole)
    assert (killed / "report.html").stat().st_size > 100_000
