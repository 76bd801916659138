"""The episodes of a LeRobot data set (v3.0 or v2.1), one after the other."""

import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

from vertebra.data import lerobot_layout as layout
from vertebra.data.episode import EpisodeData
from vertebra.data.lerobot_open import Dataset, Span
from vertebra.data.video import VideoReader
from vertebra.spec.errors import BrokenDataset

Picture = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]


class EpisodeReader:
    """Reads episodes; keeps the last data file and one video file a camera open.

    Args:
        dataset: What to read.
        cameras: Camera name to feature, in the order wanted; all colour cameras when left out.
        pictures: Camera name to what is done with each of its frames (crop, resize).
        state_key: Feature of the state; empty for data without one (the state then has no numbers).
        action_key: Feature of the action.
        segmentation: Read segmentation images too, where the data set has them.

    Raises:
        ValueError: When a feature does not exist.
    """

    def __init__(
        self,
        dataset: Dataset,
        *,
        cameras: Mapping[str, str] | None = None,
        pictures: Mapping[str, Picture] | None = None,
        state_key: str = layout.STATE,
        action_key: str = layout.ACTION,
        segmentation: bool = False,
    ) -> None:
        self.dataset = dataset
        self.cameras = dict(dataset.cameras if cameras is None else cameras)
        wanted = [*self.cameras.values(), action_key, *([state_key] if state_key else [])]
        missing = [key for key in wanted if key not in dataset.features]
        if missing:
            raise ValueError(
                f"{dataset.root} has no feature {missing}; it has {sorted(dataset.features)}. Name "
                "the right ones in an input mapping."
            )
        self._pictures = dict(pictures or {})
        self._state_key, self._action_key = state_key, action_key
        self._masks = {
            key.removeprefix(layout.SEGMENTATION): key
            for key in dataset.features
            if segmentation and key.startswith(layout.SEGMENTATION)
        }
        self._spans = {span.index: span for span in dataset.episodes}
        self._videos: dict[str, VideoReader] = {}
        self._table: tuple[Path, pa.Table, NDArray[np.int64]] | None = None

    def first_views(self, index: int) -> dict[str, NDArray[np.uint8]]:
        """The first frame of each camera, uint8 [height, width, 3]; no other is decoded.

        Raises:
            ValueError: When there is no episode of this number.
            BrokenDataset: When its files do not hold what the meta data say.
        """
        span = self._span(index)
        rows = self._rows(span).slice(0, 1)
        return {name: self._camera(name, key, span, rows)[0] for name, key in self.cameras.items()}

    def read(self, index: int) -> EpisodeData:
        """One episode.

        Raises:
            ValueError: When there is no episode of this number.
            BrokenDataset: When its files do not hold what the meta data say.
        """
        span = self._span(index)
        rows = self._rows(span)
        actions = _vectors(rows, self._action_key)
        if layout.MISSING in rows.column_names:
            actions[np.array(rows[layout.MISSING])] = np.nan
        extra = self.dataset.extras.get(index, {})
        entities = tuple(extra.get("entities", ()))
        return EpisodeData(
            images={
                name: self._camera(name, key, span, rows) for name, key in self.cameras.items()
            },
            state=_vectors(rows, self._state_key)
            if self._state_key
            else np.zeros((len(rows), 0), np.float32),
            actions=actions,
            instruction=self._instruction(span, rows),
            task_id=extra.get("task_id", ""),
            skill=extra.get("skill", ""),
            initial_state=extra.get("initial_state", ""),
            split=extra.get("split", ""),
            entities=entities,
            points=_points(rows, len(entities)),
            target_entity=_label(rows, layout.TARGET),
            goal_entity=_label(rows, layout.GOAL),
            achieved=tuple(extra.get("achieved", ())),
            segmentation={
                name: np.stack(
                    [_picture(cell, self.dataset.root) for cell in rows[key].to_pylist()]
                )
                for name, key in self._masks.items()
            },
        )

    def close(self) -> None:
        """Close the video files."""
        for reader in self._videos.values():
            reader.close()
        self._videos.clear()

    def _span(self, index: int) -> Span:
        if index not in self._spans:
            raise ValueError(
                f"{self.dataset.root} has no episode {index}; it has {len(self._spans)} episodes."
            )
        return self._spans[index]

    def _rows(self, span: Span) -> pa.Table:
        if self._table is None or self._table[0] != span.data:
            if not span.data.exists():
                raise BrokenDataset(
                    str(self.dataset.root),
                    [f"{span.data.relative_to(self.dataset.root)} is missing; restore it"],
                )
            table = pq.read_table(span.data, columns=self._columns(span.data))
            self._table = (span.data, table, np.array(table["episode_index"]))
        _, table, numbers = self._table
        where = np.flatnonzero(numbers == span.index)
        if len(where) != span.length or not len(where) or where[-1] - where[0] + 1 != len(where):
            raise BrokenDataset(
                str(span.data),
                [
                    f"episode {span.index} has {len(where)} rows here and length {span.length} in "
                    "the meta data: run `vertebra data check`"
                ],
            )
        return table.slice(int(where[0]), len(where))

    def _columns(self, path: Path) -> list[str]:
        wanted = {*layout.INDEX_COLUMNS, layout.MISSING, layout.POINTS, layout.TARGET, layout.GOAL}
        wanted |= {self._state_key, self._action_key, *self.cameras.values(), *self._masks.values()}
        return [name for name in pq.read_schema(path).names if name in wanted]

    def _camera(self, name: str, key: str, span: Span, rows: pa.Table) -> NDArray[np.uint8]:
        picture = self._pictures.get(name)
        if self.dataset.features[key]["dtype"] == "image":
            frames = [_picture(cell, self.dataset.root) for cell in rows[key].to_pylist()]
            return np.stack(frames if picture is None else [picture(frame) for frame in frames])
        path, start_s = span.videos[key]
        reader = self._videos.get(name)
        if reader is None or reader.path != path:
            if reader is not None:
                reader.close()
            reader = self._videos[name] = VideoReader(path, picture)
        return reader.read(start_s + np.array(rows["timestamp"], np.float64))

    def _instruction(self, span: Span, rows: pa.Table) -> str:
        if "task_index" in rows.column_names:
            return self.dataset.tasks.get(int(rows["task_index"][0].as_py()), "")
        return span.tasks[0] if span.tasks else ""


