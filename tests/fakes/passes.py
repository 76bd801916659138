"""Passes of tiny networks over random views, and noise for them."""

import numpy as np
import torch
from torch import Tensor

from fakes.episodes import MAKES, SENTENCES
from fakes.networks import given_of
from vertebra.policy.network import Network
from vertebra.policy.passes import Passes
from vertebra.policy.rolling import History, RollingPasses
from vertebra.spec.streams import Role


def source(seed: int = 0) -> torch.Generator:
    """A source of noise."""
    return torch.Generator().manual_seed(seed)


def drawn(network: Network, seed: int = 0, rows: int = len(SENTENCES)) -> dict[str, Tensor]:
    """Random vectors [rows, L, C] for every denoised stream, each from a seed of its own."""
    return {
        name: torch.randn(rows, *network.shape.vectors(name), generator=source(100 * place + seed))
        for place, name in enumerate(network.denoised)
    }


def passes_of(network: Network) -> Passes:
    """Passes over random views; for a rolling recipe those of its first chunk."""
    if network.shape.recipe.rolling:
        return RollingPasses(network, given_of(), History(), None)
    return Passes(network, given_of())


def teachers_of(network: Network) -> dict[str, str]:
    """Teachers and the streams of which they are copies."""
    names = network.table.named(Role.TEACHER)
    return {name: network.table.stream(name).of for name in names}


def executed(seed: int, count: int) -> np.ndarray:
    """Random actions."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, len(MAKES.dims))).astype(np.float32)
