"""What is given when acting, as tokens: cameras, words, proprioception, learned registers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from vertebra.coupling.joint import HIDDEN
from vertebra.coupling.kinds import FEATURES
from vertebra.coupling.table import Embed
from vertebra.nn.embeddings import Bins, PixelTokens, Words, tiled
from vertebra.policy.shape import REGISTERS, Shape
from vertebra.spec.streams import PIXEL_STREAMS, Role


@dataclass(frozen=True, kw_only=True, eq=False)
class Given:
    """What is known when acting, as tensors.

    Attributes:
        images: Camera name to uint8 [B, H, W, 3].
        state: Normalised state, float [B, S].
        instructions: B sentences.
    """

    images: Mapping[str, Tensor]
    state: Tensor
    instructions: tuple[str, ...]

    def rows(self, index: Tensor) -> "Given":
        """Some samples of the batch, in the order of ``index``."""
        return Given(
            images={name: image[index] for name, image in self.images.items()},
            state=self.state[index],
            instructions=tuple(self.instructions[i] for i in index.tolist()),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Context:
    """Tokens that are read by cross-attention.

    Attributes:
        tokens: [B, S, D].
        mask: True where a token is real [B, S].
    """

    tokens: Tensor
    mask: Tensor

    @property
    def bias(self) -> Tensor | None:
        """What is added to attention scores [B, 1, 1, S]; ``None`` when all tokens are real."""
        if bool(self.mask.all()):
            return None
        return torch.zeros(self.mask.shape, device=self.mask.device).masked_fill(
            ~self.mask, HIDDEN
        )[:, None, None]

    def and_then(self, other: "Context | None") -> "Context":
        """These tokens, then the others."""
        if other is None:
            return self
        tokens = torch.cat([self.tokens, other.tokens.to(self.tokens.dtype)], dim=1)
        return Context(tokens=tokens, mask=torch.cat([self.mask, other.mask], dim=1))


class ShippedSenses(nn.Module):
    """Embeds what is given, with new weights of any width.

    Args:
        shape: Recipe, size and robot.
        widths: Token width of each expert.
    """

    def __init__(self, shape: Shape, widths: Mapping[str, int]) -> None:
        super().__init__()
        self.shape = shape
        table, size = shape.recipe.table, shape.size
        self.given = table.named(Role.GIVEN)
        self.context = tuple(name for name in table.context if name != FEATURES)
        self.eyes = nn.ModuleDict(
            {name: self._cameras() for name in self.given if name in PIXEL_STREAMS}
        )
        self.words = Words(shape.vocabulary, size.trunk)
        self.embed_state = table.embed.get("state", Embed.TOKENS)
        self.has_state = "state" in self.given or "state" in self.context
        if self.has_state:
            width = size.trunk if "state" in self.context else widths[table.experts["state"]]
            match self.embed_state:
                case Embed.WORDS:
                    self.state: nn.Module = Bins(shape.state_dims, width)
                case Embed.LATENT_FRAME:
                    self.state = nn.Linear(shape.patch_numbers, width)
                    place = 0.02 * torch.randn(shape.frame_tokens, width)
                    self.state_place = nn.Parameter(place)
                case _:
                    self.state = nn.Sequential(
                        nn.Linear(shape.state_dims, width), nn.SiLU(), nn.Linear(width, width)
                    )
        if REGISTERS in self.given:
            width = widths[table.experts[REGISTERS]]
            self.registers = nn.Parameter(0.02 * torch.randn(size.registers, width))

    def _cameras(self) -> nn.ModuleDict:
        size = self.shape.size
        return nn.ModuleDict(
            {
                camera.name: PixelTokens(
                    height=camera.height,
                    width_px=camera.width,
                    stride=size.fine_stride if index == 0 else size.coarse_stride,
                    width=size.trunk,
                    channels=size.channels,
                )
                for index, camera in enumerate(self.shape.needs.cameras)
            }
        )

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.words.position.device

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of tokens of the first camera."""
        return self.stems[0].rows, self.stems[0].columns

    @property
    def camera_tokens(self) -> int:
        """Tokens of all cameras."""
        return sum(stem.rows * stem.columns for stem in self.stems)

    @property
    def stems(self) -> list[PixelTokens]:
        """What makes tokens of each camera, in their order."""
        stems = cast("nn.ModuleDict", self.eyes[self.shape.recipe.pixels])
        return [cast("PixelTokens", stem) for stem in stems.values()]

    def heard(self, instructions: Sequence[str], silent: bool) -> Context:
        """The words; silence when nothing may be heard."""
        spoken = ("",) * len(instructions) if silent else tuple(instructions)
        rows, mask = self.words.rows(spoken)
        return Context(tokens=self.words(rows), mask=mask)

    def felt(self, state: Tensor) -> Tensor:
        """The state [B, S] as tokens [B, L, D]."""
        if self.embed_state is Embed.LATENT_FRAME:
            frame = tiled(state[:, None], self.shape.frame_tokens, self.shape.patch_numbers)
            return self.state(frame) + self.state_place
        if self.embed_state is Embed.WORDS:
            return self.state(state)
        return self.state(state)[:, None]

    def streams(
        self, given: Given, names: Sequence[str], silent: bool
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Tokens and padding masks of some given streams (the pointing token apart)."""
        tokens: dict[str, Tensor] = {}
        padding: dict[str, Tensor] = {}
        for name in names:
            if name in self.eyes:
                eyes = cast("nn.ModuleDict", self.eyes[name])
                seen = [eye(given.images[camera]) for camera, eye in eyes.items()]
                tokens[name] = torch.cat(seen, dim=1)
            elif name == "text":
                words = self.heard(given.instructions, silent)
                tokens[name] = words.tokens
                if not bool(words.mask.all()):
                    padding[name] = words.mask
            elif name == "state":
                tokens[name] = self.felt(given.state)
            elif name == REGISTERS:
                tokens[name] = self.registers.expand(len(given.state), -1, -1)
        return tokens, padding

    def contexts(self, given: Given, names: Sequence[str], silent: bool) -> Context | None:
        """The given inputs that are read by cross-attention, ``None`` when there are none."""
        found: Context | None = None
        for name in names:
            if name == FEATURES:
                continue
            part = self.heard(given.instructions, silent)
            if name == "state":
                felt = self.felt(given.state)
                part = Context(tokens=felt, mask=part.mask.new_ones(felt.shape[:2]))
            found = part if found is None else found.and_then(part)
        return found