def read_episodes(
    dataset: Dataset, episodes: Iterable[int] | None = None, **choices: Any
) -> Iterator[EpisodeData]:
    """Episodes one after the other, all of them when none are named.

    Args:
        dataset: What to read.
        episodes: Their numbers.
        choices: As for `EpisodeReader`.
    """
    reader = EpisodeReader(dataset, **choices)
    numbers = [span.index for span in dataset.episodes] if episodes is None else list(episodes)
    try:
        for number in numbers:
            yield reader.read(number)
    finally:
        reader.close()


def column_array(table: pa.Table, name: str) -> NDArray[Any]:
    """A column as an array: [rows] for numbers, [rows, width] for vectors.

    Raises:
        BrokenDataset: When vectors differ in width.
    """
    column = table[name].combine_chunks()
    if not pa.types.is_nested(column.type):
        return np.asarray(column.to_numpy(zero_copy_only=False))
    flat = np.asarray(column.flatten().to_numpy(zero_copy_only=False))
    if len(table) == 0 or len(flat) % len(table):
        raise BrokenDataset(f"column '{name}'", ["its rows are vectors of different widths"])
    return flat.reshape(len(table), -1)


def _vectors(rows: pa.Table, name: str) -> NDArray[np.float32]:
    array = column_array(rows, name)
    return np.array(array.reshape(len(rows), -1), np.float32)


def _points(rows: pa.Table, entities: int) -> NDArray[np.float32] | None:
    if layout.POINTS not in rows.column_names or not entities:
        return None
    return _vectors(rows, layout.POINTS).reshape(len(rows), -1, 2)[:, :entities]


def _label(rows: pa.Table, name: str) -> int:
    return int(rows[name][0].as_py()) if name in rows.column_names else -1


def _picture(cell: Mapping[str, Any], root: Path) -> NDArray[np.uint8]:
    content = cell["bytes"] if cell["bytes"] is not None else (root / cell["path"]).read_bytes()
    with Image.open(io.BytesIO(content)) as image:
        return np.array(image if image.mode == "L" else image.convert("RGB"))
