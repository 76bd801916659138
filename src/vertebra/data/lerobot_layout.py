"""The files, columns and features of a LeRobot data set, and the few things we add to it.

Source: huggingface/lerobot 0.6.1, src/lerobot/datasets (v3.0); v2.1 as in 0.3.3.

Deviations: optional features ``action_missing`` and ``label.*`` (declared in info.json, as the
reader demands), and two files that LeRobot does not look at: ``meta/vertebra.json`` (conventions,
split manifest) and ``meta/vertebra_episodes.jsonl`` (task, initial state, entities of an episode).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from vertebra.data.video import Encoding
from vertebra.spec.action import ActionSpec
from vertebra.spec.observation import Camera, ObservationSpec

VERSION = "v3.0"
OLD_VERSION = "v2.1"
CHUNK_SIZE = 1000
INFO = Path("meta/info.json")
STATS = Path("meta/stats.json")
TASKS = Path("meta/tasks.parquet")
EPISODES = "meta/episodes/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
DATA = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
SIDECAR = Path("meta/vertebra.json")
SIDECAR_EPISODES = Path("meta/vertebra_episodes.jsonl")
SIDECAR_VERSION = 1

STATE = "observation.state"
ACTION = "action"
IMAGES = "observation.images."
MISSING = "action_missing"
POINTS = "label.points"
TARGET = "label.target"
GOAL = "label.goal"
SEGMENTATION = "label.segmentation."
INDEX_COLUMNS = ("timestamp", "frame_index", "episode_index", "index", "task_index")


@dataclass(frozen=True, kw_only=True)
class DatasetFormat:
    """What all episodes of a data set have in common.

    Attributes:
        observation: Cameras (the first is the one that points refer to), state, rate.
        action: The action and its conventions.
        entities: Slots of the pointing labels; 0 writes none.
        segmentation: Whether segmentation images are written.
        robot_type: A word for info.json.
        encoding: How video is encoded.
    """

    observation: ObservationSpec
    action: ActionSpec
    entities: int = 0
    segmentation: bool = False
    robot_type: str = ""
    encoding: Encoding = field(default_factory=Encoding)

    def __post_init__(self) -> None:
        problems: list[str] = []
        names = [camera.name for camera in self.observation.cameras]
        if not names or len(set(names)) < len(names) or any("/" in name for name in names):
            problems.append(f"cameras are {names}; give one or more, each once, without '/'")
        rate = self.observation.rate_hz
        if rate != int(rate) or rate < 1:
            problems.append(f"observations come at {rate} Hz; LeRobot holds whole rates only")
        if self.action.rate_hz != rate:
            problems.append(f"actions come at {self.action.rate_hz} Hz, observations at {rate} Hz")
        if problems:
            raise ValueError("A data set cannot have this format:\n  - " + "\n  - ".join(problems))

    @property
    def fps(self) -> int:
        """Frames a second."""
        return int(self.observation.rate_hz)


def place(number: int) -> dict[str, int]:
    """Chunk and file index of the n-th file."""
    return {"chunk_index": number // CHUNK_SIZE, "file_index": number % CHUNK_SIZE}


def features(form: DatasetFormat) -> dict[str, dict[str, Any]]:
    """The ``features`` of info.json, in the order of the columns."""
    found: dict[str, dict[str, Any]] = {
        STATE: _vector(len(form.observation.state), [dim.name for dim in form.observation.state]),
        ACTION: _vector(len(form.action.dims), [dim.name for dim in form.action.dims]),
        MISSING: {"dtype": "bool", "shape": [1], "names": None},
    }
    for camera in form.observation.cameras:
        found[IMAGES + camera.name] = _video(camera, form)
    if form.entities:
        axes = [f"{axis}{number}" for number in range(form.entities) for axis in "xy"]
        found[POINTS] = _vector(2 * form.entities, axes)
        found[TARGET] = {"dtype": "int64", "shape": [1], "names": None}
        found[GOAL] = {"dtype": "int64", "shape": [1], "names": None}
    if form.segmentation:
        for camera in form.observation.cameras:
            found[SEGMENTATION + camera.name] = {
                "dtype": "image",
                "shape": [camera.height, camera.width, 1],
                "names": ["height", "width", "channels"],
            }
    for name in INDEX_COLUMNS:
        kind = "float32" if name == "timestamp" else "int64"
        found[name] = {"dtype": kind, "shape": [1], "names": None}
    return found


def _vector(width: int, names: list[str]) -> dict[str, Any]:
    return {"dtype": "float32", "shape": [width], "names": names}


def _video(camera: Camera, form: DatasetFormat) -> dict[str, Any]:
    codec = {"libx264": "h264", "libsvtav1": "av1"}.get(form.encoding.codec, form.encoding.codec)
    return {
        "dtype": "video",
        "shape": [camera.height, camera.width, 3],
        "names": ["height", "width", "channels"],
        "info": {
            "video.height": camera.height,
            "video.width": camera.width,
            "video.codec": codec,
            "video.pix_fmt": form.encoding.pixel_format,
            "video.is_depth_map": False,
            "video.fps": form.fps,
            "video.channels": 3,
            "has_audio": False,
        },
    }


def info(form: DatasetFormat, *, episodes: int, frames: int, tasks: int, splits: Mapping[str, str]):
    """The content of info.json."""
    return {
        "codebase_version": VERSION,
        "robot_type": form.robot_type,
        "total_episodes": episodes,
        "total_frames": frames,
        "total_tasks": tasks,
        "chunks_size": CHUNK_SIZE,
        "data_files_size_in_mb": 100,
        "video_files_size_in_mb": 200,
        "fps": form.fps,
        "splits": dict(splits),
        "data_path": DATA,
        "video_path": VIDEO,
        "features": features(form),
    }


def arrow_schema(form: DatasetFormat) -> pa.Schema:
    """The columns of a data file: every feature that is not video."""
    return pa.schema(
        [
            pa.field(name, _arrow_type(feature))
            for name, feature in features(form).items()
            if feature["dtype"] != "video"
        ]
    )


def _arrow_type(feature: Mapping[str, Any]) -> pa.DataType:
    if feature["dtype"] == "image":
        return pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    single = {"float32": pa.float32(), "int64": pa.int64(), "bool": pa.bool_()}[feature["dtype"]]
    return single if feature["shape"] == [1] else pa.list_(single, feature["shape"][0])


def tasks_table(tasks: list[str]) -> pa.Table:
    """The content of tasks.parquet.

    The pandas metadata makes ``task`` the index; without it LeRobot silently yields numbers
    instead of sentences.
    """
    columns = [
        {
            "name": name,
            "field_name": name,
            "pandas_type": pandas_type,
            "numpy_type": numpy_type,
            "metadata": None,
        }
        for name, pandas_type, numpy_type in (
            ("task_index", "int64", "int64"),
            ("task", "unicode", "object"),
        )
    ]
    pandas = {
        "index_columns": ["task"],
        "column_indexes": [
            {
                "name": None,
                "field_name": None,
                "pandas_type": "unicode",
                "numpy_type": "object",
                "metadata": {"encoding": "UTF-8"},
            }
        ],
        "columns": columns,
        "creator": {"library": "pyarrow", "version": pa.__version__},
        "pandas_version": "2.3.0",
    }
    table = pa.table(
        {
            "task_index": pa.array(range(len(tasks)), pa.int64()),
            "task": pa.array(tasks, pa.string()),
        }
    )
    return table.replace_schema_metadata({"pandas": json.dumps(pandas)})
