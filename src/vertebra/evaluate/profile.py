"""What one machine can do with one policy: seconds, memory, bandwidth, as a file to take along."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from vertebra.evaluate.latency import TOTAL, measure_latency
from vertebra.policy.protocol import Policy
from vertebra.spec.observation import Observation, ObservationSpec
from vertebra.spec.storage import read_json, to_plain

PROFILE_VERSION = 1
WORDS = "put the red box on the blue plate"
_COPIED_BYTES = 64 * 2**20
_REPEATS = 3


@dataclass(frozen=True, kw_only=True)
class Profile:
    """One policy on one machine.

    Attributes:
        arm: Name of the recipe, with ``+blind`` for a blind twin.
        checkpoint: SHA-256 of its weights.
        machine: Processor, cores and memory.
        slowdown: Factor on all measured seconds; 1 when they are the machine's own.
        seconds: Stage to the seconds of each timed inference, ``slowdown`` included; the stage
            ``chunk`` is the whole inference.
        weight_bytes: Bytes of the weights.
        peak_bytes: Most memory that the process used.
        memory_bytes: Memory of the machine.
        copy_bytes_s: Bytes that the machine copies in a second, read and written.
        software: Versions that can change it.
    """

    arm: str
    checkpoint: str
    machine: Mapping[str, Any]
    slowdown: float
    seconds: Mapping[str, tuple[float, ...]]
    weight_bytes: int
    peak_bytes: int
    memory_bytes: int
    copy_bytes_s: float
    software: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def emulated(self) -> bool:
        """Whether the seconds stand for a machine that nobody measured."""
        return self.slowdown != 1.0

    @property
    def fits(self) -> bool:
        """Whether the process used less than the memory of the machine."""
        return self.peak_bytes <= self.memory_bytes

    @property
    def least_s(self) -> float:
        """Seconds that reading the weights once takes here: no chunk can be faster than that."""
        return self.slowdown * self.weight_bytes / (self.copy_bytes_s / 2)

    def to_plain(self) -> dict[str, Any]:
        """As a file."""
        return {
            "version": PROFILE_VERSION,
            "emulated": self.emulated,
            "fits": self.fits,
            **to_plain(self),
        }


def profile_from_file(path: Path) -> Profile:
    """Read a profile.

    Raises:
        ValueError: When it is none, or of another version.
    """
    plain = read_json(path)
    if not isinstance(plain, dict) or plain.get("version") != PROFILE_VERSION:
        raise ValueError(
            f"{path} is no latency profile of version {PROFILE_VERSION}; make one with "
            "`vertebra profile CHECKPOINT --out FILE`."
        )
    values = {n: v for n, v in plain.items() if n not in ("version", "emulated", "fits")}
    try:
        seconds = {stage: tuple(map(float, row)) for stage, row in values["seconds"].items()}
        found = Profile(**{**values, "seconds": seconds})
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is not a whole latency profile ({error!r}).") from error
    if not found.seconds.get(TOTAL):
        raise ValueError(f"{path} holds no timed inference (stage '{TOTAL}').")
    return found


def timed(
    policy: Policy, *, repeats: int, slowdown: float = 1.0, seed: int = 0
) -> dict[str, tuple[float, ...]]:
    """Seconds of each stage of inferences on pictures of noise.

    Args:
        policy: What is timed.
        repeats: Timed inferences.
        slowdown: Factor on the seconds, to emulate a slower machine.
        seed: Seed of the pictures.

    Raises:
        ValueError: When the slowdown is not above 0.
    """
    if not (slowdown > 0 and math.isfinite(slowdown)):
        raise ValueError(f"The slowdown is {slowdown}; it must be a number above 0.")
    seen = noise_observations(policy.needs, len(policy.makes.dims), count=4, seed=seed)
    (stages,) = measure_latency({"policy": policy}, seen, repeats=repeats).values()
    return {stage: tuple(slowdown * value for value in row) for stage, row in stages.items()}


def noise_observations(
    needs: ObservationSpec, width: int, *, count: int, seed: int
) -> Sequence[Observation]:
    """Observations that fit a spec and show nothing: they cost what others cost."""
    rng = np.random.default_rng(seed)
    return [
        Observation(
            images={
                camera.name: rng.integers(0, 256, (camera.height, camera.width, 3), dtype=np.uint8)
                for camera in needs.cameras
            },
            state=np.zeros(len(needs.state), np.float32),
            instruction=WORDS,
            executed=np.zeros((0, width), np.float32),
        )
        for _ in range(count)
    ]


def copy_bandwidth() -> float:
    """Bytes read and written in a second by copying a block that no cache holds (best of three)."""
    source = np.ones(_COPIED_BYTES, np.uint8)
    target = np.empty_like(source)
    best = math.inf
    for _ in range(_REPEATS):
        began = time.perf_counter()
        np.copyto(target, source)
        best = min(best, time.perf_counter() - began)
    return 2 * _COPIED_BYTES / best
