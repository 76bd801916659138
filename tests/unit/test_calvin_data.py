"""CALVIN's recordings: read one by one, safely, and written as a data set that fits its table."""

import json
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fakes.calvin import FakeCalvin
from vertebra.cli.entry import run
from vertebra.data import calvin_read
from vertebra.data.calvin_read import annotations, episodes, read_plain_object
from vertebra.data.lerobot_open import open_dataset
from vertebra.data.mapped import read_mapped
from vertebra.data.propose import propose_mapping, specs_of
from vertebra.demonstrate import calvin
from vertebra.demonstrate.calvin import convert
from vertebra.envs.outside import outside_from_words
from vertebra.spec.errors import BrokenDataset
from vertebra.spec.mismatch import require_match

SETTINGS = outside_from_words("calvin:ABC_D:pilot")
STRETCHES = {
    "training": [
        (3, 7, "open the drawer", "open_drawer"),
        (7, 10, "lift it", "lift_red_block_table"),
    ],
    "validation": [(20, 22, "close the drawer", "close_drawer")],
}


def pickled(path: Path, value: Any) -> None:
    """As CALVIN writes it: a dictionary in an array without axes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, np.array(value, dtype=object), allow_pickle=True)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A data set of ten small frames, with the keys and shapes of the real one."""
    root, rng = tmp_path / "task_ABC_D", np.random.default_rng(0)
    for split, stretches in STRETCHES.items():
        language = {
            "ann": [sentence for *_, sentence, _ in stretches],
            "task": [task for *_, task in stretches],
            "emb": rng.normal(size=(len(stretches), 1, 8)).astype(np.float32),
        }
        where = [(first, np.int64(last)) for first, last, *_ in stretches]
        info = {"indx": where, "episodes": []}
        pickled(root / split / calvin_read.ANNOTATIONS, {"language": language, "info": info})
        for number in range(stretches[0][0], stretches[-1][1] + 1):
            actions = rng.uniform(-1, 1, 7)
            actions[6] = 1.0 if number % 2 else -1.0
            np.savez(
                root / split / f"episode_{number:07d}.npz",
                rgb_static=np.full((200, 200, 3), number, np.uint8),
                rgb_gripper=np.full((84, 84, 3), 2 * number, np.uint8),
                rel_actions=actions,
                actions=rng.normal(size=7),
                robot_obs=np.full(15, number / 10),
                scene_obs=np.zeros(24),
            )
    return root


def test_what_is_written_is_what_was_recorded(source, tmp_path):
    made = convert(source, tmp_path / "set", SETTINGS)
    assert (made.episodes, made.frames) == (3, 5 + 4 + 3)
    dataset = open_dataset(made.root)
    specs = specs_of(dataset)
    world = FakeCalvin(world="ABC_D", protocol="pilot", clone="")
    assert specs is not None
    require_match(specs[0], world.offers, specs[1], world.takes)
    read = list(read_mapped(dataset, propose_mapping(dataset, height=64, width=64).mapping))
    assert [one.instruction for one in read] == ["open the drawer", "lift it", "close the drawer"]
    assert [one.split for one in read] == ["train", "train", "validation"]
    assert [one.task_id for one in read] == ["open_drawer", "lift_red_block_table", "close_drawer"]
    frame = np.load(source / "training/episode_0000004.npz")
    np.testing.assert_array_equal(read[0].actions[1], frame["rel_actions"].astype(np.float32))
    np.testing.assert_allclose(read[0].state[1], 0.4, rtol=1e-6)
    assert read[0].images["rgb_static"].shape == (5, 64, 64, 3)
    assert abs(int(read[2].images["rgb_gripper"][1].mean()) - 42) <= 3
    assert open_dataset(made.root).sidecar["provenance"]["request"]["settings"] == (
        SETTINGS.to_plain()
    )


def test_an_interrupted_conversion_goes_on_and_a_finished_one_is_left(
    source, tmp_path, monkeypatch
):
    monkeypatch.setattr(calvin, "SHARD_SIZE", 1)
    told, real = [], calvin.episodes

    def breaks(stretches, sides, skills):
        if len(told) == 2:
            raise KeyboardInterrupt
        yield from real(stretches, sides, skills)

    def tell(done, total):
        told.append((done, total))

    monkeypatch.setattr(calvin, "episodes", breaks)
    with pytest.raises(KeyboardInterrupt):
        convert(source, tmp_path / "set", SETTINGS, on_progress=tell)
    monkeypatch.setattr(calvin, "episodes", real)
    assert convert(source, tmp_path / "set", SETTINGS, on_progress=tell).episodes == 3
    assert told == [(1, 3), (2, 3), (3, 3)]
    convert(source, tmp_path / "set", SETTINGS, on_progress=tell)
    assert len(told) == 3
    with pytest.raises(ValueError, match="holds something else"):
        convert(source, tmp_path / "set", outside_from_words("calvin:ABC_D:cpu"))


def test_one_episode_is_in_memory_at_a_time(source, monkeypatch):
    opened, real = [], np.load
    monkeypatch.setattr(
        calvin_read.np, "load", lambda path, **how: opened.append(how) or real(path, **how)
    )
    stretches = [(source / "training", one) for one in annotations(source / "training")]
    skills = {one.task: "x" for _, one in stretches}
    stream = episodes(stretches, {"rgb_static": 200, "rgb_gripper": 84}, skills)
    assert not opened
    assert next(stream).images["rgb_static"].shape == (5, 200, 200, 3)
    assert opened == [{"allow_pickle": False}] * 5


