"""The plug-in has the names by which LeRobot looks for it; LeRobot need not be installed."""

import ast
import json
import tomllib

from checks.lerobot import RECORD
from house import repository

PLACE = repository.ROOT / "plugins" / "lerobot_policy_vertebra"
SOURCE = PLACE / "src" / "lerobot_policy_vertebra"


def defined(module: str) -> set[str]:
    tree = ast.parse((SOURCE / f"{module}.py").read_text())
    return {one.name for one in tree.body if isinstance(one, ast.ClassDef | ast.FunctionDef)}


def test_everything_is_where_lerobot_looks():
    record = json.loads(RECORD.read_text())
    name = tomllib.loads((PLACE / "pyproject.toml").read_text())["project"]["name"]
    assert name == SOURCE.name == record["prefix"] + "vertebra"
    assert "VertebraConfig" in defined("configuration_vertebra")
    assert record["sides"]
    for module, wanted in record["sides"]:
        own = module.removeprefix("made_up.").replace("ear", "vertebra")
        named = wanted.replace("Ear", "Vertebra").replace("_ear_", "_vertebra_")
        assert named in defined(own), (own, named)


def test_importing_it_registers_its_configuration():
    tree = ast.parse((SOURCE / "__init__.py").read_text())
    imported = [one.module for one in tree.body if isinstance(one, ast.ImportFrom)]
    assert imported == ["lerobot_policy_vertebra.configuration_vertebra"]
    config = ast.parse((SOURCE / "configuration_vertebra.py").read_text())
    (kind,) = [one for one in config.body if isinstance(one, ast.ClassDef)]
    assert any("register_subclass('vertebra')" in ast.unparse(d) for d in kind.decorator_list)
