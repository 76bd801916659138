"""A small robot with two cameras, random demonstrations of it, and training specs for them."""

from pathlib import Path
from typing import Any

import numpy as np

from vertebra.data.cache import FrameCache, build_cache
from vertebra.data.episode import EpisodeData
from vertebra.policy.recipe import Recipe
from vertebra.spec.action import ActionSpec, Frame, Gripper, Rotation
from vertebra.spec.observation import Camera, Dim, ObservationSpec
from vertebra.train.spec import TrainSpec

PX = 32
NEEDS = ObservationSpec(
    cameras=(Camera(name="front", height=PX, width=PX), Camera(name="wrist", height=PX, width=PX)),
    state=tuple(Dim(name=f"tool_{axis}", unit="m") for axis in "xyz"),
    rate_hz=10.0,
)
MAKES = ActionSpec(
    dims=(
        *(Dim(name=f"delta_{axis}", unit="4 cm", low=-1.0, high=1.0) for axis in "xyz"),
        Dim(name="gripper", unit="1", low=-1.0, high=1.0),
    ),
    frame=Frame.DELTA,
    rotation=Rotation.NONE,
    gripper=Gripper.OPEN_POSITIVE,
    rate_hz=10.0,
)
SENTENCES = ("lift the red box", "push the blue ball past the line", "put it down")


def random_episode(seed: int, *, length: int = 9, pointed: bool = True) -> EpisodeData:
    """An episode in which nothing follows from anything."""
    rng = np.random.default_rng(seed)
    return EpisodeData(
        images={
            camera.name: rng.integers(0, 256, (length, PX, PX, 3), dtype=np.uint8)
            for camera in NEEDS.cameras
        },
        state=rng.normal(size=(length, len(NEEDS.state))).astype(np.float32),
        actions=rng.uniform(-1, 1, size=(length, len(MAKES.dims))).astype(np.float32),
        instruction=SENTENCES[seed % len(SENTENCES)],
        entities=("red box", "line") if pointed else (),
        points=rng.random((length, 2, 2)).astype(np.float32) if pointed else None,
        target_entity=0 if pointed else -1,
        goal_entity=1 if pointed and seed % 2 else -1,
    )


def random_cache(directory: Path, *, count: int = 6, pointed: bool = True) -> FrameCache:
    """A frame cache of random episodes."""
    return build_cache([random_episode(i, pointed=pointed) for i in range(count)], directory)


def training(recipe: Recipe, cache: FrameCache, **changes: Any) -> TrainSpec:
    """A short training on all but the last two episodes, which validate."""
    count = len(cache.episodes)
    values: dict[str, Any] = {
        "recipe": recipe,
        "size": "tiny",
        "needs": NEEDS,
        "makes": MAKES,
        "privileged": "none",
        "samples": 96,
        "batch_size": 8,
        "data": str(cache.directory),
        "data_hash": cache.content_hash,
        "episodes": tuple(range(count - 2)),
        "validation_episodes": (count - 2, count - 1),
        "seeds": {"initialisation": 1, "batch_order": 2, "noise": 3},
        "checkpoint_every": 5,
        "warmup": 3,
    }
    return TrainSpec(**{**values, **changes})
