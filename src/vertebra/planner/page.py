"""The page of the planner: what it counts, and how that compares with what was published.

``python -m vertebra.planner.page docs/planner.md`` writes it anew.
"""

import sys
from pathlib import Path

from vertebra.planner.gpus import GPUS
from vertebra.planner.plan import EAGER_S, Wish, plan_training
from vertebra.planner.published import NEAR, Check, checks
from vertebra.planner.systems import SYSTEMS, System
from vertebra.planner.transformers import BACKBONES
from vertebra.planner.words import milliseconds, scaled, table
from vertebra.planner.work import forward
from vertebra.spec.storage import write_bytes

BEGIN = "<!-- written by `make fix`, not by hand -->"
OPENING = f"""\
# A training on paper
{BEGIN}

`vertebra plan train --recipe dreamzero --backbone wan2.1-14b --gpus 8xH100 --demos 10000` says
what a training at published size needs, before anything is rented: memory on each GPU,
operations, hours, tokens a second, storage, the floor of the latency, and the cost when `--price`
(of one GPU for one hour) is given. It runs anywhere; nothing is built and no weights are needed.

## What is counted

- **Tokens and pairs** follow from the recipe's table of who sees whom and from the size of its
  paper. A token costs two operations for each weight of its expert, a pair of query and key four
  for each number of a query.
- **Gradients** cost two forward passes; through frozen weights (`--tune lora`) one; nothing
  before the action expert when only that is trained (`--tune action`). Recomputing activations
  costs one more.
- **Memory**: everything sharded over all GPUs (FSDP2): float32 weights and gradients and two
  moments of Adam for what is trained, bf16 for what is not; two gathered layers; activations in
  bf16 with fused attention. A tenth stays free. The largest number of samples a GPU that fits is
  taken, first without and then with recomputing.
- **Hours** at a share of the peak rate (`--utilisation`, {100 * Wish.utilisation:g} % unless told
  otherwise). The two published trainings below, for which both are known, reached less.
- **Latency floor**: each stage is bound by operations at the peak rate or by the bytes of weights
  and caches at the full bandwidth of one GPU. Not compiled, starting the kernels of one layer
  takes about {1e3 * EAGER_S:.2g} ms (FastWAM issue 34, an H100), whatever the GPU; small passes
  are bound by that.
- **Not counted**: text encoders (their states are cached once for each instruction), the network
  between GPUs, reading data, evaluations."""
CHECKED = f"""\

## Checked against what was published

Each figure lies within a factor of {NEAR:g} of the published one, or the last column says why not
(tested).
"""
SIZES = """\

## Systems at published size

Forward operations are for one training sample on the backbone of the paper; the floor is for one
chunk on an H100.
"""
STORED = """\

## Storage

For 10000 demonstrations of 20 s at the control rate of the system, pictures at the size that the
model sees. Windows that start at every step overlap, and so do their latents: encode windows
behind one another, or while training.
"""
MACHINES = """\

## GPUs

Peak rates are for bf16 with sums in float32, without sparsity. Data sheets often state twice as
much, with sparsity.
"""
MODELS = """\

## Backbones

Counts are held against modules built on a device without memory, ours and those of the libraries
(tested).
"""


def page() -> str:
    """The page."""
    parts = (
        (OPENING, []),
        (CHECKED, _checked()),
        (SIZES, _sizes()),
        (STORED, _stored()),
        (MODELS, _backbones()),
        (MACHINES, _gpus()),
    )
    return "".join(f"{text}\n" + "".join(f"{row}\n" for row in rows) for text, rows in parts)


def _checked() -> list[str]:
    head = ("figure", "published", "here", "ratio", "which figure", "source", "if they differ")
    return table(head, [_check(one) for one in checks()])


def _check(one: Check) -> tuple[str, ...]:
    published = f"{one.low:g}" if one.low == one.high else f"{one.low:g} to {one.high:g}"
    return (
        one.what,
        f"{published} {one.unit}",
        f"{one.ours:.3g} {one.unit}",
        f"{one.ratio:.2g}",
        one.how,
        one.source,
        one.why or "-",
    )


def _sizes() -> list[str]:
    head = ("recipe", "backbone", "parameters", "tokens a sample", "forward", "floor a chunk")
    return table((*head, "not compiled", "source"), [_size(system) for system in SYSTEMS])


def _size(system: System) -> tuple[str, ...]:
    work = forward(system)
    plan = plan_training(Wish(recipe=system.name, gpus="H100", demos=1, samples=1))
    return (
        f"`{system.name}`",
        system.backbone.name,
        scaled(plan.parameters, ""),
        str(work.tokens),
        scaled(work.backbone + work.action, "FLOP"),
        milliseconds(plan.floor_s),
        milliseconds(plan.eager_s),
        system.source,
    )


def _stored() -> list[str]:
    rows: list[tuple[str, ...]] = []
    for system in SYSTEMS:
        plan = plan_training(Wish(recipe=system.name, gpus="H100", demos=10_000, samples=1))
        stored = plan.storage
        latents = (stored.latents, stored.latents_apart)
        cells = (scaled(value, "B") if value else "-" for value in latents)
        rows.append((f"`{system.name}`", scaled(stored.pixels, "B"), *cells))
    head = ("recipe", "pixels", "latents, a window at every step", "latents, windows apart")
    return table(head, rows)


def _backbones() -> list[str]:
    rows = [(one.name, one.family, scaled(one.parameters, ""), one.source) for one in BACKBONES]
    return table(("backbone", "family", "parameters", "source"), rows)


def _gpus() -> list[str]:
    rows = [
        (
            gpu.name,
            scaled(gpu.bf16, "FLOP/s"),
            f"{gpu.memory_gb:g} GB",
            f"{gpu.bandwidth / 1e12:.3g} TB/s",
            gpu.source + (f"; {gpu.derived}" if gpu.derived else ""),
        )
        for gpu in GPUS
    ]
    return table(("GPU", "bf16", "memory", "bandwidth", "source"), rows)


if __name__ == "__main__":
    write_bytes(Path(sys.argv[1]), page().encode())
