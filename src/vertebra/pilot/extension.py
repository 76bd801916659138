"""What a finished pilot is extended by: recipes, numbers of demonstrations, training seeds.

Everything else stays as it was locked: criteria, scenes, data, budget and the trainings that are
there. Each extension has a hash of its own, which covers the one before it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vertebra.policy.recipe import Recipe
from vertebra.policy.saved import recipe_from_plain, recipe_to_plain
from vertebra.spec.storage import digest, to_plain

EXTENSIONS_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Extension:
    """One extension of a pilot.

    Attributes:
        recipes: Recipes that were added.
        counts: Numbers of demonstrations that were added.
        seeds: How many training seeds were added to each arm.
        finished: Trainings that had finished when it was asked for.
        seen: What the verdict said then.
        calibration: What was measured of the added recipes; not hashed.
        software: Program that locked it; not hashed.
    """

    recipes: tuple[Recipe, ...] = ()
    counts: tuple[int, ...] = ()
    seeds: int = 0
    finished: int
    seen: str
    calibration: Mapping[str, Any] = field(default_factory=dict[str, Any])
    software: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def hashed(self, before: str) -> dict[str, Any]:
        """Everything that decides results, after what has the hash ``before``."""
        return {
            "before": before,
            "recipes": [recipe_to_plain(recipe) for recipe in self.recipes],
            "counts": list(self.counts),
            "seeds": self.seeds,
            "finished": self.finished,
            "seen": self.seen,
        }


def extensions_to_plain(
    plan: str, extensions: Sequence[Extension], added: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """As ``extensions.json``.

    Args:
        plan: Hash of the plan.
        extensions: In order.
        added: Arms and jobs that each of them adds, as in a plan.
    """
    rows: list[dict[str, Any]] = []
    before = plan
    for one, more in zip(extensions, added, strict=True):
        hashed = {**one.hashed(before), **more}
        before = digest(hashed)
        rows.append({"hash": before, **hashed, **_unhashed(one)})
    return {"version": EXTENSIONS_VERSION, "extensions": rows}


def _unhashed(one: Extension) -> dict[str, Any]:
    return {"calibration": to_plain(one.calibration), "software": to_plain(one.software)}


def extension_from_plain(plain: Mapping[str, Any]) -> Extension:
    """Read one extension."""
    return Extension(
        recipes=tuple(recipe_from_plain(recipe) for recipe in plain["recipes"]),
        counts=tuple(int(count) for count in plain["counts"]),
        seeds=int(plain["seeds"]),
        finished=int(plain["finished"]),
        seen=str(plain["seen"]),
        calibration=plain["calibration"],
        software=plain["software"],
    )
