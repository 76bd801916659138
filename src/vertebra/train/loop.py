"""One training loop for all recipes. Interrupted runs continue bit for bit."""

import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vertebra.policy.acting import TrainedPolicy
from vertebra.policy.checkpoint import (
    MANIFEST,
    load_policy,
    read_tensors,
    save_policy,
    tensor_bytes,
)
from vertebra.policy.network import Network
from vertebra.spec.storage import digest, read_json, to_plain, write_bytes, write_json
from vertebra.train.flops import count_flops
from vertebra.train.optim import Optimiser
from vertebra.train.prepare import Prepared, going_on, prepare
from vertebra.train.spec import TrainSpec, train_spec_to_plain

VALIDATION_BATCHES = 4
VALIDATION_SIZE = 64
STILL_IMPROVING = 0.03
"""A run whose best validation loss fell by more than this share in its last fifth is flagged."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Where a training stands.

    Attributes:
        step: Steps done.
        steps: Steps in all.
        seconds: Seconds spent in training so far, over all its starts.
        loss: Named losses of the last step.
    """

    step: int
    steps: int
    seconds: float
    loss: Mapping[str, float]


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
        language_labels: Instructions used (0 for a blind twin).
        privileged_targets: Pointing targets used, object and destination counted apart, in the
            subset.
        video_frames: Future frames used as targets, in the subset.
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
        _require_same(identity, plain["identity"], directory)
        return train_result_from_plain(plain["result"])
    prepared = prepare(spec) if start is None else going_on(prepare(spec), load_policy(start))
    run = _Run(prepared, directory / "resume", identity)
    while run.step < spec.steps:
        run.advance()
        if run.step % spec.checkpoint_every == 0 or run.step == spec.steps:
            run.validate()
            run.save()
            _write_curve(directory / "training.jsonl", run.curve)
        if run.step % 10 == 0 or run.step == spec.steps:
            on_progress(
                Progress(step=run.step, steps=spec.steps, seconds=run.seconds, loss=run.last)
            )
    result = run.result()
    save_policy(
        directory / "checkpoint", run.best_policy(), {"identity": identity, **to_plain(result)}
    )
    write_json(done, {"identity": identity, "result": result})
    shutil.rmtree(directory / "resume", ignore_errors=True)
    return result


def train_result_from_plain(plain: Mapping[str, Any]) -> TrainResult:
    """Read a training result."""
    validation = tuple((int(step), float(loss)) for step, loss in plain["validation"])
    return TrainResult(**{**plain, "validation": validation})


