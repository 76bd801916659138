"""Everything that fixes the tensors of a policy: recipe, size, robot."""

from dataclasses import dataclass, replace

from vertebra.backbones.sizes import Size
from vertebra.coupling.table import Joint
from vertebra.policy.recipe import PIXEL_STREAMS, POINT, Recipe
from vertebra.schedules.kinds import Schedule
from vertebra.spec.action import ActionSpec
from vertebra.spec.observation import ObservationSpec
from vertebra.spec.streams import Reach, Role

MADE = {
    Role.GIVEN: (*PIXEL_STREAMS, "text", "state", POINT),
    Role.DENOISED: ("future", "action"),
}
"""Streams for which there are tensors; teachers are copies of ``future``."""
CONTEXTS = ("text", "state")


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What a network is built from.

    Attributes:
        recipe: The recipe.
        size: The size.
        needs: Cameras (the first one gets fine tokens) and state.
        makes: Action vector.
        vocabulary: Words known from the training instructions, sorted.
        pointing: Whether a pointing head is trained (privileged targets).

    Raises:
        ValueError: Naming everything in the recipe for which there are no tensors.
    """

    recipe: Recipe
    size: Size
    needs: ObservationSpec
    makes: ActionSpec
    vocabulary: tuple[str, ...]
    pointing: bool

    def __post_init__(self) -> None:
        found = _unmade(self.recipe.coupling)
        if POINT in self.recipe.coupling.experts and not self.pointing:
            found.append(f"stream '{POINT}' needs a pointing head: set pointing")
        if not self.needs.cameras:
            found.append("there is no camera")
        if found:
            raise ValueError(
                f"No network can be built for recipe '{self.recipe.name}':\n  - "
                + "\n  - ".join(found)
            )

    @property
    def schedule(self) -> Schedule:
        """The recipe's schedule, with the action steps of this size."""
        schedule, steps = self.recipe.schedule, self.size.action_steps
        return schedule if steps is None else replace(schedule, steps=steps)

    @property
    def state_dims(self) -> int:
        """Length of the state vector."""
        return len(self.needs.state)

    @property
    def action_dims(self) -> int:
        """Length of an action vector."""
        return len(self.makes.dims)


def _unmade(joint: Joint) -> list[str]:
    found = [
        f"{role} stream '{name}' is unknown, known are {known}"
        for role, known in MADE.items()
        for name in joint.named(role)
        if name not in known
    ]
    found += [
        f"teacher '{name}' copies '{joint.stream(name).of}', only 'future' can be copied"
        for name in joint.named(Role.TEACHER)
        if joint.stream(name).of != "future"
    ]
    found += [
        f"context '{name}' is unknown, known are {CONTEXTS}"
        for name in joint.context
        if name not in CONTEXTS
    ]
    return found + [
        f"'{query}' sees '{key}' with reach {reach}, but all tokens share one chunk time: use ALL"
        for query, keys in joint.sees.items()
        for key, reach in keys.items()
        if reach is not Reach.ALL
    ]
