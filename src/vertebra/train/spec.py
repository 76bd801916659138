"""What one training is: data, budget and seeds as plain values."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vertebra.backbones.sizes import SIZES
from vertebra.backbones.trunk import Standing, standing_from_plain
from vertebra.policy.recipe import Recipe
from vertebra.policy.saved import recipe_from_plain, recipe_to_plain
from vertebra.spec.action import ActionSpec
from vertebra.spec.observation import ObservationSpec
from vertebra.spec.storage import to_plain
from vertebra.spec.wire import action_spec_from_plain, observation_spec_from_plain

TRAIN_SPEC_VERSION = 1
PRIVILEGED = ("points", "none")
PRECISIONS = ("bf16", "fp32")
SEEDS = ("initialisation", "batch_order", "noise")


@dataclass(frozen=True, kw_only=True)
class TrainSpec:
    """One training run.

    Attributes:
        recipe: What is trained.
        size: ``tiny`` or ``mini``.
        needs: Cameras and state of the data; the first camera gets fine tokens.
        makes: Action vector of the data.
        privileged: ``points`` (pointing targets from the simulator) or ``none``.
        samples: Windows seen in training, the locked budget; the same for every arm.
        batch_size: Windows a step.
        data: Directory of the frame cache.
        data_hash: Its content hash; another one is refused.
        episodes: Episodes to train on, the subset of this seed and count.
        unlabelled: Episodes to train on besides, without their words.
        video_only: Episodes to train on besides, without actions and state.
        validation_episodes: Episodes that pick the checkpoint; disjoint from all others.
        seeds: Seeds named ``initialisation``, ``batch_order`` and ``noise``.
        checkpoint_every: Steps between checkpoints, and between looks at the validation loss.
        precision: ``bf16`` (autocast) or ``fp32``.
        learning_rate: Peak learning rate, the same for every arm.
        warmup: Steps of linear warm-up.
        ema: Decay of the weight average that acts.
        priors: Name to SHA-256 of the shipped weights to start from, the autoencoder in which
            frames are imagined included; none from scratch and in pixels.
        standing: Released models to stand on, in place of the shipped backbones.

    Raises:
        ValueError: Naming everything that does not fit.
    """

    recipe: Recipe
    size: str
    needs: ObservationSpec
    makes: ActionSpec
    privileged: str
    samples: int
    batch_size: int
    data: str
    data_hash: str
    episodes: tuple[int, ...]
    validation_episodes: tuple[int, ...]
    seeds: Mapping[str, int] = field(default_factory=dict[str, int])
    checkpoint_every: int = 200
    precision: str = "bf16"
    learning_rate: float = 2e-3
    warmup: int = 50
    ema: float = 0.995
    priors: Mapping[str, str] = field(default_factory=dict[str, str])
    unlabelled: tuple[int, ...] = ()
    video_only: tuple[int, ...] = ()
    standing: Standing | None = None

    def __post_init__(self) -> None:
        both = sorted(set(self.shown) & set(self.validation_episodes))
        twice = sorted(i for i, count in Counter(self.shown).items() if count > 1)
        missing = sorted(set(SEEDS) - set(self.seeds))
        sizes = [size.name for size in SIZES]
        checks = (
            (self.size not in sizes, f"size is {self.size!r}, expected one of {sizes}"),
            (
                self.privileged not in PRIVILEGED,
                f"privileged is {self.privileged!r}, expected one of {PRIVILEGED}",
            ),
            (
                self.precision not in PRECISIONS,
                f"precision is {self.precision!r}, expected one of {PRECISIONS}",
            ),
            (
                self.samples < self.batch_size or self.batch_size < 1,
                f"{self.samples} samples in batches of {self.batch_size} make no step",
            ),
            (self.checkpoint_every < 1, f"checkpoint_every is {self.checkpoint_every}, below 1"),
            (self.warmup < 0, f"warmup is {self.warmup}, below 0"),
            (self.learning_rate <= 0, f"learning_rate is {self.learning_rate}, not above 0"),
            (not 0 <= self.ema < 1, f"ema is {self.ema}, not in [0, 1)"),
            (not self.episodes, "there is no training episode"),
            (not self.validation_episodes, "there is no validation episode"),
            (bool(both), f"episodes {both[:5]} are in training and validation"),
            (bool(twice), f"episodes {twice[:5]} are shown in two ways"),
            (
                bool(self.video_only) and not self.recipe.imagines,
                f"{self.recipe.name} imagines no frames, so video teaches it nothing",
            ),
            (bool(missing), f"seeds {missing} are missing"),
            (
                self.standing is not None and bool(self.priors),
                "it starts from shipped priors and stands on released models; choose one",
            ),
        )
        found = [message for wrong, message in checks if wrong]
        if found:
            raise ValueError("This training cannot run:\n  - " + "\n  - ".join(found))

    @property
    def acted(self) -> tuple[int, ...]:
        """Episodes whose actions are used."""
        return (*self.episodes, *self.unlabelled)

    @property
    def told(self) -> tuple[int, ...]:
        """Episodes whose words are used."""
        return (*self.episodes, *self.video_only)

    @property
    def shown(self) -> tuple[int, ...]:
        """All episodes that are trained on."""
        return (*self.episodes, *self.unlabelled, *self.video_only)

    @property
    def steps(self) -> int:
        """Optimiser steps."""
        return self.samples // self.batch_size


def train_spec_to_plain(spec: TrainSpec) -> dict[str, Any]:
    """A training spec as JSON values."""
    plain = {name: to_plain(value) for name, value in vars(spec).items() if name != "recipe"}
    for name in ("priors", "unlabelled", "video_only", "standing"):
        if not plain[name]:  # as it was written before there were any
            del plain[name]
    return {"version": TRAIN_SPEC_VERSION, **plain, "recipe": recipe_to_plain(spec.recipe)}


def train_spec_from_plain(plain: Mapping[str, Any]) -> TrainSpec:
    """Read a training spec.

    Raises:
        ValueError: On another version, or when it cannot run.
    """
    if plain.get("version") != TRAIN_SPEC_VERSION:
        raise ValueError(
            f"Training spec has version {plain.get('version')!r}, this program reads "
            f"{TRAIN_SPEC_VERSION}."
        )
    values = {name: value for name, value in plain.items() if name != "version"}
    return TrainSpec(
        **{
            **values,
            "recipe": recipe_from_plain(plain["recipe"]),
            "needs": observation_spec_from_plain(plain["needs"]),
            "makes": action_spec_from_plain(plain["makes"]),
            "episodes": tuple(plain["episodes"]),
            "validation_episodes": tuple(plain["validation_episodes"]),
            "unlabelled": tuple(plain.get("unlabelled", ())),
            "video_only": tuple(plain.get("video_only", ())),
            "standing": standing_from_plain(plain.get("standing")),
        }
    )
