"""Checks of the meta data alone: files there, totals, numbers and offsets that add up."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vertebra.data import lerobot_layout as layout
from vertebra.data.fault import Fault, fault
from vertebra.data.lerobot_open import Dataset, episode_columns


def info_faults(root: Path) -> tuple[list[Fault], dict[str, Any]]:
    """Faults of info.json and of the presence of meta files, and info.json itself.

    Any fault here makes the rest unreadable.
    """
    where = str(layout.INFO)
    if not (root / layout.INFO).exists():
        return [fault("info-missing", where, f"there is no such file in {root}")], {}
    try:
        info = json.loads((root / layout.INFO).read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        return [fault("info-invalid", where, f"it is not JSON ({error})")], {}
    missing = [key for key in ("codebase_version", "fps", "features") if key not in info]
    if missing:
        return [fault("info-invalid", where, f"it lacks {missing}")], {}
    version = f"v{str(info['codebase_version']).removeprefix('v')}"
    if version not in {layout.VERSION, layout.OLD_VERSION}:
        return [fault("version-unknown", where, f"codebase_version is '{version}'")], {}
    found = _feature_faults(info)
    old = ("meta/tasks.jsonl", "meta/episodes.jsonl")
    new = (str(layout.TASKS), "meta/episodes")
    found += [
        fault("meta-missing", name, "there is no such file")
        for name in (new if version == layout.VERSION else old)
        if not (root / name).exists()
    ]
    if version == layout.VERSION and not found:
        found += _parquet_faults(root, info)
    return found, info


def _feature_faults(info: Mapping[str, Any]) -> list[Fault]:
    where = str(layout.INFO)
    found: list[Fault] = []
    if not isinstance(info["fps"], (int, float)) or not info["fps"] > 0:
        found.append(fault("info-invalid", where, f"fps is {info['fps']!r}, not a positive number"))
    broken = [
        name
        for name, feature in info["features"].items()
        if not isinstance(feature, dict) or not {"dtype", "shape"} <= set(feature)
    ]
    if broken:
        found.append(fault("info-invalid", where, f"features {broken} lack dtype or shape"))
    lost = [name for name in layout.INDEX_COLUMNS if name not in info["features"]]
    version = str(info["codebase_version"]).removeprefix("v")
    if lost and version == layout.VERSION.removeprefix("v"):
        found.append(fault("info-invalid", where, f"the features lack {lost}"))
    return found


def _parquet_faults(root: Path, info: Mapping[str, Any]) -> list[Fault]:
    found: list[Fault] = []
    videos = [key for key, feature in info["features"].items() if feature["dtype"] == "video"]
    wanted = [(root / layout.TASKS, ["task_index"])]
    files = sorted((root / "meta/episodes").rglob("*.parquet"))
    wanted += [(path, episode_columns(videos)) for path in files]
    if not files:
        found.append(fault("meta-missing", "meta/episodes", "it holds no parquet file"))
    for path, columns in wanted:
        where = str(path.relative_to(root))
        try:
            names = pq.read_table(path).column_names
        except (pa.ArrowException, OSError) as error:
            found.append(fault("meta-broken", where, f"it cannot be read ({error})"))
            continue
        lost = [name for name in columns if name not in names]
        if lost:
            found.append(fault("meta-broken", where, f"it lacks the columns {lost}"))
    return found


def meta_faults(dataset: Dataset, info: Mapping[str, Any]) -> list[Fault]:
    """Faults of totals, episode numbers, offsets, sentences and file hashes."""
    found = _total_faults(dataset, info) + _task_faults(dataset)
    numbers = [span.index for span in dataset.episodes]
    if numbers != list(range(len(numbers))):
        found.append(
            fault(
                "episodes-numbered-wrong",
                "meta/episodes",
                f"the {len(numbers)} episodes have the numbers {_some(numbers)}",
            )
        )
    expected = 0
    for span in dataset.episodes:
        right = (expected, expected + span.length)
        if span.offsets is not None and span.offsets != right:
            found.append(
                fault(
                    "offsets-wrong",
                    f"episode {span.index}",
                    f"rows {span.offsets[0]} to {span.offsets[1]}, expected {right[0]} to "
                    f"{right[1]} by the lengths",
                )
            )
        expected += span.length
    return found + _hash_faults(dataset)


def _total_faults(dataset: Dataset, info: Mapping[str, Any]) -> list[Fault]:
    counted = {
        "total_episodes": len(dataset.episodes),
        "total_frames": sum(span.length for span in dataset.episodes),
        "total_tasks": len(dataset.tasks),
    }
    return [
        fault("totals-wrong", str(layout.INFO), f"{name} is {info.get(name)}, counted are {number}")
        for name, number in counted.items()
        if info.get(name) != number
    ]


def _task_faults(dataset: Dataset) -> list[Fault]:
    found: list[Fault] = []
    declared = set(dataset.sidecar.get("language_missing", ()))
    for number, sentence in dataset.tasks.items():
        if isinstance(sentence, str) and sentence.strip():
            continue
        users = [span.index for span in dataset.episodes if sentence in span.tasks]
        if not users or set(users) - declared:
            found.append(
                fault(
                    "instruction-empty",
                    f"task {number}",
                    f"the sentence is {sentence!r} and serves the episodes "
                    f"{_some(sorted(set(users) - declared))}",
                )
            )
    if dataset.version == layout.VERSION:
        metadata = pq.read_schema(dataset.root / layout.TASKS).metadata or {}
        pandas = json.loads(metadata.get(b"pandas", b"{}"))
        if pandas.get("index_columns") not in (["task"], ["__index_level_0__"]):
            found.append(
                fault(
                    "tasks-unindexed",
                    str(layout.TASKS),
                    f"its pandas index is {pandas.get('index_columns')}, expected ['task']",
                )
            )
    return found


def _hash_faults(dataset: Dataset) -> list[Fault]:
    found: list[Fault] = []
    for name, expected in dataset.sidecar.get("files_sha256", {}).items():
        path = dataset.root / name
        if not path.exists():
            continue
        with path.open("rb") as handle:
            digest = hashlib.file_digest(handle, "sha256").hexdigest()
        if digest != expected:
            found.append(
                fault("file-changed", name, f"its SHA-256 is {digest}, written was {expected}")
            )
    return found


def _some(numbers: list[int]) -> str:
    shown = ", ".join(str(number) for number in numbers[:8])
    return f"[{shown}{', ...' if len(numbers) > 8 else ''}]"


def stats_faults(
    dataset: Dataset, vectors: Mapping[str, np.ndarray[Any, np.dtype[Any]]]
) -> list[Fault]:
    """Compare meta/stats.json with the rows; vectors [N, D] by feature, NaN rows left out."""
    path = dataset.root / layout.STATS
    if not path.exists():
        return []
    try:
        stats = json.loads(path.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        return [fault("stats-wrong", str(layout.STATS), f"it is not JSON ({error})")]
    found: list[Fault] = []
    for name, values in vectors.items():
        rows = np.asarray(values, np.float64)
        rows = rows[np.isfinite(rows).all(axis=1)]
        if name not in stats or not len(rows):
            continue
        low, high = rows.min(axis=0), rows.max(axis=0)
        counted = {"min": low, "max": high, "mean": rows.mean(axis=0), "std": rows.std(axis=0)}
        allowed = 1e-3 * (high - low) + 1e-5 * np.abs(low) + 1e-6
        for statistic, right in counted.items():
            given = stats[name].get(statistic)
            if given is None:
                continue
            stored = np.asarray(given, np.float64).ravel()
            if stored.shape != right.shape or not (np.abs(stored - right) <= allowed).all():
                found.append(
                    fault(
                        "stats-wrong",
                        f"{layout.STATS} {name}",
                        f"{statistic} is {np.round(stored, 5).tolist()}, the rows give "
                        f"{np.round(right, 5).tolist()}",
                    )
                )
                break
    return found
