"""By which names LeRobot finds what a plug-in brings, asked of LeRobot's own code.

Run as ``python -m checks.lerobot`` from ``tests`` where LeRobot is installed, this records them.
"""

import importlib
import inspect
import json
import sys
import types
from importlib import metadata
from pathlib import Path
from typing import Any

RECORD = Path(__file__).parents[1] / "contracts" / "recorded" / "lerobot_plugin.json"


def conventions() -> dict[str, Any]:
    """What a configuration ``made_up.configuration_ear.EarConfig`` makes LeRobot look for."""
    factory: Any = importlib.import_module("lerobot.policies.factory")
    configs: Any = importlib.import_module("lerobot.configs.policies")
    plugins: Any = importlib.import_module("lerobot.utils.import_utils")
    ear = type("EarConfig", (), {"__module__": "made_up.configuration_ear", "type": "ear"})
    asked: list[tuple[str, str]] = []

    class Asked(types.ModuleType):
        def __getattr__(self, name: str) -> Any:
            asked.append((self.__name__, name))
            return lambda config, dataset_stats: (None, None)

    known = configs.PreTrainedConfig
    old = known.get_known_choices, known.get_choice_class, factory.importlib.import_module
    known.get_known_choices = classmethod(lambda cls: {"ear": ear})
    known.get_choice_class = classmethod(lambda cls, name: ear)
    factory.importlib.import_module = Asked
    try:
        factory.get_policy_class("ear")
        factory._make_processors_from_policy_config(ear())
    finally:
        known.get_known_choices, known.get_choice_class, factory.importlib.import_module = old
    source = inspect.getsource(plugins.register_third_party_plugins)
    return {
        "prefix": "lerobot_policy_" if '"lerobot_policy_"' in source else "",
        "sides": [list(one) for one in asked if not one[1].startswith("__")],
    }


if __name__ == "__main__":
    found = {"lerobot": metadata.version("lerobot"), **conventions()}
    RECORD.write_text(json.dumps(found, indent=1) + "\n")
    sys.stdout.write(RECORD.read_text())
