"""LIBERO's task files (BDDL): what is asked, and what else can be asked in the same scene.

A task swap asks for another task's goal in an unchanged scene. Its goal is a set of predicates, so
that the simulator's own oracle judges it.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vertebra.spec.task import Task

Goal = tuple[tuple[str, ...], ...]
"""Predicates that must all hold: ``(("in", "milk_1", "basket_1_contain_region"),)``."""
SKILLS = {
    "in": "put-in",
    "on": "put-on",
    "open": "open",
    "close": "close",
    "turnon": "turn-on",
    "turnoff": "turn-off",
}
_SCENE = re.compile(r"^[A-Z_]+SCENE\d+")


@dataclass(frozen=True, kw_only=True)
class TaskFile:
    """One BDDL file.

    Attributes:
        suite: Directory that it is in.
        name: File name without its end.
        language: The instruction that it holds.
        things: Objects and fixtures of the scene, with what they are.
        regions: Names of places, as goals use them.
        goal: What is asked.
    """

    suite: str
    name: str
    language: str
    things: Mapping[str, str]
    regions: frozenset[str]
    goal: Goal

    @property
    def scene(self) -> str:
        """Name of the scene that files of one suite share, or the file's own."""
        found = _SCENE.match(self.name)
        return found[0] if found else self.name

    def allows(self, goal: Goal) -> bool:
        """Whether everything that a goal names is in this scene."""
        names = {*self.things, *self.regions}
        return all(name in names for predicate in goal for name in predicate[1:])


def read_task(suite: str, name: str, text: str) -> TaskFile:
    """Read one file's text.

    Raises:
        ValueError: When it has no goal.
    """
    parts = {str(part[0]): part[1:] for part in _parse(text) if isinstance(part, list)}
    if ":goal" not in parts:
        raise ValueError(f"{suite}/{name} has no goal.")
    goal = parts[":goal"][0]
    predicates = goal[1:] if goal[0] == "and" else [goal]
    things = {**_typed(parts.get(":fixtures", [])), **_typed(parts.get(":objects", []))}
    regions = {f"{_target(region)}_{region[0]}" for region in parts.get(":regions", [])}
    return TaskFile(
        suite=suite,
        name=name,
        language=" ".join(parts.get(":language", [])),
        things=things,
        regions=frozenset(regions),
        goal=tuple(tuple(predicate) for predicate in predicates),
    )


def _parse(text: str) -> list[Any]:
    """The nested lists of a file, in lower case."""
    words = re.findall(r"[()]|[^\s()]+", re.sub(r";[^\n]*", "", text).lower())
    stack: list[list[Any]] = [[]]
    for word in words:
        if word == "(":
            stack.append([])
        elif word == ")":
            done = stack.pop()
            stack[-1].append(done)
        else:
            stack[-1].append(word)
    return stack[0][0]


def _typed(words: Sequence[str]) -> dict[str, str]:
    """Names to kinds, from ``a b - kind``."""
    found: dict[str, str] = {}
    names: list[str] = []
    left = iter(words)
    for word in left:
        if word == "-":
            found |= dict.fromkeys(names, next(left))
            names = []
        else:
            names.append(word)
    return found


def _target(region: Sequence[Any]) -> str:
    return next(part[1] for part in region[1:] if part[0] == ":target")


def sentence_of(name: str) -> str:
    """The benchmark's instruction, which it reads from the file's name."""
    return _SCENE.sub("", name).strip("_").replace("_", " ")


def instructions(own: TaskFile, pool: Iterable[TaskFile]) -> tuple[tuple[Task, Goal], ...]:
    """All tasks that can be asked in the scene of one file, its own first.

    Args:
        own: The file whose scene it is.
        pool: Other files of its suite, other suites of its scenes, and LIBERO-PRO's files with
            other goals (``_task``) and other words (``_lan``).
    """
    files = list(pool)
    words = {
        (one.suite.removesuffix("_lan"), one.name): one.language
        for one in files
        if one.suite.endswith("_lan")
    }
    found: dict[Goal, Task] = {}
    sentences: set[str] = set()
    for one in [own, *files]:
        if one.suite.endswith("_lan") or not _shares(own, one) or not own.allows(one.goal):
            continue
        swapped = one.suite.endswith("_task")
        instruction = one.language if swapped else sentence_of(one.name)
        goal = tuple(sorted(one.goal))
        if goal in found or instruction in sentences:
            continue
        sentences.add(instruction)
        other = words.get((one.suite, one.name))
        found[goal] = Task(
            id=instruction.replace(" ", "_"),
            skill="+".join(sorted({SKILLS[predicate[0]] for predicate in goal})),
            instruction=instruction,
            paraphrases=(other,) if other and not swapped else (),
        )
    return tuple((task, goal) for goal, task in found.items())


def _shares(own: TaskFile, other: TaskFile) -> bool:
    """Whether another file's sentence is true of this file's scene.

    The sentences of ``libero_spatial`` say where a bowl is, so they hold in their own scene only.
    """
    if own.suite == "libero_spatial" or other.suite.endswith("_task"):
        return own.name == other.name
    if own.suite in ("libero_10", "libero_90"):
        return own.scene == other.scene and own.things == other.things
    return own.suite == other.suite


def pool_suites(suite: str) -> tuple[str, ...]:
    """The directories whose files may share a scene with those of a suite."""
    other = {
        "libero_spatial": ("libero_spatial_task", "libero_spatial_lan"),
        "libero_object": ("libero_object_lan",),
        "libero_goal": ("libero_goal_lan",),
        "libero_10": ("libero_90", "libero_10_task", "libero_10_lan"),
        "libero_90": ("libero_10",),
    }
    return (suite, *other[suite])


def target_of(goal: Goal) -> str:
    """Name of the object or fixture that a goal is about: that of its first predicate.

    A part of a fixture (``wooden_cabinet_1_top_region``) stands for the fixture.
    """
    words = goal[0][1].split("_")
    place = next((k for k, word in enumerate(words) if word.isdigit()), len(words) - 1)
    return "_".join(words[: place + 1])
