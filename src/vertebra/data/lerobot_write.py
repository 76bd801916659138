"""Writing LeRobot v3.0: one data set out of shards.

`assemble` numbers the rows of the shards through, links the video files into their places and
writes ``meta/info.json`` last, so that a directory with ``meta/info.json`` is a whole data set.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vertebra.data import lerobot_layout as layout
from vertebra.data.episode import EpisodeData
from vertebra.data.lerobot_layout import DatasetFormat
from vertebra.data.lerobot_shard import ShardWriter, finished_shard
from vertebra.data.lerobot_stats import image_stats, vector_stats
from vertebra.spec.storage import digest, read_json, write_bytes, write_json, write_jsonl
from vertebra.spec.wire import action_spec_to_plain, observation_spec_to_plain


def assemble(
    root: Path,
    shards: Sequence[Path],
    form: DatasetFormat,
    *,
    provenance: Mapping[str, Any] | None = None,
) -> None:
    """Make a data set out of finished shards, in the order given. May be repeated after a crash.

    Args:
        root: Directory of the data set.
        shards: Shard directories; their video files are hard-linked (or copied), not moved.
        form: The format that the shards were written with.
        provenance: Where the data come from, kept in ``meta/vertebra.json``.

    Raises:
        ValueError: When a shard is not finished or there is no episode.
    """
    unfinished = [str(shard) for shard in shards if not finished_shard(shard)]
    described = [] if unfinished else [read_json(s / "shard.json") for s in shards]
    if unfinished or not any(shard["episodes"] for shard in described):
        raise ValueError(
            f"{root} cannot be assembled: unfinished shards {unfinished or 'none'}, "
            f"{len(shards)} shards given, and at least one episode is needed."
        )
    (root / layout.INFO).unlink(missing_ok=True)
    sentences = [row["extras"]["instruction"] for shard in described for row in shard["episodes"]]
    tasks = {sentence: number for number, sentence in enumerate(dict.fromkeys(sentences))}
    rows: list[dict[str, Any]] = []
    extras: list[dict[str, Any]] = []
    vectors: list[pa.Table] = []
    for number, (directory, shard) in enumerate(zip(shards, described, strict=True)):
        first = rows[-1]["dataset_to_index"] if rows else 0
        vectors.append(_place_rows(root, number, directory, shard, tasks, (len(rows), first)))
        for camera in form.observation.cameras:
            key = layout.IMAGES + camera.name
            target = root / layout.VIDEO.format(video_key=key, **layout.place(number))
            _link(directory / f"{camera.name}.mp4", target)
        for row in shard["episodes"]:
            extras.append({"episode_index": len(rows), **row["extras"]})
            rows.append(_episode_row(row, number, len(rows), form, first))
    _write_meta(root, form, rows, tasks, pa.concat_tables(vectors), described)
    write_jsonl(root / layout.SIDECAR_EPISODES, extras)
    write_json(root / layout.SIDECAR, _sidecar(root, form, extras, provenance or {}))
    info = layout.info(
        form,
        episodes=len(rows),
        frames=sum(shard["frames"] for shard in described),
        tasks=len(tasks),
        splits=_contiguous_splits(extras),
    )
    write_bytes(root / layout.INFO, json.dumps(info, indent=4).encode())


def write_dataset(
    root: Path,
    episodes: Iterable[EpisodeData],
    form: DatasetFormat,
    *,
    shard_size: int = 1000,
    provenance: Mapping[str, Any] | None = None,
) -> None:
    """Write episodes as a data set, ``shard_size`` to a file.

    Raises:
        BrokenDataset: When an episode is unsound or does not fit the format.
        ValueError: When the directory holds something already, or there are no episodes.
    """
    if root.exists() and any(root.iterdir()):
        raise ValueError(f"{root} is not empty. Choose another directory or delete it.")
    staging = root / ".shards"
    shards: list[Path] = []
    writer: ShardWriter | None = None
    for number, episode in enumerate(episodes):
        if writer is None or number % shard_size == 0:
            if writer is not None:
                writer.close()
            shards.append(staging / f"{len(shards):05d}")
            writer = ShardWriter(shards[-1], form)
        writer.write(episode)
    if writer is None:
        raise ValueError(f"There are no episodes to write to {root}.")
    writer.close()
    assemble(root, shards, form, provenance=provenance)
    shutil.rmtree(staging)


def split_manifest(extras: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Which episodes and initial states make up each split, with hashes that prove it."""
    found: dict[str, Any] = {}
    for split in dict.fromkeys(row["split"] for row in extras):
        rows = [row for row in extras if row["split"] == split]
        states = list(dict.fromkeys(row["initial_state"] for row in rows))
        found[split or "unnamed"] = {
            "episodes": [row["episode_index"] for row in rows],
            "initial_states": states,
            "initial_states_hash": digest(sorted(states)),
            "content_hash": digest([row["recorded_hash"] for row in rows]),
        }
    return found


