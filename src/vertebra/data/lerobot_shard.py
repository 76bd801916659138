"""One shard of a LeRobot data set: its own video files and rows, written by one process.

A shard is either whole (it has ``shard.json``, written last) or worthless.
"""

import io
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

from vertebra.data import lerobot_layout as layout
from vertebra.data.cache import episode_hash
from vertebra.data.episode import EpisodeData, episode_problems
from vertebra.data.lerobot_layout import DatasetFormat
from vertebra.data.lerobot_stats import image_histogram, image_stats, vector_stats
from vertebra.data.video import VideoWriter
from vertebra.spec.errors import BrokenDataset
from vertebra.spec.storage import write_bytes


class ShardWriter:
    """Writes episodes into one shard directory.

    Args:
        directory: Where; what lies there is removed.
        form: What all episodes have in common.
    """

    def __init__(self, directory: Path, form: DatasetFormat) -> None:
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        self.directory = directory
        self.form = form
        self._rows: list[pa.Table] = []
        self._episodes: list[dict[str, Any]] = []
        self._frames = 0
        self._schema = layout.arrow_schema(form)
        self._histograms = {
            camera.name: np.zeros((3, 256), np.int64) for camera in form.observation.cameras
        }
        self._videos = {
            camera.name: VideoWriter(
                directory / f"{camera.name}.mp4",
                fps=form.fps,
                height=camera.height,
                width=camera.width,
                encoding=form.encoding,
            )
            for camera in form.observation.cameras
        }

    def write(self, episode: EpisodeData) -> None:
        """Append an episode.

        Raises:
            BrokenDataset: When it is unsound or does not fit the format; nothing is written.
        """
        problems = episode_problems(episode) or misfits(episode, self.form)
        if problems:
            raise BrokenDataset(f"Episode {len(self._episodes)} of {self.directory}", problems)
        columns = self._columns(episode)
        self._rows.append(pa.table(columns, schema=self._schema))
        stats = vector_stats(
            {
                layout.STATE: episode.state,
                layout.ACTION: episode.actions,
                **{
                    name: np.asarray(columns[name])[:, None]
                    for name in ("timestamp", "frame_index")
                },
            }
        )
        for name, writer in self._videos.items():
            writer.write(episode.images[name])
            histogram = image_histogram(episode.images[name])
            drawn = int(histogram[0].sum()) // int(np.prod(episode.images[name].shape[1:3]))
            stats[layout.IMAGES + name] = image_stats(histogram, drawn)
            self._histograms[name] += histogram
        length = len(episode.state)
        self._episodes.append(
            {
                "from": self._frames,
                "length": length,
                "stats": stats,
                "extras": {
                    "instruction": episode.instruction,
                    "task_id": episode.task_id,
                    "skill": episode.skill,
                    "initial_state": episode.initial_state,
                    "split": episode.split,
                    "entities": list(episode.entities),
                    "achieved": list(episode.achieved),
                    "recorded_hash": episode_hash(episode),
                },
            }
        )
        self._frames += length

    def close(self, notes: Mapping[str, Any] | None = None) -> None:
        """Finish the files; the shard counts from here on.

        Args:
            notes: JSON values kept in ``shard.json`` under ``notes``.
        """
        for writer in self._videos.values():
            writer.close()
        table = pa.concat_tables(self._rows) if self._rows else self._schema.empty_table()
        pq.write_table(table, self.directory / "rows.parquet")
        described = {
            "frames": self._frames,
            "episodes": self._episodes,
            "notes": dict(notes or {}),
            "histograms": {name: sums.tolist() for name, sums in self._histograms.items()},
        }
        write_bytes(self.directory / "shard.json", json.dumps(described).encode())

    def _columns(self, episode: EpisodeData) -> dict[str, Any]:
        length = len(episode.state)
        columns: dict[str, Any] = {
            layout.STATE: _vectors(episode.state),
            layout.ACTION: _vectors(episode.actions),
            layout.MISSING: np.isnan(episode.actions).all(axis=1),
            "timestamp": (np.arange(length) / self.form.fps).astype(np.float32),
            "frame_index": np.arange(length),
            "episode_index": np.full(length, len(self._episodes)),
            "index": self._frames + np.arange(length),
            "task_index": np.zeros(length, np.int64),
        }
        if self.form.entities:
            points = np.full((length, self.form.entities, 2), np.nan, np.float32)
            if episode.points is not None:
                points[:, : len(episode.entities)] = episode.points
            columns[layout.POINTS] = _vectors(points.reshape(length, -1))
            columns[layout.TARGET] = np.full(length, episode.target_entity)
            columns[layout.GOAL] = np.full(length, episode.goal_entity)
        if self.form.segmentation:
            for name, masks in episode.segmentation.items():
                columns[layout.SEGMENTATION + name] = [
                    {"bytes": _png(mask), "path": None} for mask in masks
                ]
        return columns


def misfits(episode: EpisodeData, form: DatasetFormat) -> list[str]:
    """Everything in which an episode differs from the format of its data set, in words."""
    expected = {c.name: (c.height, c.width) for c in form.observation.cameras}
    found = {name: video.shape[1:3] for name, video in episode.images.items()}
    problems: list[str] = []
    if found != expected:
        problems.append(f"its cameras are {found}, the format has {expected}")
    for what, width, dims in (
        ("state", episode.state.shape[1], form.observation.state),
        ("action", episode.actions.shape[1], form.action.dims),
    ):
        if width != len(dims):
            problems.append(f"its {what} has {width} dimensions, the format has {len(dims)}")
    if len(episode.entities) > form.entities and form.entities:
        problems.append(
            f"it has {len(episode.entities)} entities, the format has {form.entities} slots"
        )
    if form.segmentation and set(episode.segmentation) != set(expected):
        problems.append(
            f"it has segmentation of {sorted(episode.segmentation)}, the format asks for "
            f"{sorted(expected)}"
        )
    partly = np.isnan(episode.actions).any(axis=1) & ~np.isnan(episode.actions).all(axis=1)
    if partly.any() or np.isinf(episode.actions).any():
        problems.append("an action is infinite or NaN in part; a missing action is NaN throughout")
    return problems


def finished_shard(directory: Path) -> bool:
    """Whether a shard is whole."""
    return (directory / "shard.json").exists()


def _vectors(values: NDArray[np.float32]) -> pa.Array:
    flat = pa.array(np.ascontiguousarray(values).ravel(), pa.float32())
    if values.shape[1] == 1:
        return flat
    return pa.FixedSizeListArray.from_arrays(flat, values.shape[1])


def _png(mask: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(mask).save(buffer, "png", compress_level=1)
    return buffer.getvalue()
