"""A released vision-language model as a trunk: pictures and words in, tokens for its layers out."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vertebra.backbones.decoder import DecoderSizes, decoder_closing, decoder_layers
from vertebra.policy.adapt_pi0 import Prompts


@dataclass(frozen=True, kw_only=True, eq=False)
class VlmParts:
    """A vision-language model, taken apart; all modules have new weights.

    Attributes:
        sizes: Its layers.
        eyes: What makes tokens of pictures.
        vocabulary: Rows of its table of words.
        scale: What vectors of words are multiplied by.
        prompts: Splits instructions into rows of that table.
        causal: Whether its tokens do not look ahead.
        ahead: Whether tokens of pictures of a causal model look ahead at one another.
        window: Tokens that some of its layers can look back over; 0 when all do over everything.
        layered: Of how many layers of the picture encoder states are added to tokens of pictures
            after the first layers; they stand behind those tokens.
        rename: From the library's names of weights to ``layers.``, ``closing.``, ``table.`` and
            ``eyes.``; ``None`` for what is not needed.
    """

    sizes: DecoderSizes
    eyes: nn.Module
    vocabulary: int
    scale: float
    prompts: Prompts
    causal: bool
    ahead: bool = False
    window: int = 0
    layered: int = 0
    rename: Callable[[str], str | None]

    def places(self, pictures: int) -> dict[str, Tensor]:
        """Time, row and column of the tokens of pictures, counted from the first of them [L, 3].

        Empty where a place is one number. A picture begins behind the largest of what went before.
        """
        if not self.sizes.axes:
            return {}
        rows, columns = (int(n) for n in self.eyes.grid)  # type: ignore[union-attr]
        row, column = torch.arange(rows), torch.arange(columns)
        own = torch.cartesian_prod(torch.zeros(1, dtype=torch.long), row, column)
        start = max(rows, columns) * torch.arange(pictures)
        return {"image": (start[:, None, None] + own).flatten(0, 1)}


def renaming(names: Sequence[tuple[str, str | None]], family: str) -> Callable[[str], str | None]:
    """A function from a library's names of weights to ours; it refuses names that do not fit."""

    def rename(name: str) -> str | None:
        for pattern, ours in names:
            if found := re.search(pattern, name):
                return None if ours is None else found.expand(ours) + name[found.end() :]
        raise ValueError(f"'{name}' is no weight of a {family}.")

    return rename


class Reader(nn.Module):
    """Pictures and words as tokens of a vision-language model.

    Args:
        parts: The model.
        cameras: Names of the cameras, in their order.

    Raises:
        ValueError: When their pictures fill the window of the model.
    """

    def __init__(self, parts: VlmParts, cameras: Sequence[str]) -> None:
        super().__init__()
        self.cameras, self.prompts, self.scale = tuple(cameras), parts.prompts, parts.scale
        self.eyes = parts.eyes
        self.table = nn.Embedding(parts.vocabulary, parts.sizes.width)
        rows, columns = self.grid
        self.window, self.pictures = parts.window, len(self.cameras) * rows * columns
        self._require_room(0)

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of tokens of one camera."""
        rows, columns = self.eyes.grid  # type: ignore[misc]
        return int(rows), int(columns)

    def seen(self, images: Mapping[str, Tensor]) -> Tensor:
        """Tokens of all cameras, one behind another [B, L, D]."""
        return torch.cat([self.eyes(images[name]) for name in self.cameras], dim=1)

    def heard(self, instructions: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Tokens of the words [B, L, D], and where they are real [B, L].

        Raises:
            ValueError: When pictures and words together are longer than the window of the model.
        """
        rows, mask = self.prompts(instructions)
        self._require_room(mask.shape[1])
        device = self.table.weight.device
        words = self.table(rows.to(device))
        return words * torch.tensor(self.scale).to(words), mask.to(device)

    def _require_room(self, words: int) -> None:
        if self.window and self.pictures + words > self.window:
            raise ValueError(
                f"Some layers of this vision-language model look back over {self.window} tokens, "
                f"and {len(self.cameras)} cameras with {words} words are {self.pictures + words}: "
                "use fewer cameras, or shorter instructions."
            )


def own_layers(parts: VlmParts) -> tuple[nn.ModuleList, nn.Module]:
    """Layers and what follows them, with new weights."""
    return decoder_layers(parts.sizes), decoder_closing(parts.sizes)
