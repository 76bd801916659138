"""One pretraining: corpus, budget, run, prior with its card. Interrupted ones continue."""

import shutil
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vertebra.backbones.prior import Prior, read_prior, write_prior
from vertebra.data.cache import FrameCache
from vertebra.pretrain.corpus import build_corpus
from vertebra.pretrain.pairs import vocabulary
from vertebra.pretrain.spec import PretrainSpec, pretrain_spec_from_plain, without_budget
from vertebra.pretrain.tasks import AutoencoderTask, Task, make_task
from vertebra.pretrain.vlm import asked_at
from vertebra.spec.storage import digest, read_json, to_plain, write_json
from vertebra.train.flops import step_flops
from vertebra.train.optim import Optimiser
from vertebra.train.run import Pace, Progress, Run, require_same, still_improving

MEASURED_STEPS = 6
PLACES_DRAWN = 2_000


@dataclass(frozen=True, kw_only=True)
class Budget:
    """How much a pretraining may cost; one of the three is given.

    Attributes:
        samples: Samples seen.
        core_hours: Hours of one core.
        flops: Floating-point operations; those of a video prior's autoencoder are taken off.

    Raises:
        ValueError: When not exactly one is given, or it is not above 0.
    """

    samples: int | None = None
    core_hours: float | None = None
    flops: float | None = None

    def __post_init__(self) -> None:
        given = [value for value in vars(self).values() if value is not None]
        if len(given) != 1 or given[0] <= 0:
            raise ValueError(
                f"A budget is one of samples, core-hours and flops, above 0; found {vars(self)}."
            )


def pretrain(
    spec: PretrainSpec,
    budget: Budget,
    out: Path,
    *,
    codec: Path | None = None,
    command: str = "",
    workers: int = 1,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> Path:
    """Make a prior, or finish one that was interrupted, or do nothing when it is done.

    Args:
        spec: What is trained; its ``samples`` are replaced by what the budget buys.
        budget: How much. What it buys is locked when the run starts.
        out: Directory of the run; corpora that runs share lie beside it.
        codec: Weights of the autoencoder, for a video prior.
        command: The command line, for the card.
        workers: Processes that stage clips.
        on_progress: Called after every tenth step.

    Returns:
        The file of the prior.

    Raises:
        ValueError: When the directory holds another pretraining.
    """
    known = read_prior(codec) if codec is not None else None
    locked = out / "spec.json"
    if locked.exists():
        spec = _same(pretrain_spec_from_plain(read_json(locked)), spec, budget, out)
    path = out / f"{spec.name}.safetensors"
    if path.with_suffix(".json").exists():
        return path
    cache = build_corpus(spec.corpus, out.parent / "corpora", workers=workers)
    if not locked.exists():
        spec = replace(spec, samples=_samples(spec, budget, cache, known))
        write_json(locked, spec)
    task = make_task(spec, cache, known)
    pace = Pace(
        steps=spec.steps,
        checkpoint_every=spec.checkpoint_every,
        learning_rate=spec.learning_rate,
        warmup=spec.warmup,
        ema=spec.ema,
    )
    run: Run[Any] = Run(task, pace, out, digest(spec))
    run.go(on_progress)
    network = run.best_weights()
    if isinstance(task, AutoencoderTask):
        task.finish(network)
    exact = task.metrics(network)
    network.load_state_dict({name: v.half().float() for name, v in network.state_dict().items()})
    tensors = {
        name: value for name, value in network.state_dict().items() if not name.startswith("codec.")
    }
    card = _card(spec, task, run, known, cache, command)
    metrics = {"metrics": task.metrics(network), "metrics_float32": exact}
    write_prior(path, {**card, **metrics}, tensors)
    shutil.rmtree(run.resume, ignore_errors=True)
    return path


def _same(locked: PretrainSpec, asked: PretrainSpec, budget: Budget, out: Path) -> PretrainSpec:
    require_same(digest(without_budget(asked)), digest(without_budget(locked)), out)
    if budget.samples is not None and budget.samples // locked.batch_size != locked.steps:
        raise ValueError(
            f"{out} was locked for {locked.samples} samples, asked are {budget.samples}. Ask for "
            "the same, or give another directory with --out."
        )
    return locked


def _samples(spec: PretrainSpec, budget: Budget, cache: FrameCache, codec: Prior | None) -> int:
    """How many samples a budget buys, in whole batches."""
    count = spec.batch_size
    if budget.samples is not None:
        return budget.samples // count * count
    if budget.flops is not None:
        left = budget.flops - (codec.card["ledger"]["flops"] if codec else 0.0)
        steps = int(left / count_flops(make_task(spec, cache, codec)))
    else:
        steps = int(3600 * (budget.core_hours or 0.0) / _seconds(make_task(spec, cache, codec)))
    if steps < 1:
        raise ValueError(f"{budget} buys not one step of {count} samples; give more.")
    return steps * count


def _seconds(task: Task) -> float:
    """Median seconds of a step, on throw-away weights."""
    optimiser = Optimiser(task.network, learning_rate=1e-4, warmup=1, steps=MEASURED_STEPS)
    taken: list[float] = []
    for step in range(MEASURED_STEPS):
        before = time.process_time()
        task.loss(step)[1].backward()
        optimiser.step(step)
        taken.append(time.process_time() - before)
    return statistics.median(taken[2:])


def count_flops(task: Task) -> float:
    """Operations of one step: losses and gradients, and what a frozen autoencoder codes."""
    return step_flops(task.network, lambda: task.loss(0)[1])


def _card(
    spec: PretrainSpec,
    task: Task,
    run: Run[Any],
    codec: Prior | None,
    cache: FrameCache,
    command: str,
) -> dict[str, Any]:
    """All that is known of a finished prior, the hash of its file apart."""
    parameters = list(task.network.parameters())
    frames = 1 if spec.what == "vlm" else 1 + len(task.size.future_frames)
    words = spec.what != "autoencoder"
    before = codec.card["ledger"]["flops"] if codec else 0.0
    return {
        "name": spec.name,
        "what": spec.what,
        "size": spec.size,
        "targets": spec.targets,
        "shuffled": spec.shuffled,
        "vocabulary": list(vocabulary()) if words else [],
        "command": command,
        "spec": to_plain(spec),
        "corpus": {
            "hash": cache.content_hash,
            "clips": spec.corpus.clips,
            "pixels": spec.corpus.pixels,
            "captions": spec.corpus.clips if words else 0,
        },
        "ledger": {
            "samples": spec.samples,
            "steps": spec.steps,
            "seconds": run.seconds,
            "flops": count_flops(task) * spec.steps + before,
            "parameters": sum(p.numel() for p in parameters if p.requires_grad),
            "frozen_parameters": sum(p.numel() for p in parameters if not p.requires_grad),
            "frames_seen": spec.samples * frames,
            "labels": spec.samples if words else 0,
            "privileged_targets": _places(spec, cache),
        },
        "validation": run.validation,
        "still_improving": still_improving(run.validation, spec.steps),
        "torch": torch.__version__,
    }


def _places(spec: PretrainSpec, cache: FrameCache) -> int:
    """About how many places served as targets: the share among some drawn pairs, times samples."""
    if spec.what == "autoencoder" or spec.targets == "none":
        return 0
    drawn = asked_at(
        cache, spec.corpus.training, np.random.default_rng(0), PLACES_DRAWN, targets="points"
    )
    found = sum(int(np.isfinite(pair.points).all(axis=1).sum()) for pair in drawn.pairs)
    return round(found / PLACES_DRAWN * spec.samples)
