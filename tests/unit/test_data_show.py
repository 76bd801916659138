"""The picture of an episode shows its frames and labels; the facts are those of the files."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fakes.lerobot_sets import BRIDGE, FORM, toy_episodes
from vertebra.data.lerobot_open import open_dataset
from vertebra.data.lerobot_read import read_episodes
from vertebra.data.lerobot_write import write_dataset
from vertebra.data.show import GOAL, TARGET, WIDTH, describe, show_episode
from vertebra.spec.errors import BrokenDataset


@pytest.fixture
def root(tmp_path: Path) -> Path:
    episodes = toy_episodes(3)
    points = np.full((len(episodes[0].state), 2, 2), 0.5, np.float32)
    points[:, 1] = 0.2
    episodes[0] = replace(episodes[0], points=points, goal_entity=1)
    nothing = np.full_like(episodes[1].actions, np.nan)
    episodes[1] = replace(episodes[1], actions=nothing, instruction="")
    write_dataset(tmp_path / "set", episodes, FORM)
    return tmp_path / "set"


def colours(path: Path) -> set[tuple[int, ...]]:
    with Image.open(path) as image:
        assert image.width == WIDTH
        pixels = np.array(image.convert("RGB")).reshape(-1, 3).astype(int)
    packed = np.unique(pixels @ [65536, 256, 1])
    return {(p >> 16, p >> 8 & 255, p & 255) for p in packed.tolist()}


def test_the_picture_rings_what_is_pointed_at(root: Path, tmp_path: Path) -> None:
    show_episode(root, 0, tmp_path / "deep/shown.png")
    assert {TARGET, GOAL} <= colours(tmp_path / "deep/shown.png")
    show_episode(root, 2, tmp_path / "other.png")
    assert GOAL not in colours(tmp_path / "other.png")


def test_the_film_strip_shows_the_frames_of_the_episode(root: Path, tmp_path: Path) -> None:
    show_episode(root, 2, tmp_path / "shown.png")
    frames = next(read_episodes(open_dataset(root), [2])).images["top"]
    with Image.open(tmp_path / "shown.png") as image:
        shown = np.array(image.convert("L"), float)
    strip = shown[108 : 108 + 80, 24 : 24 + 138]
    small = np.array(Image.fromarray(frames[0]).convert("L").resize((138, 80)), float)
    assert np.corrcoef(strip[30:].ravel(), small[30 : len(strip)].ravel())[0, 1] > 0.9


def test_an_episode_without_labels_or_words_can_be_shown(root: Path, tmp_path: Path) -> None:
    show_episode(root, 1, tmp_path / "shown.png")
    assert (tmp_path / "shown.png").stat().st_size > 2000
    with pytest.raises(ValueError, match="no episode 9"):
        show_episode(root, 9, tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()


def test_the_facts_are_those_of_the_files(root: Path) -> None:
    facts = describe(root)
    json.dumps(facts, allow_nan=False)
    episodes = list(read_episodes(open_dataset(root)))
    assert facts["episodes"] == 3
    assert facts["frames"] == sum(len(episode.state) for episode in episodes)
    assert facts["frames_without_action"] == len(episodes[1].state)
    assert facts["episodes_without_instruction"] == 1
    assert facts["cameras"]["top"]["width"] == 48
    assert facts["vectors"]["action"]["names"] == ["a0", "a1"]
    assert facts["labels"][0] == "label.goal"
    assert facts["skills"] == {"touch": 3}
    assert facts["splits"] == {"train": 2, "validation": 1}
    assert facts["conventions"]["gripper"] == "open_positive"
    with pytest.raises(BrokenDataset):
        describe(root / "meta")


@pytest.mark.skipif(not BRIDGE.exists(), reason="the real sample is not here")
def test_real_robot_data_can_be_shown(tmp_path: Path) -> None:
    show_episode(BRIDGE, 3, tmp_path / "shown.png")
    assert len(colours(tmp_path / "shown.png")) > 5000
    facts = describe(BRIDGE)
    assert (facts["episodes"], facts["frames"], facts["fps"]) == (25, 250, 5.0)
    assert facts["instructions"]["different"] == 4
    assert facts["frames_without_action"] is None
