"""Whole recipes on a device: losses and gradients, compiled layers, graphs, a short training."""

import contextlib
import io
import os
import shutil
import time
from collections.abc import Iterator

import torch
from torch import Tensor

from vertebra.backbones.sizes import TINY, Size, size_by_name
from vertebra.doctor.finding import Finding, State, Unavailable, compared, examined
from vertebra.doctor.kernels import PROBES, SHORT, TOLERANCES, Made, relative
from vertebra.doctor.synthetic import made_up_examples, made_up_network
from vertebra.policy.losses import losses, weighted_total
from vertebra.policy.network import Network
from vertebra.policy.recipe import Recipe
from vertebra.recipes import by_name
from vertebra.train.flops import step_flops
from vertebra.train.optim import Optimiser

RECIPES = ("pi0", "gr00t", "fast-wam", "dreamzero", "cosmos-policy", "motus")
"""One of each kind: joint, head, cross-attention, rolling, one trunk, three experts."""
COMPILED = ("Gemma layer", "Wan layer")
BATCH = 4
FALLEN = 0.9
"""A training works when its loss is below this share of where it began."""
CHECKED_STEPS = 10


def step_loss(network: Network, device: torch.device, *, seed: int, count: int) -> Tensor:
    """The weighted loss of a made-up batch; its noise is drawn on the CPU, the same everywhere."""
    examples = made_up_examples(network.shape, count, seed, device)
    found = losses(network, examples, torch.Generator().manual_seed(seed))
    return weighted_total(found, network.shape.recipe.weights)


def recipes_on(device: torch.device) -> Iterator[Finding]:
    """Loss and gradients of whole recipes against float32 on the CPU."""
    dtypes = (torch.bfloat16,) if device.type == "cpu" else (torch.float32, torch.bfloat16)
    for name in RECIPES:
        for dtype in dtypes:
            yield examined(
                f"recipe {name}, {SHORT[dtype]}",
                lambda name=name, dtype=dtype: compared(
                    _recipe_differences(by_name(name), device, dtype), 2 * TOLERANCES[dtype]
                ),
            )


def _recipe_differences(
    recipe: Recipe, device: torch.device, dtype: torch.dtype
) -> dict[str, float]:
    here = made_up_network(recipe, TINY)
    there = made_up_network(recipe, TINY).to(device)
    wanted = step_loss(here, torch.device("cpu"), seed=1, count=BATCH)
    wanted.backward()
    with torch.autocast(device.type, dtype, enabled=dtype is not torch.float32):
        found = step_loss(there, device, seed=1, count=BATCH)
    found.backward()
    return {
        "loss": relative(found.detach().cpu(), wanted.detach()),
        "gradients": relative(gradients(there), gradients(here)),
    }


def gradients(network: torch.nn.Module) -> Tensor:
    """All gradients of a network in one vector on the CPU, zero where there is none."""
    parts = [
        (torch.zeros_like(value) if value.grad is None else value.grad).float().flatten()
        for value in network.parameters()
    ]
    return torch.cat(parts).detach().cpu()


def compiled(device: torch.device) -> Iterator[Finding]:
    """``torch.compile`` and CUDA graphs on one layer of a kind."""
    chosen = [probe for probe in PROBES if probe.name in COMPILED]
    for probe in chosen:
        yield examined(
            f"torch.compile, {probe.name}", lambda probe=probe: _compiled(probe.make(), device)
        )
    for probe in chosen:
        yield examined(
            f"CUDA graph, {probe.name}", lambda probe=probe: _graphed(probe.make(), device)
        )


def _compiled(made: Made, device: torch.device) -> tuple[State, str, dict[str, float]]:
    if device.type == "cpu" and not _compiler():
        raise Unavailable("no C++ compiler was found (set CXX, or install g++)")
    module, inputs = made
    module, own = module.to(device), [value.to(device) for value in inputs]
    quiet = io.StringIO()
    with torch.no_grad(), contextlib.redirect_stderr(quiet):
        wanted = module(*own)
        fast = torch.compile(module)
        before = time.perf_counter()
        found = fast(*own)
        seconds = time.perf_counter() - before
    state, words, figures = compared(
        {"output": relative(found.cpu(), wanted.cpu())}, TOLERANCES[torch.float32]
    )
    return state, f"{words}; compiled in {seconds:.0f} s", {**figures, "compile_s": seconds}


def _compiler() -> bool:
    names = (os.environ.get("CXX", ""), "g++", "clang++")
    return any(name and shutil.which(name) for name in names)


def _graphed(made: Made, device: torch.device) -> tuple[State, str, dict[str, float]]:
    if device.type != "cuda":
        raise Unavailable("CUDA graphs need a CUDA device")
    module, inputs = made
    module, own = module.to(device), [value.to(device) for value in inputs]
    with torch.no_grad():
        wanted = module(*own)
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            module(*own)
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            found = module(*own)
        graph.replay()
        torch.cuda.synchronize()
    return compared({"output": relative(found.cpu(), wanted.cpu())}, TOLERANCES[torch.float32])


def training(device: torch.device, seconds: float) -> Finding:
    """A training of that many seconds; its loss must fall."""
    size = size_by_name("tiny" if device.type == "cpu" else "mini")
    name = f"training {seconds:g} s, fast-wam, {size.name}, bf16"
    return examined(name, lambda: _train(by_name("fast-wam"), size, device, seconds))


def _train(
    recipe: Recipe, size: Size, device: torch.device, seconds: float
) -> tuple[State, str, dict[str, float]]:
    network = made_up_network(recipe, size).to(device).train()
    count = 8 if device.type == "cpu" else 256
    optimiser = Optimiser(network, learning_rate=2e-3, warmup=5, steps=100_000)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)

    def total(seed: int) -> Tensor:
        with torch.autocast(device.type, torch.bfloat16):
            return step_loss(network, device, seed=seed, count=count)

    flops = step_flops(network, lambda: total(0))
    seen: list[float] = []
    before = time.perf_counter()
    while time.perf_counter() - before < seconds or len(seen) < 2 * CHECKED_STEPS:
        loss = total(len(seen))
        loss.backward()
        optimiser.step(len(seen))
        seen.append(float(loss.detach()))
    taken = time.perf_counter() - before
    first = sum(seen[:CHECKED_STEPS]) / CHECKED_STEPS
    last = sum(seen[-CHECKED_STEPS:]) / CHECKED_STEPS
    peak = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0
    figures = {
        "steps": float(len(seen)),
        "samples_s": count * len(seen) / taken,
        "flops_s": flops * len(seen) / taken,
        "first_loss": first,
        "last_loss": last,
        **({"peak_bytes": float(peak)} if peak else {}),
    }
    fell = last < FALLEN * first
    words = (
        f"loss {first:.3f} to {last:.3f} in {len(seen)} steps, "
        f"{figures['samples_s']:.0f} samples/s, {figures['flops_s'] / 1e12:.3g} TFLOP/s"
    )
    return (State.OK if fell else State.DIFFERS), words, figures