class _Run:
    """The state of one training: all of it is saved and restored."""

    def __init__(self, prepared: Prepared, resume: Path, identity: str) -> None:
        self.prepared, self.spec, self.resume, self.identity = (
            prepared,
            prepared.spec,
            resume,
            identity,
        )
        self.network = prepared.policy.network
        self.average = Network(self.network.shape)
        self.average.load_state_dict(self.network.state_dict())
        self.average.eval()
        self.best = {name: value.clone() for name, value in self.average.state_dict().items()}
        self.optimiser = Optimiser(
            self.network,
            learning_rate=self.spec.learning_rate,
            warmup=self.spec.warmup,
            steps=self.spec.steps,
        )
        self.step, self.seconds, self.best_step = 0, 0.0, 0
        self.last: dict[str, float] = {}
        self.curve: list[dict[str, Any]] = []
        self.validation: list[tuple[int, float]] = []
        if (resume / "state.json").exists():
            self._restore()

    def advance(self) -> None:
        """One optimiser step."""
        before = time.perf_counter()
        examples = self.prepared.examples(self.prepared.batch(self.step))
        noise = self.prepared.noise(self.step)
        terms, total = self.prepared.loss(self.network, examples, noise)
        if not bool(total.isfinite()):
            raise FloatingPointError(
                f"The loss is not finite at step {self.step}: "
                f"{ {name: float(term.detach().mean()) for name, term in terms.items()} }. "
                "Look at the data (vertebra data check) or lower the learning rate."
            )
        total.backward()
        self.optimiser.step(self.step)
        self._follow()
        self.step += 1
        self.last = {name: float(term.detach().mean()) for name, term in terms.items()}
        self.seconds += time.perf_counter() - before
        if self.step % 10 == 0:
            self.curve.append({"step": self.step, "loss": self.last})

    @torch.no_grad()
    def _follow(self) -> None:
        decay = min(self.spec.ema, (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(  # pyright: ignore[reportPrivateImportUsage]
            list(self.average.parameters()), list(self.network.parameters()), 1 - decay
        )

    @torch.no_grad()
    def validate(self) -> None:
        """Losses of the averaged weights on fixed windows; the lowest action loss is kept."""
        found: dict[str, list[float]] = {}
        for index in range(VALIDATION_BATCHES):
            batch = self.prepared.validation.sample(np.random.default_rng(index), VALIDATION_SIZE)
            examples = self.prepared.examples(batch)
            noise = torch.Generator().manual_seed(index)
            terms, _ = self.prepared.loss(self.average, examples, noise)
            for name, term in terms.items():
                found.setdefault(name, []).append(float(term.mean()))
        mean = {name: float(np.mean(values)) for name, values in found.items()}
        if not self.validation or mean["action"] <= min(loss for _, loss in self.validation):
            self.best_step = self.step
            self.best = {name: value.clone() for name, value in self.average.state_dict().items()}
        self.validation.append((self.step, mean["action"]))
        self.curve.append({"step": self.step, "validation": mean})

    def save(self) -> None:
        """Everything that ``_restore`` needs; the small file that names the step comes last."""
        tensors: dict[str, Tensor] = {}
        for prefix, state in self._states().items():
            tensors |= {f"{prefix}:{name}": value for name, value in state.items()}
        name = f"state-{self.step}.safetensors"
        write_bytes(self.resume / name, tensor_bytes(tensors))
        write_json(
            self.resume / "state.json",
            {
                "identity": self.identity,
                "file": name,
                "step": self.step,
                "seconds": self.seconds,
                "best_step": self.best_step,
                "last": self.last,
                "curve": self.curve,
                "validation": self.validation,
            },
        )
        for old in self.resume.glob("state-*.safetensors"):
            if old.name != name:
                old.unlink()

    def _states(self) -> dict[str, Mapping[str, Tensor]]:
        return {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "best": self.best,
            "optimiser": self.optimiser.state(),
        }

    def _restore(self) -> None:
        plain = read_json(self.resume / "state.json")
        _require_same(self.identity, plain["identity"], self.resume)
        parts: dict[str, dict[str, Tensor]] = {}
        for name, value in read_tensors(self.resume / plain["file"]).items():
            prefix, rest = name.split(":", 1)
            parts.setdefault(prefix, {})[rest] = value
        self.network.load_state_dict(parts["network"])
        self.average.load_state_dict(parts["average"])
        self.best = parts["best"]
        self.optimiser.restore(parts["optimiser"])
        self.step, self.seconds = plain["step"], plain["seconds"]
        self.best_step, self.last = plain["best_step"], plain["last"]
        self.curve = plain["curve"]
        self.validation = [(int(step), float(loss)) for step, loss in plain["validation"]]

    def best_policy(self) -> TrainedPolicy:
        """The policy with the chosen weights."""
        self.average.load_state_dict(self.best)
        return TrainedPolicy(
            network=self.average.eval(),
            state_normaliser=self.prepared.policy.state_normaliser,
            action_normaliser=self.prepared.policy.action_normaliser,
        )

    def result(self) -> TrainResult:
        """What was used and reached."""
        spec, cache = self.spec, self.prepared.windows.cache
        chosen = [cache.episodes[i] for i in spec.episodes]
        frames = sum(episode.length for episode in chosen)
        pointing = self.network.shape.pointing
        targets = sum(e.length * ((e.target_entity >= 0) + (e.goal_entity >= 0)) for e in chosen)
        return TrainResult(
            samples=spec.steps * spec.batch_size,
            steps=spec.steps,
            flops=count_flops(self.prepared) * spec.steps,
            seconds=self.seconds,
            parameters=sum(value.numel() for value in self.network.parameters()),
            still_improving=still_improving(self.validation, spec.steps),
            best_step=self.best_step,
            validation=tuple(self.validation),
            language_labels=0 if spec.recipe.blind else sum(bool(e.instruction) for e in chosen),
            privileged_targets=targets if pointing else 0,
            video_frames=frames if "future" in self.network.denoised else 0,
            loss=self.last,
        )


def still_improving(validation: list[tuple[int, float]], steps: int) -> bool:
    """Whether the best validation loss fell by more than 3 % in the last fifth of the steps."""
    early = [loss for step, loss in validation if step <= 0.8 * steps]
    late = [loss for step, loss in validation if step > 0.8 * steps]
    if not early or not late:
        return True
    return min(late) < (1 - STILL_IMPROVING) * min(early)


def _require_same(wanted: str, found: str, directory: Path) -> None:
    if wanted != found:
        raise ValueError(
            f"{directory} holds another training (identity {found}, this one is {wanted}). "
            "Use a fresh directory, or delete this one if it is no longer needed."
        )


def _write_curve(path: Path, curve: list[dict[str, Any]]) -> None:
    write_bytes(path, "".join(json.dumps(row, sort_keys=True) + "\n" for row in curve).encode())
