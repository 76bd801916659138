"""A locked plan with its history: reading it back, and adding to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from vertebra.pilot.extension import (
    EXTENSIONS_VERSION,
    Extension,
    extension_from_plain,
    extensions_to_plain,
)
from vertebra.pilot.layout import RunDirectory
from vertebra.pilot.material import Material
from vertebra.pilot.plan import PilotPlan, arms_to_plain, cells_to_plain, plan_from_plain
from vertebra.policy.recipe import Recipe
from vertebra.spec.storage import digest, read_json, to_plain


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What a finished pilot shall be extended by; what is there already is no wish.

    Attributes:
        recipes: Recipes to have besides.
        counts: Numbers of demonstrations to have besides.
        seeds: Training seeds that each arm shall have in all; as many as it has by default.
        seen: What the verdict says now.
    """

    recipes: tuple[Recipe, ...] = ()
    counts: tuple[int, ...] = ()
    seeds: int | None = None
    seen: str = ""


def read_plan(run: RunDirectory) -> PilotPlan:
    """The locked plan of a directory, with all extensions.

    Raises:
        ValueError: When there is none, or when plan or extensions were changed after locking.
    """
    if not run.plan.is_file():
        raise ValueError(
            f"{run.root} holds no plan.json, so it is not the folder of a pilot. "
            "Give the folder that was passed as --out."
        )
    plan = plan_from_plain(read_json(run.plan))
    if not run.extensions.is_file():
        return plan
    plain = read_json(run.extensions)
    if plain.get("version") != EXTENSIONS_VERSION:
        raise ValueError(
            f"extensions.json has version {plain.get('version')!r}, this program reads version "
            f"{EXTENSIONS_VERSION}. Use the version of vertebra that wrote it."
        )
    plan = replace(plan, extensions=tuple(map(extension_from_plain, plain["extensions"])))
    if history(plan) != plain:
        raise ValueError(
            "extensions.json is not what follows from its content: it was changed after an "
            "extension was locked, or written by another version of vertebra. Restore it."
        )
    return plan


def history(plan: PilotPlan) -> dict[str, Any]:
    """All extensions of a plan as ``extensions.json``."""
    question = plan.question
    added: list[Mapping[str, Any]] = []
    for more in plan.extensions:
        wider = question.extended(more)
        arms = [arm for arm in wider.arms if arm not in question.arms]
        known = {cell.id for cell in question.cells}
        cells = [cell for cell in wider.cells if cell.id not in known]
        added.append({"arms": arms_to_plain(arms), "jobs": cells_to_plain(cells)})
        question = wider
    plain: dict[str, Any] = to_plain(extensions_to_plain(plan.hash, plan.extensions, added))
    return plain


def extension_of(plan: PilotPlan, wish: Wish) -> Extension | None:
    """What of a wish is not there yet; ``None`` when all of it is.

    Raises:
        ValueError: When it asks for fewer seeds than there are.
    """
    grid = plan.grid
    if wish.seeds is not None and wish.seeds < grid.seeds:
        raise ValueError(
            f"{wish.seeds} training seeds are asked for and there are {grid.seeds} already; an "
            "extension takes nothing away. Give how many each arm shall have in all."
        )
    names = {recipe.name for recipe in grid.recipes}
    more = Extension(
        recipes=tuple(recipe for recipe in wish.recipes if recipe.name not in names),
        counts=tuple(dict.fromkeys(count for count in wish.counts if count not in grid.counts)),
        seeds=0 if wish.seeds is None else wish.seeds - grid.seeds,
        finished=len(grid.cells),
        seen=wish.seen,
    )
    return more if more.recipes or more.counts or more.seeds else None


def require_extendable(
    run: RunDirectory,
    plan: PilotPlan,
    wish: Wish,
    material: Material,
    episodes: Mapping[str, Sequence[Mapping[str, Any]]],
) -> None:
    """Refuse what is no extension of a finished pilot under its lock.

    Args:
        run: Its directory.
        plan: Its plan.
        wish: What is wanted.
        material: The recordings that were found.
        episodes: The episodes that the environment plans now.

    Raises:
        ValueError: Naming every reason, before anything is spent.
    """
    grid, found = plan.grid, list[str]()
    if material.data_hash != plan.data_hash:
        found.append(
            f"data: locked is content {plan.data_hash}, found is {material.data_hash}; other "
            "recordings are another pilot"
        )
    else:
        for count in wish.counts:
            try:
                material.require(count, grid.mixes)
            except ValueError as error:
                found.append(f"{error} More recordings are another pilot.")
    found += [
        f"scenes: the environment does not plan the locked episodes any more ({which})"
        for which, wanted in plan.episodes.items()
        if digest(episodes.get(which, [])) != wanted
    ]
    left = [cell.id for cell in grid.cells if not run.job(cell.id).finished]
    if left:
        shown = ", ".join(left[:4]) + (f" and {len(left) - 4} more" if len(left) > 4 else "")
        found.append(f"not finished yet: {shown}; finish the pilot first")
    more = extension_of(plan, wish)
    if more is not None:
        try:
            grid.extended(more)
        except ValueError as error:
            found.append(str(error))
    if found:
        raise ValueError(
            f"The pilot in {run.root} cannot be extended like this:\n  - " + "\n  - ".join(found)
        )
