"""What a window shows, what is done from it and what follows stand at the right frames."""

import tempfile
from pathlib import Path

import numpy as np

from vertebra.data.cache import build_cache
from vertebra.data.episode import EpisodeData
from vertebra.data.windows import Windows


def check_windows() -> None:
    """Every array says from which frame it came: action 0 belongs to the frame shown."""
    length, ahead = 6, (1, 3)
    frames = np.arange(length)
    images = np.broadcast_to(frames[:, None, None, None], (length, 2, 2, 3)).astype(np.uint8)
    counted = np.stack([frames, frames + 100], axis=1).astype(np.float32)
    episodes = [
        EpisodeData(images={"front": images}, state=counted, actions=counted, instruction="x"),
        EpisodeData(
            images={"front": images + 50},
            state=counted + 50,
            actions=counted + 50,
            instruction="y",
        ),
    ]
    with tempfile.TemporaryDirectory() as directory:
        cache = build_cache(episodes, Path(directory) / "cache")
        windows = Windows(cache, episodes=[0, 1], horizon=3, future_steps=ahead)
        batch = windows.batch(np.arange(2 * length))
    for row in range(2 * length):
        base, frame = 50 * (row // length), row % length
        assert batch.images["front"][row, 0, 0, 0] == base + frame
        assert batch.state[row, 0] == base + frame
        inside = [step for step in range(3) if frame + step < length]
        assert batch.action_mask[row].tolist() == [step in inside for step in range(3)]
        for step in inside:
            assert batch.actions[row, step, 0] == base + frame + step, "the action is shifted"
        for column, step in enumerate(ahead):
            assert batch.future_mask[row, column] == (frame + step < length)
            if frame + step < length:
                shown = batch.future["front"][row, column, 0, 0, 0]
                assert shown == base + frame + step, "the future is shifted"
