"""The vision-language prior: a prefix language model over one picture, in the policies' weights.

Picture and question see each other; the answer sees both and what was said of it so far
(PaliGemma, arXiv:2407.07726). Which is a table, as in every recipe.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vertebra.backbones.sizes import Size
from vertebra.coupling.joint import Read, Seen
from vertebra.coupling.shipped import ExpertSize, shipped_attention
from vertebra.coupling.table import Joint
from vertebra.data.cache import FrameCache
from vertebra.nn.embeddings import PixelTokens, Words
from vertebra.policy.pointing import Pointing, pointed_places, pointing_loss
from vertebra.pretrain.captions import END, START
from vertebra.pretrain.corpus import CAMERA
from vertebra.pretrain.pairs import GRID, Pair, pair_at, vocabulary
from vertebra.pretrain.stage import SIZE_PX
from vertebra.spec.streams import ALL, UPTO, denoised, given

TABLE = Joint(
    streams=(given("image"), given("text"), denoised("answer")),
    sees={
        "image": {"image": ALL, "text": ALL},
        "text": {"image": ALL, "text": ALL},
        "answer": {"image": ALL, "text": ALL, "answer": UPTO},
    },
    experts={"image": "vlm", "text": "vlm", "answer": "vlm"},
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Asked:
    """A batch of pictures with questions and answers.

    Attributes:
        images: uint8 [B, 64, 64, 3].
        pairs: Questions and answers.
    """

    images: Tensor
    pairs: tuple[Pair, ...]


def eye_of(size: Size) -> PixelTokens:
    """The stem of a policy's first camera, for pictures of the corpus."""
    return PixelTokens(
        height=SIZE_PX,
        width_px=SIZE_PX,
        stride=size.fine_stride,
        width=size.trunk,
        channels=size.channels,
    )


class VlmPrior(nn.Module):
    """Stem, words, trunk and pointing head of a vision-language backbone.

    Words are read and said with one table of vectors.

    Args:
        size: The size.
        pointing: Whether a pointing head is trained.
    """

    def __init__(self, size: Size, *, pointing: bool) -> None:
        super().__init__()
        self.size = size
        self.eye = eye_of(size)
        self.words = Words(vocabulary(), size.trunk)
        self.attention = shipped_attention(
            TABLE,
            sizes={"vlm": ExpertSize(width=size.trunk, hidden=size.vlm_hidden)},
            depth=size.depth,
            heads=size.heads,
            head_width=size.head_width,
            finishing=("answer",),
        )
        if pointing:
            self.pointing = Pointing(size.trunk)
        self.points = pointing

    def read(self, images: Tensor, prompts: Sequence[str], said: Tensor, real: Tensor) -> Read:
        """One pass over pictures, questions and the beginnings of answers.

        Args:
            images: uint8 [B, 64, 64, 3].
            prompts: B questions.
            said: Word rows [B, A], beginning with the row of ``START``.
            real: True where one of them is real [B, A].
        """
        rows, mask = self.words.rows(tuple(prompts))
        tokens = {"image": self.eye(images), "text": self.words(rows), "answer": self.words(said)}
        seen = Seen(
            padding={"text": mask, "answer": real},
            times={"answer": torch.arange(said.shape[1])},
            partial=True,
        )
        return self.attention(tokens, seen=seen)

    def scores(self, read: Read) -> Tensor:
        """Scores of the next word after each word of the answers [B, A, V]."""
        return read.last["answer"] @ self.words.table.weight.T * self.size.trunk**-0.5

    def places(self, read: Read) -> tuple[Tensor, Tensor]:
        """Scores and offsets of the pointing head."""
        return self.pointing(read.hidden["image"][self.size.depth - 1])

    def losses(self, asked: Asked) -> dict[str, Tensor]:
        """``answer``: cross-entropy a word; ``pointing`` where there is a head, each [B]."""
        said, real, wanted = self._taught(asked.pairs)
        prompts = [pair.prompt for pair in asked.pairs]
        read = self.read(asked.images, prompts, said, real)
        scores = self.scores(read).float().transpose(1, 2)
        cross = F.cross_entropy(scores, wanted, reduction="none") * real
        terms = {"answer": cross.sum(-1) / real.sum(-1)}
        if self.points:
            points = torch.from_numpy(np.stack([pair.points for pair in asked.pairs]))
            terms["pointing"] = pointing_loss(*self.places(read), points, (GRID, GRID))
        return terms

    def _taught(self, pairs: Sequence[Pair]) -> tuple[Tensor, Tensor, Tensor]:
        """Rows of what is said, where it is real, and what should come next, each [B, A]."""
        rows, real = self.words.rows(tuple(f"{START} {pair.answer} {END}" for pair in pairs))
        inside = real[:, 1:]
        return rows[:, :-1], inside, rows[:, 1:].masked_fill(~inside, 0)

    @torch.no_grad()
    def answer(self, asked: Asked, longest: int = 12) -> list[str]:
        """The most likely answers, word by word."""
        names = {row: word for word, row in self.words.index.items()}
        start, end = self.words.index[START], self.words.index[END]
        said = torch.full((len(asked.pairs), 1), start)
        prompts = [pair.prompt for pair in asked.pairs]
        for _ in range(longest):
            read = self.read(asked.images, prompts, said, torch.ones_like(said, dtype=torch.bool))
            said = torch.cat([said, self.scores(read)[:, -1:].argmax(-1)], dim=1)
        texts: list[str] = []
        for row in said[:, 1:].tolist():
            words = row[: row.index(end)] if end in row else row
            texts.append(" ".join(names.get(word, "?") for word in words))
        return texts

    @torch.no_grad()
    def pointed(self, asked: Asked) -> Tensor:
        """Distance between the places pointed at and the true ones, in patches [B, 2]."""
        said, real, _ = self._taught(asked.pairs)
        read = self.read(asked.images, [pair.prompt for pair in asked.pairs], said, real)
        found = pointed_places(*self.places(read), (GRID, GRID)).view(-1, 2, 3)[:, :, :2]
        true = torch.from_numpy(np.stack([pair.points for pair in asked.pairs]))
        return ((found + 1) / 2 - true).norm(dim=-1) * GRID


