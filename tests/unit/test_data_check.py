"""Every planted fault is found and named, alone and among others; sound data have none."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fakes.lerobot_sets import BRIDGE, FORM, numbered_frames, toy_episodes, write_v21
from vertebra.data import lerobot_layout as layout
from vertebra.data.check import SHOWN, check_dataset
from vertebra.data.fault import FIXES
from vertebra.data.lerobot_write import write_dataset
from vertebra.data.video import Encoding, VideoWriter
from vertebra.spec.storage import read_json, write_json

DATA = "data/chunk-000/file-{}.parquet"
VIDEO = "videos/observation.images.{}/chunk-000/file-{}.mp4"
Plant = Callable[[Path], None]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three files of four episodes; without file hashes, so that a fault shows as itself."""
    root = tmp_path_factory.mktemp("sound") / "set"
    write_dataset(root, toy_episodes(12), FORM, shard_size=4)
    sidecar = read_json(root / layout.SIDECAR)
    write_json(root / layout.SIDECAR, {**sidecar, "files_sha256": {}})
    return root


def edit_info(**changes: Any) -> Plant:
    def plant(root: Path) -> None:
        info = read_json(root / layout.INFO)
        (root / layout.INFO).write_text(json.dumps({**info, **changes}))

    return plant


def edit_feature(name: str, **changes: Any) -> Plant:
    def plant(root: Path) -> None:
        info = read_json(root / layout.INFO)
        info["features"][name] |= changes
        (root / layout.INFO).write_text(json.dumps(info))

    return plant


def edit_rows(episode: int, change: Callable[[list[dict[str, Any]]], Any]) -> Plant:
    """Change the rows of one episode in place."""

    def plant(root: Path) -> None:
        path = root / DATA.format(f"{episode // 4:03d}")
        table = pq.read_table(path)
        rows = table.to_pylist()
        change([row for row in rows if row["episode_index"] == episode])
        pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)

    return plant


def edit_episode(number: int, **changes: Callable[[Any], Any]) -> Plant:
    def plant(root: Path) -> None:
        path = root / layout.EPISODES.format(chunk_index=0, file_index=0)
        table = pq.read_table(path)
        rows = table.to_pylist()
        for name, change in changes.items():
            rows[number][name] = change(rows[number][name])
        pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)

    return plant


def edit_stats(root: Path) -> None:
    stats = read_json(root / layout.STATS)
    stats["action"]["mean"][0] += 0.5
    write_json(root / layout.STATS, stats)


def remove(name: str) -> Plant:
    def plant(root: Path) -> None:
        path = root / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    return plant


def cut(name: str, share: float) -> Plant:
    def plant(root: Path) -> None:
        content = (root / name).read_bytes()
        (root / name).write_bytes(content[: int(share * len(content))])

    return plant


def rewrite_video(name: str, *, lost: int = 0, fps: int = 10, width: int = 48) -> Plant:
    def plant(root: Path) -> None:
        frames = len(pq.read_table(root / DATA.format("002"))) - lost
        writer = VideoWriter(
            root / name, fps=fps, height=32, width=width, encoding=Encoding(preset="veryfast")
        )
        writer.write(numbered_frames(0, frames, 32, width))
        writer.close()

    return plant


def each(column: str, value: Callable[[int, Any], Any]) -> Callable[[list[dict[str, Any]]], None]:
    def change(rows: list[dict[str, Any]]) -> None:
        for number, row in enumerate(rows):
            row[column] = value(number, row[column])

    return change


def wide(root: Path) -> None:
    path = root / DATA.format("001")
    table = pq.read_table(path)
    narrow = pa.array([row[:1] for row in table["action"].to_pylist()], pa.list_(pa.float32()))
    place = table.schema.get_field_index("action")
    pq.write_table(table.set_column(place, "action", narrow), path)


def extra_column(root: Path) -> None:
    path = root / DATA.format("001")
    table = pq.read_table(path)
    pq.write_table(table.append_column("mood", pa.array([1.0] * len(table))), path)


def drop_column(root: Path) -> None:
    path = root / DATA.format("001")
    pq.write_table(pq.read_table(path).drop_columns(["frame_index"]), path)


def drop_row(root: Path) -> None:
    path = root / DATA.format("002")
    table = pq.read_table(path)
    last = [row["episode_index"] for row in table.to_pylist()].index(11) + 1
    rows = table.to_pylist()
    del rows[last]
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)


def plain_tasks(root: Path) -> None:
    table = pq.read_table(root / layout.TASKS)
    pq.write_table(table.replace_schema_metadata({}), root / layout.TASKS)


