"""One run of optimiser steps: saved, restored, and then bit-equal to one that was not interrupted.

What is trained is a ``Task``; policies and priors are trained by the same lines.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from vertebra.policy.checkpoint import read_tensors, tensor_bytes
from vertebra.spec.storage import read_json, write_bytes, write_json
from vertebra.train.optim import Optimiser

VALIDATION_BATCHES = 4
VALIDATION_SIZE = 64
STILL_IMPROVING = 0.03
"""A run whose best validation loss fell by more than this share in its last fifth is flagged."""
Weights = TypeVar("Weights", bound=nn.Module)


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How a run goes.

    Attributes:
        steps: Optimiser steps in all.
        checkpoint_every: Steps between checkpoints, and between looks at the validation loss.
        learning_rate: Peak learning rate.
        warmup: Steps of linear warm-up.
        ema: Decay of the weight average that is kept.
        slower: Parameters with a learning rate of their own, as a share of the others'.
    """

    steps: int
    checkpoint_every: int
    learning_rate: float
    warmup: int
    ema: float
    slower: Mapping[str, float] = field(default_factory=dict[str, float])


class Task(Protocol[Weights]):
    """What a run trains."""

    @property
    def network(self) -> Weights:
        """The weights."""
        ...

    @property
    def judged(self) -> str:
        """Name of the loss that picks the weights."""
        ...

    def another(self) -> Weights:
        """A network of the same shape; weights that are not trained may be the same tensors."""
        ...

    def loss(self, step: int) -> tuple[dict[str, Tensor], Tensor]:
        """Named losses [B] of the batch of a step, and their weighted total."""
        ...

    def check(self, network: Weights, number: int) -> dict[str, Tensor]:
        """Named losses [B] on one of the fixed held-out batches."""
        ...


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


class Run(Generic[Weights]):
    """The state of one training: all of it is saved and restored.

    Args:
        task: What is trained.
        pace: How.
        directory: Gets ``training.jsonl`` and, while the run lasts, ``resume/``.
        identity: Hash of all that decides the outcome; a run of another one is refused.
    """

    def __init__(self, task: Task[Weights], pace: Pace, directory: Path, identity: str) -> None:
        self.task, self.pace, self.directory, self.identity = task, pace, directory, identity
        self.resume = directory / "resume"
        self.network = task.network
        self.average = task.another()
        self.average.load_state_dict(self.network.state_dict())
        self.average.eval()
        self.best = self._trained(self.average)
        self.optimiser = Optimiser(
            self.network,
            learning_rate=pace.learning_rate,
            warmup=pace.warmup,
            steps=pace.steps,
            slower=pace.slower,
        )
        self.step, self.seconds, self.best_step = 0, 0.0, 0
        self.last: dict[str, float] = {}
        self.curve: list[dict[str, Any]] = []
        self.validation: list[tuple[int, float]] = []
        if (self.resume / "state.json").exists():
            self._restore()

    def go(self, on_progress: Callable[[Progress], None]) -> None:
        """All steps that are left; ``on_progress`` is called after every tenth one."""
        pace = self.pace
        while self.step < pace.steps:
            self.advance()
            if self.step % pace.checkpoint_every == 0 or self.step == pace.steps:
                self.validate()
                self.save()
                rows = (json.dumps(row, sort_keys=True) + "\n" for row in self.curve)
                write_bytes(self.directory / "training.jsonl", "".join(rows).encode())
            if self.step % 10 == 0 or self.step == pace.steps:
                on_progress(
                    Progress(step=self.step, steps=pace.steps, seconds=self.seconds, loss=self.last)
                )

    def advance(self) -> None:
        """One optimiser step."""
        before = time.perf_counter()
        terms, total = self.task.loss(self.step)
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
        decay = min(self.pace.ema, (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(  # pyright: ignore[reportPrivateImportUsage]
            [value for value in self.average.parameters() if value.requires_grad],
            [value for value in self.network.parameters() if value.requires_grad],
            1 - decay,
        )

    def _trained(self, network: Weights) -> dict[str, Tensor]:
        """Copies of everything in a network but weights that are not trained."""
        frozen = {name for name, value in network.named_parameters() if not value.requires_grad}
        state = network.state_dict().items()
        return {name: value.clone() for name, value in state if name not in frozen}

    @torch.no_grad()
    def validate(self) -> None:
        """Losses of the averaged weights on fixed windows; the lowest judged one is kept."""
        found: dict[str, list[float]] = {}
        for index in range(VALIDATION_BATCHES):
            for name, term in self.task.check(self.average, index).items():
                found.setdefault(name, []).append(float(term.mean()))
        mean = {name: float(np.mean(values)) for name, values in found.items()}
        judged = mean[self.task.judged]
        if not self.validation or judged <= min(loss for _, loss in self.validation):
            self.best_step = self.step
            self.best = self._trained(self.average)
        self.validation.append((self.step, judged))
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
            "network": self._trained(self.network),
            "average": self._trained(self.average),
            "best": self.best,
            "optimiser": self.optimiser.state(),
        }

    def _restore(self) -> None:
        plain = read_json(self.resume / "state.json")
        require_same(self.identity, plain["identity"], self.resume)
        parts: dict[str, dict[str, Tensor]] = {}
        for name, value in read_tensors(self.resume / plain["file"]).items():
            prefix, rest = name.split(":", 1)
            parts.setdefault(prefix, {})[rest] = value
        self.network.load_state_dict(parts["network"], strict=False)
        self.average.load_state_dict(parts["average"], strict=False)
        self.best = parts["best"]
        self.optimiser.restore(parts["optimiser"])
        self.step, self.seconds = plain["step"], plain["seconds"]
        self.best_step, self.last = plain["best_step"], plain["last"]
        self.curve = plain["curve"]
        self.validation = [(int(step), float(loss)) for step, loss in plain["validation"]]

    def best_weights(self) -> Weights:
        """The averaged weights that were best on held-out data."""
        self.average.load_state_dict(self.best, strict=False)
        return self.average.eval()


def still_improving(validation: list[tuple[int, float]], steps: int) -> bool:
    """Whether the best validation loss fell by more than 3 % in the last fifth of the steps."""
    early = [loss for step, loss in validation if step <= 0.8 * steps]
    late = [loss for step, loss in validation if step > 0.8 * steps]
    if not early or not late:
        return True
    return min(late) < (1 - STILL_IMPROVING) * min(early)


def require_same(wanted: str, found: str, directory: Path) -> None:
    """Refuse to go on with something else.

    Raises:
        ValueError: When the identities differ.
    """
    if wanted != found:
        raise ValueError(
            f"{directory} holds another training (identity {found}, this one is {wanted}). "
            "Use a fresh directory, or delete this one if it is no longer needed."
        )
