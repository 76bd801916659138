"""What is given, as tokens of released trunks.

Source: what was understood enters as an expert of its own: Motus, arXiv:2512.13030.
"""

from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from vertebra.backbones.decoder import decoder_closing, decoder_layers
from vertebra.coupling.joint import JointAttention, Seen
from vertebra.coupling.kinds import FEATURES
from vertebra.coupling.table import Embed, Joint
from vertebra.nn.embeddings import Bins, tiled
from vertebra.policy.body import Laid, running_places
from vertebra.policy.senses import Context, Given
from vertebra.policy.shape import REGISTERS, Shape
from vertebra.policy.stand_video import VideoParts, View
from vertebra.policy.stand_vlm import Reader, VlmParts
from vertebra.spec.streams import ALL, given

READ: tuple[str, ...] = ("image", "text")
"""Streams that a vision-language model makes of what is given."""


class StandingSenses(nn.Module):
    """What is given, as tokens of the trunks.

    Args:
        shape: Recipe and robot, at the size of the trunks.
        widths: Token width of each expert.
        reader: Pictures and words for the vision-language model.
        view: Pictures for the video model.
        understanding: What comes behind the vision-language model where it stands beside a video
            model.
        video: The video model.
        tokens: What makes tokens of patch vectors.
    """

    def __init__(
        self,
        shape: Shape,
        widths: Mapping[str, int],
        *,
        reader: Reader | None,
        view: View | None,
        understanding: "Understanding | None",
        video: VideoParts | None,
        tokens: nn.Module | None,
    ) -> None:
        super().__init__()
        table = shape.recipe.table
        self.shape, self.reader, self.view, self.understanding = shape, reader, view, understanding
        self.texts = None if video is None else video.texts
        self.has_state = "state" in table.experts or "state" in table.context
        self.embed_state = table.embed.get("state", Embed.TOKENS)
        self._tokens = (tokens,)
        dims = shape.state_dims
        if "state" in table.context and video is not None:
            self.told_state = nn.Linear(dims, video.sizes.text_width)
        if "state" in table.experts and self.embed_state is not Embed.LATENT_FRAME:
            width = widths[table.experts["state"]]
            if self.embed_state is Embed.WORDS:
                self.state: nn.Module = Bins(dims, width)
            else:
                self.state = nn.Sequential(
                    nn.Linear(dims, width), nn.SiLU(), nn.Linear(width, width)
                )
        if REGISTERS in table.experts:
            width = widths[table.experts[REGISTERS]]
            self.registers = nn.Parameter(0.02 * torch.randn(shape.size.registers, width))
        self.register_buffer("here", torch.zeros(()), persistent=False)
        self.here: Tensor

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.here.device

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of tokens of the first camera."""
        if self.shape.recipe.pixels == "image":
            return cast("Reader", self.reader).grid
        return next(iter(cast("View", self.view).grids.values()))

    @property
    def camera_tokens(self) -> int:
        """Tokens of all cameras."""
        if self.shape.recipe.pixels == "image":
            rows, columns = self.grid
            return rows * columns * len(self.shape.needs.cameras)
        return sum(rows * columns for rows, columns in cast("View", self.view).grids.values())

    def streams(
        self, given: Given, names: Sequence[str], silent: bool
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Tokens [B, L, D] and padding masks [B, L] of some given streams."""
        tokens, padding = self._read(given, names, silent)
        for name in names:
            match name:
                case "frame":
                    tokens[name] = cast("View", self.view).seen(given.images)
                case "state":
                    tokens[name] = self._felt(given.state)
                case _ if name == REGISTERS:
                    tokens[name] = self.registers.expand(len(given.state), -1, -1)
                case _:
                    pass
        return tokens, padding

    def contexts(self, given: Given, names: Sequence[str], silent: bool) -> Context | None:
        """States of the words, then one for the robot's state, where they are read.

        A video model whose recipe gives it no words is told nothing, as it knows it from training.
        """
        found: Context | None = None
        heads = FEATURES in names
        if self.texts is not None and ("text" in names or not heads):
            states, mask = self.texts(_spoken(given, silent or "text" not in names))
            found = Context(tokens=states.to(self.device), mask=mask.to(self.device))
        if "state" in names:
            own = self.told_state(given.state)[:, None]
            part = Context(tokens=own, mask=torch.ones(own.shape[:2], dtype=torch.bool))
            found = part if found is None else found.and_then(part)
        return found

    def _read(
        self, given: Given, names: Sequence[str], silent: bool
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        if self.reader is None or not set(names) & set(READ):
            return {}, {}
        wanted = READ if self.understanding is not None else [n for n in READ if n in names]
        tokens: dict[str, Tensor] = {}
        padding: dict[str, Tensor] = {}
        if "image" in wanted:
            tokens["image"] = self.reader.seen(given.images)
        if "text" in wanted:
            tokens["text"], mask = self.reader.heard(_spoken(given, silent))
            if not bool(mask.all()):
                padding["text"] = mask
        if self.understanding is not None:
            tokens = self.understanding(tokens, padding)
        return (
            {name: value for name, value in tokens.items() if name in names},
            {name: value for name, value in padding.items() if name in names},
        )

    def _felt(self, state: Tensor) -> Tensor:
        if self.embed_state is Embed.LATENT_FRAME:
            shape = self.shape
            frame = tiled(state[:, None], shape.frame_tokens, shape.patch_numbers)
            return cast("nn.Module", self._tokens[0])(frame)
        if self.embed_state is Embed.WORDS:
            return self.state(state)
        return self.state(state)[:, None]


def _spoken(given: Given, silent: bool) -> tuple[str, ...]:
    return ("",) * len(given.instructions) if silent else given.instructions


class Understanding(nn.Module):
    """A whole vision-language model, and what turns its output into tokens of another expert.

    Args:
        parts: The model.
        width: Width of those tokens.
        pictures: Pictures that it sees at once.
    """

    def __init__(self, parts: VlmParts, width: int, pictures: int) -> None:
        super().__init__()
        self.own = parts.places(pictures)
        both = dict.fromkeys(READ, ALL)
        table = Joint(
            streams=tuple(given(name) for name in READ),
            sees=dict.fromkeys(READ, both),
            experts=dict.fromkeys(READ, "vlm"),
        )
        self.trunk = JointAttention(
            table,
            layers={"vlm": decoder_layers(parts.sizes)},
            closings={"vlm": decoder_closing(parts.sizes)},
            finishing=READ,
            causal=frozenset({"vlm"} if parts.causal else ()),
            ahead=frozenset({"image"} if parts.ahead else ()),
            layered={"image": parts.layered},
        )
        self.out = nn.Linear(parts.sizes.width, width)

    def forward(
        self, tokens: Mapping[str, Tensor], padding: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Tokens of pictures and words as those of the other expert."""
        laid = Laid(tokens=tokens, padding=padding)
        places = running_places(READ, laid, {}, {}, self.own)
        read = self.trunk(dict(tokens), seen=Seen(padding=padding, places=places))
        return {name: self.out(value) for name, value in read.last.items()}
