"""Weights and inputs that anyone can make again, for comparisons with other libraries."""

import importlib
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


def numbers(name: str, shape: tuple[int, ...]) -> Tensor:
    """Uniform numbers in [-1, 1) that follow from a name; numpy keeps this stream for ever."""
    state = np.random.RandomState(zlib.crc32(name.encode()))
    return torch.from_numpy(state.uniform(-1.0, 1.0, shape).astype(np.float32))


def made_weights(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """A weight for every name: matrices keep the size of what they map, vectors lie around 0.2."""
    made: dict[str, Tensor] = {}
    for name, shape in shapes.items():
        fan_in = int(np.prod(shape[1:])) if len(shape) > 1 else 0
        made[name] = numbers(name, shape) * (
            (3.0 / fan_in) ** 0.5 if fan_in > 1 and "table" not in name else 0.3
        ) + (0.0 if len(shape) > 1 else 0.2)
    return made


def fill(module: nn.Module, name: str = "") -> dict[str, Tensor]:
    """Give a module such weights; what it holds beside them (positions) stays."""
    weights = made_weights({n: tuple(value.shape) for n, value in module.named_parameters()})
    module.load_state_dict(weights, strict=False)
    return weights


def names_of(ours: Iterable[str], turned: Mapping[str, str]) -> dict[str, str]:
    """Released names and ours for them.

    Args:
        ours: All our names.
        turned: Beginnings of our names, and what stands there in released ones.
    """
    return {
        theirs + name[len(own) :]: name
        for name in ours
        for own, theirs in turned.items()
        if name.startswith(own)
    }


def save_tokenizer(directory: Path, special: Mapping[str, str]) -> None:
    """A tokenizer of three words (numbers 3 to 5) as transformers writes it.

    Args:
        directory: Where to.
        special: The library's names of three special tokens, and the tokens (numbers 0 to 2).
    """
    library: Any = importlib.import_module("transformers")
    split_by: Any = importlib.import_module("tokenizers")
    words = {word: i for i, word in enumerate((*special.values(), "lift", "the", "box"))}
    unknown = special["unk_token"]
    split = split_by.Tokenizer(split_by.models.WordLevel(words, unk_token=unknown))
    split.pre_tokenizer = split_by.pre_tokenizers.Whitespace()
    library.PreTrainedTokenizerFast(tokenizer_object=split, **special).save_pretrained(directory)


def relative_error(found: Tensor, wanted: Tensor) -> float:
    """Largest difference, as a share of the largest number that is wanted."""
    return float(
        (found.detach().double() - wanted.detach().double()).abs().max() / wanted.abs().max()
    )
