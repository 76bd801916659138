"""A robot over latents, for checks of policies that remember latent frames of several cameras."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from checks.library import numbers
from fakes.episodes import MAKES, NEEDS
from vertebra.backbones.sizes import TINY, Latents
from vertebra.policy.recipe import Recipe
from vertebra.policy.shape import Shape

COUNT, CHANNELS, PICTURES = 2, 4, 4
ROWS, COLUMNS = 2, 3
"""Of tokens; two by two latents make one."""


def shape_on_latents(recipe: Recipe) -> Shape:
    """One latent frame a chunk."""
    latents = Latents(frames=1, rows=ROWS, columns=COLUMNS, numbers=4 * CHANNELS, pictures=PICTURES)
    return Shape(
        recipe=recipe,
        size=replace(TINY, action_steps=None, latents=latents),
        needs=NEEDS,
        makes=MAKES,
        vocabulary=(),
        pointing=False,
    )


def frame(at: int) -> Tensor:
    """Latents of what is seen at a chunk's start."""
    return numbers(f"frame {at}", (COUNT, CHANNELS, 2 * ROWS, 2 * COLUMNS))


def noise(shape: Shape, at: int) -> dict[str, Tensor]:
    """What a chunk is made from."""
    return {
        "future": numbers(f"future {at}", (COUNT, *shape.vectors("future"))),
        "action": numbers(f"action {at}", (COUNT, *shape.vectors("action"))),
    }


def states(texts: Sequence[str], words: int, width: int) -> Tensor:
    """States of sentences."""
    return torch.stack([numbers(f"says {text}", (words, width)) for text in texts])
