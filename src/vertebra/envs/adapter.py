"""Any simulator or robot as an environment: write what is its own, the rest is here.

Looking is apart from everything else, so that pictures are rendered only when somebody asks.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vertebra.spec.action import ActionSpec
from vertebra.spec.observation import Observation, ObservationSpec
from vertebra.spec.task import InitialState, Judgement, Task


class Adapter(ABC):
    """An environment (``envs.protocol.Environment``) made of the few things that differ.

    Attributes:
        name: Name and version.
        offers: What an observation holds.
        takes: What an action means.
        max_steps: Control steps after which an episode times out, or a link of a chain.
        facts: Everything else that decides what an episode is (protocol, versions); JSON values.
        task: What the running episode asks for, ``None`` before the first one.
    """

    name: str
    offers: ObservationSpec
    takes: ActionSpec
    max_steps: int
    facts: Mapping[str, Any] = {}
    task: Task | None = None

    @abstractmethod
    def initial_states(self, split: str, count: int, seed: int) -> tuple[InitialState, ...]:
        """The first ``count`` initial states of a split; the same for the same seed.

        A pilot asks for ``train`` and ``validation`` (demonstrations) and ``layout`` (evaluation).
        """

    @abstractmethod
    def restore(self, initial_state: InitialState, task: Task, seed: int) -> None:
        """Put the world into an initial state."""

    @abstractmethod
    def images(self) -> Mapping[str, NDArray[np.uint8]]:
        """What the cameras of ``offers`` see now: uint8 [height, width, 3], origin top left."""

    @abstractmethod
    def state(self) -> NDArray[np.float32]:
        """Proprioception now: float32 [len(offers.state)]."""

    @abstractmethod
    def step(self, action: NDArray[np.float32]) -> None:
        """Let one control step pass; the action is finite and within the bounds of ``takes``."""

    @abstractmethod
    def holding(self) -> Iterable[str]:
        """Ids of all tasks of the initial state that hold now."""

    @abstractmethod
    def hold(self, last_action: NDArray[np.float32]) -> NDArray[np.float32]:
        """The action that keeps the robot where it is, given the last one."""

    def said(self) -> str:
        """What the robot is told now; a chain says the sentence of its present link."""
        return self._running().instruction

    def touched(self) -> tuple[str | None, str | None]:
        """Names of the objects touched first and grasped first; unknown by default."""
        return None, None

    def progress(self) -> Mapping[str, float]:
        """Task id to progress in [0, 1]; unknown by default."""
        return {}

    def labels(self) -> dict[str, Any]:
        """Privileged targets of the present frame; none by default."""
        return {}

    def target_of(self, task: Task) -> str | None:
        """Name of the object that a task is about, as ``touched`` would report it."""
        del task
        return None

    def demonstrate(self, task: Task) -> NDArray[np.float32]:
        """What the scripted demonstrator of this world would do now.

        Raises:
            ValueError: When there is none.
        """
        raise ValueError(f"{self.name} has no demonstrator for {task.id!r}; give recordings.")

    def state_hash(self) -> str:
        """Hash of the state; override it where proprioception does not tell everything."""
        parts = [self.state(), *self.images().values()]
        return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()[:16]

    def close(self) -> None:  # noqa: B027 - most worlds hold nothing
        """Free what the world holds; may be called twice."""

    def start(self, initial_state: InitialState, task: Task, seed: int) -> None:
        """Start an episode without looking.

        Raises:
            ValueError: When the task cannot be asked in this initial state.
        """
        known = [one.id for one in initial_state.tasks]
        if task.id not in known:
            raise ValueError(
                f"Task {task.id!r} cannot be asked in {initial_state.id!r}, whose tasks are "
                f"{known}."
            )
        self.task = task
        self._executed: list[NDArray[np.float32]] = []
        self.restore(initial_state, task, seed)
        self._held_at_start = frozenset(self.holding())

    def begin(self, initial_state: InitialState, task: Task, seed: int) -> Observation:
        """Restore an initial state and start an episode that asks for a task."""
        self.start(initial_state, task, seed)
        return self.observe()

    def observe(self) -> Observation:
        """The present observation, rendered now."""
        self._running()
        executed = np.array(self._executed, np.float32).reshape(-1, len(self.takes.dims))
        self._executed.clear()
        return Observation(
            images=self.images(),
            state=np.asarray(self.state(), np.float32),
            instruction=self.said(),
            executed=executed,
        )

    def apply(self, action: NDArray[np.float32]) -> None:
        """Let one control step pass; numbers beyond the bounds of ``takes`` are clipped.

        Raises:
            ValueError: On another shape or numbers that are not finite.
        """
        self._running()
        action = np.asarray(action, np.float32)
        names = [dim.name for dim in self.takes.dims]
        if action.shape != (len(names),) or not np.isfinite(action).all():
            raise ValueError(f"An action is finite numbers {names}, found {action!r}.")
        low = [-np.inf if dim.low is None else dim.low for dim in self.takes.dims]
        high = [np.inf if dim.high is None else dim.high for dim in self.takes.dims]
        self._executed.append(action.copy())
        self.step(np.clip(action, low, high).astype(np.float32))

    def judge(self) -> Judgement:
        """What the oracle sees now."""
        self._running()
        touched, grasped = self.touched()
        achieved = (name for name in self.holding() if name not in self._held_at_start)
        return Judgement(
            achieved=tuple(sorted(achieved)),
            first_touched=touched,
            first_grasped=grasped,
            progress=dict(self.progress()),
        )

    def _running(self) -> Task:
        if self.task is None:
            raise ValueError("No episode is running: call begin(initial_state, task, seed) first.")
        return self.task
