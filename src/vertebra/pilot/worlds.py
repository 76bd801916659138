"""Environments that a saved plan can name, with their demonstrators."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from vertebra.envs.outside import OUTSIDE, OutsideSettings, open_world, outside_from_words
from vertebra.envs.protocol import Environment
from vertebra.evaluate.run import LANES
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

    @property
    def lanes(self) -> int:
        """Environments that are stepped together."""
        return LANES


Settings = TabletopSettings | OutsideSettings


def settings_from_words(words: str) -> Settings:
    """Settings from ``tabletop`` or ``SIMULATOR[:WORLD[:PROTOCOL]]``.

    Raises:
        ValueError: Naming what is unknown.
    """
    return TabletopSettings() if words == TABLETOP else outside_from_words(words)


def words_from_settings(settings: Settings) -> str:
    """What ``settings_from_words`` reads as them (those of the table-top stand in its data)."""
    if isinstance(settings, TabletopSettings):
        return TABLETOP
    return f"{settings.simulator}:{settings.world}:{settings.protocol}"


def settings_from_plain(plain: Mapping[str, Any]) -> Settings:
    """Settings as they stand in a plan, without what an evaluation changes in them.

    Raises:
        ValueError: When the environment is unknown.
    """
    values = {name: value for name, value in plain.items() if name not in ("kind", "shift")}
    if plain.get("kind") == TABLETOP:
        return TabletopSettings(**{**values, "skills": tuple(values["skills"])})
    if plain.get("kind") == OUTSIDE:
        return OutsideSettings(**values)
    raise ValueError(
        f"The plan names the environment {plain.get('kind')!r}; known are '{TABLETOP}' and "
        f"'{OUTSIDE}'."
    )


def lanes_of(settings: Mapping[str, Any] | None) -> int:
    """How many environments of a plan are stepped together; worlds outside are heavy."""
    kind = (settings or {}).get("kind")
    return settings_from_plain(settings or {}).lanes if kind == OUTSIDE else LANES


def make_environment(settings: Mapping[str, Any]) -> Environment:
    """The environment that a saved plan names.

    Raises:
        ValueError: When it is unknown.
        MissingExtra: When its simulator is not installed.
    """
    if settings.get("kind") != TABLETOP:
        known = settings_from_plain(settings)
        assert isinstance(known, OutsideSettings), "there are two kinds"  # noqa: S101
        return open_world(known, shift=settings.get("shift"))
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
    if settings.get("kind") == OUTSIDE:
        return lambda environment: environment.demonstrate
    if settings.get("kind") != TABLETOP:
        raise ValueError(f"No demonstrator is known for the environment {settings.get('kind')!r}.")
    from vertebra.demonstrate.demonstrator import Demonstrator

    return lambda environment: Demonstrator(environment).act
