"""A released vision-language model as a trunk: pictures and words in, tokens for its layers out."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from vertebra.backbones.decoder import DecoderSizes, decoder_closing, decoder_layers
from vertebra.backbones.gemma import gemma_sizes
from vertebra.backbones.llama import llama_sizes
from vertebra.policy.adapt_pi0 import framed
from vertebra.policy.released import Prompts, library_prompts, picture_tower


class Eyes(Protocol):
    """What makes tokens of pictures (a module)."""

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of tokens of one picture."""
        ...

    def __call__(self, picture_BHWC: Tensor) -> Tensor:
        """Pictures [B, H, W, 3], uint8, to tokens [B, rows * columns, D]."""
        ...


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
        rename: From the library's names of weights to ``layers.``, ``closing.``, ``table.`` and
            ``eyes.``; ``None`` for what is not needed.
    """

    sizes: DecoderSizes
    eyes: nn.Module
    vocabulary: int
    scale: float
    prompts: Prompts
    causal: bool
    rename: Callable[[str], str | None]


class SquareEyes(nn.Module):
    """A picture encoder for squares of one size, and a linear map behind it (PaliGemma).

    Args:
        tower: Normalised pictures [B, 3, px, px] in, something with a ``last_hidden_state`` out.
        config: Configuration of the tower.
        width: Width of the tokens.
    """

    def __init__(self, tower: nn.Module, config: Mapping[str, Any], width: int) -> None:
        super().__init__()
        self.px = int(config["image_size"])
        side = self.px // int(config["patch_size"])
        self.grid = (side, side)
        self.tower = tower
        self.projector = nn.Linear(int(config["hidden_size"]), width)

    def forward(self, picture_BHWC: Tensor) -> Tensor:
        """Pictures [B, H, W, 3], uint8, to tokens [B, rows * columns, D]."""
        pixels = framed(picture_BHWC, self.px, self.projector.weight.dtype)
        return self.projector(self.tower(pixels).last_hidden_state)


class ShuffledEyes(nn.Module):
    """A picture encoder for squares, whose neighbouring tokens are joined (SmolVLM2).

    Args:
        tower: Normalised pictures [B, 3, px, px] in, something with a ``last_hidden_state`` out.
        config: Configuration of the tower.
        joined: How many tokens along each side become one.
        width: Width of the tokens.
    """

    def __init__(
        self, tower: nn.Module, config: Mapping[str, Any], joined: int, width: int
    ) -> None:
        super().__init__()
        self.px, self.joined = int(config["image_size"]), joined
        side = self.px // int(config["patch_size"]) // joined
        self.grid = (side, side)
        self.tower = tower
        self.proj = nn.Linear(int(config["hidden_size"]) * joined**2, width, bias=False)

    def forward(self, picture_BHWC: Tensor) -> Tensor:
        """Pictures [B, H, W, 3], uint8, to tokens [B, rows * columns, D]."""
        pixels = framed(picture_BHWC, self.px, self.proj.weight.dtype)
        seen = self.tower(pixels).last_hidden_state
        side, cut = self.grid[0], self.joined
        parts = seen.view(len(seen), side, cut, side, cut, -1).permute(0, 1, 3, 2, 4, 5)
        return self.proj(parts.reshape(len(seen), side * side, -1))


PALIGEMMA: tuple[tuple[str, str | None], ...] = (
    (r"^(?:model\.)?language_model\.(?:model\.)?layers\.", "layers."),
    (r"^(?:model\.)?language_model\.(?:model\.)?norm\.", "closing."),
    (r"^(?:model\.)?language_model\.(?:model\.)?embed_tokens\.", "table."),
    (r"^(?:model\.)?vision_tower\.(?:vision_model\.)?head\.", None),
    (r"^(?:model\.)?vision_tower\.(?:vision_model\.)?", "eyes.tower."),
    (r"^(?:model\.)?multi_modal_projector\.linear\.", "eyes.projector."),
    (r"lm_head\.", None),
)
"""Beginnings of the names of weights, the first that fits, and ours; ``None`` where not needed."""


SMOLVLM: tuple[tuple[str, str | None], ...] = (
    (r"^(?:model\.)?text_model\.layers\.", "layers."),
    (r"^(?:model\.)?text_model\.norm\.", "closing."),
    (r"^(?:model\.)?text_model\.embed_tokens\.", "table."),
    (r"^(?:model\.)?vision_model\.", "eyes.tower."),
    (r"^(?:model\.)?connector\.modality_projection\.proj\.", "eyes.proj."),
    (r"^lm_head\.", None),
)


def renaming(names: Sequence[tuple[str, str | None]], family: str) -> Callable[[str], str | None]:
    """A function from a library's names of weights to ours; it refuses names that do not fit."""

    def rename(name: str) -> str | None:
        for pattern, ours in names:
            if found := re.search(pattern, name):
                return None if ours is None else found.expand(ours) + name[found.end() :]
        raise ValueError(f"'{name}' is no weight of a {family}.")

    return rename


