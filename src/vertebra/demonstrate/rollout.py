"""Demonstrations: the demonstrator at work, disturbed now and then, with clean actions recorded."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vertebra.data.episode import EpisodeData
from vertebra.demonstrate.demonstrator import Demonstrator
from vertebra.envs.protocol import Environment
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
Demonstrate = Callable[[Any], Callable[[Task], NDArray[np.float32]]]
"""From a running environment to what a demonstrator does for a task in its present state."""


def tabletop_demonstrator(environment: Any) -> Callable[[Task], NDArray[np.float32]]:
    """The demonstrator of the table-top."""
    return Demonstrator(environment).act


def own_demonstrator(environment: Any) -> Callable[[Task], NDArray[np.float32]]:
    """The demonstrator that a world brings along."""
    return environment.demonstrate


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
    environment: Environment,
    initial_state: InitialState,
    task: Task,
    seed: int,
    *,
    perturb: bool,
    disturbed_share: float = DISTURBED_SHARE,
    before_action: Callable[[NDArray[np.float32]], None] | None = None,
    demonstrate: Demonstrate = tabletop_demonstrator,
) -> Run:
    """Let the demonstrator carry out one task.

    Args:
        environment: Where (its running episode is replaced).
        initial_state: Where to start.
        task: What to do.
        seed: Seed of the disturbances.
        perturb: Disturb the executed action on some steps.
        disturbed_share: On which share of the steps.
        before_action: Called with each clean action before it is executed.
        demonstrate: The demonstrator.
    """
    rng = np.random.default_rng(seed_at(seed, "disturbance", initial_state.id, task.id))
    environment.begin(initial_state, task, seed)
    act = demonstrate(environment)
    judgement, also, steps = environment.judge(), False, 0
    while steps < environment.max_steps and task.id not in judgement.achieved:
        action = act(task)
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
    environment: Environment,
    initial_state: InitialState,
    task: Task,
    seed: int,
    perturb: bool = True,
    segmentation: bool = False,
    disturbed_share: float = DISTURBED_SHARE,
    demonstrate: Demonstrate = tabletop_demonstrator,
) -> EpisodeData:
    """Carry out one task and record it.

    Args:
        environment: Where (its running episode is replaced).
        initial_state: Where to start.
        task: What to do.
        seed: Seed of the disturbances.
        perturb: Disturb the executed action on some steps; the clean one is recorded.
        segmentation: Record segmentation images too.
        disturbed_share: On which share of the steps.
        demonstrate: The demonstrator.

    Returns:
        The frames before each action. ``achieved`` holds the task's id when it succeeded.
    """
    cameras = [camera.name for camera in environment.offers.cameras]
    images: dict[str, list[NDArray[np.uint8]]] = {camera: [] for camera in cameras}
    masks: dict[str, list[NDArray[np.uint8]]] = {camera: [] for camera in cameras}
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
        if labels:
            points.append(labels["points"])
            entities = tuple(labels["entities"])

    run = carry_out(
        environment,
        initial_state,
        task,
        seed,
        perturb=perturb,
        disturbed_share=disturbed_share,
        before_action=record,
        demonstrate=demonstrate,
    )
    if not states:
        raise ValueError(
            f"Task {task.id!r} holds in {initial_state.id!r} before anything is done; it cannot "
            "be demonstrated there."
        )
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
        points=np.stack(points) if points else None,
        target_entity=_entity(entities, environment.target_of(task)),
        goal_entity=_entity(entities, goal_of(task.id).destination) if entities else -1,
        achieved=run.achieved,
        segmentation={name: np.stack(frames) for name, frames in masks.items()}
        if segmentation
        else {},
    )


def _entity(entities: tuple[str, ...], name: str | None) -> int:
    """Its number among the pointing labels, -1 where nothing is pointed at."""
    return entities.index(name) if name in entities else -1


@dataclass
class Tally:
    """How many demonstrations were tried and dropped, by skill."""

    tried: dict[str, int] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)


def demonstrations(
    environment: Environment,
    split: str,
    count: int,
    seed: int,
    *,
    segmentation: bool = False,
    tally: Tally | None = None,
    disturbed_share: float = RECORDED_SHARE,
    demonstrate: Demonstrate = tabletop_demonstrator,
) -> Iterator[EpisodeData]:
    """Make demonstrations, balanced over skills; two different tasks in each scene.

    Args:
        environment: Where to work.
        split: Split whose initial states are walked.
        count: How many successful demonstrations.
        seed: Seed of scenes and disturbances.
        segmentation: Record segmentation images too.
        tally: Filled with how many were tried and dropped, by skill.
        disturbed_share: On which share of the steps the executed action is disturbed.
        demonstrate: The demonstrator.

    Yields:
        Successful demonstrations only; failures are dropped and counted in ``tally``.
    """
    tally = tally if tally is not None else Tally()
    given: Counter[str] = Counter()
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
        for _ in range(min(2, count - made, len(tasks))):
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
                perturb=disturbed_share > 0,
                disturbed_share=disturbed_share,
                demonstrate=demonstrate,
            )
            if task.id in episode.achieved:
                made += 1
                yield episode
            else:
                tally.dropped[task.skill] = tally.dropped.get(task.skill, 0) + 1
