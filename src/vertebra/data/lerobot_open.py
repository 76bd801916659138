"""What a LeRobot data set (v3.0 or v2.1) holds, by its meta data."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from vertebra.data import lerobot_layout as layout
from vertebra.spec.errors import BrokenDataset
from vertebra.spec.storage import canonical_json, read_json, read_jsonl


@dataclass(frozen=True, kw_only=True)
class Span:
    """Where one episode lies.

    Attributes:
        index: Number of the episode.
        length: Frames, as the meta data say.
        data: Its data file.
        videos: Video key to file and the time in it at which the episode starts, in seconds.
        tasks: The sentences that belong to it.
        offsets: First row and row after the last, counted over the whole data set (v3.0 only).
        ends_s: Video key to the time at which the episode ends, where the meta data say.
    """

    index: int
    length: int
    data: Path
    videos: Mapping[str, tuple[Path, float]]
    tasks: tuple[str, ...]
    offsets: tuple[int, int] | None = None
    ends_s: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A LeRobot data set, by its meta data.

    Attributes:
        root: Its directory.
        version: ``v3.0`` or ``v2.1``.
        fps: Frames a second.
        robot_type: As info.json says, or empty.
        features: As info.json says.
        episodes: Where each episode lies, in order of their numbers.
        tasks: Task index to sentence.
        extras: Episode number to what vertebra wrote beside it; empty for foreign data.
        sidecar: Content of ``meta/vertebra.json``; empty for foreign data.
    """

    root: Path
    version: str
    fps: float
    robot_type: str
    features: Mapping[str, Mapping[str, Any]]
    episodes: tuple[Span, ...]
    tasks: Mapping[int, str]
    extras: Mapping[int, Mapping[str, Any]]
    sidecar: Mapping[str, Any]

    @property
    def cameras(self) -> dict[str, str]:
        """Short camera name to feature: colour video and images, without labels and depth."""
        found: dict[str, str] = {}
        for key, feature in self.features.items():
            depth = feature.get("info", {}) or {}
            is_depth = depth.get("video.is_depth_map") or depth.get("is_depth_map")
            if feature["dtype"] in {"video", "image"} and not (
                key.startswith("label.") or is_depth
            ):
                found[key.removeprefix(layout.IMAGES).removeprefix("observation.")] = key
        return found

    def camera_size(self, name: str) -> tuple[int, int]:
        """Height and width of a camera, in pixels."""
        feature = self.features[self.cameras[name]]
        shape, names = list(feature["shape"]), list(feature.get("names") or [])
        if names[:1] in (["channel"], ["channels"]) or (len(names) == 0 and shape[0] in {1, 3}):
            shape = [*shape[1:], shape[0]]
        return int(shape[0]), int(shape[1])

    def fingerprint(self) -> str:
        """Hash of its meta data and of the size and time of every data and video file."""
        files = sorted(
            path
            for part in ("meta", "data", "videos", "images")
            for path in (self.root / part).rglob("*")
            if path.is_file()
        )
        facts = [
            [str(path.relative_to(self.root)), path.stat().st_size, path.stat().st_mtime_ns]
            for path in files
        ]
        return hashlib.sha256(canonical_json(facts).encode()).hexdigest()[:16]


def open_dataset(root: Path) -> Dataset:
    """Read the meta data of a data set.

    Raises:
        BrokenDataset: When files or entries are missing, all of them named, or when the version is
            another one.
    """
    root = Path(root)
    if not (root / layout.INFO).exists():
        there = "the directory does not exist" if not root.exists() else "it has no meta/info.json"
        raise BrokenDataset(
            str(root), [f"{there}; give the root of a LeRobot data set (v3.0 or v2.1)"]
        )
    info = read_json(root / layout.INFO)
    problems = [
        f"meta/info.json has no '{key}'"
        for key in ("codebase_version", "fps", "features")
        if key not in info
    ]
    version = f"v{str(info.get('codebase_version', '')).removeprefix('v')}"
    if not problems and version not in {layout.VERSION, layout.OLD_VERSION}:
        problems.append(
            f"codebase_version is '{version}', this program reads v3.0 and v2.1: convert it with "
            "LeRobot's own converter"
        )
    wanted = (
        (layout.TASKS, Path("meta/episodes"))
        if version == layout.VERSION
        else (Path("meta/tasks.jsonl"), Path("meta/episodes.jsonl"))
    )
    problems += [f"{path} is missing" for path in wanted if not (root / path).exists()]
    if problems:
        raise BrokenDataset(str(root), problems)
    tasks, episodes = (_read_v3 if version == layout.VERSION else _read_v21)(root, info)
    sidecar = root / layout.SIDECAR
    extras = root / layout.SIDECAR_EPISODES
    return Dataset(
        root=root,
        version=version,
        fps=float(info["fps"]),
        robot_type=str(info.get("robot_type") or ""),
        features=info["features"],
        episodes=tuple(sorted(episodes, key=lambda span: span.index)),
        tasks=tasks,
        extras={row["episode_index"]: row for row in read_jsonl(extras)} if extras.exists() else {},
        sidecar=read_json(sidecar) if sidecar.exists() else {},
    )


