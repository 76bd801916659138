"""The examples run, and are as short as they claim."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from vertebra.cli.entry import run

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "add_a_recipe.py"


def test_a_recipe_is_added_in_forty_lines() -> None:
    code = [line for line in EXAMPLE.read_text().splitlines() if line.strip()]
    assert len(code) <= 40
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests")])
    done = subprocess.run(
        [sys.executable, str(EXAMPLE)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("losses {'future':")
    assert "chunk (8, 4)" in done.stdout


def test_an_environment_is_adapted_in_twenty_lines(capsys: pytest.CaptureFixture[str]) -> None:
    path = ROOT / "examples" / "own_environment.py"
    adapter = ast.parse(path.read_text()).body[-1]
    assert isinstance(adapter, ast.ClassDef) and adapter.name == "Corners"
    methods = [part for part in adapter.body if isinstance(part, ast.FunctionDef)]
    statements = [line for method in methods for line in method.body[1:]]
    assert len(methods) + len(statements) <= 20
    assert run(["env", "check", f"{path}:Corners"]) == 0
    printed = capsys.readouterr().out
    assert "fit for a pilot" in printed and "3 of 3 scenes" in printed
