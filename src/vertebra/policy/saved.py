"""Recipes as JSON: every part under the name of its kind."""

import dataclasses
from collections.abc import Mapping
from typing import Any, cast, get_args

from vertebra.backbones.kinds import VLM, Both, Video
from vertebra.coupling.kinds import Features, Head, Inverse
from vertebra.coupling.table import Embed, Joint
from vertebra.policy.process import Process
from vertebra.policy.recipe import Mode, Recipe
from vertebra.schedules.kinds import (
    ActionOnly,
    Guidance,
    Plan,
    RealTimeChunking,
    Rolling,
    ScoreTerm,
    Together,
    VideoFirst,
)
from vertebra.spec.noise import Grid, Predicts, Times, Weighting
from vertebra.spec.streams import Reach, Role, Stream

RECIPE_VERSION = 2

KINDS: Mapping[str, type] = {
    kind.__name__: kind
    for kind in (
        *(Recipe, Mode, Process, Stream, VLM, Video, Both, Joint, Head, Inverse, Features),
        *(ActionOnly, Together, VideoFirst, Plan, Rolling, Guidance, ScoreTerm, RealTimeChunking),
        *(kind for union in (Times, Weighting, Grid) for kind in get_args(union)),
    )
}


def recipe_to_plain(recipe: Recipe) -> dict[str, Any]:
    """A recipe as JSON values."""
    return {"version": RECIPE_VERSION, **_tagged(recipe)}


def recipe_from_plain(plain: Mapping[str, Any]) -> Recipe:
    """Read a recipe written by ``recipe_to_plain``, also by version 1 of it.

    Raises:
        ValueError: On another version, an unknown kind, or an unknown or missing part.
        IllegalRecipe: When it is not a legal recipe.
    """
    version = plain.get("version")
    if version == 1:
        plain = _from_version_1(plain)
    elif version != RECIPE_VERSION:
        raise ValueError(
            f"Recipe has version {version!r}, this program reads 1 to {RECIPE_VERSION}."
        )
    recipe = _untagged({key: value for key, value in plain.items() if key != "version"})
    if not isinstance(recipe, Recipe):
        raise ValueError(f"Expected a recipe, found a {type(recipe).__name__}.")
    return recipe


def _tagged(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        parts = {f.name: _tagged(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {"kind": type(value).__name__, **parts}
    if isinstance(value, Mapping):
        return {k: _tagged(v) for k, v in cast("Mapping[str, Any]", value).items()}
    if isinstance(value, tuple):
        return [_tagged(item) for item in cast("tuple[Any, ...]", value)]
    return str(value) if isinstance(value, str) else value


def _untagged(plain: Any) -> Any:
    if isinstance(plain, list):
        return tuple(_untagged(item) for item in cast("list[Any]", plain))
    if not isinstance(plain, Mapping):
        return plain
    values = {k: _untagged(v) for k, v in cast("Mapping[str, Any]", plain).items() if k != "kind"}
    if "kind" not in plain:
        return values
    kind = KINDS.get(cast("str", plain["kind"]))
    if kind is None:
        raise ValueError(f"Unknown kind {plain['kind']!r} in a recipe; known are {sorted(KINDS)}.")
    try:
        return kind(**_typed(kind, values))
    except (TypeError, KeyError) as error:
        raise ValueError(f"A {kind.__name__} in a recipe has other parts: {error}.") from error


def _typed(kind: type, values: dict[str, Any]) -> dict[str, Any]:
    """Words of fixed vocabularies as what they are."""
    if kind is Stream:
        return {**values, "role": Role(values["role"])}
    if kind is Process and "predicts" in values:
        return {**values, "predicts": Predicts(values["predicts"])}
    if kind is Joint:
        sees: Mapping[str, Mapping[str, str]] = values["sees"]
        embed: Mapping[str, str] = values.get("embed", {})
        return {
            **values,
            "sees": {q: {key: Reach(r) for key, r in row.items()} for q, row in sees.items()},
            "embed": {name: Embed(how) for name, how in embed.items()},
        }
    return values


def _from_version_1(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Version 1 knew only ``Joint``, and of a noise process only its times."""
    coupling = plain["coupling"]
    streams = [{"kind": "Stream", **stream} for stream in coupling["streams"]]
    noise = {name: {"kind": "Process", "times": times} for name, times in plain["times"].items()}
    kept = ("name", "source", "backbone", "schedule", "weights", "status", "blind")
    return {
        "kind": "Recipe",
        **{name: plain[name] for name in kept},
        "coupling": {"kind": "Joint", **coupling, "streams": streams},
        "noise": noise,
    }
