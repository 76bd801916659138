"""Recording is resumable, refuses mixtures, and gives the same demonstrations however it is run."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from vertebra.data.lerobot_open import open_dataset
from vertebra.data.lerobot_read import read_episodes
from vertebra.demonstrate.record import Made, Progress, make_demonstrations
from vertebra.spec.storage import read_json

SETTINGS: dict[str, Any] = {"seed": 3, "size": 16, "skills": ("lift",), "shard_size": 2}


def recorded_hashes(root: Path) -> list[str]:
    return [row["recorded_hash"] for row in open_dataset(root).extras.values()]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Made, list[Progress]]:
    root = tmp_path_factory.mktemp("made") / "set"
    seen: list[Progress] = []
    made = make_demonstrations(
        root,
        count=3,
        validation=1,
        workers=1,
        segmentation=True,
        on_progress=seen.append,
        **SETTINGS,
    )
    return root, made, seen


def test_what_was_asked_is_there(finished: tuple[Path, Made, list[Progress]]) -> None:
    root, made, seen = finished
    dataset = open_dataset(root)
    episodes = list(read_episodes(dataset, segmentation=True))
    assert made.episodes == made.recorded == len(episodes) == 4
    assert made.frames == sum(len(episode.state) for episode in episodes)
    assert [episode.split for episode in episodes] == ["train"] * 3 + ["validation"]
    assert all(episode.task_id in episode.achieved for episode in episodes)
    assert all(episode.skill == "lift" and episode.instruction for episode in episodes)
    assert list(episodes[0].images) == ["front", "wrist"]
    assert episodes[0].images["front"].shape[1:] == (16, 16, 3)
    assert set(episodes[0].segmentation) == {"front", "wrist"}
    named = episodes[0].entities[episodes[0].target_entity]
    assert named.replace(" ", "-") in episodes[0].task_id
    assert made.tried["lift"] - made.dropped.get("lift", 0) == 4
    assert seen[-1].total == 4
    manifest = dataset.sidecar["splits"]
    assert manifest["train"]["episodes"] == [0, 1, 2]
    train, validation = (set(manifest[s]["initial_states"]) for s in ("train", "validation"))
    assert not train & validation
    assert not (root / ".shards").exists()


def test_a_finished_set_is_left_as_it_is(finished: tuple[Path, Made, list[Progress]]) -> None:
    root, made, _ = finished
    before = open_dataset(root).fingerprint()
    again = make_demonstrations(
        root, count=3, validation=1, workers=1, segmentation=True, **SETTINGS
    )
    assert (again.recorded, again.episodes, again.frames) == (0, 4, made.frames)
    assert open_dataset(root).fingerprint() == before
    with pytest.raises(ValueError, match="holds demonstrations made with"):
        make_demonstrations(root, count=4, workers=1, segmentation=True, **SETTINGS)


def test_impossible_wishes_are_all_named(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    with pytest.raises(ValueError, match="cannot be made") as caught:
        make_demonstrations(tmp_path, count=0, workers=0, validation=-1, size=2, skills=("fly",))
    for words in ("count is 0", "workers is 0", "validation is -1", "size is 2", "fly", "else"):
        assert words in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


@pytest.mark.slow
def test_a_killed_recording_continues_and_ends_the_same(
    tmp_path: Path, finished: tuple[Path, Made, list[Progress]]
) -> None:
    program = (
        "from pathlib import Path; from vertebra.demonstrate.record import make_demonstrations\n"
        "if __name__ == '__main__':\n"
        f"    make_demonstrations(Path({str(tmp_path / 'set')!r}), count=3, validation=1,"
        f" workers=2, segmentation=True, **{SETTINGS!r})\n"
    )
    script = tmp_path / "make.py"
    script.write_text(program)
    kept = 0
    for _ in range(2):
        child = subprocess.Popen([sys.executable, str(script)], start_new_session=True)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and child.poll() is None:
            shards = list((tmp_path / "set/.shards").glob("*/shard.json"))
            if len(shards) > kept:
                kept = len(shards)
                break
            time.sleep(0.01)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        if (tmp_path / "set/meta/info.json").exists():
            break
    made = make_demonstrations(
        tmp_path / "set", count=3, validation=1, workers=1, segmentation=True, **SETTINGS
    )
    assert made.recorded < 4, "finished shards are recorded once"
    assert recorded_hashes(tmp_path / "set") == recorded_hashes(finished[0])
    one, two = (read_json(r / "meta/vertebra.json") for r in (tmp_path / "set", finished[0]))
    assert one["splits"] == two["splits"]
