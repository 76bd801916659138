"""The three pretrainings as what a run trains."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vertebra.backbones.autoencoder import PX, VideoAutoencoder
from vertebra.backbones.prior import Prior
from vertebra.backbones.sizes import CODE_CHANNELS, CODE_GRID, GROUP, Size, size_by_name
from vertebra.data.cache import FrameCache
from vertebra.policy.frames import shrink
from vertebra.policy.losses import weighted_total
from vertebra.pretrain.spec import PretrainSpec
from vertebra.pretrain.video import VideoPrior, footage_at, video_metrics
from vertebra.pretrain.vlm import Asked, VlmPrior, asked_at, vlm_metrics
from vertebra.spec.seeds import seed_at
from vertebra.train.run import VALIDATION_SIZE

METRIC_SAMPLES = 512
PLACES = ("point", "ground")


@dataclass(frozen=True, kw_only=True, eq=False)
class _Task:
    """What the three have in common.

    Attributes:
        spec: The pretraining.
        cache: The corpus.
    """

    spec: PretrainSpec
    cache: FrameCache

    @property
    def size(self) -> Size:
        """The size."""
        return size_by_name(self.spec.size)

    def draws(self, step: int) -> tuple[np.random.Generator, torch.Generator]:
        """Sources of a step's draws; a function of the seed and the step alone."""
        root = self.spec.seed
        return (
            np.random.default_rng(seed_at(root, "pretrain", "batch", step)),
            torch.Generator().manual_seed(seed_at(root, "pretrain", "noise", step)),
        )

    def held_draws(self, number: int) -> tuple[np.random.Generator, torch.Generator]:
        """Sources of the draws of a held-out batch, the same for every pretraining."""
        return np.random.default_rng(number), torch.Generator().manual_seed(number)

    def autocast(self) -> torch.autocast:
        """The precision of the training."""
        return torch.autocast("cpu", torch.bfloat16, enabled=self.spec.precision == "bf16")


@dataclass(frozen=True, kw_only=True, eq=False)
class VlmTask(_Task):
    """Answers about pictures."""

    network: VlmPrior
    judged: str = "answer"

    def another(self) -> VlmPrior:
        """A network of the same shape, with any weights."""
        return VlmPrior(self.size, pointing=self.spec.targets == "points")

    def loss(self, step: int) -> tuple[dict[str, Tensor], Tensor]:
        """Named losses [B] of the batch of a step, and their sum."""
        spec, (rng, _) = self.spec, self.draws(step)
        with self.autocast():
            terms = self.network.losses(
                asked_at(
                    self.cache,
                    spec.corpus.training,
                    rng,
                    spec.batch_size,
                    targets=spec.targets,
                    shuffled=spec.shuffled,
                )
            )
            return terms, weighted_total(terms, {})

    def check(self, network: VlmPrior, number: int) -> dict[str, Tensor]:
        """Named losses [B] on one of the fixed held-out batches."""
        with self.autocast():
            return network.losses(self._held(self.held_draws(number)[0], VALIDATION_SIZE))

    def metrics(self, network: VlmPrior) -> dict[str, float]:
        """Figures on held-out clips."""
        return vlm_metrics(network, self._held(np.random.default_rng(0), METRIC_SAMPLES))

    def _held(self, rng: np.random.Generator, count: int) -> Asked:
        targets = self.spec.targets
        return asked_at(self.cache, self.spec.corpus.held, rng, count, targets=targets)


@dataclass(frozen=True, kw_only=True, eq=False)
class VideoTask(_Task):
    """Futures of clips; with targets, also places in pictures."""

    network: VideoPrior
    judged: str = "future"

    def another(self) -> VideoPrior:
        """A network of the same shape, with any weights."""
        codec = VideoAutoencoder(self.size.code_width)
        return VideoPrior(self.size, codec, pointing=self.spec.targets == "points")

    def loss(self, step: int) -> tuple[dict[str, Tensor], Tensor]:
        """Named losses [B] of the batch of a step, and their sum."""
        return self._losses(self.network, *self.draws(step), self.spec.batch_size, held=False)

    def check(self, network: VideoPrior, number: int) -> dict[str, Tensor]:
        """Named losses [B] on one of the fixed held-out batches."""
        return self._losses(network, *self.held_draws(number), VALIDATION_SIZE, held=True)[0]

    def metrics(self, network: VideoPrior) -> dict[str, float]:
        """Figures on held-out clips."""
        steps, held = self.size.future_frames, self.spec.corpus.held
        rng = np.random.default_rng(0)
        return video_metrics(network, footage_at(self.cache, held, rng, METRIC_SAMPLES, steps))

    def _losses(
        self,
        network: VideoPrior,
        rng: np.random.Generator,
        noise: torch.Generator,
        count: int,
        *,
        held: bool,
    ) -> tuple[dict[str, Tensor], Tensor]:
        spec = self.spec
        clips = spec.corpus.held if held else spec.corpus.training
        shuffled = spec.shuffled and not held
        footage = footage_at(
            self.cache, clips, rng, count, self.size.future_frames, shuffled=shuffled
        )
        asked = None
        if spec.targets == "points":
            drawn = asked_at(self.cache, clips, rng, count, targets="points", shuffled=shuffled)
            chosen = [n for n, pair in enumerate(drawn.pairs) if pair.kind in PLACES]
            pairs = tuple(drawn.pairs[n] for n in chosen)
            asked = Asked(images=drawn.images[chosen], pairs=pairs) if chosen else None
        with self.autocast():
            terms = network.losses(footage, noise, asked)
            return terms, weighted_total(terms, {})


