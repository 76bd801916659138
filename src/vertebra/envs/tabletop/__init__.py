"""The built-in table-top in MuJoCo."""

from importlib.util import find_spec

from vertebra.spec.errors import MissingExtra

if find_spec("mujoco") is None:
    raise MissingExtra("The built-in table-top", "tabletop")

from vertebra.envs.tabletop.environment import Tabletop

__all__ = ["Tabletop"]
