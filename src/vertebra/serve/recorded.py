"""Keeping what a robot saw and did: an environment that remembers every step of its episode."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vertebra.data.episode import EpisodeData
from vertebra.envs.protocol import Environment
from vertebra.spec.action import ActionSpec
from vertebra.spec.observation import Observation, ObservationSpec
from vertebra.spec.record import EpisodeRecord
from vertebra.spec.task import InitialState, Judgement, Task


class Tape:
    """The steps of the episode that runs, one observation and one executed action each."""

    def __init__(self) -> None:
        self._seen: list[Observation] = []
        self._done: list[NDArray[np.float32]] = []

    def clear(self) -> None:
        """Forget everything."""
        self._seen.clear()
        self._done.clear()

    def add(self, seen: Observation, action: NDArray[np.float32]) -> None:
        """Keep one step; its pictures now, because some worlds render them when they are asked."""
        self._seen.append(replace(seen, images=dict(seen.images)))
        self._done.append(np.array(action, np.float32))

    def episode(self, record: EpisodeRecord) -> EpisodeData | None:
        """The steps as an episode of a data set, with what its record says of it.

        Returns:
            ``None`` when not a single step was done.
        """
        if not self._seen:
            return None
        return EpisodeData(
            images={
                name: np.stack([seen.images[name] for seen in self._seen])
                for name in self._seen[0].images
            },
            state=np.stack([seen.state for seen in self._seen]),
            actions=np.stack(self._done),
            instruction=record.instruction,
            task_id=record.task,
            skill=record.skill,
            initial_state=record.initial_state,
            split=record.split,
            achieved=record.achieved,
        )


class Recorded:
    """An environment whose every step goes on a tape; otherwise it is the one inside.

    Args:
        inside: The robot or its simulation.
        tape: Where the steps of the running episode are kept; cleared when the next one begins.
    """

    def __init__(self, inside: Environment, tape: Tape) -> None:
        self._inside, self._tape = inside, tape
        self._seen: Observation | None = None
        self.name: str = inside.name
        self.offers: ObservationSpec = inside.offers
        self.takes: ActionSpec = inside.takes
        self.max_steps: int = inside.max_steps

    def initial_states(self, split: str, count: int, seed: int) -> tuple[InitialState, ...]:
        """Those of the environment inside."""
        return self._inside.initial_states(split, count, seed)

    def begin(self, initial_state: InitialState, task: Task, seed: int) -> Observation:
        """Begin an episode and a new tape."""
        self._tape.clear()
        self._seen = self._inside.begin(initial_state, task, seed)
        return self._seen

    def observe(self) -> Observation:
        """The present observation, taken once a step."""
        if self._seen is None:
            self._seen = self._inside.observe()
        return self._seen

    def apply(self, action: NDArray[np.float32]) -> None:
        """Keep what is seen and what is done, then do it."""
        self._tape.add(self.observe(), action)
        self._seen = None
        self._inside.apply(action)

    def judge(self) -> Judgement:
        """What the oracle inside sees now."""
        return self._inside.judge()

    def state_hash(self) -> str:
        """Hash of the state inside."""
        return self._inside.state_hash()

    def hold(self, last_action: NDArray[np.float32]) -> NDArray[np.float32]:
        """How the robot inside keeps still."""
        return self._inside.hold(last_action)

    def labels(self) -> dict[str, Any]:
        """Privileged targets of the environment inside."""
        return self._inside.labels()

    def target_of(self, task: Task) -> str | None:
        """What a task is about, as the environment inside says."""
        return self._inside.target_of(task)

    def close(self) -> None:
        """Close the environment inside."""
        self._inside.close()