def paligemma(directory: Path, config: Mapping[str, Any]) -> VlmParts:
    """PaliGemma: SigLIP before a Gemma 1 whose prefix looks both ways.

    Source: huggingface/transformers @ v5.23.0 src/transformers/models/paligemma/
        modeling_paligemma.py; arXiv:2407.07726.

    Raises:
        ValueError: When its language model is another one (PaliGemma 2 stands on a Gemma 2).
    """
    text, seen = config["text_config"], config["vision_config"]
    sizes = gemma_sizes(text)
    return VlmParts(
        sizes=sizes,
        eyes=SquareEyes(picture_tower(seen), seen, sizes.width),
        vocabulary=int(text["vocab_size"]),
        scale=sizes.width**0.5,
        prompts=library_prompts(directory),
        causal=False,
        rename=renaming(PALIGEMMA, "PaliGemma"),
    )


def smolvlm2(directory: Path, config: Mapping[str, Any]) -> VlmParts:
    """SmolVLM2: SigLIP before a Llama, which does not look ahead.

    Source: huggingface/transformers @ v5.23.0 src/transformers/models/smolvlm/
        modeling_smolvlm.py; arXiv:2504.05299.
    Deviations: a picture is one square, not also cut into tiles; the words that stand around
        pictures and turns of a conversation are left out.

    Raises:
        ValueError: When its language model is another one.
    """
    text, seen = config["text_config"], config["vision_config"]
    sizes = llama_sizes(text)
    tower = picture_tower({**seen, "model_type": "smolvlm_vision"})
    return VlmParts(
        sizes=sizes,
        eyes=ShuffledEyes(tower, seen, int(config["scale_factor"]), sizes.width),
        vocabulary=int(text["vocab_size"]),
        scale=1.0,
        prompts=library_prompts(directory),
        causal=True,
        rename=renaming(SMOLVLM, "SmolVLM2"),
    )


OPEN: Mapping[str, Callable[[Path, Mapping[str, Any]], VlmParts]] = {
    "paligemma": paligemma,
    "smolvlm2": smolvlm2,
}
"""Name of a family to what takes a model of it apart."""


def vlm_parts(directory: Path, family: str, layers: int | None = None) -> VlmParts:
    """A vision-language model, taken apart, cut to its first layers where that is asked for."""
    config = json.loads((directory / "config.json").read_text())
    parts = OPEN[family](directory, config)
    return parts if layers is None else replace(parts, sizes=replace(parts.sizes, layers=layers))


class Reader(nn.Module):
    """Pictures and words as tokens of a vision-language model.

    Args:
        parts: The model.
        cameras: Names of the cameras, in their order.
    """

    def __init__(self, parts: VlmParts, cameras: Sequence[str]) -> None:
        super().__init__()
        self.cameras, self.prompts, self.scale = tuple(cameras), parts.prompts, parts.scale
        self.eyes = parts.eyes
        self.table = nn.Embedding(parts.vocabulary, parts.sizes.width)

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of tokens of one camera."""
        rows, columns = self.eyes.grid  # type: ignore[misc]
        return int(rows), int(columns)

    def seen(self, images: Mapping[str, Tensor]) -> Tensor:
        """Tokens of all cameras, one behind another [B, L, D]."""
        return torch.cat([self.eyes(images[name]) for name in self.cameras], dim=1)

    def heard(self, instructions: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Tokens of the words [B, L, D], and where they are real [B, L]."""
        rows, mask = self.prompts(instructions)
        device = self.table.weight.device
        words = self.table(rows.to(device))
        return words * torch.tensor(self.scale).to(words), mask.to(device)


def own_layers(parts: VlmParts) -> tuple[nn.ModuleList, nn.Module]:
    """Layers and what follows them, with new weights."""
    return decoder_layers(parts.sizes), decoder_closing(parts.sizes)
