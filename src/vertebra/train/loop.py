"""One training loop for all recipes. Interrupted runs continue bit for bit."""

import copy
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vertebra.policy.acting import TrainedPolicy
from vertebra.policy.checkpoint import MANIFEST, load_policy, save_policy
from vertebra.policy.network import Network
from vertebra.spec.storage import digest, read_json, to_plain, write_json
from vertebra.train.flops import count_flops
from vertebra.train.prepare import Prepared, going_on, prepare
from vertebra.train.run import (
    VALIDATION_SIZE,
    Pace,
    Progress,
    Run,
    require_same,
    still_improving,
)
from vertebra.train.spec import TrainSpec, train_spec_to_plain


@dataclass(frozen=True, kw_only=True)
class TrainResult:
    """What a training used and reached.

    Attributes:
        samples: Windows seen.
        steps: Optimiser steps.
        flops: Floating-point operations of all forward and backward passes (counted on one step).
        seconds: Wall-clock seconds in training.
        parameters: Trained numbers.
        still_improving: Whether the validation loss was still falling clearly at the end.
        best_step: Step whose averaged weights act (lowest validation action loss).
        validation: (step, validation action loss) pairs.
        language_labels: Instructions and captions used (0 for a blind twin).
        privileged_targets: Pointing targets used, object and destination counted apart, in the
            subset.
        video_frames: Future frames used as targets, in the subset.
        extra_labels: Captions among the labels that came with action-free video.
        extra_frames: Frames used as targets that did not come with whole demonstrations.
        loss: Named losses at the end.
    """

    samples: int
    steps: int
    flops: float
    seconds: float
    parameters: int
    still_improving: bool
    best_step: int
    validation: tuple[tuple[int, float], ...]
    language_labels: int
    privileged_targets: int
    video_frames: int
    extra_labels: int = 0
    extra_frames: int = 0
    loss: Mapping[str, float] = field(default_factory=dict[str, float])


def train(
    spec: TrainSpec,
    directory: Path,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    *,
    start: Path | None = None,
) -> TrainResult:
    """Train a policy, or finish a training that was interrupted, or do nothing when it is done.

    Args:
        spec: What, on what, how much, with which seeds.
        directory: Gets ``training.jsonl``, ``checkpoint/`` (the policy), ``trained.json``.
        on_progress: Called after every tenth step.
        start: Checkpoint to go on from, with its normalisers; untrained weights when left out.

    Raises:
        ValueError: When the directory holds another training.
    """
    identity = digest(train_spec_to_plain(spec))
    if start is not None:
        identity = digest([identity, read_json(start / MANIFEST)["sha256"]])
    done = directory / "trained.json"
    if done.exists():
        plain = read_json(done)
        require_same(identity, plain["identity"], directory)
        return train_result_from_plain(plain["result"])
    prepared = prepare(spec) if start is None else going_on(prepare(spec), load_policy(start))
    run = run_of(prepared, directory, identity)
    run.go(on_progress)
    result = _result(prepared, run)
    save_policy(
        directory / "checkpoint",
        _best_policy(prepared, run),
        {"identity": identity, **to_plain(result)},
    )
    write_json(done, {"identity": identity, "result": result})
    shutil.rmtree(directory / "resume", ignore_errors=True)
    return result


def train_result_from_plain(plain: Mapping[str, Any]) -> TrainResult:
    """Read a training result."""
    validation = tuple((int(step), float(loss)) for step, loss in plain["validation"])
    return TrainResult(**{**plain, "validation": validation})


@dataclass(frozen=True, kw_only=True)
class _PolicyTask:
    """A recipe and its windows as what a run trains."""

    prepared: Prepared
    judged: str = "action"

    @property
    def network(self) -> Network:
        return self.prepared.policy.network

    def another(self) -> Network:
        frozen = {id(v): v for v in self.network.parameters() if not v.requires_grad}
        return copy.deepcopy(self.network, frozen)

    def loss(self, step: int) -> tuple[dict[str, Tensor], Tensor]:
        examples = self.prepared.examples(self.prepared.batch(step))
        return self.prepared.loss(self.network, examples, self.prepared.noise(step))

    def check(self, network: Network, number: int) -> dict[str, Tensor]:
        batch = self.prepared.validation.sample(np.random.default_rng(number), VALIDATION_SIZE)
        noise = torch.Generator().manual_seed(number)
        return self.prepared.loss(network, self.prepared.examples(batch), noise)[0]


def run_of(prepared: Prepared, directory: Path, identity: str) -> Run[Network]:
    """The run of a policy's training, continued where it was interrupted."""
    spec = prepared.spec
    pace = Pace(
        steps=spec.steps,
        checkpoint_every=spec.checkpoint_every,
        learning_rate=spec.learning_rate,
        warmup=spec.warmup,
        ema=spec.ema,
        slower=prepared.policy.network.slower,
    )
    return Run(_PolicyTask(prepared=prepared), pace, directory, identity)


def _best_policy(prepared: Prepared, run: Run[Network]) -> TrainedPolicy:
    """The policy with the chosen weights."""
    return TrainedPolicy(
        network=run.best_weights(),
        state_normaliser=prepared.policy.state_normaliser,
        action_normaliser=prepared.policy.action_normaliser,
    )


def _result(prepared: Prepared, run: Run[Network]) -> TrainResult:
    """What was used and reached."""
    spec, cache = prepared.spec, prepared.windows.cache
    chosen = [cache.episodes[i] for i in spec.episodes]
    told = [] if spec.recipe.blind else [i for i in spec.told if cache.episodes[i].instruction]
    imagined = spec.shown if spec.recipe.imagines else ()
    frames = sum(cache.episodes[i].length for i in imagined)
    own = set(spec.episodes)
    pointing = run.network.shape.pointing
    targets = sum(e.length * ((e.target_entity >= 0) + (e.goal_entity >= 0)) for e in chosen)
    return TrainResult(
        samples=spec.steps * spec.batch_size,
        steps=spec.steps,
        flops=count_flops(prepared) * spec.steps,
        seconds=run.seconds,
        parameters=sum(value.numel() for value in run.network.parameters() if value.requires_grad),
        still_improving=still_improving(run.validation, spec.steps),
        best_step=run.best_step,
        validation=tuple(run.validation),
        language_labels=len(told),
        privileged_targets=targets if pointing else 0,
        video_frames=frames,
        extra_labels=len(set(told) - own),
        extra_frames=sum(cache.episodes[i].length for i in set(imagined) - own),
        loss=run.last,
    )
