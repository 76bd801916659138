"""Everything that fixes the tensors of a policy: recipe, size, robot."""

from dataclasses import dataclass, replace
from typing import TypeVar

from vertebra.backbones.sizes import CODE_CHANNELS, CODE_GRID, GROUP, Size
from vertebra.coupling.kinds import FEATURES, Inverse
from vertebra.coupling.table import Embed, Joint
from vertebra.policy.recipe import Recipe
from vertebra.schedules.kinds import Plan, Rolling, Schedule, Simple
from vertebra.spec.action import ActionSpec
from vertebra.spec.observation import ObservationSpec
from vertebra.spec.streams import PIXEL_STREAMS, POINT, Role

REGISTERS = "registers"
MADE = {
    Role.GIVEN: (*PIXEL_STREAMS, "text", "state", REGISTERS, POINT),
    Role.DENOISED: ("future", "future_state", "value", "action"),
}
"""Streams for which there are tensors; teachers are copies of ``future`` or ``action``."""
Few = TypeVar("Few", bound=Simple)
COPIED = ("future", "action")
CONTEXTS = ("text", "state", FEATURES)


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What a network is built from.

    Attributes:
        recipe: The recipe.
        size: The size.
        needs: Cameras (the first one gets fine tokens) and state.
        makes: Action vector.
        vocabulary: Words known from the training instructions, sorted; those of a later training
            come after the earlier ones.
        pointing: Whether a pointing head is trained (privileged targets).
        coded: Whether imagined frames are codes of the autoencoder instead of pixels.

    Raises:
        ValueError: Naming everything in the recipe for which there are no tensors.
    """

    recipe: Recipe
    size: Size
    needs: ObservationSpec
    makes: ActionSpec
    vocabulary: tuple[str, ...]
    pointing: bool
    coded: bool = False

    def __post_init__(self) -> None:
        found = _unmade(self.recipe.table)
        if POINT in self.recipe.table.experts and not self.pointing:
            found.append(f"stream '{POINT}' needs a pointing head: set pointing")
        if not self.needs.cameras:
            found.append("there is no camera")
        if self.coded and not codable(self.recipe):
            found.append("its imagined frames cannot be coded in groups")
        if self.coded and self.size.latents is not None:
            found.append(
                f"size '{self.size.name}' has latents of its own, so nothing else is coded"
            )
        if self.chunks < 1 + self.recipe.leapfrogs:
            found.append(f"size '{self.size.name}' has a window of {self.size.window} chunks")
        if found:
            raise ValueError(
                f"No network can be built for recipe '{self.recipe.name}':\n  - "
                + "\n  - ".join(found)
            )

    @property
    def schedule(self) -> Schedule:
        """The recipe's schedule, cut to this size: action steps, candidates, window."""
        return self._cut(self.recipe.schedule)

    def _cut(self, schedule: Schedule) -> Schedule:
        match schedule:
            case Rolling(inner=inner, window=window):
                short = min(window, self.size.window)
                return replace(schedule, inner=self._short(inner), window=short)
            case Plan(inner=inner, candidates=candidates):
                return replace(
                    schedule,
                    inner=self._short(inner),
                    candidates=min(candidates, self.size.candidates or candidates),
                )
            case _:
                return self._short(schedule)

    def _short(self, schedule: Few) -> Few:
        steps = self.size.action_steps
        return schedule if steps is None else replace(schedule, steps=steps)

    @property
    def state_dims(self) -> int:
        """Length of the state vector."""
        return len(self.needs.state)

    @property
    def action_dims(self) -> int:
        """Length of an action vector."""
        return len(self.makes.dims)

    @property
    def chunks(self) -> int:
        """Chunks in a training sample, and the longest history when acting."""
        schedule = self.schedule
        return schedule.window if isinstance(schedule, Rolling) else 1

    @property
    def horizon(self) -> int:
        """Actions in a chunk."""
        return self.size.chunk if self.recipe.rolling else self.size.horizon

    @property
    def execute(self) -> int:
        """Actions executed before the next chunk."""
        if self.recipe.executes_all:
            return self.horizon
        asked = max(self.size.execute, round(self.size.look_s * self.needs.rate_hz))
        return min(self.horizon, asked)

    @property
    def future_steps(self) -> tuple[int, ...]:
        """How many control steps after a chunk's start its imagined frames lie.

        While leapfrogging the chunk's start itself has to be imagined.
        """
        if self.coded:
            return self.size.future_frames
        if not self.recipe.rolling:
            return self.size.future_steps
        return (0, self.horizon) if self.recipe.leapfrogs else (self.horizon,)

    @property
    def groups(self) -> int:
        """Imagined frames of a chunk, or groups of them that are coded together."""
        if (latents := self.size.latents) is not None:
            return 1 if self.recipe.rolling else latents.frames
        return len(self.future_steps) // (GROUP if self.coded else 1)

    @property
    def frame_tokens(self) -> int:
        """Tokens of one imagined frame, or of a group of coded ones."""
        if (latents := self.size.latents) is not None:
            return latents.rows * latents.columns
        if self.coded:
            return CODE_GRID**2
        return (self.size.future_px // self.size.future_patch) ** 2

    @property
    def patch_numbers(self) -> int:
        """Numbers in one patch of an imagined frame, or in one code."""
        if (latents := self.size.latents) is not None:
            return latents.numbers
        return CODE_CHANNELS if self.coded else 3 * self.size.future_patch**2

    def plain_vectors(self, name: str) -> tuple[int, int]:
        """How many vectors of which length a stream holds in one chunk, before embedding."""
        match name:
            case "action":
                return self.horizon, self.action_dims
            case "future":
                return self.groups * self.frame_tokens, self.patch_numbers
            case "future_state":
                return len(self.future_steps), self.state_dims
            case "value":
                return 1, len(self.recipe.values)
            case "state":
                return 1, self.state_dims
            case _:
                raise ValueError(f"Stream '{name}' holds no vectors.")

    def vectors(self, name: str) -> tuple[int, int]:
        """How many vectors of which length a stream (or the teacher of one) holds as tokens."""
        table = self.recipe.table
        stream = table.stream(name)
        if table.embed.get(name) is Embed.LATENT_FRAME:
            return self.frame_tokens, self.patch_numbers
        return self.plain_vectors(stream.of if stream.role is Role.TEACHER else name)


def codable(recipe: Recipe) -> bool:
    """Whether a recipe imagines frames that can be coded in groups.

    Frames of chunks that roll are single, and inverse dynamics reads pixels.
    """
    return recipe.imagines and not recipe.rolling and not isinstance(recipe.coupling, Inverse)


def _unmade(table: Joint) -> list[str]:
    found = [
        f"{role} stream '{name}' is unknown, known are {known}"
        for role, known in MADE.items()
        for name in table.named(role)
        if name not in known
    ]
    found += [
        f"teacher '{name}' copies '{table.stream(name).of}', only {COPIED} can be copied"
        for name in table.named(Role.TEACHER)
        if table.stream(name).of not in COPIED
    ]
    found += [
        f"context '{name}' is unknown, known are {CONTEXTS}"
        for name in table.context
        if name not in CONTEXTS
    ]
    return found + [
        f"stream '{name}' cannot be embedded as {embed}"
        for name, embed in table.embed.items()
        if not _embeddable(table, name, embed)
    ]


def _embeddable(table: Joint, name: str, embed: Embed) -> bool:
    match embed:
        case Embed.TOKENS:
            return True
        case Embed.WORDS:
            return name == "state"
        case Embed.LATENT_FRAME:
            return name in ("state", "future_state", "value", "action")
        case Embed.ADAPTIVE:
            return table.stream(name).role is not Role.GIVEN
