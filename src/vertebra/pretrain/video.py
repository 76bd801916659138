"""The video prior: what happens next, by flow matching in the codes of a small autoencoder.

Sees the first frame and, by cross-attention, the caption; no action, and no place of anything
unless pointing pairs are added as a control.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from vertebra.backbones.autoencoder import PX, VideoAutoencoder
from vertebra.backbones.sizes import CODE_CHANNELS, CODE_GRID, GROUP, Size
from vertebra.coupling.joint import HIDDEN, Read, Seen
from vertebra.coupling.shipped import ExpertSize, shipped_attention
from vertebra.coupling.table import Joint
from vertebra.data.cache import FrameCache
from vertebra.flow.path import between, velocity
from vertebra.flow.solver import euler
from vertebra.flow.times import draw_times
from vertebra.nn.embeddings import NoisyTokens, Words
from vertebra.policy.frames import shrink
from vertebra.policy.pointing import Pointing, pointing_loss
from vertebra.policy.targets import moving_weight
from vertebra.pretrain.corpus import CAMERA
from vertebra.pretrain.pairs import GRID, vocabulary
from vertebra.pretrain.vlm import Asked, eye_of
from vertebra.spec.noise import ShiftedUniform
from vertebra.spec.streams import ALL, denoised, given

TABLE = Joint(
    streams=(given("frame"), denoised("future")),
    sees={"frame": {"frame": ALL}, "future": {"frame": ALL, "future": ALL}},
    experts={"frame": "video", "future": "video"},
    context=("text",),
)
TIMES = ShiftedUniform(shift=5.0)
"""As fast-wam draws them."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Footage:
    """A batch of moments of clips.

    Attributes:
        now: uint8 [B, 64, 64, 3].
        later: uint8 [B, T, 64, 64, 3], ``future_frames`` of the size later.
        captions: B sentences.
    """

    now: Tensor
    later: Tensor
    captions: tuple[str, ...]


class VideoPrior(nn.Module):
    """Stem, words, trunk and future of a video backbone; the autoencoder is given and frozen.

    Args:
        size: The size.
        codec: The autoencoder.
        pointing: Whether a pointing head is trained.
    """

    def __init__(self, size: Size, codec: VideoAutoencoder, *, pointing: bool) -> None:
        super().__init__()
        self.size = size
        self.eye = eye_of(size)
        self.words = Words(vocabulary(), size.trunk)
        self.attention = shipped_attention(
            TABLE,
            sizes={"video": ExpertSize(width=size.trunk, hidden=size.video_hidden)},
            depth=size.depth,
            heads=size.heads,
            head_width=size.head_width,
            finishing=("future",),
            context_width=size.trunk,
        )
        tokens = len(size.future_frames) // GROUP * CODE_GRID**2
        self.input = NoisyTokens(CODE_CHANNELS, size.trunk)
        self.position = nn.Parameter(0.02 * torch.randn(tokens, size.trunk))
        self.output = nn.Linear(size.trunk, CODE_CHANNELS)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)
        self.codec = codec.requires_grad_(False)
        if pointing:
            self.pointing = Pointing(size.trunk)
        self.points = pointing

    def read(
        self,
        images: Tensor,
        captions: Sequence[str],
        noisy: Tensor | None = None,
        time: Tensor | None = None,
    ) -> Read:
        """One pass over present frames and captions, and over noisy futures at times [B]."""
        rows, mask = self.words.rows(tuple(captions))
        tokens = {"frame": self.eye(images)}
        if noisy is not None and time is not None:
            each = time[:, None].expand(noisy.shape[:2])
            tokens["future"] = self.input(noisy, each) + self.position
        bias = torch.zeros(mask.shape).masked_fill(~mask, HIDDEN)[:, None, None]
        return self.attention(
            tokens, seen=Seen(partial=True), context=self.words(rows), context_bias=bias
        )

    def velocity(self, footage: Footage, noisy: Tensor, time: Tensor) -> Tensor:
        """The predicted velocity of noisy futures, float32."""
        read = self.read(footage.now, footage.captions, noisy, time)
        return self.output(read.last["future"]).float()

    def clean(self, footage: Footage) -> Tensor:
        """The true future as vectors [B, L, C]."""
        batch, frames = footage.later.shape[:2]
        with torch.no_grad(), torch.autocast("cpu", enabled=False):
            later = shrink(footage.later.flatten(0, 1), PX).view(batch, frames, 3, PX, PX)
            return self.codec.changes(shrink(footage.now, PX), later)

    def losses(
        self, footage: Footage, generator: torch.Generator, asked: Asked | None = None
    ) -> dict[str, Tensor]:
        """``future``: squared error of the velocity; ``pointing`` of pairs that ask for places."""
        data = self.clean(footage)
        time = draw_times(TIMES, len(data), generator)
        noise = torch.randn(data.shape, generator=generator)
        found = self.velocity(footage, between(noise, data, time[:, None, None]), time)
        error = (found - velocity(noise, data)).square().mean(-1)
        weight = moving_weight(data)
        terms = {"future": (error * weight).sum(-1) / weight.sum(-1)}
        if asked is not None:
            read = self.read(asked.images, [pair.prompt for pair in asked.pairs])
            scores, offsets = self.pointing(read.hidden["frame"][self.size.depth - 1])
            points = torch.from_numpy(np.stack([pair.points for pair in asked.pairs]))
            terms["pointing"] = pointing_loss(scores, offsets, points, (GRID, GRID))
        return terms

    @torch.no_grad()
    def imagine(self, footage: Footage, generator: torch.Generator, steps: int) -> Tensor:
        """Imagined later frames, float [B, T, 3, 32, 32]; one step gives the mean future."""
        shape = len(footage.now), len(self.position), CODE_CHANNELS
        start = {"future": torch.randn(shape, generator=generator)}
        found = euler(
            lambda value, at: {
                "future": self.velocity(
                    footage, value["future"], torch.full((len(footage.now),), at)
                )
            },
            start,
            steps,
        )
        return self.codec.changed(shrink(footage.now, PX), found["future"])


