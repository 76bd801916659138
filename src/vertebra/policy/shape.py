"""Everything that fixes the tensors of a policy: recipe, size, robot."""

from dataclasses import dataclass, replace

from vertebra.backbones.sizes import Size
from vertebra.policy.recipe import Recipe
from vertebra.schedules.kinds import Schedule
from vertebra.spec.action import ActionSpec
from vertebra.spec.observation import ObservationSpec


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
    """

    recipe: Recipe
    size: Size
    needs: ObservationSpec
    makes: ActionSpec
    vocabulary: tuple[str, ...]
    pointing: bool

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
