"""Sharded weights (FSDP2 over gloo): any layout is taken, and a step is that of whole weights."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from vertebra.nn.embeddings import PixelTokens
from vertebra.train.optim import Optimiser
from vertebra.train.shard import shard

PICTURES = torch.randint(0, 256, (2, 16, 16, 3), generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def alone(tmp_path: Path) -> Iterator[None]:
    """A group of one process."""
    meet = f"file://{tmp_path}/meet"
    dist.init_process_group("gloo", init_method=meet, rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def stem() -> PixelTokens:
    torch.manual_seed(0)
    return PixelTokens(height=16, width_px=16, stride=8, width=8, channels=8)


def stepped(network: nn.Module) -> list[Tensor]:
    """Weights after two steps of the trainer's optimiser."""
    optimiser = Optimiser(network, learning_rate=1e-2, warmup=0, steps=4)
    for step in range(2):
        network(PICTURES.byte()).square().mean().backward()
        optimiser.step(step)
    return [
        value.full_tensor() if isinstance(value, DTensor) else value.detach()
        for value in network.parameters()
    ]


def test_a_channels_last_stem_is_laid_out_anew_and_trains_as_before() -> None:
    assert not stem().mix.weight.is_contiguous()
    with pytest.raises(NotImplementedError, match="contiguous"):
        fully_shard(stem())
    shared = shard(stem())
    assert all(isinstance(value, DTensor) for value in shared.parameters())
    for found, wanted in zip(stepped(shared), stepped(stem()), strict=True):
        torch.testing.assert_close(found, wanted)
