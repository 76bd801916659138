"""Which recipe can stand on which released models, and why others cannot."""

from collections.abc import Sequence

from vertebra.backbones.families import FAMILIES, Family
from vertebra.backbones.trunk import Standing
from vertebra.policy.recipe import Recipe


def pair_problems(recipe: Recipe) -> list[str]:
    """Everything that keeps a recipe from standing on any released model of its kind, in words."""
    found: list[str] = []
    table = recipe.table
    if recipe.leapfrogs:
        found.append(
            "it imagines while the chunk before is executed, and latents of a released autoencoder "
            "start from a frame that is known"
        )
    if recipe.rolling and "vlm" in table.experts.values():
        found.append("a released vision-language model has no places for chunks that roll")
    if recipe.family == "vla" and "text" in table.context:
        found.append("it reads words by cross-attention, which needs a video model's text encoder")
    if recipe.family == "vla" and "future" in table.experts:
        found.append("it imagines frames, which needs a video model")
    return found


def require_pair(recipe: Recipe, standing: Standing) -> None:
    """Refuse a recipe that cannot stand on these models.

    Raises:
        ValueError: Naming every reason.
    """
    found = pair_problems(recipe)
    try:
        standing.named(recipe.backbone)
    except ValueError as error:
        found.append(f"it {error}")
    if found:
        raise refusal(recipe, "released models", found)


def refusal(recipe: Recipe, on: str, reasons: Sequence[str]) -> ValueError:
    """What is raised when a recipe cannot stand on released weights, with every reason."""
    return ValueError(
        f"Recipe '{recipe.name}' cannot stand on {on}:\n  - " + "\n  - ".join(reasons)
    )


def families_for(recipe: Recipe, what: str) -> tuple[Family, ...]:
    """Supported families of one kind that a recipe can stand on; none where it uses none."""
    used = {"vla": ("vlm",), "wam": ("video",), "hybrid": ("vlm", "video")}[recipe.family]
    if what not in used or pair_problems(recipe):
        return ()
    return tuple(one for one in FAMILIES if one.what == what and not one.missing)
