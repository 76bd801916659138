"""How many bits of the instruction a policy's deeds carry, the scene being known.

In a scene with K instructions, asked equally often, a deed is one of the K asked tasks, or
something else. Which of two tasks is named first has no meaning, so instructions are taken as
exchangeable: with p the share in which the asked task was done, and q that of each of the others,

    I = K a log2(1 / a) - p log2(1 / p) - (K - 1) q log2(1 / q),   a = (p + (K - 1) q) / K,

which depends on two numbers, not on a table for each scene. Averaging a channel over scenes cannot
raise its information, so this is a lower bound of the mean over scenes. Its bias is measured by
shuffling the instructions inside each scene, where the information is 0, and subtracted.
"""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SHUFFLES = 400
OTHER = -1
"""Any deed that is none of the asked tasks of its scene, nothing and errors included."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One scene under its instructions, each asked once, by one checkpoint.

    Attributes:
        scene: Which scene.
        done: For every instruction, which of the scene's tasks was done: its place, or ``OTHER``.
    """

    scene: Hashable
    done: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Information:
    """Information of deeds on instructions.

    Attributes:
        bits: Bias subtracted; may be slightly below 0.
        bias: What shuffled instructions give on average.
        most: What a policy would give that always does what it is asked.
        p: Share of shuffles that give as much or more (one is added to both counts).
        scenes: Scenes.
    """

    bits: float
    bias: float
    most: float
    p: float
    scenes: int


def information(scenes: Sequence[Asked], *, seed: int = 0) -> Information | None:
    """Information over scenes; groups of scenes with as many instructions are averaged.

    Args:
        scenes: One a scene (and checkpoint).
        seed: Seed of the shuffles.

    Returns:
        ``None`` when no scene has two instructions.
    """
    groups: dict[int, list[tuple[int, ...]]] = {}
    for one in scenes:
        if len(one.done) > 1:
            groups.setdefault(len(one.done), []).append(one.done)
    total = sum(len(rows) for rows in groups.values())
    if not total:
        return None
    rng = np.random.default_rng(seed)
    found, most = 0.0, 0.0
    null = np.zeros(SHUFFLES)
    for size, rows in sorted(groups.items()):
        share = len(rows) / total
        done = np.array(rows, dtype=np.int64)
        found += share * _bits(done)
        most += share * math.log2(size)
        null += share * np.array([_bits(_shuffled(done, rng)) for _ in range(SHUFFLES)])
    bias = float(null.mean())
    return Information(
        bits=found - bias,
        bias=bias,
        most=most,
        p=(1 + int((null >= found - 1e-12).sum())) / (1 + SHUFFLES),
        scenes=total,
    )


def _shuffled(done: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    return rng.permuted(done, axis=1)


def _bits(done: NDArray[np.int64]) -> float:
    """Information of deeds [scenes, K] on the K exchangeable instructions."""
    size = done.shape[1]
    asked: NDArray[np.int64] = np.arange(size, dtype=np.int64)
    right = float(np.count_nonzero(done == asked)) / done.size
    wrong = float(np.count_nonzero(done != OTHER)) / done.size - right
    each = wrong / (size - 1)
    mean = (right + wrong) / size
    return size * _term(mean) - _term(right) - (size - 1) * _term(each)


def _term(share: float) -> float:
    return 0.0 if share <= 0 else -share * math.log2(share)
