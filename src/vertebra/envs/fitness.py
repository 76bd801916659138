"""Is an environment fit for a pilot? Every question of `vertebra env check`, asked by acting."""

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vertebra.envs.protocol import Environment
from vertebra.spec.observation import Observation
from vertebra.spec.task import InitialState

SPLITS = ("train", "validation", "layout")
"""Scenes of demonstrations, scenes that pick checkpoints, and held-out scenes."""
STATES, STEPS = 3, 20
SLOWEST_HZ = 2.0
"""Steps with pictures a second below which a pilot takes days."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One answer.

    Attributes:
        question: What was asked.
        fit: Whether the answer allows a pilot.
        answer: What was found, and what to do about it.
    """

    question: str
    fit: bool
    answer: str


def check_environment(
    environment: Environment,
    demonstrate: Callable[[Any], NDArray[np.float32]] | None = None,
) -> list[Finding]:
    """Ask everything that a pilot relies on.

    Args:
        environment: What is asked; its running episode is replaced.
        demonstrate: Its scripted demonstrator, if it has one.

    Returns:
        Findings in the order in which they were asked; one that raises is one that is not fit, and
        ends the questions that build on it.
    """
    found = [_specs(environment)]
    states: dict[str, tuple[InitialState, ...]] = {}
    for ask in (
        lambda: _splits(environment, states),
        lambda: _instructions(states),
        lambda: _seen(environment, states),
        lambda: _repeats(environment, states),
        lambda: _same_pixels(environment, states),
        lambda: _oracle(environment, states),
        lambda: _demonstrator(environment, states, demonstrate),
        lambda: _speed(environment, states),
    ):
        try:
            found.append(ask())
        except Exception as error:  # the answer is that it failed
            found.append(_finding("answers all calls", [f"{type(error).__name__}: {error}"]))
            break
    return found


def _finding(question: str, problems: Sequence[str], good: str = "yes") -> Finding:
    return Finding(question=question, fit=not problems, answer="; ".join(problems) or good)


def _specs(environment: Environment) -> Finding:
    offers, takes = environment.offers, environment.takes
    problems = [
        f"action {dim.name!r} has no bounds" for dim in takes.dims if None in (dim.low, dim.high)
    ]
    if not offers.cameras:
        problems.append("there is no camera")
    if not offers.state:
        problems.append("there is no proprioception")
    if not offers.language:
        problems.append("there is no language")
    if offers.rate_hz != takes.rate_hz or takes.rate_hz <= 0:
        problems.append(f"observations come at {offers.rate_hz} Hz, actions at {takes.rate_hz} Hz")
    if environment.max_steps < 1:
        problems.append(f"max_steps is {environment.max_steps}")
    cameras = ", ".join(f"{one.name} {one.height}x{one.width}" for one in offers.cameras)
    return _finding(
        "says what it offers and takes",
        problems,
        f"{cameras}; {len(offers.state)} numbers of state; {len(takes.dims)} of action, "
        f"{takes.frame}, {takes.rotation}, {takes.gripper}, {takes.rate_hz:g} Hz; "
        f"{environment.max_steps} steps",
    )


def _splits(environment: Environment, states: dict[str, tuple[InitialState, ...]]) -> Finding:
    problems: list[str] = []
    for split in SPLITS:
        states[split] = environment.initial_states(split, STATES, 0)
        if states[split] != environment.initial_states(split, STATES, 0):
            problems.append(f"split {split!r} differs when it is asked for twice")
        if len(states[split]) < STATES:
            problems.append(f"split {split!r} has {len(states[split])} of {STATES} scenes")
    names = [state.id for split in SPLITS for state in states[split]]
    if len(set(names)) < len(names):
        problems.append("two initial states share a name, or two splits share a scene")
    return _finding("has scenes to train on and others to be tested in", problems)


def _instructions(states: Mapping[str, Sequence[InitialState]]) -> Finding:
    counts: list[int] = []
    problems: list[str] = []
    for state in states["layout"]:
        sentences = {task.instruction for task in state.tasks}
        counts.append(len(sentences))
        if len(sentences) < len(state.tasks):
            problems.append(f"two tasks of {state.id!r} are asked for by the same sentence")
    if min(counts) < 2:
        problems.append(
            "some scenes allow one instruction only: whoever sees the scene need not read, so "
            "following cannot be measured"
        )
    return _finding(
        "several instructions in one scene", problems, f"{min(counts)} to {max(counts)}"
    )


