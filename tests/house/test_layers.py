"""The layers of ARCHITECTURE.md hold, in the linter's eyes and in a fresh interpreter."""

import ast
import re
import tomllib

import pytest
from importlinter.cli import lint_imports

from house import repository
from house.interpreter import run_without

TORCH_FREE = ("spec", "stats", "envs", "verdict", "report", "audit", "serve")


def linter_layers() -> list[str]:
    settings = tomllib.loads((repository.ROOT / "pyproject.toml").read_text())
    contracts = settings["tool"]["importlinter"]["contracts"]
    (layered,) = (contract for contract in contracts if contract["type"] == "layers")
    return [line.replace("vertebra.", "") for line in layered["layers"]]


def test_imports_point_down(monkeypatch, capsys):
    monkeypatch.chdir(repository.ROOT)
    code = lint_imports(no_cache=True, no_logo=True)
    assert code == 0, capsys.readouterr().out


def test_every_package_stands_in_one_layer():
    layered = [name for line in linter_layers() for name in line.split(" | ")]
    found = {name.partition("/")[0].removesuffix(".py") for name in repository.packages()}
    assert sorted(layered) == sorted(set(layered))
    assert set(layered) == found


def test_architecture_lists_the_layers_of_the_linter():
    text = (repository.ROOT / "ARCHITECTURE.md").read_text()
    block = re.search(r"```layers\n(.*?)```", text, flags=re.DOTALL)
    assert block is not None, "ARCHITECTURE.md needs a fenced block named `layers`"
    assert block[1].split("\n")[:-1] == linter_layers()


@pytest.mark.parametrize("package", TORCH_FREE)
def test_package_imports_without_torch(package):
    modules = [
        ".".join(path.relative_to(repository.SOURCE.parent).with_suffix("").parts)
        for path in repository.python_files("src", "vertebra", package)
    ]
    assert modules
    code = "".join(f"import {name.removesuffix('.__init__')}\n" for name in modules)
    done = run_without({"torch"}, code)
    assert done.returncode == 0, done.stderr


def test_environment_runs_a_step_without_torch():
    code = """
import numpy as np
from vertebra.envs.tabletop import Tabletop
environment = Tabletop()
state = environment.initial_states("train", 1, 0)[0]
environment.begin(state, state.tasks[0], 0)
environment.apply(np.zeros(len(environment.takes.dims), np.float32))
assert environment.observe().images
environment.close()
"""
    done = run_without({"torch"}, code)
    assert done.returncode == 0, done.stderr


def test_all_imports_are_absolute():
    relative = [
        f"{repository.name_of(path)}:{node.lineno}"
        for path in repository.files(".py")
        for node in ast.walk(repository.tree(path))
        if isinstance(node, ast.ImportFrom) and node.level > 0
    ]
    assert not relative
