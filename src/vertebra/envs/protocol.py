"""What an environment can do. Everything outside ``envs`` speaks to this protocol only."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vertebra.spec.action import ActionSpec
from vertebra.spec.observation import Observation, ObservationSpec
from vertebra.spec.task import InitialState, Judgement, Task


class Environment(Protocol):
    """One simulated (or real) robot.

    Attributes:
        name: Name and version, for example ``tabletop-v1``.
        offers: What an observation holds.
        takes: What an action means.
        max_steps: Control steps after which an episode times out, or a link of a chain.
    """

    name: str
    offers: ObservationSpec
    takes: ActionSpec
    max_steps: int

    def initial_states(self, split: str, count: int, seed: int) -> tuple[InitialState, ...]:
        """The first ``count`` initial states of a split; the same for the same seed."""
        ...

    def begin(self, initial_state: InitialState, task: Task, seed: int) -> Observation:
        """Restore an initial state and start an episode that asks for a task."""
        ...

    def observe(self) -> Observation:
        """The present observation (rendered now; call it only when it is needed).

        Its instruction is the task's; in a chain, that of the present link.
        """
        ...

    def apply(self, action: NDArray[np.float32]) -> None:
        """Let one control step pass under an action [len(takes.dims)]."""
        ...

    def judge(self) -> Judgement:
        """What the oracle sees now."""
        ...

    def state_hash(self) -> str:
        """Hash of the full physical state."""
        ...

    def hold(self, last_action: NDArray[np.float32]) -> NDArray[np.float32]:
        """The action that keeps the robot where it is, given the last one (no default)."""
        ...

    def labels(self) -> dict[str, Any]:
        """Privileged targets of the present frame (for example pointing targets), or empty."""
        ...

    def target_of(self, task: Task) -> str | None:
        """Name of the object that a task is about, as ``first_touched`` would report it."""
        ...

    def close(self) -> None:
        """Free what the environment holds; may be called twice."""
        ...
