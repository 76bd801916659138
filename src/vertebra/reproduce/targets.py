"""Published numbers as data: which recipe, on what, how it was run, and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass

from vertebra.spec.named import one_named

ALPHA = 0.05
"""Chance that a true number is called outside, shared out among the parts of a benchmark."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part of a benchmark, with a number of its own.

    Attributes:
        name: What it is called.
        world: The environment, as ``vertebra pilot --env`` names it; the protocol is part of it.
        episodes: Episodes of the protocol.
        rate: Published rate of success.
    """

    name: str
    world: str
    episodes: int
    rate: float


@dataclass(frozen=True, kw_only=True)
class Target:
    """One published result.

    Attributes:
        recipe: Of which recipe.
        benchmark: On what.
        parts: Its numbers.
        split: Initial states that the protocol uses.
        execute: Actions of a chunk that are executed.
        relative: How many numbers of an action are relative to those of the state, from the first.
        cameras: Camera of the environment to the names under which the release knows that view.
        source: Where it is published, and by whom it was measured.
        stateless: Whether the policy is not told the state though its recipe has one.
    """

    recipe: str
    benchmark: str
    parts: tuple[Part, ...]
    split: str
    execute: int
    relative: int
    cameras: Mapping[str, tuple[str, ...]]
    source: str
    stateless: bool = False

    @property
    def name(self) -> str:
        """Recipe and benchmark."""
        return f"{self.recipe} on {self.benchmark}"

    @property
    def level(self) -> float:
        """Level of the interval of each part."""
        return 1 - ALPHA / len(self.parts)


def libero(protocol: str, rates: tuple[float, float, float, float]) -> tuple[Part, ...]:
    """The four suites of LIBERO: ten tasks each, fifty stored initial states a task."""
    names = ("libero_spatial", "libero_object", "libero_goal", "libero_10")
    return tuple(
        Part(name=name, world=f"libero:{name}:{protocol}", episodes=500, rate=rate)
        for name, rate in zip(names, rates, strict=True)
    )


PI_LIBERO = {
    "image": ("base_0_rgb", "image"),
    "wrist_image": ("left_wrist_0_rgb", "wrist_image", "image2"),
}
"""Views of LIBERO as openpi and its ports call them (openpi@15a9616
src/openpi/policies/libero_policy.py; LeRobot's data sets)."""
TARGETS: tuple[Target, ...] = (
    Target(
        recipe="pi0",
        benchmark="libero",
        parts=libero("openpi", (0.968, 0.988, 0.958, 0.852)),
        split="official",
        execute=5,
        relative=6,
        cameras=PI_LIBERO,
        source="arXiv:2502.19645, table 1, measured by its authors; openpi@15a9616 "
        "examples/libero/main.py, src/openpi/training/config.py (pi0_libero)",
    ),
    Target(
        recipe="pi05",
        benchmark="libero",
        parts=libero("openpi", (0.988, 0.982, 0.980, 0.924)),
        split="official",
        execute=5,
        relative=0,
        cameras=PI_LIBERO,
        source="openpi@15a9616 examples/libero/README.md, measured by its authors; "
        "src/openpi/training/config.py (pi05_libero)",
        stateless=True,
    ),
    Target(
        recipe="cosmos-policy",
        benchmark="libero",
        parts=libero("oft", (0.981, 1.0, 0.982, 0.976)),
        split="official",
        execute=16,
        relative=0,
        cameras={"full_image": ("primary_image",), "wrist_image": ("wrist_image",)},
        source="arXiv:2601.16163, measured by its authors",
    ),
)


def target_by_name(recipe: str, benchmark: str) -> Target:
    """The published result of a recipe on a benchmark.

    Raises:
        ValueError: Listing the known ones.
    """
    name = f"{recipe} on {benchmark}"
    return one_named(TARGETS, name, f"No published result is known here for '{name}'")
