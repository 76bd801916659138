"""A world whose answer is visible: a word says where to go, a colour says what the gripper does.

A white square lies somewhere on a red or a blue ground. After "go left" it lies at the left side
four steps later, and so on; on red ground the gripper opens, on blue ground it closes. Whoever
hears the word and sees the colour knows the action, and so does who sees the frames to come; where
the square lies at first says nothing about it.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vertebra.data.cache import FrameCache, build_cache
from vertebra.data.episode import EpisodeData
from vertebra.policy.acting import TrainedPolicy
from vertebra.policy.recipe import Recipe
from vertebra.spec.action import ActionSpec, Frame, Gripper, Rotation
from vertebra.spec.observation import Camera, Dim, Observation, ObservationSpec
from vertebra.train.spec import TrainSpec

PX, SIDE, LENGTH, ARRIVES = 32, 8, 8, 4
WAYS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
SIDES = {"left": (0, 12), "right": (24, 12), "up": (12, 0), "down": (12, 24)}
GROUNDS = {"red": ((180, 30, 30), 1.0), "blue": ((30, 30, 180), -1.0)}
NEEDS = ObservationSpec(
    cameras=(Camera(name="front", height=PX, width=PX),),
    state=(Dim(name="x", unit="1"), Dim(name="y", unit="1")),
    rate_hz=10.0,
)
MAKES = ActionSpec(
    dims=tuple(Dim(name=name, unit="1", low=-1.0, high=1.0) for name in ("dx", "dy", "gripper")),
    frame=Frame.DELTA,
    rotation=Rotation.NONE,
    gripper=Gripper.OPEN_POSITIVE,
    rate_hz=10.0,
)


def picture(ground: str, x: float, y: float) -> NDArray[np.uint8]:
    """The view with the square's corner at a pixel."""
    image = np.empty((PX, PX, 3), np.uint8)
    image[:] = GROUNDS[ground][0]
    left, top = int(x), int(y)
    image[top : top + SIDE, left : left + SIDE] = 255
    return image


def answer(word: str, ground: str) -> NDArray[np.float32]:
    """The right action."""
    return np.array([*WAYS[word], GROUNDS[ground][1]], np.float32)


def _state(x: float, y: float) -> NDArray[np.float32]:
    return np.array([x / PX, y / PX], np.float32)


def demonstration(word: str, ground: str, rng: np.random.Generator) -> EpisodeData:
    """One episode from a random place."""
    start = rng.uniform(0, PX - SIDE, 2)
    places = [start if t < ARRIVES else SIDES[word] for t in range(LENGTH)]
    return EpisodeData(
        images={"front": np.stack([picture(ground, x, y) for x, y in places])},
        state=np.stack([_state(x, y) for x, y in places]),
        actions=np.repeat(answer(word, ground)[None], LENGTH, axis=0),
        instruction=f"go {word}",
    )


def visible_cache(directory: Path, rounds: int = 30) -> FrameCache:
    """Every word on every ground, ``rounds`` times; the last two rounds are for validation."""
    rng = np.random.default_rng(0)
    pairs = [(word, ground) for word in WAYS for ground in GROUNDS]
    return build_cache(
        [demonstration(*pair, rng) for _ in range(rounds) for pair in pairs], directory
    )


def visible_training(recipe: Recipe, cache: FrameCache, steps: int) -> TrainSpec:
    """A training at size tiny."""
    episodes, held_out = len(cache.episodes), 2 * len(WAYS) * len(GROUNDS)
    return TrainSpec(
        recipe=recipe,
        size="tiny",
        needs=NEEDS,
        makes=MAKES,
        privileged="none",
        samples=32 * steps,
        batch_size=32,
        data=str(cache.directory),
        data_hash=cache.content_hash,
        episodes=tuple(range(episodes - held_out)),
        validation_episodes=tuple(range(episodes - held_out, episodes)),
        seeds={"initialisation": 1, "batch_order": 2, "noise": 3},
        checkpoint_every=100,
        precision="fp32",
        learning_rate=3e-3,
        warmup=20,
    )


def scores(policy: TrainedPolicy, words: Sequence[str] = tuple(WAYS)) -> tuple[float, float]:
    """How often the direction and how often the gripper are right, from 16 new places each."""
    rng = np.random.default_rng(1)
    cases = [(word, ground) for word in words for ground in GROUNDS for _ in range(16)]
    views = [
        Observation(
            images={"front": picture(ground, x, y)},
            state=_state(x, y),
            instruction=f"go {word}",
            executed=np.zeros((0, 3), np.float32),
        )
        for (word, ground), (x, y) in zip(
            cases, rng.uniform(0, PX - SIDE, (len(cases), 2)), strict=True
        )
    ]
    sessions = [policy.start(number) for number in range(len(views))]
    made = policy.act_batch(sessions, views)
    ways = np.array(list(WAYS.values()))
    right_way, right_grip = [], []
    for (word, ground), (_, act) in zip(cases, made, strict=True):
        action = act.chunk[: policy.execute].mean(axis=0)
        nearest = ways[np.argmin(((ways - action[:2]) ** 2).sum(axis=1))]
        right_way.append(tuple(nearest) == WAYS[word])
        right_grip.append(np.sign(action[2]) == GROUNDS[ground][1])
    return float(np.mean(right_way)), float(np.mean(right_grip))
