"""Modules of lerobot @ 7427f318, run without the dependencies that their passes do not use."""

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

PACKAGES = ("lerobot", "lerobot.utils", "lerobot.policies", "lerobot.policies.rtc")


def original(name: str, **inside: dict[str, Any]) -> Any:
    """A module of lerobot, whose ``src`` is on the path.

    Args:
        name: Of the module, below ``lerobot.policies``.
        inside: Modules to be stood in for, with dots as ``__``, and what they hold.
    """
    root = Path(next(p for p in sys.path if (Path(p) / "lerobot/policies/pi05").is_dir()))

    def stand_in(module: str, holds: dict[str, Any]) -> None:
        made = ModuleType(module)
        made.__dict__.update(holds)
        folder = root / module.replace(".", "/")
        if folder.is_dir():
            made.__path__ = [str(folder)]
        sys.modules[module] = made

    for package in (*PACKAGES, f"lerobot.policies.{name.partition('.')[0]}"):
        stand_in(package, {})
    stand_in("draccus", {})
    stand_in("draccus.choice_types", {"ChoiceRegistry": object})
    for module, holds in inside.items():
        stand_in(module.replace("__", "."), holds)
    return importlib.import_module(f"lerobot.policies.{name}")
