"""The corpus: staged clips in a frame cache. Both priors see the same pixels.

The video prior reads clips with their captions; the vision-language prior reads single frames with
questions and answers made from what lies where. Neither holds a robot's action or state: those
arrays have no columns.
"""

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from vertebra.data.cache import FrameCache, build_cache
from vertebra.data.episode import EpisodeData
from vertebra.pretrain.stage import CLIP_FRAMES, SIZE_PX, stage_clip
from vertebra.spec.seeds import seed_at
from vertebra.spec.storage import digest

CAMERA = "web"
CORPUS_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """Which clips; equal settings give equal frames.

    Attributes:
        clips: Clips to train on.
        held_out: Further clips, of scenes of their own, for metrics.
        seed: Root of all draws.
        version: Changes when the clips of a seed do.
    """

    clips: int = 8_000
    held_out: int = 400
    seed: int = 20_261
    version: int = CORPUS_VERSION

    def __post_init__(self) -> None:
        if self.clips < 1 or self.held_out < 1:
            raise ValueError(
                f"A corpus of {self.clips} clips and {self.held_out} held-out clips is asked for; "
                "both must be at least 1."
            )

    @property
    def training(self) -> tuple[int, ...]:
        """Clips to train on, as indices into the cache."""
        return tuple(range(self.held_out, self.held_out + self.clips))

    @property
    def held(self) -> tuple[int, ...]:
        """Held-out clips, as indices into the cache."""
        return tuple(range(self.held_out))

    @property
    def pixels(self) -> int:
        """Pixels to train on."""
        return self.clips * CLIP_FRAMES * SIZE_PX**2


def build_corpus(corpus: Corpus, store: Path, *, workers: int = 1) -> FrameCache:
    """Stage the clips, or open them when they are there.

    Args:
        corpus: Which clips.
        store: Directory that holds corpora.
        workers: Processes; their number changes nothing.
    """
    source = digest(corpus)
    return build_cache(_clips(corpus, workers), store / f"corpus-{source}", source=source)


def _clips(corpus: Corpus, workers: int) -> Iterator[EpisodeData]:
    places = [("held-out", number) for number in range(corpus.held_out)]
    places += [("training", number) for number in range(corpus.clips)]
    if workers == 1:
        yield from map(partial(_clip, corpus.seed), places)
        return
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        yield from pool.map(partial(_clip, corpus.seed), places, chunksize=20)


def _clip(seed: int, place: tuple[str, int]) -> EpisodeData:
    return stage_clip(seed_at(seed, "pretrain", place[0]), place[1])