@dataclass(frozen=True, kw_only=True, eq=False)
class AutoencoderTask(_Task):
    """Frames of clips, coded and painted again."""

    network: VideoAutoencoder
    judged: str = "frames"

    def another(self) -> VideoAutoencoder:
        """A network of the same shape, with any weights."""
        return VideoAutoencoder(self.size.code_width)

    def loss(self, step: int) -> tuple[dict[str, Tensor], Tensor]:
        """Named losses [B] of the batch of a step, and their sum."""
        rng, noise = self.draws(step)
        frames = self._frames(rng, self.spec.batch_size, held=False)
        terms = self._losses(self.network, frames, noise)
        return terms, weighted_total(terms, {})

    def check(self, network: VideoAutoencoder, number: int) -> dict[str, Tensor]:
        """Named losses [B] on one of the fixed held-out batches."""
        rng, noise = self.held_draws(number)
        return self._losses(network, self._frames(rng, VALIDATION_SIZE, held=True), noise)

    def metrics(self, network: VideoAutoencoder) -> dict[str, float]:
        """Figures on held-out clips."""
        frames = self._frames(np.random.default_rng(0), METRIC_SAMPLES, held=True)
        with torch.no_grad():
            painted = network.decode(network.encode(frames))
        error = (painted - frames).square().mean(2)
        moving = (frames - frames[:, :1]).abs().amax(2) > 0.06
        return {
            "error": float(error.mean().sqrt()),
            "error_moving": float(error[moving].mean().sqrt()),
        }

    def finish(self, network: VideoAutoencoder) -> None:
        """Scale changes of codes so that those of what moves have a standard deviation of 1."""
        frames = self._frames(np.random.default_rng(1), METRIC_SAMPLES, held=True)
        with torch.no_grad():
            change = network.changes(frames[:, 0], frames[:, 1:])
            size = change.square().mean(-1)
            network.change_scale.mul_(1.0 / change[size > size.mean()].std())

    def _frames(self, rng: np.random.Generator, count: int, *, held: bool) -> Tensor:
        clips = self.spec.corpus.held if held else self.spec.corpus.training
        footage = footage_at(self.cache, clips, rng, count, self.size.future_frames)
        whole = torch.cat([footage.now[:, None], footage.later], dim=1)
        return shrink(whole.flatten(0, 1), PX).view(count, -1, 3, PX, PX)

    def _losses(
        self, network: VideoAutoencoder, frames: Tensor, generator: torch.Generator
    ) -> dict[str, Tensor]:
        groups = 1 + (frames.shape[1] - 1) // GROUP
        noise = torch.randn(
            len(frames), groups, CODE_CHANNELS, CODE_GRID, CODE_GRID, generator=generator
        )
        with self.autocast():
            return network.losses(frames, noise)


Task = VlmTask | VideoTask | AutoencoderTask


def make_task(spec: PretrainSpec, cache: FrameCache, codec: Prior | None) -> Task:
    """The task of a pretraining, with weights drawn from its seed.

    Args:
        spec: The pretraining.
        cache: The corpus.
        codec: The autoencoder of a video prior.
    """
    size, pointing = size_by_name(spec.size), spec.targets == "points"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_at(spec.seed, "pretrain", "initialisation"))
        match spec.what:
            case "vlm":
                vlm = VlmPrior(size, pointing=pointing)
                return VlmTask(spec=spec, cache=cache, network=vlm)
            case "video":
                if codec is None:
                    raise AssertionError("a video prior needs an autoencoder")
                frozen = VideoAutoencoder(size.code_width)
                frozen.load_state_dict(codec.tensors)
                video = VideoPrior(size, frozen, pointing=pointing)
                return VideoTask(spec=spec, cache=cache, network=video)
            case _:
                network = VideoAutoencoder(size.code_width)
                return AutoencoderTask(spec=spec, cache=cache, network=network)
