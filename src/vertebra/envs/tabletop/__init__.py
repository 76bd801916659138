"""The built-in table-top in MuJoCo."""

from vertebra.envs.tabletop.environment import Tabletop

__all__ = ["Tabletop"]