def episode_columns(video_keys: Iterable[str]) -> list[str]:
    """The columns that meta/episodes must have (v3.0)."""
    found = ["episode_index", "length", "data/chunk_index", "data/file_index"]
    found += ["dataset_from_index", "dataset_to_index"]
    parts = ("chunk_index", "file_index", "from_timestamp")
    return found + [f"videos/{key}/{part}" for key in video_keys for part in parts]


def _read_v3(root: Path, info: Mapping[str, Any]) -> tuple[dict[int, str], list[Span]]:
    files = sorted((root / "meta/episodes").rglob("*.parquet"))
    keys = [key for key, feature in info["features"].items() if feature["dtype"] == "video"]
    needed = episode_columns(keys)
    spans: list[Span] = []
    for path in files:
        names = pq.read_schema(path).names
        missing = [name for name in needed if name not in names]
        if missing:
            raise BrokenDataset(str(path), [f"column '{name}' is missing" for name in missing])
        optional = ["tasks", *(f"videos/{key}/to_timestamp" for key in keys)]
        columns = [*needed, *(name for name in optional if name in names)]
        spans += [
            _span_v3(root, info, keys, row)
            for row in pq.read_table(path, columns=columns).to_pylist()
        ]
    return read_tasks(root / layout.TASKS), spans


def read_tasks(path: Path) -> dict[int, str]:
    """Task index to sentence from tasks.parquet (the sentence may be its pandas index)."""
    table = pq.read_table(path)
    sentences = next(
        (name for name in ("task", "__index_level_0__") if name in table.column_names), None
    )
    if sentences is None or "task_index" not in table.column_names:
        raise BrokenDataset(
            str(path), [f"it has the columns {table.column_names}, not 'task_index' and 'task'"]
        )
    return dict(zip(table["task_index"].to_pylist(), table[sentences].to_pylist(), strict=True))


def _span_v3(root: Path, info: Mapping[str, Any], keys: list[str], row: Mapping[str, Any]) -> Span:
    videos: dict[str, tuple[Path, float]] = {}
    for key in keys:
        path = (info.get("video_path") or layout.VIDEO).format(
            video_key=key,
            chunk_index=row[f"videos/{key}/chunk_index"],
            file_index=row[f"videos/{key}/file_index"],
        )
        videos[key] = (root / path, float(row[f"videos/{key}/from_timestamp"]))
    data = (info.get("data_path") or layout.DATA).format(
        chunk_index=row["data/chunk_index"], file_index=row["data/file_index"]
    )
    return Span(
        index=int(row["episode_index"]),
        length=int(row["length"]),
        data=root / data,
        videos=videos,
        tasks=tuple(row.get("tasks") or ()),
        offsets=(int(row["dataset_from_index"]), int(row["dataset_to_index"])),
        ends_s={
            key: float(row[f"videos/{key}/to_timestamp"])
            for key in keys
            if row.get(f"videos/{key}/to_timestamp") is not None
        },
    )


def _read_v21(root: Path, info: Mapping[str, Any]) -> tuple[dict[int, str], list[Span]]:
    tasks = {row["task_index"]: row["task"] for row in read_jsonl(root / "meta/tasks.jsonl")}
    keys = [key for key, feature in info["features"].items() if feature["dtype"] == "video"]
    chunk_size = int(info.get("chunks_size", layout.CHUNK_SIZE))
    spans: list[Span] = []
    for row in read_jsonl(root / "meta/episodes.jsonl"):
        index = int(row["episode_index"])
        where = {"episode_chunk": index // chunk_size, "episode_index": index}
        spans.append(
            Span(
                index=index,
                length=int(row["length"]),
                data=root / info["data_path"].format(**where),
                videos={
                    key: (root / info["video_path"].format(video_key=key, **where), 0.0)
                    for key in keys
                },
                tasks=tuple(row.get("tasks") or ()),
            )
        )
    return tasks, spans
