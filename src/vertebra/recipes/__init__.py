"""Every system as a short file of data. To add one: a file, a name here, a row in the tests."""

from vertebra.policy.recipe import BLIND_SUFFIX, Recipe
from vertebra.recipes.fast_wam import FAST_WAM, FAST_WAM_IDM, FAST_WAM_JOINT
from vertebra.recipes.pi0 import PI0

ALL: tuple[Recipe, ...] = (PI0, FAST_WAM, FAST_WAM_JOINT, FAST_WAM_IDM)


def by_name(name: str) -> Recipe:
    """The recipe of that name; ``NAME+blind`` gives its trained-blind twin.

    Raises:
        ValueError: Listing the known names.
    """
    sighted = name.removesuffix(BLIND_SUFFIX)
    for recipe in ALL:
        if recipe.name == sighted:
            return recipe.blinded() if name != sighted else recipe
    known = ", ".join(recipe.name for recipe in ALL)
    raise ValueError(
        f"No recipe is named '{name}'. Known are: {known} (each also with {BLIND_SUFFIX})."
    )
