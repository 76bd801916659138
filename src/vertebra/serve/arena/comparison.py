"""What happens in an arena, as a state that follows from its events alone.

A comparison: an instruction is typed (and perhaps a second one that the same scene allows), only
then a pair is drawn and called A and B; each acts once for each instruction, from the same scene,
and gets a progress from 0 to 100; then one is preferred. Who is A is in the journal and nowhere
else.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import combinations
from typing import Any

import numpy as np

from vertebra.spec.seeds import seed_at
from vertebra.stats.bradley_terry import Preference, Vote

PREFERENCES: tuple[Preference, ...] = ("A", "B", "tie")
TEXT_LIMIT = 4000


class Phase(StrEnum):
    """What the evaluator is asked for next."""

    IDLE = "idle"
    ASKED = "asked"
    READY = "ready"
    RUNNING = "running"
    SCORING = "scoring"
    VOTING = "voting"


@dataclass(frozen=True, kw_only=True)
class Episode:
    """One policy acting once.

    Attributes:
        label: ``A`` or ``B``.
        said: What it is told.
        swapped: Whether that is the second instruction.
        progress: Percent, once it was scored.
        other_done: Whether it did what the other instruction asks for.
        chunks: Chunks that the robot got.
        actions: Actions in them.
        latency_s: Seconds from request to answer, chunk by chunk.
        failures: Errors of the policy or its server.
        about: What its server says of it.
    """

    label: str
    said: str
    swapped: bool
    progress: float | None = None
    other_done: bool = False
    chunks: int = 0
    actions: int = 0
    latency_s: tuple[float, ...] = ()
    failures: int = 0
    about: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One comparison.

    Attributes:
        number: From 0.
        instruction: What was typed first.
        other: A second instruction that the same scene allows, or empty.
        evaluator: Who types, when they say so.
        pair: Policies called A and B; empty until drawn.
        episodes: In their order.
        preference: ``A``, ``B`` or ``tie``, once voted.
        text: What the evaluator wrote.
        valid: Whether it counts; ``None`` until voted or dropped.
        time: When it was asked for.
    """

    number: int
    instruction: str
    other: str = ""
    evaluator: str = ""
    pair: tuple[str, ...] = ()
    episodes: tuple[Episode, ...] = ()
    preference: Preference | None = None
    text: str = ""
    valid: bool | None = None
    time: str = ""


@dataclass(frozen=True, kw_only=True)
class State:
    """An arena after some events.

    Attributes:
        step: How many events there were.
        policies: Names of all that may be drawn.
        seed: Root of all draws.
        phase: What comes next.
        episode: Index of the present episode.
        comparisons: All of them; the last one is open unless the phase is idle.
    """

    step: int = 0
    policies: tuple[str, ...] = ()
    seed: int = 0
    phase: Phase = Phase.IDLE
    episode: int = 0
    comparisons: tuple[Comparison, ...] = ()

    @property
    def open(self) -> Comparison:
        """The comparison that is going on."""
        return self.comparisons[-1]


EMPTY = State()


def state_after(events: Iterable[Mapping[str, Any]], state: State = EMPTY) -> State:
    """The state that events lead to, from that of an arena in which nothing has happened."""
    for event in events:
        state = replace(_after(state, event), step=state.step + 1)
    return state


def votes(comparisons: Sequence[Comparison]) -> list[Vote]:
    """The valid comparisons."""
    return [
        Vote(a=one.pair[0], b=one.pair[1], preference=one.preference)
        for one in comparisons
        if one.valid and one.preference is not None
    ]


def draw_pair(state: State) -> tuple[str, str]:
    """Whom to compare next: one of the pairs compared least, A and B by the toss of a coin."""
    counts = Counter(frozenset((vote.a, vote.b)) for vote in votes(state.comparisons))
    pairs = list(combinations(sorted(state.policies), 2))
    least = min(counts[frozenset(pair)] for pair in pairs)
    rng = np.random.default_rng(seed_at(state.seed, "pair", state.open.number))
    rare = [pair for pair in pairs if counts[frozenset(pair)] == least]
    one, other = rare[rng.integers(len(rare))]
    return (one, other) if rng.random() < 0.5 else (other, one)


def require_phase(state: State, *wanted: Phase) -> None:
    """Refuse what is not asked for now.

    Raises:
        ValueError: Naming what is.
    """
    if state.phase not in wanted:
        raise ValueError(
            f"This is not asked for now: the arena is {state.phase}, expected "
            f"{' or '.join(wanted)}. Reload the page."
        )


def _after(state: State, event: Mapping[str, Any]) -> State:
    match event["kind"]:
        case "started":
            names = tuple(sorted({*state.policies, *event["policies"]}))
            seed = event["seed"] if state.step == 0 else state.seed
            # An episode that ran when the arena ended is begun again.
            phase = Phase.READY if state.phase == Phase.RUNNING else state.phase
            return replace(state, policies=names, seed=seed, phase=phase)
        case "asked":
            comparison = Comparison(
                number=len(state.comparisons),
                instruction=event["instruction"],
                other=event["other"],
                evaluator=event["evaluator"],
                time=event["time"],
            )
            return replace(state, phase=Phase.ASKED, comparisons=(*state.comparisons, comparison))
        case "drawn":
            said = [(state.open.instruction, False)]
            said += [(state.open.other, True)] if state.open.other else []
            episodes = tuple(
                Episode(label=label, said=words, swapped=swapped)
                for words, swapped in said
                for label in ("A", "B")
            )
            changed = _with(state, pair=(event["a"], event["b"]), episodes=episodes)
            return replace(changed, phase=Phase.READY, episode=0)
        case "begun":
            return replace(state, phase=Phase.RUNNING)
        case "repeated":
            return replace(state, phase=Phase.READY)
        case "ended":
            told = {name: event[name] for name in ("chunks", "actions", "failures", "about")}
            changed = _with_episode(state, **told, latency_s=tuple(event["latency_s"]))
            return replace(changed, phase=Phase.SCORING)
        case "scored":
            changed = _with_episode(
                state, progress=event["progress"], other_done=event["other_done"]
            )
            last = state.episode + 1 == len(state.open.episodes)
            phase = Phase.VOTING if last else Phase.READY
            return replace(changed, phase=phase, episode=state.episode + (not last))
        case "voted":
            told = {name: event[name] for name in ("preference", "text", "valid")}
            return replace(_with(state, **told), phase=Phase.IDLE, episode=0)
        case "dropped":
            return replace(
                _with(state, valid=False, text=event["reason"]), phase=Phase.IDLE, episode=0
            )
        case unknown:
            raise ValueError(f"The journal holds an event of the unknown kind {unknown!r}.")


def _with(state: State, **changes: Any) -> State:
    return replace(state, comparisons=(*state.comparisons[:-1], replace(state.open, **changes)))


def _with_episode(state: State, **changes: Any) -> State:
    episodes = list(state.open.episodes)
    episodes[state.episode] = replace(episodes[state.episode], **changes)
    return _with(state, episodes=tuple(episodes))