def empty_task(root: Path) -> None:
    names = pq.read_table(root / layout.TASKS)["task"].to_pylist()
    pq.write_table(layout.tasks_table(["", *names[1:]]), root / layout.TASKS)
    path = root / layout.EPISODES.format(chunk_index=0, file_index=0)
    table = pq.read_table(path)
    rows = table.to_pylist()
    for row in rows:
        row["tasks"] = ["" if task == names[0] else task for task in row["tasks"]]
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)


def hashed(root: Path) -> None:
    sidecar = read_json(root / layout.SIDECAR)
    sidecar["files_sha256"] = {DATA.format("000"): "0" * 64}
    write_json(root / layout.SIDECAR, sidecar)


NAN = float("nan")
TOP = "videos/observation.images.top"
PLANTS: dict[str, tuple[str, Plant, set[str]]] = {
    "no info": ("info-missing", remove("meta/info.json"), set()),
    "info not JSON": ("info-invalid", cut("meta/info.json", 0.5), set()),
    "no fps": ("info-invalid", edit_info(fps=None), set()),
    "old version": ("version-unknown", edit_info(codebase_version="v2.0"), set()),
    "no tasks": ("meta-missing", remove("meta/tasks.parquet"), set()),
    "no episodes": ("meta-missing", remove("meta/episodes"), set()),
    "tasks damaged": ("meta-broken", cut("meta/tasks.parquet", 0.5), set()),
    "tasks without index": ("tasks-unindexed", plain_tasks, set()),
    "totals": ("totals-wrong", edit_info(total_frames=7), set()),
    "offsets": (
        "offsets-wrong",
        edit_episode(3, dataset_from_index=lambda n: n + 2, dataset_to_index=lambda n: n + 2),
        set(),
    ),
    "length": (
        "length-wrong",
        edit_episode(11, length=lambda n: n - 1),
        {"offsets-wrong", "totals-wrong", "video-offset-wrong"},
    ),
    "data file gone": ("file-missing", remove(DATA.format("001")), {"stats-wrong"}),
    "data file cut": ("file-unreadable", cut(DATA.format("001"), 0.7), {"stats-wrong"}),
    "file changed": ("file-changed", hashed, set()),
    "column gone": ("column-missing", drop_column, set()),
    "column extra": ("column-unknown", extra_column, set()),
    "narrow action": ("feature-shape", wide, set()),
    "declared image size": (
        "feature-shape",
        edit_feature("observation.images.top", shape=[64, 64, 3]),
        set(),
    ),
    "video size": ("feature-shape", rewrite_video(VIDEO.format("top", "002"), width=64), set()),
    "episode number": (
        "episode-index-wrong",
        edit_rows(5, lambda rows: rows[0].update(episode_index=9)),
        set(),
    ),
    "frame twice": (
        "frame-duplicated",
        edit_rows(6, lambda rows: rows[2].update(frame_index=1)),
        {"frame-missing"},
    ),
    "row lost": (
        "frame-missing",
        drop_row,
        {"length-wrong", "index-gap", "timestamp-off", "stats-wrong"},
    ),
    "index gap": ("index-gap", edit_rows(2, each("index", lambda _, value: value + 1)), set()),
    "time backwards": (
        "timestamp-order",
        edit_rows(7, lambda rows: rows[2].update(timestamp=0.05)),
        set(),
    ),
    "time shifted": (
        "timestamp-off",
        edit_rows(7, each("timestamp", lambda _, value: value + 0.03)),
        set(),
    ),
    "rate": ("fps-wrong", edit_info(fps=5), {"video-offset-wrong"}),
    "video rate": ("fps-wrong", rewrite_video(VIDEO.format("top", "002"), fps=25), set()),
    "state NaN": (
        "nan-state",
        edit_rows(1, lambda rows: rows[0].update({layout.STATE: [0.0, NAN, 0.0]})),
        {"stats-wrong"},
    ),
    "action NaN": (
        "nan-action",
        edit_rows(1, lambda rows: rows[1].update({layout.ACTION: [NAN, NAN]})),
        {"stats-wrong"},
    ),
    "action NaN in part though missing": (
        "nan-action",
        edit_rows(
            1, lambda rows: rows[1].update({layout.ACTION: [NAN, 0.0], "action_missing": True})
        ),
        {"stats-wrong"},
    ),
    "action frozen": (
        "action-constant",
        edit_rows(8, each(layout.ACTION, lambda _, __: [0.25, 0.5])),
        {"stats-wrong"},
    ),
    "task unknown": ("task-missing", edit_rows(9, each("task_index", lambda *_: 77)), set()),
    "task empty": ("instruction-empty", empty_task, set()),
    "video gone": ("file-missing", remove(VIDEO.format("top", "001")), set()),
    "video cut": ("video-truncated", cut(VIDEO.format("front", "001"), 0.6), set()),
    "video short": ("video-short", rewrite_video(VIDEO.format("top", "002"), lost=3), set()),
    "video offset": (
        "video-offset-wrong",
        edit_episode(10, **{f"{TOP}/from_timestamp": lambda time: time - 0.2}),
        set(),
    ),
    "video offset between frames": (
        "video-offset-wrong",
        edit_episode(10, **{f"{TOP}/from_timestamp": lambda time: time + 0.03}),
        set(),
    ),
    "video end": (
        "video-offset-wrong",
        edit_episode(10, **{f"{TOP}/to_timestamp": lambda time: time + 1}),
        set(),
    ),
    "numbered twice": (
        "episodes-numbered-wrong",
        edit_episode(11, episode_index=lambda _: 15),
        {"episode-index-wrong"},
    ),
    "stats": ("stats-wrong", edit_stats, set()),
}


