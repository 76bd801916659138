"""The grid of a pilot: arms x numbers of demonstrations x seeds."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from vertebra.policy.recipe import BLIND_SUFFIX, Recipe

TWINS = ("largest", "all", "none")


@dataclass(frozen=True, kw_only=True)
class Mix:
    """Recordings that an arm learns from besides its demonstrations, the same at every number.

    Attributes:
        unlabelled: Demonstrations whose instruction nobody wrote down.
        video_only: Captioned video without actions and state.
    """

    unlabelled: int = 0
    video_only: int = 0

    @property
    def suffix(self) -> str:
        """What it adds to the name of an arm; nothing for demonstrations alone."""
        unlabelled = f"+unlabelled{self.unlabelled}" if self.unlabelled else ""
        return unlabelled + (f"+video{self.video_only}" if self.video_only else "")

    @property
    def total(self) -> int:
        """Recordings in all."""
        return self.unlabelled + self.video_only

    def teaches(self, recipe: Recipe) -> bool:
        """Whether a recipe has an objective for all of it: video teaches those that imagine."""
        return recipe.imagines or not self.video_only


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One thing that is compared.

    Attributes:
        name: Name of its recipe and mix, with ``+blind`` for the trained-blind twin.
        recipe: Name without ``+blind``: what an arm and its twin share.
        definition: The recipe as it is trained.
        mix: What it learns from besides demonstrations.
    """

    name: str
    recipe: str
    definition: Recipe
    mix: Mix = Mix()

    @property
    def costed(self) -> str:
        """Name of the recipe whose rehearsal says what this arm costs."""
        return self.recipe.removesuffix(self.mix.suffix)

    @property
    def family(self) -> str:
        """``vla`` or ``wam``."""
        return self.definition.family

    @property
    def blind(self) -> bool:
        """Whether text is replaced by a constant in training and test."""
        return self.definition.blind


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One training of the grid.

    Attributes:
        arm: What is trained.
        demonstrations: On how many demonstrations.
        seed: Index of the training seed.
    """

    arm: Arm
    demonstrations: int
    seed: int

    @property
    def id(self) -> str:
        """Stable name, also of its directory."""
        return f"{self.arm.name}-n{self.demonstrations}-s{self.seed}"


def arms_of(
    recipes: Sequence[Recipe], *, twins: str = "largest", mixes: Sequence[Mix] = (Mix(),)
) -> tuple[Arm, ...]:
    """The recipes in their order, each with every mix that can teach it, then their blind twins.

    Raises:
        ValueError: When a recipe or a mix is given twice, a recipe is itself a twin or no mix can
            teach it, or ``twins`` is unknown.
    """
    names = [recipe.name for recipe in recipes]
    found: list[str] = []
    if not names:
        found.append("no recipe is given")
    found += [f"{name} is given twice" for name in dict.fromkeys(names) if names.count(name) > 1]
    found += [
        f"{recipe.name} is a blind twin; give the sighted recipe, its twin is added"
        for recipe in recipes
        if recipe.blind
    ]
    found += [f"a mix of recordings is given twice: {mixes}"] if len({*mixes}) < len(mixes) else []
    found += [
        f"{recipe.name} imagines no frames, so no mix with video teaches it anything: add one "
        "without video, or leave the recipe out"
        for recipe in recipes
        if not any(mix.teaches(recipe) for mix in mixes)
    ]
    if twins not in TWINS:
        found.append(f"twins is {twins!r}, expected one of {TWINS}")
    if found:
        raise ValueError("These arms cannot be compared:\n  - " + "\n  - ".join(found))
    sighted = [
        Arm(name=f"{r.name}{mix.suffix}", recipe=f"{r.name}{mix.suffix}", definition=r, mix=mix)
        for r in recipes
        for mix in mixes
        if mix.teaches(r)
    ]
    blind = [
        replace(arm, name=arm.name + BLIND_SUFFIX, definition=arm.definition.blinded())
        for arm in sighted
        if twins != "none"
    ]
    return (*sighted, *blind)


def cells_of(
    arms: Sequence[Arm],
    counts: Sequence[int],
    seeds: int,
    *,
    twins: str = "largest",
    full_from: int | None = None,
) -> tuple[Cell, ...]:
    """All trainings, in the order in which they are run.

    The first seed of every arm comes first, the largest number of demonstrations before smaller
    ones and sighted arms before their twins, so that an early report already compares families.
    Twins are trained from ``full_from`` on (by default at the largest number only), unless
    ``twins`` is ``all``.

    Raises:
        ValueError: When counts or seeds make no grid.
    """
    found: list[str] = []
    if not counts or min(counts) < 1 or len(set(counts)) < len(counts):
        found.append(f"numbers of demonstrations are {list(counts)}; give each once, at least 1")
    if seeds < 1:
        found.append(f"{seeds} seeds; at least 1 is needed (3 to see how much they differ)")
    if found:
        raise ValueError("This grid is empty or double:\n  - " + "\n  - ".join(found))
    full = max(counts) if full_from is None else full_from
    return tuple(
        Cell(arm=arm, demonstrations=count, seed=seed)
        for seed in range(seeds)
        for count in sorted(counts, reverse=True)
        for blind in (False, True)
        for arm in arms
        if arm.blind == blind and (not blind or twins == "all" or count >= full)
    )
