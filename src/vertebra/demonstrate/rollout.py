"""Demonstrations: the demonstrator at work, disturbed now and then, with clean actions recorded."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vertebra.data.episode import EpisodeData
from vertebra.demonstrate.demonstrator import Demonstrator
from vertebra.envs.tabletop import Tabletop
from vertebra.envs.tabletop.tasks import goal_of
from vertebra.spec.seeds import seed_at
from vertebra.spec.task import InitialState, Task

DISTURBED_SHARE = 0.3
"""Share of steps whose executed action is disturbed when the demonstrator is put to the test."""
RECORDED_SHARE = 0.1
"""The same share in recorded demonstrations. A disturbance cannot be foreseen, so each one makes
the actions after it in a chunk unpredictable: at 0.3 a network that is told the exact places of
object and destination still leaves 28 % of the variance of an 8-step chunk unexplained."""
DISTURBANCE = 0.3
"""Standard deviation of the disturbance of the executed action, in action units."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """How one attempt of the demonstrator went.

    Attributes:
        succeeded: Whether the task was achieved within the time.
        steps: Control steps until then.
        achieved: Tasks that held at the end.
        also_achieved: Whether another task of the scene held at any step.
        touched_first: Whether the first object touched was the target.
    """

    succeeded: bool
    steps: int
    achieved: tuple[str, ...]
    also_achieved: bool
    touched_first: bool


def carry_out(
    environment: Tabletop,
    initial_state: InitialState,
    task: Task,
    seed: int,
    *,
    perturb: bool,
    disturbed_share: float = DISTURBED_SHARE,
    before_action: Callable[[NDArray[np.float32]], None] | None = None,
) -> Run:
    """Let the demonstrator carry out one task.

    Args:
        environment: The table-top (its running episode is replaced).
        initial_state: Where to start.
        task: What to do.
        seed: Seed of the disturbances.
        perturb: Disturb the executed action on some steps.
        disturbed_share: On which share of the steps.
        before_action: Called with each clean action before it is executed.
    """
    rng = np.random.default_rng(seed_at(seed, "disturbance", initial_state.id, task.id))
    demonstrator = Demonstrator(environment)
    environment.begin(initial_state, task, seed)
    judgement, also, steps = environment.judge(), False, 0
    while steps < environment.max_steps and task.id not in judgement.achieved:
        action = demonstrator.act(task)
        if before_action is not None:
            before_action(action)
        executed = action.copy()
        if perturb and rng.random() < disturbed_share:
            executed[:3] += rng.normal(0.0, DISTURBANCE, 3).astype(np.float32)
        environment.apply(executed)
        judgement, steps = environment.judge(), steps + 1
        also = also or bool(set(judgement.achieved) - {task.id})
    return Run(
        succeeded=task.id in judgement.achieved,
        steps=steps,
        achieved=judgement.achieved,
        also_achieved=also,
        touched_first=judgement.first_touched == environment.target_of(task),
    )


def demonstrate_episode(
    environment: Tabletop,
    initial_state: InitialState,
    task: Task,
    seed: int,
    perturb: bool = True,
    segmentation: bool = False,
    disturbed_share: float = DISTURBED_SHARE,
) -> EpisodeData:
    """Carry out one task and record it.

    Args:
        environment: The table-top (its running episode is replaced).
        initial_state: Where to start.
        task: What to do.
        seed: Seed of the disturbances.
        perturb: Disturb the executed action on some steps; the clean one is recorded.
        segmentation: Record segmentation images too.
        disturbed_share: On which share of the steps.

    Returns:
        The frames before each action. ``achieved`` holds the task's id when it succeeded.
    """
    images: dict[str, list[NDArray[np.uint8]]] = {camera: [] for camera in environment.cameras}
    masks: dict[str, list[NDArray[np.uint8]]] = {camera: [] for camera in environment.cameras}
    states: list[NDArray[np.float32]] = []
    actions: list[NDArray[np.float32]] = []
    points: list[NDArray[np.float32]] = []
    entities: tuple[str, ...] = ()

    def record(action: NDArray[np.float32]) -> None:
        nonlocal entities
        observation, labels = environment.observe(), environment.labels()
        for name, image in observation.images.items():
            images[name].append(image)
            if segmentation:
                masks[name].append(labels["segmentation"][name])
        states.append(observation.state)
        actions.append(action)
        points.append(labels["points"])
        entities = labels["entities"]

    run = carry_out(
        environment,
        initial_state,
        task,
        seed,
        perturb=perturb,
        disturbed_share=disturbed_share,
        before_action=record,
    )
    goal = goal_of(task.id)
    return EpisodeData(
        images={name: np.stack(frames) for name, frames in images.items()},
        state=np.stack(states),
        actions=np.stack(actions),
        instruction=task.instruction,
        task_id=task.id,
        skill=task.skill,
        initial_state=initial_state.id,
        split=initial_state.split,
        entities=entities,
        points=np.stack(points),
        target_entity=entities.index(goal.target),
        goal_entity=entities.index(goal.destination) if goal.destination else -1,
        achieved=run.achieved,
        segmentation={name: np.stack(frames) for name, frames in masks.items()}
        if segmentation
        else {},
    )


@dataclass
class Tally:
    """How many demonstrations were tried and dropped, by skill."""

    tried: dict[str, int] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)


def demonstrations(
    environment: Tabletop,
    split: str,
    count: int,
    seed: int,
    *,
    segmentation: bool = False,
    tally: Tally | None = None,
) -> Iterator[EpisodeData]:
    """Make demonstrations, balanced over skills; two different tasks in each scene.

    Args:
        environment: The table-top to work in.
        split: Split whose initial states are walked.
        count: How many successful demonstrations.
        seed: Seed of scenes and disturbances.
        segmentation: Record segmentation images too.
        tally: Filled with how many were tried and dropped, by skill.

    Yields:
        Successful demonstrations only; failures are dropped and counted in ``tally``.
    """
    tally = tally if tally is not None else Tally()
    given = dict.fromkeys(environment.skills, 0)
    made = block = 0
    states: tuple[InitialState, ...] = ()
    number = 0
    while made < count:
        if number >= len(states):
            block = max(2 * block, 64)
            states = environment.initial_states(split, block, seed)
        state = states[number]
        number += 1
        tasks = list(state.tasks)
        rng = np.random.default_rng(seed_at(seed, "demonstrated", state.id))
        tasks = [tasks[place] for place in rng.permutation(len(tasks))]
        for _ in range(min(2, count - made)):
            task = min(tasks, key=lambda task: given[task.skill])
            tasks.remove(task)
            given[task.skill] += 1
            tally.tried[task.skill] = tally.tried.get(task.skill, 0) + 1
            episode = demonstrate_episode(
                environment,
                state,
                task,
                seed,
                segmentation=segmentation,
                disturbed_share=RECORDED_SHARE,
            )
            if task.id in episode.achieved:
                made += 1
                yield episode
            else:
                tally.dropped[task.skill] = tally.dropped.get(task.skill, 0) + 1
