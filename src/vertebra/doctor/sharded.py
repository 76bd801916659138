"""FSDP2 over several processes against one process: gradients, and a step of the optimizer.

``python -m vertebra.doctor.sharded RANK WORLD DEVICE DIRECTORY`` is one of these processes.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from vertebra.backbones.sizes import TINY
from vertebra.doctor.finding import Finding, State, compared, examined, skipped
from vertebra.doctor.kernels import TOLERANCES, relative
from vertebra.doctor.synthetic import made_up_network
from vertebra.doctor.whole import BATCH, gradients, step_loss
from vertebra.policy.network import Network
from vertebra.recipes import by_name
from vertebra.train.shard import shard

RECIPE = "fast-wam"
WAIT_S = 240
RATE = 1e-3


class Step(nn.Module):
    """A network whose forward pass is the loss of a made-up batch: what is sharded."""

    def __init__(self, network: Network, *, half: bool) -> None:
        super().__init__()
        self.network, self.in_half = network, half

    def forward(self, seed: int) -> Tensor:
        """The weighted loss."""
        device = self.network.device
        with torch.autocast(device.type, torch.bfloat16, enabled=self.in_half):
            return step_loss(self.network, device, seed=seed, count=BATCH)


def sharded(device: torch.device, processes: int = 2) -> Iterator[Finding]:
    """FSDP2 in float32 and in bf16, over NCCL or gloo."""
    backend = "nccl" if device.type == "cuda" else "gloo"
    if device.type == "cuda" and torch.cuda.device_count() < 2:
        yield skipped("FSDP2 over nccl", "one GPU: sharding over several was not examined")
        backend, device = "gloo", torch.device("cpu")
    if device.type == "cpu" and backend == "gloo" and not dist.is_gloo_available():
        yield skipped("FSDP2 over gloo", "this torch was built without gloo")
        return
    count = torch.cuda.device_count() if device.type == "cuda" else processes
    for precision in ("float32", "bf16"):
        yield examined(
            f"FSDP2 over {backend}, {count} processes, {precision}",
            lambda precision=precision: _together(device, count, precision),
        )


def _together(
    device: torch.device, count: int, precision: str
) -> tuple[State, str, dict[str, float]]:
    """Start all processes and hold what they found against one process."""
    with tempfile.TemporaryDirectory() as place:
        words = [sys.executable, "-m", "vertebra.doctor.sharded"]
        running = [
            subprocess.Popen(  # noqa: S603
                [*words, str(rank), str(count), device.type, place, precision],
                stderr=subprocess.PIPE,
                text=True,
            )
            for rank in range(count)
        ]
        try:
            ends = [one.communicate(timeout=WAIT_S)[1] for one in running]
        finally:
            for one in running:
                if one.poll() is None:
                    one.kill()
                    one.wait()
        failed = [end for one, end in zip(running, ends, strict=True) if one.returncode]
        if failed:
            raise RuntimeError(f"a process ended with an error: {failed[0][-250:]}")
        figures: dict[str, float] = json.loads((Path(place) / "found.json").read_text())
    dtype = torch.float32 if precision == "float32" else torch.bfloat16
    return compared(figures, 2 * TOLERANCES[dtype])


def _process(rank: int, world: int, kind: str, place: Path, precision: str) -> None:
    """One of the processes; the first one writes what was found."""
    device = torch.device(kind, rank) if kind == "cuda" else torch.device(kind)
    if kind == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group(
        "nccl" if kind == "cuda" else "gloo",
        init_method=f"file://{place}/meet",
        rank=rank,
        world_size=world,
        timeout=timedelta(seconds=WAIT_S),
    )
    try:
        figures = _figures(rank, world, device, precision)
    finally:
        dist.destroy_process_group()
    if rank == 0:
        (place / "found.json").write_text(json.dumps(figures))


def _figures(rank: int, world: int, device: torch.device, precision: str) -> dict[str, float]:
    """Differences from one process that has all batches: loss, gradients, weights after a step."""
    half = precision == "bf16"
    alone = Step(made_up_network(by_name(RECIPE), TINY).to(device), half=False)
    plain = sum((alone(seed) for seed in range(world)), torch.zeros((), device=device)) / world
    plain.backward()
    wanted = gradients(alone)
    torch.optim.SGD(alone.parameters(), lr=RATE).step()
    shared = shard(Step(made_up_network(by_name(RECIPE), TINY).to(device), half=half), half=half)
    loss = shared(rank)
    loss.backward()
    mean = loss.detach().float().clone()
    dist.all_reduce(mean)
    found = torch.cat([_whole(value.grad, value) for value in shared.parameters()])
    torch.optim.SGD(shared.parameters(), lr=RATE).step()
    moved = torch.cat([_whole(value.detach(), value) for value in shared.parameters()])
    after = torch.cat([value.detach().float().flatten().cpu() for value in alone.parameters()])
    if not any(isinstance(value, DTensor) for value in shared.parameters()):
        raise AssertionError("nothing was sharded")
    return {
        "loss": relative(mean.cpu() / world, plain.detach().cpu()),
        "gradients": relative(found, wanted),
        "weights after a step": relative(moved, after),
    }


def _whole(value: Tensor | None, parameter: Tensor) -> Tensor:
    """A sharded tensor in one piece, zero where there is none."""
    shown = torch.zeros_like(parameter) if value is None else value
    whole = shown.full_tensor() if isinstance(shown, DTensor) else shown
    return whole.detach().float().flatten().cpu()


if __name__ == "__main__":
    _process(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], Path(sys.argv[4]), sys.argv[5])
