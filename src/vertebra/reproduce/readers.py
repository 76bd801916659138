"""What opens the released weights of each recipe."""

from collections.abc import Callable, Mapping
from pathlib import Path

from vertebra.policy.released_conventions import Robot
from vertebra.reproduce.open_pi import open_pi0, open_pi05
from vertebra.reproduce.opened import Released
from vertebra.reproduce.targets import Target

Open = Callable[[Path, Robot, Target], Released]
"""From a directory of weights, the robot and the target to a policy."""
READERS: Mapping[str, Open] = {"pi0": open_pi0, "pi05": open_pi05}
"""Recipe to what opens its released weights."""


def reader_of(recipe: str) -> Open:
    """What opens the released weights of a recipe.

    Raises:
        ValueError: When nothing does, or reads what normalises them.
    """
    if recipe not in READERS:
        raise ValueError(
            f"No reader of released weights and their statistics is here for '{recipe}'; there is "
            f"one for: {', '.join(READERS)}."
        )
    return READERS[recipe]
