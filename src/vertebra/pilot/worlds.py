"""Environments that a saved plan can name, with their demonstrators."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from vertebra.envs.protocol import Environment
from vertebra.spec.errors import MissingExtra
from vertebra.spec.storage import to_plain

TABLETOP = "tabletop"


@dataclass(frozen=True, kw_only=True)
class TabletopSettings:
    """The built-in table-top.

    Attributes:
        size: Image width and height in pixels.
        skills: Which tasks are asked.
        shadows: Draw cast shadows.
        texture: Draw a wood grain.
    """

    size: int = 64
    skills: tuple[str, ...] = ("put", "push", "lift")
    shadows: bool = False
    texture: bool = False

    def to_plain(self) -> dict[str, Any]:
        """As it stands in a plan."""
        return {"kind": TABLETOP, **to_plain(self)}


def make_environment(settings: Mapping[str, Any]) -> Environment:
    """The environment that a saved plan names.

    Raises:
        ValueError: When it is unknown.
        MissingExtra: When its simulator is not installed.
    """
    if settings.get("kind") != TABLETOP:
        raise ValueError(
            f"The plan names the environment {settings.get('kind')!r}; known is '{TABLETOP}'."
        )
    try:
        from vertebra.envs.tabletop import Tabletop
        from vertebra.envs.tabletop.shift import shift_from_plain
    except ImportError as error:
        raise MissingExtra("The table-top", "tabletop") from error
    values = {name: value for name, value in settings.items() if name != "kind"}
    if "shift" in values:
        values["shift"] = shift_from_plain(values["shift"])
    return Tabletop(**{**values, "skills": tuple(values["skills"])})


def demonstrator_of(settings: Mapping[str, Any]) -> Callable[[Any], Callable[..., Any]]:
    """The demonstrator of an environment: from a running environment to ``act(task)``.

    Raises:
        ValueError: When it is unknown.
    """
    if settings.get("kind") != TABLETOP:
        raise ValueError(f"No demonstrator is known for the environment {settings.get('kind')!r}.")
    from vertebra.demonstrate.demonstrator import Demonstrator

    return lambda environment: Demonstrator(environment).act