def footage_at(
    cache: FrameCache,
    clips: Sequence[int],
    rng: np.random.Generator,
    count: int,
    steps: tuple[int, ...],
    *,
    shuffled: bool = False,
) -> Footage:
    """Random moments of some clips; beyond the end of a clip its last frame stands still.

    Args:
        cache: The corpus.
        clips: Clips to draw from.
        rng: Source of all draws.
        count: Moments.
        steps: How many frames later the later frames are.
        shuffled: Give every clip the caption of another one.
    """
    chosen = rng.choice(np.asarray(clips), size=count)
    start, last = cache.starts[chosen], cache.starts[chosen] + cache.lengths[chosen] - 1
    # The first half of a clip is shown, where the words decide what happens next.
    now = start + rng.integers(np.maximum(cache.lengths[chosen] // 2, 1))
    later = np.minimum(now[:, None] + np.array(steps), last[:, None])
    told = np.roll(chosen, 1) if shuffled else chosen
    video = cache.images[CAMERA]
    return Footage(
        now=torch.from_numpy(video.take(now, axis=0)),
        later=torch.from_numpy(video.take(later, axis=0)),
        captions=tuple(cache.episodes[int(clip)].instruction for clip in told),
    )


def video_metrics(prior: VideoPrior, footage: Footage) -> dict[str, float]:
    """How well held-out futures are imagined, on pixels that really moved.

    Returns:
        Root mean squares: ``mean_error_moving`` of the mean future, ``sample_error_moving`` of one
        sample, ``mute_error_moving`` of the mean future of a wrong caption, ``copy_error_moving``
        of the present frame, ``codec_error_moving`` of what the autoencoder loses.
    """
    batch, frames = footage.later.shape[:2]
    real = shrink(footage.later.flatten(0, 1), PX).view(batch, frames, 3, PX, PX)
    now = shrink(footage.now, PX)
    copied = now[:, None].expand_as(real)
    moving = (real - copied).abs().amax(2) > 0.06

    def error(guess: Tensor) -> float:
        return float((guess - real).square().mean(2)[moving].mean().sqrt())

    def noise() -> torch.Generator:
        return torch.Generator().manual_seed(0)

    other = Footage(
        now=footage.now,
        later=footage.later,
        captions=(*footage.captions[1:], footage.captions[0]),
    )
    return {
        "mean_error_moving": error(prior.imagine(footage, noise(), 1)),
        "sample_error_moving": error(prior.imagine(footage, noise(), 10)),
        "mute_error_moving": error(prior.imagine(other, noise(), 1)),
        "copy_error_moving": error(copied),
        "codec_error_moving": error(prior.codec.changed(now, prior.clean(footage))),
    }
