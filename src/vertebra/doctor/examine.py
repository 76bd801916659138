"""The whole examination, in order, and the facts about the processors that were examined."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.cuda import nccl

from vertebra.doctor.finding import Finding, State, examined, skipped
from vertebra.doctor.kernels import kernels
from vertebra.doctor.sharded import sharded
from vertebra.doctor.whole import compiled, recipes_on, training

PIECE = 2**28
"""Bytes of one of the pieces that are copied and held."""


def examine(
    *, gpus: bool, seconds: float, compiling: bool, on_finding: Callable[[Finding], None]
) -> tuple[Finding, ...]:
    """Examine this machine.

    Args:
        gpus: Whether to look for GPUs; the CPU alone otherwise.
        seconds: Of the training at the end.
        compiling: Whether to compile; it takes a minute.
        on_finding: Told of each finding as it is made.
    """
    found: list[Finding] = []
    for finding in _all(gpus=gpus, seconds=seconds, compiling=compiling):
        found.append(finding)
        on_finding(finding)
    return tuple(found)


def _all(*, gpus: bool, seconds: float, compiling: bool) -> Iterator[Finding]:
    device = torch.device("cpu")
    if gpus and torch.cuda.is_available():
        device = torch.device("cuda", 0)
    elif gpus:
        yield skipped("GPU", "torch finds no CUDA device: only what the CPU can was examined")
    yield from kernels(device)
    yield from recipes_on(device)
    if compiling:
        yield from compiled(device)
    else:
        yield skipped("torch.compile", "it was not asked for")
    yield from sharded(device)
    yield examined("memory", lambda: _memory(device))
    if seconds > 0:
        yield training(device, seconds)
    else:
        yield skipped("training", "no seconds were given for it")


def _memory(device: torch.device) -> tuple[State, str, dict[str, float]]:
    """Copy a piece back and forth, and say how much is free."""
    values = torch.arange(PIECE // 4, dtype=torch.float32)
    same = bool(torch.equal(values.to(device).clone().cpu(), values))
    figures = {"copied_bytes": float(PIECE)}
    words = f"{PIECE // 2**20} MiB came back " + ("unchanged" if same else "CHANGED")
    if device.type == "cuda":
        free, whole = torch.cuda.mem_get_info(device)
        figures |= {"free_bytes": float(free), "total_bytes": float(whole)}
        words += f"; {free / 1e9:.1f} of {whole / 1e9:.1f} GB are free"
    return (State.OK if same else State.DIFFERS), words, figures


def processors() -> list[dict[str, Any]]:
    """What torch says of each GPU."""
    if not torch.cuda.is_available():
        return []
    found: list[dict[str, Any]] = []
    for index in range(torch.cuda.device_count()):
        facts = torch.cuda.get_device_properties(index)
        found.append(
            {
                "name": facts.name,
                "memory_bytes": facts.total_memory,
                "capability": f"{facts.major}.{facts.minor}",
                "processors": facts.multi_processor_count,
            }
        )
    return found


def libraries() -> dict[str, Any]:
    """Versions that decide which kernels run."""
    cuda = torch.version.cuda
    return {
        "torch": torch.__version__,
        "cuda": cuda or "",
        "cudnn": torch.backends.cudnn.version() if cuda else None,
        "nccl": list(nccl.version()) if cuda else None,
    }
