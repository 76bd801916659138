"""A frame cache: episodes decoded once into flat memory-mapped arrays, so that batches are gathers.

Layout of a cache directory::

    cache.json            version, shapes, hashes, episode table
    state.f32             [N, S]
    actions.f32           [N, A]      a row of NaN has no label
    points.f32            [N, K, 2]   padded with NaN to the largest number of entities
    images.<camera>.u8    [N, H, W, 3]

The directory appears whole or not at all: it is written beside its place and renamed.
"""

import hashlib
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vertebra.data.episode import EpisodeData, episode_problems
from vertebra.spec.errors import BrokenDataset
from vertebra.spec.storage import canonical_json, digest, read_json, write_json

CACHE_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class CachedEpisode:
    """One row of the episode table.

    Attributes:
        start: First frame in the flat arrays.
        length: Frames.
        content_hash: SHA-256 (16 digits) of everything the episode holds (segmentation apart).
        instruction: As in `EpisodeData`, like all fields below.
    """

    start: int
    length: int
    content_hash: str
    instruction: str
    task_id: str
    skill: str
    initial_state: str
    split: str
    entities: tuple[str, ...]
    target_entity: int
    goal_entity: int
    achieved: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class FrameCache:
    """All frames of a data set as read-only memory-mapped arrays, N frames in episode order.

    Attributes:
        directory: Where it lies.
        images: Camera name to uint8 [N, H, W, 3].
        state: float32 [N, S].
        actions: float32 [N, A]; rows of NaN have no label.
        points: float32 [N, K, 2], fractions of the first camera's width and height; NaN when not
            visible or not annotated.
        episodes: The episode table, in frame order.
        source: Hash of the source it was built from, empty when none was given.
        content_hash: Hash of everything in it.
    """

    directory: Path
    images: Mapping[str, NDArray[np.uint8]]
    state: NDArray[np.float32]
    actions: NDArray[np.float32]
    points: NDArray[np.float32]
    episodes: tuple[CachedEpisode, ...]
    source: str
    content_hash: str

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """int64 [E]: first frame of each episode."""
        return np.array([episode.start for episode in self.episodes], dtype=np.int64)

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """int64 [E]: frames of each episode."""
        return np.array([episode.length for episode in self.episodes], dtype=np.int64)

    @cached_property
    def labelled(self) -> NDArray[np.bool_]:
        """Frames whose action is known: bool [N]."""
        return np.asarray(np.isfinite(self.actions).all(axis=1))

    def episode(self, index: int) -> EpisodeData:
        """One episode as it was put in (views of the cache; segmentation is not kept)."""
        row = self.episodes[index]
        span = slice(row.start, row.start + row.length)
        entities = len(row.entities)
        return EpisodeData(
            images={name: video[span] for name, video in self.images.items()},
            state=self.state[span],
            actions=self.actions[span],
            instruction=row.instruction,
            task_id=row.task_id,
            skill=row.skill,
            initial_state=row.initial_state,
            split=row.split,
            entities=row.entities,
            points=self.points[span, :entities] if entities else None,
            target_entity=row.target_entity,
            goal_entity=row.goal_entity,
            achieved=row.achieved,
        )


def episode_hash(episode: EpisodeData) -> str:
    """SHA-256 (16 digits) of all arrays and words of an episode, segmentation apart."""
    hasher = hashlib.sha256()
    hasher.update(canonical_json([_words(episode), sorted(episode.images)]).encode())
    for name in sorted(episode.images):
        hasher.update(np.ascontiguousarray(episode.images[name]).data)
    hasher.update(np.ascontiguousarray(episode.state).data)
    hasher.update(np.ascontiguousarray(episode.actions).data)
    if episode.points is not None and episode.points.size:
        hasher.update(np.ascontiguousarray(episode.points).data)
    return hasher.hexdigest()[:16]


