"""The frame cache keeps what it was given, appears whole, and is reused only for its source."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vertebra.data.cache import build_cache, episode_hash, open_cache
from vertebra.data.episode import EpisodeData
from vertebra.spec.errors import BrokenDataset


def random_episode(seed: int, length: int = 5, entities: int = 2) -> EpisodeData:
    rng = np.random.default_rng(seed)
    return EpisodeData(
        images={
            name: rng.integers(0, 256, (length, 4, 6, 3), dtype=np.uint8)
            for name in ("top", "front")
        },
        state=rng.normal(size=(length, 3)).astype(np.float32),
        actions=rng.normal(size=(length, 2)).astype(np.float32),
        instruction=f"put {seed}",
        task_id=f"put/{seed}",
        skill="put",
        initial_state=f"train-{seed}",
        split="train",
        entities=tuple(f"thing {i}" for i in range(entities)),
        points=rng.random((length, entities, 2)).astype(np.float32),
        target_entity=0,
        goal_entity=entities - 1,
        achieved=(f"put/{seed}",),
    )


def test_episodes_come_back_as_they_went_in(tmp_path: Path) -> None:
    episodes = [random_episode(0, 5, 2), random_episode(1, 3, 4)]
    cache = build_cache(episodes, tmp_path / "cache")
    assert cache.points.shape == (8, 4, 2)
    assert np.isnan(cache.points[:5, 2:]).all()
    for index, episode in enumerate(episodes):
        back = cache.episode(index)
        assert episode_hash(back) == episode_hash(episode) == cache.episodes[index].content_hash
        assert back.entities == episode.entities
        assert list(back.images) == ["top", "front"], "points are in the first camera"
        assert (back.images["top"] == episode.images["top"]).all()
    assert cache.starts.tolist() == [0, 5]
    assert not cache.state.flags.writeable


def test_the_hash_sees_every_kind_of_change(tmp_path: Path) -> None:
    episode = random_episode(0)
    image = episode.images["front"].copy()
    image[0, 0, 0, 0] ^= 1
    variants = [
        episode,
        replace(episode, images={**episode.images, "front": image}),
        replace(episode, state=episode.state + 1),
        replace(episode, actions=episode.actions + 1),
        replace(episode, points=None),
        replace(episode, instruction="other"),
        replace(episode, goal_entity=0),
    ]
    assert len({episode_hash(variant) for variant in variants}) == len(variants)
    one = build_cache([episode], tmp_path / "one").content_hash
    assert build_cache([episode], tmp_path / "two").content_hash == one
    assert build_cache([variants[1]], tmp_path / "three").content_hash != one


def test_a_cache_is_reused_for_its_source_only(tmp_path: Path) -> None:
    def never() -> Iterator[EpisodeData]:
        raise AssertionError("the source was read although the cache agrees")
        yield

    first = build_cache([random_episode(0)], tmp_path / "cache", source="abc")
    assert build_cache(never(), tmp_path / "cache", source="abc").content_hash == first.content_hash
    other = build_cache([random_episode(1)], tmp_path / "cache", source="def")
    assert other.content_hash != first.content_hash
    assert open_cache(tmp_path / "cache").source == "def"
    with pytest.raises(AssertionError):
        build_cache(never(), tmp_path / "cache")
    assert open_cache(tmp_path / "cache").content_hash == other.content_hash


def test_all_unsound_episodes_are_named_and_nothing_is_left(tmp_path: Path) -> None:
    good = random_episode(0)
    broken_state = good.state.copy()
    broken_state[1, 0] = np.nan
    episodes = [
        good,
        replace(good, state=broken_state),
        replace(good, actions=good.actions[:-1]),
        replace(good, images={"front": good.images["front"]}),
        replace(good, target_entity=9),
    ]
    with pytest.raises(BrokenDataset) as caught:
        build_cache(episodes, tmp_path / "cache")
    assert len(caught.value.problems) == 4
    for word in ("episode 1: state holds NaN", "episode 2: it has 4 actions", "episode 3", "is 9"):
        assert word in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_source_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BrokenDataset, match="no episodes"):
        build_cache([], tmp_path / "cache")


def test_missing_labels_are_known(tmp_path: Path) -> None:
    episode = random_episode(0)
    actions = episode.actions.copy()
    actions[2:] = np.nan
    cache = build_cache([replace(episode, actions=actions, points=None)], tmp_path / "cache")
    assert cache.labelled.tolist() == [True, True, False, False, False]
    assert np.isnan(cache.points).all()


def test_a_damaged_cache_says_which_file(tmp_path: Path) -> None:
    build_cache([random_episode(0)], tmp_path / "cache")
    with (tmp_path / "cache" / "state.f32").open("ab") as handle:
        handle.write(b"x")
    with pytest.raises(ValueError, match=r"state\.f32 has 61 bytes, expected 60"):
        open_cache(tmp_path / "cache")
    with pytest.raises(ValueError, match="holds no frame cache"):
        open_cache(tmp_path / "nothing")