def _seen(environment: Environment, states: Mapping[str, Sequence[InitialState]]) -> Finding:
    seen = _begin(environment, states["layout"][0])
    problems: list[str] = []
    for camera in environment.offers.cameras:
        image = seen.images[camera.name]
        wanted = (camera.height, camera.width, 3)
        if image.dtype != np.uint8 or image.shape != wanted:
            problems.append(
                f"camera {camera.name!r} gives {image.dtype} {image.shape}, not {wanted}"
            )
        elif image.std() < 1:
            problems.append(f"camera {camera.name!r} sees one colour only")
    if seen.state.dtype != np.float32 or seen.state.shape != (len(environment.offers.state),):
        problems.append(f"the state is {seen.state.dtype} {seen.state.shape}")
    held = environment.hold(np.zeros(len(environment.takes.dims), np.float32))
    if held.shape != (len(environment.takes.dims),):
        problems.append(f"hold gives an action of shape {held.shape}")
    return _finding("shows what it says", problems)


def _repeats(environment: Environment, states: Mapping[str, Sequence[InitialState]]) -> Finding:
    one, other = states["layout"][:2]
    first = _rollout(environment, one)
    _rollout(environment, other)
    again = _rollout(environment, one)
    problems: list[str] = []
    if first[0] != again[0]:
        problems.append("an initial state is not restored after another episode")
    if first[1] != again[1]:
        problems.append("the same actions end in another state")
    if first[2] != again[2]:
        problems.append("the same state gives other pictures")
    return _finding("same scene, seed and actions: same bytes", problems)


def _same_pixels(environment: Environment, states: Mapping[str, Sequence[InitialState]]) -> Finding:
    state = states["layout"][0]
    views = [_pixels(environment.begin(state, task, 1)) for task in state.tasks[:2]]
    problems = (
        ["the first picture differs between two instructions: it gives the answer away"]
        if len(set(views)) > 1
        else []
    )
    return _finding("only the words differ between instructions", problems)


def _oracle(environment: Environment, states: Mapping[str, Sequence[InitialState]]) -> Finding:
    problems: list[str] = []
    for state in states["layout"]:
        _begin(environment, state)
        judged = environment.judge()
        known = {task.id for task in state.tasks}
        if judged.achieved:
            problems.append(f"{judged.achieved} hold in {state.id!r} before anything was done")
        if not set(judged.progress) <= known:
            problems.append(f"progress names unknown tasks: {set(judged.progress) - known}")
    return _finding("the oracle starts from nothing achieved", problems)


def _demonstrator(
    environment: Environment,
    states: Mapping[str, Sequence[InitialState]],
    demonstrate: Callable[[Any], NDArray[np.float32]] | None,
) -> Finding:
    question = "the oracle sees success"
    if demonstrate is None:
        return _finding(question, [], "not asked: there is no demonstrator; bring recordings")
    results: list[bool] = []
    for state in states["train"]:
        task = state.tasks[0]
        environment.begin(state, task, 0)
        steps, done = 0, False
        while steps < environment.max_steps and not done:
            environment.apply(demonstrate(task))
            steps, done = steps + 1, task.id in environment.judge().achieved
        results.append(done)
    words = f"the demonstrator succeeds in {sum(results)} of {len(results)} scenes"
    return _finding(question, [] if any(results) else [words], words)


def _speed(environment: Environment, states: Mapping[str, Sequence[InitialState]]) -> Finding:
    began = time.perf_counter()
    _begin(environment, states["layout"][0])
    begin_s = time.perf_counter() - began
    plain, looking = (_seconds(environment, look=look) for look in (False, True))
    words = (
        f"{begin_s:.2f} s to begin, {1 / plain:.0f} steps a second without and "
        f"{1 / looking:.1f} with pictures"
    )
    return _finding("speed", [] if looking * SLOWEST_HZ < 1 else [f"too slow: {words}"], words)


def _seconds(environment: Environment, *, look: bool) -> float:
    began = time.perf_counter()
    for action in itertools.islice(_actions(environment, 1), STEPS):
        environment.apply(action)
        if look:
            _pixels(environment.observe())
    return (time.perf_counter() - began) / STEPS


def _begin(environment: Environment, state: InitialState) -> Observation:
    return environment.begin(state, state.tasks[0], 1)


def _rollout(environment: Environment, state: InitialState) -> tuple[str, str, bytes]:
    _begin(environment, state)
    start = environment.state_hash()
    for action in itertools.islice(_actions(environment, 0), STEPS):
        environment.apply(action)
    return start, environment.state_hash(), _pixels(environment.observe())


def _pixels(observation: Observation) -> bytes:
    return b"".join(observation.images[name].tobytes() for name in sorted(observation.images))


def _actions(environment: Environment, seed: int) -> Any:
    rng = np.random.default_rng(seed)
    low = [dim.low if dim.low is not None else -1.0 for dim in environment.takes.dims]
    high = [dim.high if dim.high is not None else 1.0 for dim in environment.takes.dims]
    while True:
        yield rng.uniform(low, high).astype(np.float32)
