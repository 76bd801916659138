"""What a recipe under trial says and costs, on a small robot."""

import tempfile
from pathlib import Path

import numpy as np
import torch

from fakes.episodes import random_cache, training
from vertebra.policy.losses import losses
from vertebra.policy.recipe import Recipe
from vertebra.train.prepare import prepare


def who_sees_whom(recipe: Recipe) -> dict[str, set[str]]:
    """For each stream the streams at which it looks."""
    return {query: set(row) for query, row in recipe.table.sees.items()}


def loss_of(recipe: Recipe) -> dict[str, float]:
    """Mean losses of an untrained network on random windows, after one gradient."""
    with tempfile.TemporaryDirectory() as directory:
        prepared = prepare(training(recipe, random_cache(Path(directory) / "cache")))
        examples = prepared.examples(prepared.windows.batch(np.arange(8)))
    terms = losses(prepared.policy.network, examples, torch.Generator().manual_seed(0))
    torch.stack([term.mean() for term in terms.values()]).sum().backward()
    return {name: float(term.detach().mean()) for name, term in terms.items()}
