"""Whatever can be put into an episode: a trained policy, a demonstrator, chance."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vertebra.envs.protocol import Environment
from vertebra.policy.protocol import Act, Policy
from vertebra.spec.action import ActionSpec
from vertebra.spec.mismatch import require_match
from vertebra.spec.observation import Observation
from vertebra.spec.task import Task


class Actor(Protocol):
    """What the runner asks for actions.

    Attributes:
        execute: How many actions of a chunk are executed before the next one is asked for.
        looks: Whether it looks at observations; nothing is rendered for one that does not.
    """

    execute: int
    looks: bool

    def require_fit(self, environment: Environment) -> None:
        """Refuse an environment that it cannot act in (``SpecMismatch``)."""
        ...

    def start(self, environment: Environment, task: Task, seed: int) -> Any:
        """A new session for an episode that has just begun."""
        ...

    def act_batch(
        self, sessions: Sequence[Any], observations: Sequence[Observation | None]
    ) -> list[tuple[Any, Act]]:
        """The next chunk of each session, and the session after it."""
        ...


class PolicyActor:
    """A policy as an actor; it never sees the environment."""

    looks = True

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.execute = policy.execute

    def require_fit(self, environment: Environment) -> None:
        """Compare the specs of both sides.

        Raises:
            SpecMismatch: Naming every difference.
        """
        policy = self.policy
        require_match(policy.needs, environment.offers, policy.makes, environment.takes)

    def start(self, environment: Environment, task: Task, seed: int) -> Any:
        """A new session of the policy."""
        del environment, task
        return self.policy.start(seed)

    def act_batch(
        self, sessions: Sequence[Any], observations: Sequence[Observation | None]
    ) -> list[tuple[Any, Act]]:
        """Ask the policy for all sessions at once."""
        seen = [observation for observation in observations if observation is not None]
        assert len(seen) == len(sessions), "a policy looks at every observation"  # noqa: S101
        return self.policy.act_batch(sessions, seen)


class DemonstratorActor:
    """A scripted demonstrator that knows the true state: the upper reference.

    Args:
        demonstrate: Given an environment with a running episode, the function from a task to the
            action of the present state (``lambda environment: Demonstrator(environment).act``).
    """

    execute = 1
    looks = False

    def __init__(self, demonstrate: Callable[[Any], Callable[[Task], NDArray[np.float32]]]) -> None:
        self._demonstrate = demonstrate

    def require_fit(self, environment: Environment) -> None:
        """Nothing to compare: it was made for the environment."""
        del environment

    def start(self, environment: Environment, task: Task, seed: int) -> Any:
        """The task, and the function that carries it out."""
        del seed
        return self._demonstrate(environment), task

    def act_batch(
        self, sessions: Sequence[Any], observations: Sequence[Observation | None]
    ) -> list[tuple[Any, Act]]:
        """One action for the present state of each episode."""
        del observations
        return [(session, Act(chunk=session[0](session[1])[None])) for session in sessions]


class RandomActor:
    """Uniformly random actions, each held for some steps: the lower reference.

    Args:
        takes: The action conventions; every dimension needs finite bounds.
        held: Steps for which each action is held (so that the robot gets somewhere).

    Raises:
        ValueError: When a dimension has no bounds.
    """

    looks = False

    def __init__(self, takes: ActionSpec, *, held: int = 4) -> None:
        bounds = [(dim.low, dim.high) for dim in takes.dims]
        open_ended = [dim.name for dim in takes.dims if dim.low is None or dim.high is None]
        if open_ended:
            raise ValueError(
                f"Random actions need bounds, but {open_ended} have none: give low and high."
            )
        self._low, self._high = np.array(bounds, np.float64).T
        self.execute = held

    def require_fit(self, environment: Environment) -> None:
        """Nothing to compare: it was made for the environment."""
        del environment

    def start(self, environment: Environment, task: Task, seed: int) -> Any:
        """The seed and the number of chunks made so far."""
        del environment, task
        return seed, 0

    def act_batch(
        self, sessions: Sequence[Any], observations: Sequence[Observation | None]
    ) -> list[tuple[Any, Act]]:
        """One random action for each session, repeated."""
        del observations
        answers: list[tuple[Any, Act]] = []
        for seed, made in sessions:
            drawn = np.random.default_rng([seed, made]).uniform(self._low, self._high)
            chunk = np.repeat(drawn[None].astype(np.float32), self.execute, axis=0)
            answers.append(((seed, made + 1), Act(chunk=chunk)))
        return answers