class Runs:
    """A pickle that runs a program."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.path}",)


def test_a_pickle_that_would_run_something_is_refused(source, tmp_path):
    trap = tmp_path / "ran"
    bad = source / "training" / calvin_read.ANNOTATIONS
    pickled(bad, {"language": Runs(trap), "info": {}})
    with pytest.raises(BrokenDataset, match=r"it asks for (posix|nt)\.system"):
        convert(source, tmp_path / "set", SETTINGS)
    assert not trap.exists() and not (tmp_path / "set").exists()
    with bad.open("rb") as file:
        np.lib.format.read_magic(file)
        np.lib.format.read_array_header_1_0(file)
        head = bad.read_bytes()[: file.tell()]
    for content in (b"cbuiltins\neval\n(S'1'\ntR.", b"cnumpy\nload\n(S'x'\ntR.", b"\x80\x04junk"):
        bad.write_bytes(head + content)
        with pytest.raises(BrokenDataset):
            read_plain_object(bad)
    np.save(bad, np.zeros(3))
    with pytest.raises(BrokenDataset, match="not a pickled object"):
        read_plain_object(bad)
    bad.write_bytes(b"nothing of the kind")
    with pytest.raises(BrokenDataset):
        read_plain_object(bad)


@pytest.mark.parametrize("protocol", [0, 2, 3, 4, 5])
def test_annotations_are_read_whichever_way_they_were_pickled(source, protocol):
    path = source / "training" / calvin_read.ANNOTATIONS
    with path.open("rb") as file:
        np.lib.format.read_magic(file)
        np.lib.format.read_array_header_1_0(file)
        head = path.read_bytes()[: file.tell()]
    value = np.load(path, allow_pickle=True)
    path.write_bytes(head + pickle.dumps(value, protocol=protocol))
    found = read_plain_object(path)
    assert found["language"]["ann"] == ["open the drawer", "lift it"]
    np.testing.assert_array_equal(found["language"]["emb"], value.item()["language"]["emb"])
    assert [int(last) for _, last in found["info"]["indx"]] == [7, 10]


def test_everything_that_is_missing_is_named_before_anything_is_written(source, tmp_path):
    for number in (4, 8, 9):
        (source / f"training/episode_{number:07d}.npz").unlink()
    (source / "validation" / calvin_read.ANNOTATIONS).unlink()
    with pytest.raises(BrokenDataset) as caught:
        convert(source, tmp_path / "set", SETTINGS)
    words = str(caught.value)
    assert "episode_0000004.npz, episode_0000008.npz, episode_0000009.npz" in words
    assert "there is no lang_annotations/auto_lang_ann.npy" in words
    assert not (tmp_path / "set").exists()
    with pytest.raises(BrokenDataset, match="no training and no validation"):
        convert(tmp_path, tmp_path / "set", SETTINGS)
    with pytest.raises(ValueError, match="are for 'calvin'"):
        convert(source, tmp_path / "set", outside_from_words("metaworld"))
    with pytest.raises(BrokenDataset, match=r"tasks \['fly'\] are none"):
        language = {"ann": ["x"], "task": ["fly"]}
        path = source / "validation" / calvin_read.ANNOTATIONS
        pickled(path, {"language": language, "info": {"indx": [(20, 22)]}})
        convert(source, tmp_path / "set", SETTINGS)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rgb_static": np.zeros((200, 200, 3))}, "expected uint8"),
        ({"rgb_gripper": np.zeros((32, 32, 3), np.uint8)}, "smaller than 64"),
        ({"robot_obs": np.zeros(8)}, r"expected \(15,\)"),
        ({"rel_actions": None}, "rel_actions"),
    ],
)
def test_a_frame_that_is_not_as_said_is_named(source, tmp_path, change, words):
    path = source / "training/episode_0000005.npz"
    whole = {**dict(np.load(path)), **change}
    np.savez(path, **{name: value for name, value in whole.items() if value is not None})
    with pytest.raises(BrokenDataset, match=words) as caught:
        convert(source, tmp_path / "set", SETTINGS)
    assert "episode_0000005.npz" in str(caught.value)


def test_contradictions_in_the_annotations_are_collected(source):
    path = source / "training" / calvin_read.ANNOTATIONS
    pickled(path, {"language": {"ann": ["a"], "task": []}, "info": {"indx": [(5, 2), (1, 3)]}})
    with pytest.raises(BrokenDataset, match=r"(?s)goes from 5 to 2.*1 sentences, 0 tasks, 2 str"):
        annotations(source / "training")
    pickled(path, {"language": {}})
    with pytest.raises(BrokenDataset, match=r"expected language\.ann"):
        annotations(source / "training")


def test_by_command(source, tmp_path, capsys):
    words = ["data", "calvin", str(source), str(tmp_path / "set"), "--limit", "1"]
    assert run([*words, "--env", "calvin:D_D"]) == 0
    assert "2 episodes, 8 frames" in capsys.readouterr().out
    assert run([*words, "--env", "calvin:D_D", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["frames"] == 8
    assert run(["data", "check", str(tmp_path / "set")]) == 0
    assert run([*words, "--env", "metaworld"]) == 2
