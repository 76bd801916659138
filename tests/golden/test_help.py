"""What `vertebra --help` and the help of each command say; a change here is a change for users."""

import contextlib
import io
import re

import pytest

from vertebra.cli.entry import run

COMMANDS = (
    "",
    "pilot",
    "extend",
    "job",
    "data",
    "data make",
    "data calvin",
    "data info",
    "data check",
    "data show",
    "data fit",
    "pretrain",
    "plan",
    "plan pilot",
    "plan train",
    "plan change",
    "recipes",
    "recipes show",
    "cite",
    "report",
    "compare",
    "verdict",
    "profile",
    "realtime",
    "robustness",
    "adapt",
    "audit",
    "audit report",
    "audit checkpoint",
    "audit policy",
    "audit grounding",
    "doctor",
    "reproduce",
    "env",
    "env list",
    "env setup",
    "env check",
    "serve",
    "client",
    "client record",
    "arena",
    "arena run",
    "arena rank",
    "arena records",
    "arena import",
)


@pytest.mark.parametrize("command", COMMANDS)
def test_help(command, golden, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERM", "dumb")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), pytest.raises(SystemExit) as ended:
        run([*command.split(), "--help"])
    assert ended.value.code == 0
    plain = re.sub(r"\x1b\[[0-9;]*m", "", printed.getvalue())
    text = "".join(line.rstrip() + "\n" for line in plain.splitlines())
    golden(f"help/{command.replace(' ', '-') or 'vertebra'}.txt", text)