def build_cache(
    episodes: Iterable[EpisodeData], directory: Path, *, source: str = ""
) -> FrameCache:
    """Decode episodes once into a cache directory, or reuse the one that is there.

    Args:
        episodes: Read once, in order, one at a time; not read at all when the cache is reused.
        directory: Where the cache shall lie. A cache of another source there is replaced.
        source: Hash of where the episodes come from. When the cache in ``directory`` was built
            from an equal, non-empty source it is opened instead of built.

    Raises:
        BrokenDataset: When an episode is unsound or differs in shape from the first one. All
            problems of all episodes are named and nothing is left behind.
    """
    directory = Path(directory)
    if source and (directory / "cache.json").exists():
        described = read_json(directory / "cache.json")
        if described.get("version") == CACHE_VERSION and described.get("source") == source:
            return open_cache(directory)
    part = directory.with_name(f".{directory.name}.{os.getpid()}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        _write(episodes, part, source, str(directory))
        _swap(part, directory)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return open_cache(directory)


def open_cache(directory: Path) -> FrameCache:
    """Open a cache that was built before.

    Raises:
        ValueError: When there is none, when it has another version, or when a file has the wrong
            size.
    """
    directory = Path(directory)
    if not (directory / "cache.json").exists():
        raise ValueError(f"{directory} holds no frame cache (no cache.json). Build it first.")
    described = read_json(directory / "cache.json")
    if described.get("version") != CACHE_VERSION:
        raise ValueError(
            f"The frame cache {directory} has version {described.get('version')!r}, this program "
            f"reads version {CACHE_VERSION}. Delete the directory; it will be built again."
        )
    frames = int(described["frames"])
    widths = described["widths"]
    images = {
        name: _map(directory / f"images.{name}.u8", np.uint8, (frames, height, width, 3))
        for name, height, width in described["cameras"]
    }
    return FrameCache(
        directory=directory,
        images=images,
        state=_map(directory / "state.f32", np.float32, (frames, widths["state"])),
        actions=_map(directory / "actions.f32", np.float32, (frames, widths["actions"])),
        points=_map(directory / "points.f32", np.float32, (frames, widths["points"], 2)),
        episodes=tuple(
            CachedEpisode(
                **{**row, "entities": tuple(row["entities"]), "achieved": tuple(row["achieved"])}
            )
            for row in described["episodes"]
        ),
        source=described["source"],
        content_hash=described["content_hash"],
    )


def _map(path: Path, dtype: Any, shape: tuple[int, ...]) -> NDArray[Any]:
    expected = int(np.prod(shape)) * np.dtype(dtype).itemsize
    found = path.stat().st_size if path.exists() else -1
    if found != expected:
        raise ValueError(
            f"{path} has {max(found, 0)} bytes{' (it is missing)' if found < 0 else ''}, expected "
            f"{expected} for shape {list(shape)}. Delete {path.parent}; it will be built again."
        )
    if expected == 0:
        return np.zeros(shape, dtype)
    return np.asarray(np.memmap(path, dtype=dtype, mode="r", shape=shape))


def _words(episode: EpisodeData) -> dict[str, Any]:
    return {
        "instruction": episode.instruction,
        "task_id": episode.task_id,
        "skill": episode.skill,
        "initial_state": episode.initial_state,
        "split": episode.split,
        "entities": list(episode.entities),
        "target_entity": int(episode.target_entity),
        "goal_entity": int(episode.goal_entity),
        "achieved": list(episode.achieved),
    }


def _shapes(episode: EpisodeData) -> dict[str, Any]:
    return {
        "cameras": [[name, *video.shape[1:3]] for name, video in episode.images.items()],
        "state dims": episode.state.shape[1],
        "action dims": episode.actions.shape[1],
    }


def _write(episodes: Iterable[EpisodeData], part: Path, source: str, where: str) -> None:
    table: list[dict[str, Any]] = []
    points: list[NDArray[np.float32]] = []
    problems: list[str] = []
    first: dict[str, Any] = {}
    handles: dict[str, Any] = {}
    frames = 0
    try:
        for index, episode in enumerate(episodes):
            found = episode_problems(episode)
            shapes = {} if found else _shapes(episode)
            first = first or shapes
            if shapes != first and not found:
                found = [f"it has {shapes}, the first sound episode has {first}"]
            problems += [f"episode {index}: {problem}" for problem in found]
            if problems:
                continue
            _append(handles, part, episode)
            length = len(episode.state)
            table.append(
                {
                    "start": frames,
                    "length": length,
                    "content_hash": episode_hash(episode),
                    **_words(episode),
                }
            )
            blank = np.full((length, len(episode.entities), 2), np.nan, np.float32)
            points.append(blank if episode.points is None else episode.points)
            frames += length
    finally:
        for handle in handles.values():
            handle.close()
    if not problems and not table:
        problems = ["it has no episodes; nothing can be cached"]
    if problems:
        raise BrokenDataset(f"The source of the frame cache {where}", problems)
    widest = max(array.shape[1] for array in points)
    padded = [
        np.pad(array, ((0, 0), (0, widest - array.shape[1]), (0, 0)), constant_values=np.nan)
        for array in points
    ]
    np.concatenate(padded).astype(np.float32).tofile(part / "points.f32")
    described = {
        "version": CACHE_VERSION,
        "source": source,
        "frames": frames,
        "cameras": first["cameras"],
        "widths": {
            "state": first["state dims"],
            "actions": first["action dims"],
            "points": widest,
        },
        "content_hash": digest([row["content_hash"] for row in table]),
        "episodes": table,
    }
    write_json(part / "cache.json", described)


def _append(handles: dict[str, Any], part: Path, episode: EpisodeData) -> None:
    arrays = {"state.f32": episode.state, "actions.f32": episode.actions}
    arrays |= {f"images.{name}.u8": video for name, video in episode.images.items()}
    for name, array in arrays.items():
        if name not in handles:
            handles[name] = (part / name).open("wb")
        handles[name].write(np.ascontiguousarray(array))


def _swap(part: Path, directory: Path) -> None:
    old = directory.with_name(f".{directory.name}.{os.getpid()}.old")
    if directory.exists():
        directory.replace(old)
    part.replace(directory)
    shutil.rmtree(old, ignore_errors=True)
