"""Policies without a network, whose behaviour follows from their arguments."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from fakes.worlds import ACTION, COLOURS, OBSERVATION
from vertebra.policy.protocol import Act
from vertebra.spec.action import ActionSpec
from vertebra.spec.observation import Observation, ObservationSpec


class Seeker:
    """Goes to the place whose colour is in the sentence; it finds it in the image.

    Args:
        hears: Whether it reads the sentence; otherwise it always goes to the red place.
        noise: Standard deviation of its action noise.
        chunk: Actions of a chunk; half of them are meant to be executed.
        fails: Sentences at which it raises.
        slow_s: Seconds that each inference waits.
        gain: Part of the way that a chunk covers.
    """

    def __init__(
        self,
        *,
        hears: bool = True,
        noise: float = 0.0,
        chunk: int = 8,
        fails: tuple[str, ...] = (),
        slow_s: float = 0.0,
        gain: float = 1.0,
    ) -> None:
        self.needs: ObservationSpec = OBSERVATION
        self.makes: ActionSpec = ACTION
        self.execute = max(1, chunk // 2)
        self.hears, self.noise, self.chunk, self.fails = hears, noise, chunk, fails
        self.slow_s, self.gain = slow_s, gain
        self.batches: list[int] = []
        self.executed: list[int] = []

    def start(self, seed: int) -> Any:
        return seed, 0

    def act(
        self, session: Any, observation: Observation, deadline_s: float | None = None
    ) -> tuple[Any, Act]:
        del deadline_s
        began = time.perf_counter()
        time.sleep(self.slow_s)
        said = observation.instruction
        if any(word in said for word in self.fails):
            raise RuntimeError(f"cannot understand {said!r}")
        seed, made = session
        named = [colour for colour in COLOURS if colour in said] if self.hears else ["red"]
        shift = np.zeros(2)
        if named:
            image = observation.images["top"].astype(int)
            channel = COLOURS.index(named[0])
            others = image.sum(axis=2) - image[..., channel]
            y, x = np.argwhere((image[..., channel] == 255) & (others == 0))[0]
            shift = self.gain * ((np.array([x, y]) + 0.5) / 15 - observation.state)
        rng = np.random.default_rng([seed, made])
        moves = np.clip(shift / self.execute, -0.1, 0.1) * np.ones((self.chunk, 1))
        moves = moves + self.noise * rng.normal(size=moves.shape)
        self.executed.append(len(observation.executed))
        took = time.perf_counter() - began
        act = Act(
            chunk=moves.astype(np.float32),
            stage_s={"prefix": took / 2, "action": took / 2},
            evaluations={"action": 10},
        )
        return (seed, made + 1), act

    def act_batch(
        self, sessions: Sequence[Any], observations: Sequence[Observation]
    ) -> list[tuple[Any, Act]]:
        self.batches.append(len(sessions))
        return [self.act(one, seen) for one, seen in zip(sessions, observations, strict=True)]