def _place_rows(
    root: Path,
    number: int,
    directory: Path,
    shard: dict[str, Any],
    tasks: Mapping[str, int],
    before: tuple[int, int],
) -> pa.Table:
    """Number the rows of a shard through and write them, one row group an episode.

    ``before`` are the episodes and frames before this shard.
    """
    table = pq.read_table(directory / "rows.parquet")
    lengths = [row["length"] for row in shard["episodes"]]
    task_index = [tasks[row["extras"]["instruction"]] for row in shard["episodes"]]
    for name, values in (
        ("index", before[1] + np.arange(shard["frames"])),
        ("episode_index", np.repeat(before[0] + np.arange(len(lengths)), lengths)),
        ("task_index", np.repeat(task_index, lengths)),
    ):
        position = table.schema.get_field_index(name)
        table = table.set_column(position, name, pa.array(values.astype(np.int64)))
    target = root / layout.DATA.format(**layout.place(number))
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")
    with pq.ParquetWriter(part, table.schema) as writer:
        for row in shard["episodes"]:
            writer.write_table(table.slice(row["from"], row["length"]))
    part.replace(target)
    return table.select([layout.STATE, layout.ACTION])


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _episode_row(
    row: Mapping[str, Any], number: int, index: int, form: DatasetFormat, first: int
) -> dict[str, Any]:
    start, length, where = row["from"], row["length"], layout.place(number)
    found: dict[str, Any] = {
        "episode_index": index,
        "tasks": [row["extras"]["instruction"]],
        "length": length,
        "data/chunk_index": where["chunk_index"],
        "data/file_index": where["file_index"],
        "dataset_from_index": first + start,
        "dataset_to_index": first + start + length,
    }
    for camera in form.observation.cameras:
        key = f"videos/{layout.IMAGES}{camera.name}"
        found |= {
            f"{key}/chunk_index": where["chunk_index"],
            f"{key}/file_index": where["file_index"],
            f"{key}/from_timestamp": start / form.fps,
            f"{key}/to_timestamp": (start + length) / form.fps,
        }
    found |= {"meta/episodes/chunk_index": 0, "meta/episodes/file_index": 0}
    for feature, values in row["stats"].items():
        found |= {f"stats/{feature}/{name}": value for name, value in values.items()}
    return found


def _write_meta(
    root: Path,
    form: DatasetFormat,
    rows: list[dict[str, Any]],
    tasks: Mapping[str, int],
    vectors: pa.Table,
    shards: list[dict[str, Any]],
) -> None:
    path = root / layout.EPISODES.format(chunk_index=0, file_index=0)
    _write_parquet(path, pa.Table.from_pylist(rows, schema=_episode_schema(rows, form)))
    _write_parquet(root / layout.TASKS, layout.tasks_table(list(tasks)))
    stats = vector_stats(
        {
            name: np.array(vectors[name].combine_chunks().flatten()).reshape(len(vectors), -1)
            if pa.types.is_fixed_size_list(vectors[name].type)
            else np.array(vectors[name])[:, None]
            for name in (layout.STATE, layout.ACTION)
        }
    )
    for camera in form.observation.cameras:
        key = layout.IMAGES + camera.name
        histogram = np.sum([np.array(s["histograms"][camera.name]) for s in shards], axis=0)
        drawn = int(histogram[0].sum()) // (camera.height * camera.width)
        stats[key] = image_stats(histogram, drawn)
    write_bytes(root / layout.STATS, json.dumps(stats, indent=4).encode())


def _episode_schema(rows: list[dict[str, Any]], form: DatasetFormat) -> pa.Schema:
    images = {layout.IMAGES + camera.name for camera in form.observation.cameras}

    def kind(name: str) -> pa.DataType:
        if name == "tasks":
            return pa.list_(pa.string())
        if not name.startswith("stats/"):
            return pa.float64() if name.endswith("_timestamp") else pa.int64()
        _, feature, statistic = name.split("/")
        if statistic == "count":
            return pa.list_(pa.int64())
        single = pa.list_(pa.float64())
        return pa.list_(pa.list_(single)) if feature in images else single

    return pa.schema([pa.field(name, kind(name)) for name in rows[0]])


def _write_parquet(path: Path, table: pa.Table) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    pq.write_table(table, part)
    part.replace(path)


def _contiguous_splits(extras: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """LeRobot writes splits as ranges; a split that is no range is left to the manifest."""
    found: dict[str, str] = {}
    for split in dict.fromkeys(row["split"] or "train" for row in extras):
        where = [row["episode_index"] for row in extras if (row["split"] or "train") == split]
        if where[-1] - where[0] + 1 == len(where):
            found[split] = f"{where[0]}:{where[-1] + 1}"
    return found


def _sidecar(
    root: Path,
    form: DatasetFormat,
    extras: Sequence[Mapping[str, Any]],
    provenance: Mapping[str, Any],
) -> dict[str, Any]:
    files = sorted((root / "data").rglob("*.parquet")) + sorted((root / "videos").rglob("*.mp4"))
    hashes: dict[str, str] = {}
    for path in files:
        with path.open("rb") as handle:
            hashes[str(path.relative_to(root))] = hashlib.file_digest(handle, "sha256").hexdigest()
    return {
        "version": layout.SIDECAR_VERSION,
        "observation": observation_spec_to_plain(form.observation),
        "action": action_spec_to_plain(form.action),
        "entities": form.entities,
        "segmentation": form.segmentation,
        "language_missing": [row["episode_index"] for row in extras if not row["instruction"]],
        "provenance": dict(provenance),
        "splits": split_manifest(extras),
        "files_sha256": hashes,
    }
