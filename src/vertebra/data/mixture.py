"""Windows of demonstrations mixed with windows whose labels were never made.

Three kinds of recordings, by what somebody had to do for them: demonstrations (actions and words),
unlabelled ones (actions, no words), and video (words as its caption, no actions, no state).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vertebra.data.cache import FrameCache
from vertebra.data.windows import Batch, Windows

MOST_EXTRA = 0.5
"""Share of a batch that others than whole demonstrations have at most."""


def withheld(batch: Batch, words: NDArray[np.bool_], actions: NDArray[np.bool_]) -> Batch:
    """Windows as they are where something was never written down.

    Args:
        batch: B windows.
        words: [B], where the instruction is unknown, and what it would name (targets of pointing).
        actions: [B], where only pictures and words are known: actions are masked out, the state is
            NaN, nothing is annotated.
    """
    either = words | actions
    said = zip(batch.instructions, words.tolist(), strict=True)
    return replace(
        batch,
        state=np.where(actions[:, None], np.float32(np.nan), batch.state),
        future_state=np.where(actions[:, None, None], np.float32(np.nan), batch.future_state),
        actions=np.where(actions[:, None, None], np.float32(0), batch.actions),
        action_mask=batch.action_mask & ~actions[:, None],
        instructions=tuple("" if unknown else text for text, unknown in said),
        target=np.where(either, -1, batch.target),
        goal=np.where(either, -1, batch.goal),
        before=tuple(withheld(one, words, actions) for one in batch.before),
    )


class Mixture:
    """Windows of demonstrations, and of recordings that lack something.

    A window is drawn from all frames alike, but those that lack something are at most half of the
    draws in expectation, so that many of them do not drown few demonstrations.

    Args:
        cache: The frames.
        episodes: Whole demonstrations.
        unlabelled: Demonstrations whose words are withheld.
        video_only: Episodes whose actions and state are withheld.
        parts: The other arguments of ``Windows``.

    Raises:
        ValueError: When an episode does not exist, or is there twice.
    """

    def __init__(
        self,
        cache: FrameCache,
        *,
        episodes: Sequence[int],
        unlabelled: Sequence[int] = (),
        video_only: Sequence[int] = (),
        **parts: Any,
    ) -> None:
        chosen = [*episodes, *unlabelled, *video_only]
        self._all = Windows(cache, episodes=chosen, **parts)
        lengths = cache.lengths[chosen]
        first, second = len(episodes), len(episodes) + len(unlabelled)
        self._whole = int(lengths[:first].sum())
        self._acting = int(lengths[:second].sum())
        self.extra = min(MOST_EXTRA, 1 - self._whole / len(self))
        """Share of draws that lack something."""

    @property
    def cache(self) -> FrameCache:
        """The frames."""
        return self._all.cache

    def __len__(self) -> int:
        return len(self._all)

    def sample(self, rng: np.random.Generator, size: int) -> Batch:
        """Draw windows with replacement; what they lack is withheld.

        Without other recordings the draws are those of ``Windows``.
        """
        if self._whole == len(self):
            return self._all.sample(rng, size)
        extra = int(rng.binomial(size, self.extra))
        whole = rng.integers(self._whole, size=size - extra)
        return self.batch(np.concatenate([whole, rng.integers(self._whole, len(self), size=extra)]))

    def batch(self, positions: NDArray[np.integer]) -> Batch:
        """The windows at given positions, with what they lack withheld.

        Args:
            positions: int [B], frames of whole demonstrations, then of unlabelled ones, then of
                videos.

        Raises:
            ValueError: When a position does not exist.
        """
        found = self._all.batch(positions)
        if self._whole == len(self):
            return found
        unlabelled = (positions >= self._whole) & (positions < self._acting)
        return withheld(found, unlabelled, positions >= self._acting)
