"""Demonstrations: the demonstrator at work, disturbed now and then, with clean actions recorded."""

from collections.abc import Iterator
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
DISTURBANCE = 0.3
"""Standard deviation of the disturbance of the executed action, in action units."""


def demonstrate_episode(
    environment: Tabletop,
    initial_state: InitialState,
    task: Task,
    seed: int,
    perturb: bool = True,
    segmentation: bool = False,
) -> EpisodeData:
    """Carry out one task and record it.

    Args:
        environment: The table-top (its running episode is replaced).
        initial_state: Where to start.
        task: What to do.
        seed: Seed of the disturbances.
        perturb: Disturb the executed action on some 30 % of the steps; the clean one is recorded.
        segmentation: Record segmentation images too.

    Returns:
        The frames before each action. ``achieved`` holds the task's id when it succeeded.
    """
    rng = np.random.default_rng(seed_at(seed, "disturbance", initial_state.id, task.id))
    demonstrator = Demonstrator(environment)
    observation = environment.begin(initial_state, task, seed)
    images: dict[str, list[NDArray[np.uint8]]] = {name: [] for name in observation.images}
    masks: dict[str, list[NDArray[np.uint8]]] = {name: [] for name in observation.images}
    states: list[NDArray[np.float32]] = []
    actions: list[NDArray[np.float32]] = []
    points: list[NDArray[np.float32]] = []
    labels = environment.labels()
    achieved: tuple[str, ...] = ()
    for step in range(environment.max_steps):
        if step:
            observation, labels = environment.observe(), environment.labels()
        for name, image in observation.images.items():
            images[name].append(image)
            if segmentation:
                masks[name].append(labels["segmentation"][name])
        states.append(observation.state)
        points.append(labels["points"])
        action = demonstrator.act(task)
        actions.append(action)
        executed = action.copy()
        if perturb and rng.random() < DISTURBED_SHARE:
            executed[:3] += rng.normal(0.0, DISTURBANCE, 3).astype(np.float32)
        environment.apply(executed)
        achieved = environment.judge().achieved
        if task.id in achieved:
            break
    goal = goal_of(task.id)
    entities = labels["entities"]
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
        achieved=achieved,
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
            episode = demonstrate_episode(environment, state, task, seed, segmentation=segmentation)
            if task.id in episode.achieved:
                made += 1
                yield episode
            else:
                tally.dropped[task.skill] = tally.dropped.get(task.skill, 0) + 1
