"""The base install knows no torch, no simulator and no drawing: it reads, judges and says so."""

import ast
import json
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from house import repository
from house.interpreter import not_in_base, run_without
from house.repository import imported
from vertebra.envs.simulators import SIMULATORS

IMPORT_NAMES = {
    "pillow": "PIL",
    "vl_convert_python": "vl_convert",
    "pyyaml": "yaml",
    "hydra_core": "hydra",
}
BASE_PACKAGES = ("spec", "stats", "verdict", "recipes", "cli")


def command(*arguments):
    code = (
        f"import sys\nsys.argv = ['vertebra', *{list(arguments)!r}]\n"
        "from vertebra.cli import main\nmain()\n"
    )
    return run_without(not_in_base(), code)


def test_the_heavy_packages_are_really_absent():
    heavy = {"torch", "mujoco", "pyarrow", "jinja2", "altair", "vl_convert", "av", "PIL"}
    assert heavy <= not_in_base()
    done = run_without(not_in_base(), "import torch")
    assert "No module named 'torch'" in done.stderr


@pytest.mark.parametrize("package", BASE_PACKAGES)
def test_package_imports_in_a_base_install(package):
    top = repository.SOURCE / package
    paths = (
        [repository.SOURCE / f"{package}.py"]
        if not top.is_dir()
        else list(repository.python_files("src", "vertebra", package))
    )
    assert paths
    code = "".join(
        "import "
        + ".".join(path.relative_to(repository.SOURCE.parent).with_suffix("").parts).removesuffix(
            ".__init__"
        )
        + "\n"
        for path in paths
    )
    done = run_without(not_in_base(), code)
    assert done.returncode == 0, done.stderr


def test_version_is_told_in_a_base_install():
    version = tomllib.loads((repository.ROOT / "pyproject.toml").read_text())["project"]["version"]
    done = command("--version")
    assert done.returncode == 0, done.stderr
    assert version in done.stdout


def test_recipes_are_listed_in_a_base_install():
    done = command("recipes", "--json")
    assert done.returncode == 0, done.stderr
    listed = {row["recipe"] for row in json.loads(done.stdout)}
    assert {"pi0", "fast-wam"} <= listed


@pytest.mark.parametrize(
    ("code", "extra"),
    [
        ("from vertebra.pilot.parts import real_parts; real_parts()", "train"),
        (
            "from vertebra.pilot.worlds import make_environment; "
            "make_environment({'kind': 'tabletop', 'skills': []})",
            "tabletop",
        ),
        ("import vertebra.report.render", "report"),
    ],
)
def test_what_is_missing_is_named_with_the_extra_that_brings_it(code, extra):
    done = run_without(not_in_base(), code)
    assert done.returncode != 0
    assert "MissingExtra" in done.stderr
    assert f"pip install 'vertebra[{extra}]'" in done.stderr


def test_commands_say_which_extra_they_need_and_touch_nothing(tmp_path):
    wanted = {
        ("pilot", "--dry-run", "--out", str(tmp_path / "out")): "pilot",
        ("data", "make", str(tmp_path / "set")): "pilot",
        ("data", "check", str(tmp_path)): "data",
        ("report", str(tmp_path)): "report",
        ("serve", str(tmp_path)): "train",
        ("client", "record", "ws://x:1", "--out", str(tmp_path / "out")): "data",
        ("arena", "run", str(tmp_path / "a"), "--policies", "a=ws://x:1", "b=ws://x:2"): "arena",
        ("arena", "import", str(tmp_path), "--out", str(tmp_path / "b")): "arena",
    }
    code = "from vertebra.cli.entry import run\n" + "".join(
        f"assert run({list(words)!r}) == 2\n" for words in wanted
    )
    done = run_without(not_in_base(), code)
    assert done.returncode == 0, done.stderr
    said = done.stderr.splitlines()
    assert len(said) == len(wanted)
    for line, extra in zip(said, wanted.values(), strict=True):
        assert f"pip install 'vertebra[{extra}]'" in line
    assert not list(tmp_path.iterdir())


def test_every_imported_package_is_declared():
    project = tomllib.loads((repository.ROOT / "pyproject.toml").read_text())["project"]
    extras = {
        name: lines for name, lines in project["optional-dependencies"].items() if name != "dev"
    }
    declared = {"vertebra"}
    for line in [*project["dependencies"], *(line for lines in extras.values() for line in lines)]:
        declared.add(_import_name(line))
    undeclared = {
        f"{repository.name_of(path)}: {name}"
        for path in repository.python_files("src")
        for node in ast.walk(repository.tree(path))
        for name in {module.partition(".")[0] for module in imported(node)}
        if name not in declared | _simulator_of(path) and name not in sys.stdlib_module_names
    }
    assert not undeclared


def _import_name(requirement: str) -> str:
    name = Requirement(requirement).name.replace("-", "_").lower()
    return IMPORT_NAMES.get(name, name)


def _simulator_of(path: Path) -> set[str]:
    """What a simulator's own package may import: what its own virtual environment holds."""
    held = {
        one.name: {one.name, *one.packages, *map(_import_name, one.requirements)}
        for one in SIMULATORS
    }
    return held.get(path.parent.name, set()) if path.parent.parent.name == "envs" else set()