def asked_at(
    cache: FrameCache,
    clips: Sequence[int],
    rng: np.random.Generator,
    count: int,
    *,
    targets: str,
    shuffled: bool = False,
) -> Asked:
    """A batch of pairs from random frames of some clips.

    Args:
        cache: The corpus.
        clips: Clips to draw from.
        rng: Source of all draws.
        count: Pairs.
        targets: ``points`` or ``none``.
        shuffled: Give every picture the question and answer of another one.
    """
    chosen = rng.choice(np.asarray(clips), size=count)
    frames = cache.starts[chosen] + rng.integers(cache.lengths[chosen])
    pairs = [
        pair_at(cache, int(frame), int(clip), targets, rng)
        for frame, clip in zip(frames, chosen, strict=True)
    ]
    if shuffled:
        pairs = [*pairs[1:], pairs[0]]
    images = torch.from_numpy(cache.images[CAMERA].take(frames, axis=0))
    return Asked(images=images, pairs=tuple(pairs))


def vlm_metrics(prior: VlmPrior, asked: Asked) -> dict[str, float]:
    """How well held-out questions are answered.

    Returns:
        ``exact_KIND``: share of exact answers a kind; ``pointed_KIND``: share of places found
        within half a patch and ``error_patches``: their mean distance, where there is a head.
    """
    answers = prior.answer(asked)
    found: dict[str, float] = {}
    kinds = np.array([pair.kind for pair in asked.pairs])
    right = np.array([a == p.answer for a, p in zip(answers, asked.pairs, strict=True)])
    for kind in sorted(set(kinds.tolist())):
        found[f"exact_{kind}"] = float(right[kinds == kind].mean())
    if prior.points:
        error = prior.pointed(asked)
        known = error.isfinite()
        found["error_patches"] = float(error[known].mean())
        found["within_half_a_patch"] = float((error[known] < 0.5).float().mean())
    return found
