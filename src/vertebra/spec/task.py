"""Tasks, initial states and outcomes, as every environment reports them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Task:
    """One thing that can be asked for in a scene.

    Attributes:
        id: Stable name inside an environment, for example ``put/red-box/blue-plate``.
        skill: The kind of task, for example ``put``.
        instruction: The sentence that asks for it.
        paraphrases: Other sentences for the same task (held-out wordings).
        links: How many tasks it asks for one after the other, in one episode (CALVIN: 5); its
            progress is then the share of them that was completed.
    """

    id: str
    skill: str
    instruction: str
    paraphrases: tuple[str, ...] = ()
    links: int = 1


@dataclass(frozen=True, kw_only=True)
class InitialState:
    """One scene before anything happened, and everything that may be asked in it.

    Attributes:
        id: Stable name, unique inside an environment and version.
        split: ``train``, ``validation``, or the name of a held-out split.
        tasks: All executable tasks (three or more on the table-top).
        data: What the environment needs to restore it; JSON values only.
    """

    id: str
    split: str
    tasks: tuple[Task, ...]
    data: Mapping[str, Any] = field(default_factory=dict[str, Any])


def links_done(links: int, progress: float) -> int:
    """How many of a task's links are completed at this progress in [0, 1]."""
    return math.floor(progress * links + 1e-6)


def task_from_plain(plain: Mapping[str, Any]) -> Task:
    """Read a task that was written as JSON."""
    values: dict[str, Any] = {**plain, "paraphrases": tuple(plain["paraphrases"])}
    return Task(**values)


def initial_state_from_plain(plain: Mapping[str, Any]) -> InitialState:
    """Read an initial state that was written as JSON."""
    tasks = tuple(task_from_plain(task) for task in plain["tasks"])
    values: dict[str, Any] = {**plain, "tasks": tasks}
    return InitialState(**values)


class Outcome(StrEnum):
    """How an episode ended. Errors are outcomes and stay in every denominator."""

    SUCCESS = "success"
    FAILURE = "failure"
    TIMEOUT = "timeout"
    ERROR = "error"


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What the oracle sees in the present state.

    Attributes:
        achieved: Ids of all tasks of the initial state that hold now and did not at the start.
        first_touched: Name of the object touched first, or ``None``.
        first_grasped: Name of the object grasped first, or ``None``.
        progress: Task id to progress in [0, 1].
    """

    achieved: tuple[str, ...]
    first_touched: str | None
    first_grasped: str | None
    progress: Mapping[str, float]


def judgement_from_plain(plain: Mapping[str, Any]) -> Judgement:
    """Read a judgement that was written as JSON."""
    values: dict[str, Any] = {**plain, "achieved": tuple(plain["achieved"])}
    return Judgement(**values)
