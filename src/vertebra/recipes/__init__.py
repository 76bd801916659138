"""Every system as a short file of data. To add one: a file, a name here, a row in the tests."""

from collections.abc import Sequence

from vertebra.policy.recipe import BLIND_SUFFIX, Recipe
from vertebra.recipes.action_only import ACTION_ONLY
from vertebra.recipes.cortex2 import CORTEX2
from vertebra.recipes.cosmos_policy import COSMOS_POLICY, COSMOS_POLICY_PLAN
from vertebra.recipes.dreamzero import DREAMZERO, DREAMZERO_FLASH
from vertebra.recipes.fast_wam import FAST_WAM, FAST_WAM_IDM, FAST_WAM_JOINT
from vertebra.recipes.features_only import FEATURES_ONLY
from vertebra.recipes.gr00t import GR00T, GR00T_N15
from vertebra.recipes.lingbot_va import LINGBOT_VA, LINGBOT_VA_ASYNC, LINGBOT_VA_SHARED
from vertebra.recipes.mimic_video import MIMIC_VIDEO
from vertebra.recipes.motus import MOTUS, MOTUS_VLA
from vertebra.recipes.pi0 import PI0, PI0_RTC
from vertebra.recipes.pi05 import PI05
from vertebra.recipes.rhoda_dva import RHODA_DVA
from vertebra.recipes.unipi import UNIPI
from vertebra.recipes.vlm_wam import VLM_WAM
from vertebra.recipes.vpp import VPP

ALL: tuple[Recipe, ...] = (
    *(PI0, PI0_RTC, PI05, GR00T, GR00T_N15),
    *(UNIPI, VPP, MIMIC_VIDEO, FAST_WAM, FAST_WAM_JOINT, FAST_WAM_IDM),
    *(DREAMZERO, DREAMZERO_FLASH, LINGBOT_VA, LINGBOT_VA_SHARED, LINGBOT_VA_ASYNC),
    *(COSMOS_POLICY, COSMOS_POLICY_PLAN, CORTEX2, RHODA_DVA),
    *(MOTUS, MOTUS_VLA, VLM_WAM),
    *(FEATURES_ONLY, ACTION_ONLY),
)

GROUPS = {"all": ALL, "all-four": (PI0, FAST_WAM, VLM_WAM, FEATURES_ONLY)}
"""Names for several recipes at once."""


def chosen(names: Sequence[str]) -> tuple[Recipe, ...]:
    """The recipes of these names, a group's name standing for its recipes.

    Raises:
        ValueError: Listing the known names.
    """
    return tuple(found for name in names for found in GROUPS.get(name) or (by_name(name),))


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
        f"No recipe is named '{name}'. Known are: {known} (each also with {BLIND_SUFFIX}); "
        f"several at once: {', '.join(GROUPS)}."
    )
