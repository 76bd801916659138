"""docs/zero_to_robot.md, walked command by command; the evaluator is played by this test."""

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fakes.arena import Desk
from vertebra.data.check import check_dataset
from vertebra.spec.record import record_from_plain
from vertebra.spec.storage import read_json, read_jsonl

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs/zero_to_robot.md"
PORTS = ("8000", "8010", "8001", "8080")
PROGRAM = "python examples/robot_program.py"


def commands_of(text: str) -> list[str]:
    """The commands of a guide, in its order."""
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.strip()]


def with_free_ports(command: str, ports: dict[str, str]) -> str:
    """The same command on ports that nobody uses here."""
    for written, free in ports.items():
        command = re.sub(rf"\b{written}\b", free, command)
    return command


def free_ports() -> dict[str, str]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in PORTS]
    found = {port: str(one.getsockname()[1]) for port, one in zip(PORTS, held, strict=True)}
    for one in held:
        one.close()
    return found


class Shell:
    """Runs what the guide says, in one directory; ``python`` and ``vertebra`` are those of here."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.left: list[subprocess.Popen[str]] = []
        self.environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}

    def words(self, command: str) -> list[str]:
        first, *rest = shlex.split(command.removesuffix("&"))
        if first == "python":
            return [sys.executable, str(ROOT / rest[0]), *rest[1:]]
        assert first == "vertebra", command
        return [sys.executable, "-m", "vertebra.cli", *rest]

    def run(self, command: str) -> str:
        """Run to the end; what it printed."""
        done = subprocess.run(
            self.words(command),
            cwd=self.directory,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def start(self, command: str, ready: str) -> list[str]:
        """Leave it running once a line matches; the lines up to there."""
        process = subprocess.Popen(
            self.words(command),
            cwd=self.directory,
            env=self.environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.left.append(process)
        assert process.stdout is not None
        said: list[str] = []
        for line in process.stdout:
            said.append(line.strip())
            if re.search(ready, line):
                return said
        raise AssertionError(f"{command} ended before it was ready: {said}")

    def end(self) -> None:
        for process in reversed(self.left):
            process.send_signal(signal.SIGTERM)
        for process in reversed(self.left):
            process.communicate(timeout=60)


@contextmanager
def shell_in(directory: Path) -> Iterator[Shell]:
    shell = Shell(directory)
    try:
        yield shell
    finally:
        shell.end()


def instructions_of(said: str) -> list[str]:
    """What the robot's program says can be asked in a scene."""
    found = re.search(r"^scene \d+: (.*)$", said, re.MULTILINE)
    assert found, said
    return found[1].split("; ")


def test_the_guide_leads_to_a_verdict(tmp_path: Path) -> None:
    ports = free_ports()
    with shell_in(tmp_path) as shell:
        desk: Desk | None = None
        said: dict[str, str] = {}
        for written in commands_of(GUIDE.read_text()):
            command = with_free_ports(written, ports)
            if command.startswith("vertebra serve"):
                shell.start(command, "warm after")
            elif command.startswith("vertebra arena run"):
                page, robot = shell.start(command, "^robot")[-2:]
                desk = Desk(page.split()[1], robot.split()[1])
            elif command.startswith(PROGRAM):
                assert desk is not None
                said[written] = evaluate(desk, shell, command)
            else:
                said[written] = shell.run(command)
        written = "\n".join(said)
        for part in ("data fit", "pilot --data", "client record", "arena rank", "--protocol"):
            assert part in written
    check(tmp_path, said)


def evaluate(desk: Desk, shell: Shell, program: str) -> str:
    """A comparison: two instructions, both policies, each episode led by the robot's program."""
    desk.do("ask", instruction="the first thing", other="the second thing")
    heard = ""
    while desk.get("api/state")["phase"] == "ready":
        desk.do("begin")
        heard = shell.run(program)
        assert len(instructions_of(heard)) > 1 and "steps; done:" in heard
        desk.do("end")
        desk.do("score", progress=20)
    desk.do("vote", preference="A", text="it moved", valid=True)
    assert desk.get("api/state")["phase"] == "idle", desk.heard[-1]
    return heard


def check(out: Path, said: dict[str, str]) -> None:
    """What the walk left behind."""
    plan = read_json(out / "run/plan.json")
    assert plan["environment"] is None and len(plan["jobs"]) == 2
    assert (out / "run/report.html").stat().st_size > 10_000
    for arm in ("pi0", "fast-wam"):
        rows = [record_from_plain(r) for r in read_jsonl(out / f"recorded/{arm}/records.jsonl")]
        assert {(row.arm, row.pilot) for row in rows} == {(arm, plan["hash"])}
        assert len(rows) == 4 and len({row.initial_state for row in rows}) == 2
        assert check_dataset(out / f"recorded/{arm}/dataset") == []
    scored = [record_from_plain(row) for row in read_jsonl(out / "bench/records.jsonl")]
    assert len(scored) == 4 and {row.pilot for row in scored} == {plan["hash"]}
    assert all(row.steps > 0 for row in scored)
    verdicts = [text for written, text in said.items() if written.startswith("vertebra verdict")]
    assert len(verdicts) == 4 and verdicts[0] != verdicts[1]
    assert all("cannot tell" in text.lower() for text in verdicts[:3])
    assert "Key" in verdicts[3]
