"""Which episodes are run: the same scenes, sentences and noise for every policy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vertebra.envs.protocol import Environment
from vertebra.spec.seeds import seed_at
from vertebra.spec.task import InitialState, Task

ASKED = "asked"
CONDITIONS = (ASKED, "paraphrase", "blank", "nonsense")
"""What is said: the task's sentence, another sentence for it, nothing, or words without a task."""

NONSENSE = (
    "colourless ideas sleep furiously",
    "the umbrella of tuesday hums",
    "seven quiet reasons under water",
    "perhaps a slower alphabet",
    "winter borrows the old violin",
)


@dataclass(frozen=True, kw_only=True)
class EpisodePlan:
    """One episode that is to be run.

    Attributes:
        initial_state: Where it starts.
        task: The task that is meant (for ``blank`` and ``nonsense`` the one whose place it took).
        instruction: What the policy is told.
        condition: One of ``CONDITIONS``.
        scene_seed: Seed of the simulator's and the policy's noise.
    """

    initial_state: InitialState
    task: Task
    instruction: str
    condition: str
    scene_seed: int


@dataclass(frozen=True, kw_only=True)
class Draw:
    """A number of held-out scenes and what is said in each.

    Attributes:
        split: Split of the scenes.
        scenes: How many: the first ones of the split, so that draws of one split share scenes.
        conditions: What is said, each of ``CONDITIONS``.
        instructions: How many of each scene's tasks are asked for.
        seed: Seed that the scenes are drawn from, when it is not the one of the whole plan (scenes
            of the demonstrations, asked for what was never shown in them).

    Raises:
        ValueError: Naming everything that is not possible.
    """

    split: str
    scenes: int
    conditions: tuple[str, ...] = ("asked",)
    instructions: int = 3
    seed: int | None = None

    def __post_init__(self) -> None:
        unknown = [name for name in self.conditions if name not in CONDITIONS]
        found = [f"condition {name!r} is not one of {CONDITIONS}" for name in unknown]
        if not self.conditions:
            found.append(f"no condition is given; choose from {CONDITIONS}")
        if self.scenes < 1 or self.instructions < 1:
            found.append(
                f"{self.scenes} scenes with {self.instructions} instructions; both must be >= 1"
            )
        if found:
            raise ValueError(f"Draw from split {self.split!r}: " + "; ".join(found))

    @property
    def episodes(self) -> int:
        """How many episodes it asks for (scenes with fewer tasks have fewer)."""
        return self.scenes * self.instructions * len(self.conditions)


def draw_from_plain(plain: Mapping[str, Any]) -> Draw:
    """Read a draw that was written as JSON."""
    return Draw(**{**plain, "conditions": tuple(plain["conditions"])})


def plan_episodes(
    initial_states: Sequence[InitialState],
    conditions: Sequence[str],
    seed: int,
    *,
    instructions: int = 3,
) -> tuple[EpisodePlan, ...]:
    """Episodes in which each scene is run under each of several instructions.

    Everything follows from the scene and the seed, so that two policies (or two draws that share
    a scene) meet the same sentences and the same noise. All episodes of one scene share one
    ``scene_seed``: only the words differ.

    Args:
        initial_states: The scenes.
        conditions: What is said, each of ``CONDITIONS``.
        seed: Seed of scenes (``SeedTree.scenes``).
        instructions: Tasks asked for in each scene, spread over its skills.

    Raises:
        ValueError: When a paraphrase is asked for and a task has none.
    """
    return tuple(
        EpisodePlan(
            initial_state=state,
            task=task,
            instruction=_sentence(task, condition, seed_at(seed, state.id)),
            condition=condition,
            scene_seed=seed_at(seed, state.id),
        )
        for state in initial_states
        for condition in conditions
        for task in chosen_tasks(state, seed_at(seed, state.id), instructions)
    )


def plan_draws(
    environment: Environment, draws: Sequence[Draw], seed: int
) -> tuple[EpisodePlan, ...]:
    """All episodes of several draws; an episode that two draws ask for is run once."""
    found: dict[tuple[str, str, str, str], EpisodePlan] = {}
    for draw in draws:
        source = seed if draw.seed is None else draw.seed
        states = environment.initial_states(draw.split, draw.scenes, source)
        for plan in plan_episodes(states, draw.conditions, seed, instructions=draw.instructions):
            key = (draw.split, plan.initial_state.id, plan.condition, plan.task.id)
            found.setdefault(key, plan)
    return tuple(found.values())


def chosen_tasks(state: InitialState, scene_seed: int, count: int) -> tuple[Task, ...]:
    """The tasks that are asked for in a scene: skills in turn, otherwise at random.

    The first ``k`` are the same for every ``count >= k``.
    """
    order = np.random.default_rng(seed_at(scene_seed, "tasks")).permutation(len(state.tasks))
    left = [state.tasks[place] for place in order]
    chosen: list[Task] = []
    while left and len(chosen) < count:
        used = [task.skill for task in chosen]
        best = min(left, key=lambda task: used.count(task.skill))
        left.remove(best)
        chosen.append(best)
    return tuple(chosen)


def _sentence(task: Task, condition: str, scene_seed: int) -> str:
    if condition == ASKED:
        return task.instruction
    if condition == "blank":
        return ""
    words = task.paraphrases if condition == "paraphrase" else NONSENSE
    if not words:
        raise ValueError(
            f"Task {task.id!r} has no paraphrases, so the condition 'paraphrase' cannot be run. "
            "Leave the condition out, or give the task other wordings."
        )
    return words[seed_at(scene_seed, condition, task.id) % len(words)]