@pytest.mark.parametrize("name", PLANTS)
def test_each_fault_alone_is_named(name: str, sound: Path, tmp_path: Path) -> None:
    code, plant, consequences = PLANTS[name]
    shutil.copytree(sound, tmp_path / "set")
    plant(tmp_path / "set")
    found = check_dataset(tmp_path / "set")
    codes = {each.code for each in found}
    assert code in codes
    assert codes <= {code} | consequences
    for each_fault in found:
        assert each_fault.fix == FIXES[each_fault.code]
        assert each_fault.where
        assert each_fault.message


TOGETHER = (
    "totals",
    "offsets",
    "index gap",
    "time shifted",
    "frame twice",
    "state NaN",
    "action NaN",
    "action frozen",
    "task unknown",
    "tasks without index",
    "video cut",
    "video short",
    "stats",
)


def test_many_faults_at_once_are_all_named(sound: Path, tmp_path: Path) -> None:
    shutil.copytree(sound, tmp_path / "set")
    for name in TOGETHER:
        PLANTS[name][1](tmp_path / "set")
    codes = {each.code for each in check_dataset(tmp_path / "set")}
    planted = {PLANTS[name][0] for name in TOGETHER}
    assert len(planted) == len(TOGETHER) == 13
    assert planted <= codes


def test_every_code_is_planted_somewhere() -> None:
    assert {code for code, _, _ in PLANTS.values()} == set(FIXES)


def test_sound_data_have_no_fault(sound: Path, tmp_path: Path) -> None:
    assert check_dataset(sound) == []
    assert check_dataset(sound, decode_all=True) == []
    write_v21(tmp_path / "old", toy_episodes(3))
    assert check_dataset(tmp_path / "old", decode_all=True) == []


def test_missing_labels_and_words_are_no_fault_when_declared(tmp_path: Path) -> None:
    episodes = toy_episodes(4)
    nothing = np.full_like(episodes[1].actions, np.nan)
    episodes[1] = replace(episodes[1], actions=nothing, instruction="")
    write_dataset(tmp_path / "set", episodes, FORM)
    assert check_dataset(tmp_path / "set") == []


def test_faults_of_the_older_layout_are_named(tmp_path: Path) -> None:
    root = tmp_path / "old"
    write_v21(root, toy_episodes(4))
    (root / "data/chunk-000/episode_000001.parquet").unlink()
    cut("videos/chunk-000/observation.images.top/episode_000002.mp4", 0.5)(root)
    info = read_json(root / "meta/info.json")
    (root / "meta/info.json").write_text(json.dumps({**info, "total_episodes": 5}))
    codes = {each.code for each in check_dataset(root)}
    assert codes == {"file-missing", "video-truncated", "totals-wrong"}


def test_a_flood_of_one_fault_is_counted(tmp_path: Path) -> None:
    write_dataset(tmp_path / "set", toy_episodes(15), FORM)
    path = tmp_path / "set" / DATA.format("000")
    table = pq.read_table(path)
    nan = pa.array([[NAN] * 3] * len(table), table.schema.field(layout.STATE).type)
    place = table.schema.get_field_index(layout.STATE)
    pq.write_table(table.set_column(place, layout.STATE, nan), path)
    found = [each for each in check_dataset(tmp_path / "set") if each.code == "nan-state"]
    assert len(found) == SHOWN + 1
    assert "5 more" in found[-1].message


@pytest.mark.skipif(not BRIDGE.exists(), reason="the real sample is not here")
def test_real_robot_data_have_no_fault() -> None:
    assert check_dataset(BRIDGE, decode_all=True) == []
