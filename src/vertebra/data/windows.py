"""Windows into episodes: what is seen now, the actions that follow, and the frames that follow.

A window never leaves its episode. What would lie beyond is filled in and masked out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vertebra.data.cache import FrameCache


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """B windows as arrays.

    Attributes:
        images: Camera name to uint8 [B, H, W, 3], the frames at which the policy acts.
        state: float32 [B, S].
        actions: float32 [B, horizon, A]. ``actions[:, 0]`` was executed at the frame shown. Beyond
            the end the last action is repeated; where the label is missing stands zero.
        action_mask: bool [B, horizon], False beyond the end and where the label is missing.
        future: Camera name to uint8 [B, F, H, W, 3], the frames ``future_steps`` later; beyond the
            end the last frame.
        future_mask: bool [B, F], False beyond the end.
        past: Camera name to uint8 [B, history, H, W, 3], oldest first; before the start the first
            frame. Empty without history.
        past_mask: bool [B, history], False before the start.
        future_state: float32 [B, F, S], the state at the future frames.
        instructions: B sentences, empty where none was recorded.
        points: float32 [B, K, 2], fractions of the first camera; NaN when not visible. Privileged.
        target: int64 [B], index of the object to act on, -1 when unknown. Privileged.
        goal: int64 [B], index of the destination, -1 when none or unknown. Privileged.
        entities: B tuples of names.
        episode: int64 [B], index into the episode table of the cache.
        frame: int64 [B], frame inside the episode, from 0.
        length: int64 [B], frames of the episode.
        real: bool [B], whether the window lies inside the episode; one that would begin before it
            shows its first frame.
        before: The windows before these, oldest first, each ``stride`` frames after the one before.
    """

    images: Mapping[str, NDArray[np.uint8]]
    state: NDArray[np.float32]
    actions: NDArray[np.float32]
    action_mask: NDArray[np.bool_]
    future: Mapping[str, NDArray[np.uint8]]
    future_mask: NDArray[np.bool_]
    past: Mapping[str, NDArray[np.uint8]]
    past_mask: NDArray[np.bool_]
    future_state: NDArray[np.float32]
    instructions: tuple[str, ...]
    points: NDArray[np.float32]
    target: NDArray[np.int64]
    goal: NDArray[np.int64]
    entities: tuple[tuple[str, ...], ...]
    episode: NDArray[np.int64]
    frame: NDArray[np.int64]
    length: NDArray[np.int64]
    real: NDArray[np.bool_]
    before: "tuple[Batch, ...]" = ()


class Windows:
    """All windows of chosen episodes; one window a frame.

    Args:
        cache: The frames.
        episodes: Which episodes, as indices into ``cache.episodes``; each at most once.
        horizon: Actions in a window, counted from the frame shown.
        future_steps: How many control steps later the future frames lie; increasing, not negative.
        history: Frames shown before the present one.
        chunks: Windows in a row that are given for each position, the last one at it.
        stride: Frames between them.
        cameras: Which cameras, in this order; all of them when left out.

    Raises:
        ValueError: Naming everything that does not fit.
    """

    def __init__(
        self,
        cache: FrameCache,
        *,
        episodes: Sequence[int],
        horizon: int,
        future_steps: tuple[int, ...] = (),
        history: int = 0,
        chunks: int = 1,
        stride: int = 1,
        cameras: Sequence[str] | None = None,
    ) -> None:
        chosen = [int(index) for index in episodes]
        names = list(cache.images) if cameras is None else list(cameras)
        _refuse(cache, chosen, horizon, future_steps, history, names)
        self.cache = cache
        self.horizon = horizon
        self.future_steps = tuple(future_steps)
        self.history = history
        self.chunks = chunks
        self.stride = stride
        self.cameras = tuple(names)
        lengths = cache.lengths[chosen]
        self.episode_of: NDArray[np.int64] = np.repeat(np.array(chosen, np.int64), lengths)
        """int64 [len]: the episode of each window."""
        first = np.repeat(np.cumsum(lengths) - lengths, lengths)
        self.frame_of: NDArray[np.int64] = np.arange(len(first)) - first
        """int64 [len]: the frame inside its episode at which each window stands."""
        self._steps = np.arange(horizon)
        self._ahead = np.array(self.future_steps, np.int64)
        self._behind = np.arange(-history, 0)
        self._targets = np.array([row.target_entity for row in cache.episodes], np.int64)
        self._goals = np.array([row.goal_entity for row in cache.episodes], np.int64)

    def __len__(self) -> int:
        return len(self.frame_of)

    def sample(self, rng: np.random.Generator, size: int) -> Batch:
        """Draw windows uniformly over all frames, with replacement."""
        return self.batch(rng.integers(len(self), size=size))

    def batch(self, frame_indices: NDArray[np.integer]) -> Batch:
        """The windows at given positions.

        Args:
            frame_indices: int [B], each in [0, len(self)): frames of the chosen episodes, counted
                through in the order in which the episodes were chosen.

        Raises:
            ValueError: When a position does not exist.
        """
        asked = np.asarray(frame_indices)
        if asked.ndim != 1 or (asked.size and not 0 <= asked.min() <= asked.max() < len(self)):
            raise ValueError(
                f"Window positions have shape {list(asked.shape)} and values "
                f"{asked.min() if asked.size else '-'}..{asked.max() if asked.size else '-'}; "
                f"expected shape [B] and values 0..{len(self) - 1}."
            )
        frame = self.frame_of[asked]
        back = [self.stride * step for step in range(self.chunks - 1, 0, -1)]
        before = tuple(
            self._batch(asked - np.minimum(frame, steps), frame >= steps) for steps in back
        )
        return replace(self._batch(asked, np.ones(len(asked), bool)), before=before)

    def _batch(self, asked: NDArray[np.integer], real: NDArray[np.bool_]) -> Batch:
        cache = self.cache
        episode, frame = self.episode_of[asked], self.frame_of[asked]
        start = cache.starts[episode]
        last = start + cache.lengths[episode] - 1
        here = start + frame
        actions, action_mask = self._actions(here, last)
        future, future_mask = self._frames(here[:, None] + self._ahead, start, last)
        past, past_mask = self._frames(here[:, None] + self._behind, start, last)
        rows = [cache.episodes[index] for index in episode.tolist()]
        ahead = np.minimum(here[:, None] + self._ahead, last[:, None])
        return Batch(
            images={name: cache.images[name].take(here, axis=0) for name in self.cameras},
            state=cache.state.take(here, axis=0),
            actions=actions,
            action_mask=action_mask,
            future=future,
            future_mask=future_mask,
            past=past,
            past_mask=past_mask,
            future_state=cache.state.take(ahead, axis=0),
            instructions=tuple(row.instruction for row in rows),
            points=cache.points.take(here, axis=0),
            target=self._targets[episode],
            goal=self._goals[episode],
            entities=tuple(row.entities for row in rows),
            episode=episode,
            frame=frame,
            length=cache.lengths[episode],
            real=real,
        )

    def _actions(
        self, here: NDArray[np.int64], last: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        wanted = here[:, None] + self._steps
        inside = wanted <= last[:, None]
        actions = self.cache.actions.take(np.minimum(wanted, last[:, None]), axis=0)
        known = np.isfinite(actions).all(axis=2)
        actions[~known] = 0.0
        return actions, inside & known

    def _frames(
        self, wanted: NDArray[np.int64], start: NDArray[np.int64], last: NDArray[np.int64]
    ) -> tuple[dict[str, NDArray[np.uint8]], NDArray[np.bool_]]:
        inside = (wanted >= start[:, None]) & (wanted <= last[:, None])
        if wanted.shape[1] == 0:
            return {}, inside
        shown = np.clip(wanted, start[:, None], last[:, None])
        return {name: self.cache.images[name].take(shown, axis=0) for name in self.cameras}, inside


def _refuse(
    cache: FrameCache,
    episodes: list[int],
    horizon: int,
    future_steps: tuple[int, ...],
    history: int,
    cameras: list[str],
) -> None:
    known = len(cache.episodes)
    missing = [name for name in cameras if name not in cache.images]
    strange = sorted(index for index in set(episodes) if not 0 <= index < known)
    checks = (
        (not episodes, "no episode was chosen; choose at least one"),
        (bool(strange), f"episodes must be in 0..{known - 1}, found {strange}"),
        (len(set(episodes)) != len(episodes), "an episode was chosen twice; choose each once"),
        (horizon < 1, f"horizon is {horizon}; it must be at least 1"),
        (
            any(step < 0 for step in future_steps) or list(future_steps) != sorted({*future_steps}),
            f"future_steps is {future_steps}; it must be increasing and not negative",
        ),
        (history < 0, f"history is {history}; it must not be negative"),
        (
            bool(missing) or not cameras,
            f"cameras {missing or 'none'} asked, the cache has {sorted(cache.images)}",
        ),
    )
    found = [message for wrong, message in checks if wrong]
    if found:
        raise ValueError("Windows cannot be made:\n  - " + "\n  - ".join(found))
