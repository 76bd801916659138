"""What one pretraining is, as plain values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vertebra.backbones.sizes import size_by_name
from vertebra.pretrain.corpus import Corpus
from vertebra.spec.storage import to_plain

WHATS = ("vlm", "video", "autoencoder")
TARGETS = ("points", "none")


@dataclass(frozen=True, kw_only=True)
class PretrainSpec:
    """One pretraining.

    Attributes:
        what: ``vlm``, ``video`` or ``autoencoder``.
        size: Name of a size.
        targets: ``points`` (places of things are asked for) or ``none``.
        shuffled: Whether pictures and words are paired at random, as a control.
        corpus: Which clips.
        samples: Questions, or moments of clips, seen.
        batch_size: Samples a step.
        seed: Root of all draws.
        precision: ``bf16`` (autocast) or ``fp32``.
        learning_rate: Peak learning rate.
        warmup: Steps of linear warm-up.
        ema: Decay of the weight average that is kept.
        checkpoint_every: Steps between checkpoints, and between looks at held-out losses.
        codec: SHA-256 of the autoencoder in which a video prior imagines, else empty.

    Raises:
        ValueError: Naming everything that does not fit.
    """

    what: str
    size: str = "mini"
    targets: str = "points"
    shuffled: bool = False
    corpus: Corpus = field(default_factory=Corpus)
    samples: int
    batch_size: int = 32
    seed: int = 0
    precision: str = "bf16"
    learning_rate: float = 2e-3
    warmup: int = 100
    ema: float = 0.998
    checkpoint_every: int = 100
    codec: str = ""

    def __post_init__(self) -> None:
        checks = (
            (self.what not in WHATS, f"a prior is one of {WHATS}, not {self.what!r}"),
            (self.targets not in TARGETS, f"targets are one of {TARGETS}, not {self.targets!r}"),
            (
                self.samples < self.batch_size,
                f"{self.samples} samples are less than one batch of {self.batch_size}",
            ),
            (
                (self.what == "video") != bool(self.codec),
                "a video prior, and no other, imagines in an autoencoder",
            ),
            (
                self.what == "autoencoder" and self.shuffled,
                "an autoencoder reads no words that could be shuffled",
            ),
        )
        found = [message for wrong, message in checks if wrong]
        try:
            size_by_name(self.size)
        except ValueError as error:
            found.append(str(error))
        if found:
            raise ValueError("This pretraining cannot run:\n  - " + "\n  - ".join(found))

    @property
    def steps(self) -> int:
        """Optimiser steps."""
        return self.samples // self.batch_size

    @property
    def name(self) -> str:
        """What the prior is called: what and size, and how it differs from the default."""
        if self.what == "autoencoder":
            return f"{self.what}-{self.size}"
        usual = "points" if self.what == "vlm" else "none"
        parts = [self.what, self.size, *([] if self.targets == usual else [f"{self.targets}"])]
        return "-".join([*parts, *(["shuffled"] if self.shuffled else [])])


def pretrain_spec_from_plain(plain: Mapping[str, Any]) -> PretrainSpec:
    """Read what ``to_plain`` made of a spec."""
    return PretrainSpec(**{**plain, "corpus": Corpus(**plain["corpus"])})


def without_budget(spec: PretrainSpec) -> dict[str, Any]:
    """A spec as JSON values, except how much is trained."""
    return {name: value for name, value in to_plain(spec).items() if name != "samples"}
