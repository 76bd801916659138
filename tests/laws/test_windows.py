"""Windows never cross episodes, and what they hold is what the episode holds."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vertebra.data.cache import FrameCache, build_cache
from vertebra.data.episode import EpisodeData
from vertebra.data.windows import Windows


def marked_episode(number: int, length: int, unlabelled: frozenset[int] = frozenset()):
    """Every pixel, state and action tells from which episode and frame it came."""
    frames = np.arange(length)
    image = np.zeros((length, 2, 3, 3), np.uint8)
    image[..., 0] = number
    image[..., 1] = frames[:, None, None]
    actions = np.stack([np.full(length, number), frames], axis=1).astype(np.float32)
    actions[[frame for frame in unlabelled if frame < length]] = np.nan
    return EpisodeData(
        images={"front": image, "wrist": 255 - image},
        state=np.stack([np.full(length, number), frames], axis=1).astype(np.float32),
        actions=actions,
        instruction=f"do {number}",
        entities=("a", "b", "c")[: number % 4],
        target_entity=min(0, number % 4 - 1),
    )


@st.composite
def caches(draw: st.DrawFn) -> tuple[list[int], list[frozenset[int]]]:
    lengths = draw(st.lists(st.integers(1, 12), min_size=1, max_size=6))
    gaps = [draw(st.frozensets(st.integers(0, 11), max_size=3)) for _ in lengths]
    return lengths, gaps


def cached(lengths: list[int], gaps: list[frozenset[int]], directory: Path) -> FrameCache:
    episodes = [marked_episode(i, n, g) for i, (n, g) in enumerate(zip(lengths, gaps, strict=True))]
    return build_cache(episodes, directory)


@settings(max_examples=40, deadline=None)
@given(
    made=caches(),
    horizon=st.integers(1, 9),
    steps=st.sets(st.integers(1, 15), max_size=3),
    history=st.integers(0, 3),
    data=st.data(),
)
def test_a_window_holds_its_own_episode_and_says_where_it_ends(
    made: tuple[list[int], list[frozenset[int]]],
    horizon: int,
    steps: set[int],
    history: int,
    data: st.DataObject,
) -> None:
    lengths, gaps = made
    chosen = data.draw(
        st.lists(st.integers(0, len(lengths) - 1), min_size=1, unique=True), label="chosen"
    )
    ahead = tuple(sorted(steps))
    with tempfile.TemporaryDirectory() as directory:
        cache = cached(lengths, gaps, Path(directory) / "cache")
        windows = Windows(
            cache, episodes=chosen, horizon=horizon, future_steps=ahead, history=history
        )
        assert len(windows) == sum(lengths[episode] for episode in chosen)
        batch = windows.batch(np.arange(len(windows)))
    seen = set()
    for row in range(len(windows)):
        episode, frame = int(batch.episode[row]), int(batch.frame[row])
        length = lengths[episode]
        seen.add((episode, frame))
        assert batch.instructions[row] == f"do {episode}"
        assert batch.state[row].tolist() == [episode, frame]
        assert (batch.images["front"][row, ..., 0] == episode).all()
        assert (batch.images["front"][row, ..., 1] == frame).all()
        for step in range(horizon):
            source = min(frame + step, length - 1)
            known = source not in gaps[episode]
            assert batch.action_mask[row, step] == (frame + step < length and known)
            assert batch.actions[row, step].tolist() == ([episode, source] if known else [0, 0])
        for column, step in enumerate(ahead):
            assert batch.future_mask[row, column] == (frame + step < length)
            shown = batch.future["front"][row, column]
            assert (shown[..., 0] == episode).all()
            assert (shown[..., 1] == min(frame + step, length - 1)).all()
        for column in range(history):
            source = frame - history + column
            assert batch.past_mask[row, column] == (source >= 0)
            shown = batch.past["front"][row, column]
            assert (shown[..., 0] == episode).all()
            assert (shown[..., 1] == max(source, 0)).all()
    assert seen == {(episode, frame) for episode in chosen for frame in range(lengths[episode])}


def test_sampling_is_uniform_over_the_frames_of_the_chosen_episodes(tmp_path: Path) -> None:
    cache = cached([2, 30, 8], [frozenset()] * 3, tmp_path / "cache")
    windows = Windows(cache, episodes=[0, 2], horizon=1)
    batch = windows.sample(np.random.default_rng(0), 20_000)
    counts = np.bincount(batch.episode, minlength=3) / 20_000
    assert counts == pytest.approx([0.2, 0.0, 0.8], abs=0.015)
    again = windows.sample(np.random.default_rng(0), 20_000)
    assert (again.episode == batch.episode).all()
    assert (again.frame == batch.frame).all()


def test_everything_wrong_with_a_request_is_named_at_once(tmp_path: Path) -> None:
    cache = cached([3, 3], [frozenset()] * 2, tmp_path / "cache")
    with pytest.raises(ValueError, match="Windows cannot be made") as caught:
        Windows(
            cache, episodes=[0, 5, 0], horizon=0, future_steps=(6, 2), history=-1, cameras=["top"]
        )
    for word in ("[5]", "twice", "horizon is 0", "(6, 2)", "history is -1", "['top']"):
        assert word in str(caught.value)


def test_a_position_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    windows = Windows(cached([3], [frozenset()], tmp_path / "cache"), episodes=[0], horizon=1)
    with pytest.raises(ValueError, match=r"expected shape \[B\] and values 0..2"):
        windows.batch(np.array([3]))
    with pytest.raises(ValueError, match="values -1"):
        windows.batch(np.array([-1]))
