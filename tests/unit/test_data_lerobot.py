"""What is written as LeRobot is what is read, and foreign files are read as they are."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fakes.lerobot_sets import BRIDGE, FORM, number_shown, numbered_frames, toy_episodes, write_v21
from vertebra.data import lerobot_layout as layout
from vertebra.data.cache import build_cache
from vertebra.data.episode import EpisodeData
from vertebra.data.lerobot_open import open_dataset
from vertebra.data.lerobot_read import EpisodeReader, read_episodes
from vertebra.data.lerobot_shard import ShardWriter
from vertebra.data.lerobot_write import assemble, write_dataset
from vertebra.data.video import Encoding, VideoReader, VideoWriter
from vertebra.spec.errors import BrokenDataset
from vertebra.spec.storage import read_json


def require_equal(back: EpisodeData, episode: EpisodeData) -> None:
    for name in episode.images:
        assert number_shown(back.images[name]) == number_shown(episode.images[name])
        error = np.abs(back.images[name].astype(int) - episode.images[name])
        assert error.mean() < 3
    assert list(back.images) == list(episode.images)
    np.testing.assert_array_equal(back.state, episode.state)
    np.testing.assert_array_equal(back.actions, episode.actions)
    if episode.points is None:
        assert back.points is None or np.isnan(back.points).all()
    else:
        assert back.points is not None
        np.testing.assert_array_equal(back.points, episode.points)
    plain = {"images": {}, "state": 0, "actions": 0, "points": None, "segmentation": {}}
    assert replace(back, **plain) == replace(episode, **plain)


@pytest.mark.parametrize("shard_size", [2, 100])
def test_episodes_survive_being_written_and_read(tmp_path: Path, shard_size: int) -> None:
    episodes = toy_episodes(5)
    write_dataset(tmp_path / "set", episodes, FORM, shard_size=shard_size)
    dataset = open_dataset(tmp_path / "set")
    assert len(list((tmp_path / "set/data").rglob("*.parquet"))) == (3 if shard_size == 2 else 1)
    back = list(read_episodes(dataset, segmentation=True))
    assert len(back) == 5
    for one, other in zip(back, episodes, strict=True):
        require_equal(one, other)
        for name in other.segmentation:
            np.testing.assert_array_equal(one.segmentation[name], other.segmentation[name])
    shuffled = list(read_episodes(dataset, [3, 0, 4, 1, 0]))
    for one, number in zip(shuffled, [3, 0, 4, 1, 0], strict=True):
        require_equal(one, replace(episodes[number], segmentation={}))
    assert not (tmp_path / "set/.shards").exists()


def test_missing_labels_words_and_pointers_stay_missing(tmp_path: Path) -> None:
    episodes = toy_episodes(3)
    actions = episodes[0].actions.copy()
    actions[1:] = np.nan
    episodes[0] = replace(episodes[0], actions=actions)
    episodes[1] = replace(
        episodes[1],
        actions=np.full_like(episodes[1].actions, np.nan),
        instruction="",
        entities=(),
        points=None,
        target_entity=-1,
        achieved=(),
    )
    write_dataset(tmp_path / "set", episodes, FORM)
    for one, other in zip(read_episodes(open_dataset(tmp_path / "set")), episodes, strict=True):
        require_equal(one, replace(other, segmentation={}))
    assert read_json(tmp_path / "set" / layout.SIDECAR)["language_missing"] == [1]


def test_the_files_are_those_that_lerobot_expects(tmp_path: Path) -> None:
    episodes = toy_episodes(5)
    write_dataset(tmp_path, episodes, FORM, shard_size=3)
    info = read_json(tmp_path / "meta/info.json")
    frames = sum(len(episode.state) for episode in episodes)
    assert info["codebase_version"] == "v3.0"
    assert (info["total_episodes"], info["total_frames"], info["total_tasks"]) == (5, frames, 2)
    assert (info["fps"], info["splits"]) == (10, {"train": "0:4", "validation": "4:5"})
    parts = [pq.read_table(path) for path in sorted((tmp_path / "data").rglob("*.parquet"))]
    data = pa.concat_tables(parts)
    declared = {name for name, feature in info["features"].items() if feature["dtype"] != "video"}
    assert set(data.column_names) == declared, "LeRobot refuses columns that are not features"
    assert data["index"].to_pylist() == list(range(frames))
    assert data["action"].type == pa.list_(pa.float32(), 2)
    assert pq.ParquetFile(tmp_path / "data/chunk-000/file-000.parquet").num_row_groups == 3
    rows = pq.read_table(tmp_path / "meta/episodes/chunk-000/file-000.parquet").to_pylist()
    assert [row["dataset_from_index"] for row in rows][1:] == [
        row["dataset_to_index"] for row in rows
    ][:-1]
    assert [row["data/file_index"] for row in rows] == [0, 0, 0, 1, 1]
    assert rows[3]["videos/observation.images.front/from_timestamp"] == 0.0
    assert rows[1]["videos/observation.images.front/from_timestamp"] == rows[0]["length"] / 10
    tasks = pq.read_table(tmp_path / "meta/tasks.parquet")
    pandas = json.loads(tasks.schema.metadata[b"pandas"])
    assert pandas["index_columns"] == ["task"], "else LeRobot yields numbers for sentences"
    stats = read_json(tmp_path / "meta/stats.json")
    actions = np.concatenate([episode.actions for episode in episodes]).astype(float)
    assert stats["action"]["mean"] == pytest.approx(actions.mean(axis=0))
    assert stats["action"]["q99"] == pytest.approx(np.quantile(actions, 0.99, axis=0))
    pixels = np.concatenate([episode.images["front"] for episode in episodes]) / 255
    shown = stats["observation.images.front"]
    assert np.array(shown["mean"]).ravel() == pytest.approx(pixels.mean(axis=(0, 1, 2)))
    assert np.array(shown["std"]).ravel() == pytest.approx(pixels.std(axis=(0, 1, 2)))
    assert shown["count"] == [frames]


def test_the_split_manifest_names_and_hashes_what_is_in_each_split(tmp_path: Path) -> None:
    episodes = toy_episodes(4)
    write_dataset(tmp_path / "one", episodes, FORM)
    write_dataset(tmp_path / "two", episodes, FORM, shard_size=1)
    write_dataset(tmp_path / "three", [replace(episodes[0], instruction="x"), *episodes[1:]], FORM)
    one, two, three = (read_json(tmp_path / n / layout.SIDECAR) for n in ("one", "two", "three"))
    assert one["splits"]["train"]["episodes"] == [0, 1, 2]
    assert one["splits"]["validation"]["initial_states"] == ["train-3"]
    assert one["splits"] == two["splits"], "the number of files must not matter"
    assert three["splits"]["train"]["content_hash"] != one["splits"]["train"]["content_hash"]
    assert three["splits"]["validation"] == one["splits"]["validation"]
    assert "data/chunk-000/file-000.parquet" in one["files_sha256"]


def test_a_data_set_in_the_making_is_none(tmp_path: Path) -> None:
    writer = ShardWriter(tmp_path / "set/.shards/0", FORM)
    writer.write(toy_episodes(1)[0])
    with pytest.raises(ValueError, match="unfinished shards"):
        assemble(tmp_path / "set", [tmp_path / "set/.shards/0"], FORM)
    with pytest.raises(BrokenDataset, match=r"no meta/info\.json"):
        open_dataset(tmp_path / "set")
    writer.close()
    assemble(tmp_path / "set", [tmp_path / "set/.shards/0"], FORM)
    assemble(tmp_path / "set", [tmp_path / "set/.shards/0"], FORM)
    assert len(open_dataset(tmp_path / "set").episodes) == 1


def test_episodes_that_do_not_fit_are_refused_with_all_reasons(tmp_path: Path) -> None:
    good = toy_episodes(1)[0]
    halves = good.actions.copy()
    halves[0, 0] = np.nan
    bad = replace(
        good,
        images={"top": good.images["top"]},
        state=good.state[:, :2],
        actions=halves,
        segmentation={},
    )
    with pytest.raises(BrokenDataset) as caught:
        write_dataset(tmp_path / "set", [bad], FORM)
    for words in ("cameras are", "state has 2 dimensions", "segmentation of []", "NaN in part"):
        assert words in str(caught.value)
    (tmp_path / "full").mkdir()
    (tmp_path / "full/x").touch()
    with pytest.raises(ValueError, match="is not empty"):
        write_dataset(tmp_path / "full", [good], FORM)


def test_formats_that_lerobot_cannot_hold_are_refused() -> None:
    slow = replace(FORM.observation, rate_hz=12.5, cameras=FORM.observation.cameras[:1] * 2)
    with pytest.raises(ValueError, match="cannot have this format") as caught:
        replace(FORM, observation=slow)
    for words in ("each once", "whole rates", "actions come at 10.0"):
        assert words in str(caught.value)


def test_the_older_layout_is_read(tmp_path: Path) -> None:
    episodes = toy_episodes(3)
    write_v21(tmp_path / "old", episodes)
    dataset = open_dataset(tmp_path / "old")
    assert dataset.version == "v2.1"
    assert dataset.camera_size("top") == (32, 48)
    for back, episode in zip(read_episodes(dataset), episodes, strict=True):
        assert back.instruction == episode.instruction
        np.testing.assert_array_equal(back.actions, episode.actions)
        np.testing.assert_array_equal(back.state, episode.state)
        assert number_shown(back.images["top"]) == number_shown(episode.images["top"])


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    write_dataset(tmp_path / "set", toy_episodes(2), FORM)
    with pytest.raises(ValueError, match=r"no feature \['observation\.pose'\]"):
        EpisodeReader(open_dataset(tmp_path / "set"), state_key="observation.pose")
    with pytest.raises(ValueError, match="no episode 7"):
        EpisodeReader(open_dataset(tmp_path / "set")).read(7)
    video = tmp_path / "set/videos/observation.images.top/chunk-000/file-000.mp4"
    video.write_bytes(video.read_bytes()[:300])
    with pytest.raises(BrokenDataset, match="cannot be opened as video"):
        list(read_episodes(open_dataset(tmp_path / "set")))
    (tmp_path / "set/data/chunk-000/file-000.parquet").unlink()
    with pytest.raises(BrokenDataset, match=r"file-000\.parquet is missing"):
        list(read_episodes(open_dataset(tmp_path / "set")))
    (tmp_path / "set/meta/tasks.parquet").unlink()
    shutil.rmtree(tmp_path / "set/meta/episodes")
    with pytest.raises(BrokenDataset, match=r"2 problem\(s\)"):
        open_dataset(tmp_path / "set")
    info = read_json(tmp_path / "set/meta/info.json")
    (tmp_path / "set/meta/info.json").write_text(json.dumps({**info, "codebase_version": "v2.0"}))
    with pytest.raises(BrokenDataset, match=r"reads v3\.0 and v2\.1"):
        open_dataset(tmp_path / "set")


def test_video_is_read_in_any_order_and_gaps_are_named(tmp_path: Path) -> None:
    writer = VideoWriter(tmp_path / "v.mp4", fps=10, height=32, width=48, encoding=Encoding(gop=2))
    writer.write(numbered_frames(0, 100, 32, 48))
    writer.close()
    reader = VideoReader(tmp_path / "v.mp4")
    rng = np.random.default_rng(0)
    for _ in range(30):
        first = int(rng.integers(0, 95))
        wanted = first + np.cumsum(rng.integers(1, 4, 3))
        wanted = wanted[wanted < 100]
        if len(wanted):
            assert number_shown(reader.read(wanted / 10)) == wanted.tolist()
    with pytest.raises(BrokenDataset, match=r"no frame at 0\.2500 s"):
        reader.read(np.array([0.25]))
    with pytest.raises(BrokenDataset, match=r"no frame at 10\.0000 s"):
        reader.read(np.array([9.9, 10.0]))
    reader.close()


def test_the_fingerprint_sees_a_changed_file(tmp_path: Path) -> None:
    write_dataset(tmp_path / "set", toy_episodes(2), FORM)
    before = open_dataset(tmp_path / "set").fingerprint()
    assert open_dataset(tmp_path / "set").fingerprint() == before
    with (tmp_path / "set/data/chunk-000/file-000.parquet").open("ab") as handle:
        handle.write(b" ")
    assert open_dataset(tmp_path / "set").fingerprint() != before


@pytest.mark.skipif(not BRIDGE.exists(), reason="the real sample is not here")
def test_real_robot_data_are_read(tmp_path: Path) -> None:
    dataset = open_dataset(BRIDGE)
    cache = build_cache(read_episodes(dataset), tmp_path / "cache", source=dataset.fingerprint())
    assert list(cache.images) == ["image_0", "image_1", "image_2"]
    assert cache.images["image_0"].shape == (250, 64, 64, 3)
    assert len(cache.episodes) == 25
    assert len({row.instruction for row in cache.episodes}) == 4
    table = pq.read_table(BRIDGE / "data/chunk-000/file-000.parquet")
    np.testing.assert_array_equal(cache.actions, np.array(table["action"].to_pylist(), np.float32))
    assert cache.images["image_0"].reshape(250, -1).std(axis=1).min() > 5
    brightness = read_json(BRIDGE / "meta/stats.json")["observation.images.image_0"]["mean"]
    found = cache.images["image_0"].mean(axis=(0, 1, 2)) / 255
    assert found == pytest.approx(np.array(brightness).ravel(), abs=0.02)
