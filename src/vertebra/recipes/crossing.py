"""Recipes that differ in the named parts and in nothing else, so that a part's effect can be told.

Two systems of the field differ in backbone, coupling and schedule at once; whatever their numbers
are, they do not say which part did it. Here backbone and coupling are crossed: the same streams
given, the same action decoder, schedule and noise. Nothing is imagined, because only a video
backbone could.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import product

from vertebra.backbones.kinds import Backbone
from vertebra.coupling.kinds import Coupling, Features, Head
from vertebra.coupling.table import Joint
from vertebra.policy.recipe import Recipe
from vertebra.recipes.features_only import FEATURES_ONLY
from vertebra.recipes.gr00t import DECODER, GR00T
from vertebra.recipes.pi0 import PI0
from vertebra.spec.streams import ALL, denoised, given


def _joint(trunk: Joint) -> Joint:
    seen = dict.fromkeys([stream.name for stream in trunk.streams], ALL)
    return replace(
        trunk,
        streams=(*trunk.streams, given("state"), denoised("action")),
        sees={
            **trunk.sees,
            "state": {**seen, "state": ALL},
            "action": {**seen, "state": ALL, "action": ALL},
        },
        experts={**trunk.experts, "state": "action", "action": "action"},
    )


def _head(trunk: Joint) -> Head:
    names = tuple(stream.name for stream in trunk.streams)
    return Head(trunk=trunk, reads=Features(of=names), head=DECODER)


BACKBONES: Mapping[str, tuple[Backbone, Joint]] = {
    "vlm": (GR00T.backbone, GR00T.trunk),
    "video": (FEATURES_ONLY.backbone, FEATURES_ONLY.trunk),
}
COUPLINGS: Mapping[str, Callable[[Joint], Coupling]] = {"joint": _joint, "head": _head}
LEVELS: Mapping[str, tuple[str, ...]] = {
    "backbone": tuple(BACKBONES),
    "coupling": tuple(COUPLINGS),
}
"""Part to its levels."""


def crossed(backbones: Sequence[str], couplings: Sequence[str]) -> tuple[Recipe, ...]:
    """One recipe for each pair of levels, named ``BACKBONE-COUPLING``."""
    return tuple(_recipe(*levels) for levels in product(backbones, couplings))


def _recipe(backbone: str, coupling: str) -> Recipe:
    model, trunk = BACKBONES[backbone]
    return Recipe(
        name=f"{backbone}-{coupling}",
        source="vertebra (parts crossed)",
        backbone=model,
        coupling=COUPLINGS[coupling](trunk),
        schedule=PI0.schedule,
        noise=PI0.noise,
    )


def read_factors(factors: Sequence[str], coupling: str | None) -> tuple[Recipe, ...]:
    """The recipes that ``--factor PART=LEVEL,LEVEL...`` and ``--coupling LEVEL`` ask for.

    Args:
        factors: Parts with their levels, like ``backbone=vlm,video``.
        coupling: The coupling of all arms, where it is not a factor; ``joint`` when left out.

    Raises:
        ValueError: Naming everything that is no part or no level, is given twice, or leaves nothing
            to compare.
    """
    asked: dict[str, tuple[str, ...]] = {}
    found: list[str] = []
    for factor in factors:
        part, equals, words = factor.partition("=")
        levels = tuple(word for word in words.split(",") if word)
        known = LEVELS.get(part)
        if not equals or known is None:
            found.append(f"'{factor}': expected PART=LEVEL,LEVEL with a part of {list(LEVELS)}")
            continue
        found += [
            f"{part} has no level '{x}', known are {list(known)}" for x in levels if x not in known
        ]
        if part in asked or len(set(levels)) < len(levels):
            found.append(f"'{factor}' names a part or a level twice")
        asked[part] = levels
    if coupling is not None and "coupling" in asked:
        found.append("coupling is a factor and is also held: give --factor or --coupling")
    asked = {"backbone": LEVELS["backbone"], "coupling": (coupling or "joint",), **asked}
    if not found and not any(len(levels) > 1 for levels in asked.values()):
        found.append("no part has two levels, so there is nothing to compare")
    if found:
        raise ValueError("These factors cannot be crossed:\n  - " + "\n  - ".join(found))
    return crossed(asked["backbone"], asked["coupling"])
