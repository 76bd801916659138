"""Toy data sets in the LeRobot layouts, whose frames show their own number."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vertebra.data.episode import EpisodeData
from vertebra.data.lerobot_layout import DatasetFormat
from vertebra.data.video import Encoding, VideoWriter
from vertebra.spec.action import ActionSpec, Frame, Gripper, Rotation
from vertebra.spec.observation import Camera, Dim, ObservationSpec

BRIDGE = Path(__file__).parents[2] / "../shared/data/bridge_sample"
FORM = DatasetFormat(
    observation=ObservationSpec(
        cameras=(
            Camera(name="top", height=32, width=48),
            Camera(name="front", height=32, width=32),
        ),
        state=tuple(Dim(name=f"s{i}", unit="m") for i in range(3)),
        rate_hz=10.0,
    ),
    action=ActionSpec(
        dims=tuple(Dim(name=f"a{i}", unit="1") for i in range(2)),
        frame=Frame.DELTA,
        rotation=Rotation.NONE,
        gripper=Gripper.OPEN_POSITIVE,
        rate_hz=10.0,
    ),
    entities=4,
    segmentation=True,
    robot_type="toy",
)


def numbered_frames(first: int, length: int, height: int, width: int) -> np.ndarray:
    """Frames that show their number as seven black or white bars, so that decoding tells it."""
    numbers = first + np.arange(length)
    bits = (numbers[:, None] >> np.arange(7)) & 1
    bars = np.repeat(bits * 200 + 20, [width // 7] * 6 + [width - 6 * (width // 7)], axis=1)
    return np.broadcast_to(
        bars[:, None, :, None].astype(np.uint8), (length, height, width, 3)
    ).copy()


def number_shown(frames: np.ndarray) -> list[int]:
    width = frames.shape[2]
    centres = [bar * (width // 7) + width // 14 for bar in range(7)]
    bits = frames[:, frames.shape[1] // 2, centres, 1] > 120
    return (bits << np.arange(7)).sum(axis=1).tolist()


def toy_episodes(count: int, seed: int = 0) -> list[EpisodeData]:
    rng = np.random.default_rng(seed)
    found: list[EpisodeData] = []
    shown = 0
    for number in range(count):
        length = int(rng.integers(3, 9))
        entities = tuple(f"thing {i}" for i in range(2 + number % 3))
        found.append(
            EpisodeData(
                images={
                    "top": numbered_frames(shown, length, 32, 48),
                    "front": numbered_frames(shown + 1, length, 32, 32),
                },
                state=rng.normal(size=(length, 3)).astype(np.float32),
                actions=rng.normal(size=(length, 2)).astype(np.float32),
                instruction=f"touch {number % 2}",
                task_id=f"touch/{number % 2}",
                skill="touch",
                initial_state=f"train-{number}",
                split="train" if number < count - 1 else "validation",
                entities=entities,
                points=rng.random((length, len(entities), 2)).astype(np.float32),
                target_entity=number % 2,
                goal_entity=-1,
                achieved=(f"touch/{number % 2}",),
                segmentation={
                    name: rng.integers(0, 5, (length, 32, width), dtype=np.uint8)
                    for name, width in (("top", 48), ("front", 32))
                },
            )
        )
        shown = (shown + length) % 100
    return found


def write_v21(root: Path, episodes: Sequence[EpisodeData]) -> None:
    """A data set in the older layout: one data file and one video file an episode."""
    (root / "meta").mkdir(parents=True)
    tasks = list(dict.fromkeys(episode.instruction for episode in episodes))
    features: dict[str, Any] = {
        "observation.state": {"dtype": "float32", "shape": [3], "names": ["x", "y", "z"]},
        "action": {"dtype": "float32", "shape": [2], "names": None},
        "observation.images.top": {
            "dtype": "video",
            "shape": [3, 32, 48],
            "names": ["channels", "height", "width"],
        },
        "timestamp": {"dtype": "float32", "shape": [1], "names": None},
    }
    for name in ("frame_index", "episode_index", "index", "task_index"):
        features[name] = {"dtype": "int64", "shape": [1], "names": None}
    total = 0
    for number, episode in enumerate(episodes):
        length = len(episode.state)
        path = root / f"data/chunk-000/episode_{number:06d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        table = pa.table(
            {
                "observation.state": pa.array(episode.state.tolist(), pa.list_(pa.float32())),
                "action": pa.array(episode.actions.tolist(), pa.list_(pa.float32())),
                "timestamp": pa.array(np.arange(length) / 10, pa.float32()),
                "frame_index": np.arange(length),
                "episode_index": np.full(length, number),
                "index": total + np.arange(length),
                "task_index": np.full(length, tasks.index(episode.instruction)),
            }
        )
        pq.write_table(table, path)
        writer = VideoWriter(
            root / f"videos/chunk-000/observation.images.top/episode_{number:06d}.mp4",
            fps=10,
            height=32,
            width=48,
            encoding=Encoding(gop=10, preset="veryfast", pixel_format="yuv420p"),
        )
        writer.write(episode.images["top"])
        writer.close()
        total += length
    info = {
        "codebase_version": "v2.1",
        "robot_type": "toy",
        "total_episodes": len(episodes),
        "total_frames": total,
        "total_tasks": len(tasks),
        "total_videos": len(episodes),
        "total_chunks": 1,
        "chunks_size": 1000,
        "fps": 10,
        "splits": {"train": f"0:{len(episodes)}"},
        "data_path": "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet",
        "video_path": "videos/chunk-{episode_chunk:03d}/{video_key}/"
        "episode_{episode_index:06d}.mp4",
        "features": features,
    }
    (root / "meta/info.json").write_text(json.dumps(info))
    for name, rows in (
        ("tasks", [{"task_index": i, "task": task} for i, task in enumerate(tasks)]),
        (
            "episodes",
            [
                {"episode_index": i, "tasks": [e.instruction], "length": len(e.state)}
                for i, e in enumerate(episodes)
            ],
        ),
    ):
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (root / f"meta/{name}.jsonl").write_text(lines)
