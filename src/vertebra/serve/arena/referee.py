"""Carries a comparison through: a step is checked, written to the journal, and only then true."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vertebra.serve.arena.comparison import (
    PREFERENCES,
    TEXT_LIMIT,
    Episode,
    Phase,
    State,
    draw_pair,
    require_phase,
    state_after,
    votes,
)
from vertebra.serve.arena.journal import Journal
from vertebra.stats.bradley_terry import rank

JOURNAL = "journal.jsonl"


@dataclass(kw_only=True, eq=False)
class Tally:
    """What the relay counts in the episode that runs."""

    chunks: int = 0
    actions: int = 0
    failures: int = 0
    latency_s: list[float] = field(default_factory=list)
    about: Mapping[str, Any] = field(default_factory=dict)


class Referee:
    """The only one who knows who is A.

    Args:
        directory: Of the arena; continued when it holds a journal.
        policies: Name to address of each policy.
        seed: Root of the draws of a new arena; drawn when ``None``.

    Raises:
        ValueError: When there are fewer than two policies, or known ones have no address.
    """

    def __init__(
        self, directory: Path, policies: Mapping[str, str], seed: int | None = None
    ) -> None:
        if len(policies) < 2:
            raise ValueError(
                f"An arena compares two or more policies, found {len(policies)}: give --policy "
                "NAME=ADDRESS for each."
            )
        self._journal = Journal(directory / JOURNAL)
        self.addresses = dict(policies)
        self.tally = Tally()
        missing = sorted(set(state_after(self._journal.events).policies) - set(policies))
        if missing:
            self._journal.close()
            raise ValueError(f"{directory} has compared {missing} too; give their addresses.")
        drawn = secrets.randbits(62) if seed is None else seed
        self._journal.append("started", policies=self.addresses, seed=drawn)
        self.state = state_after(self._journal.events)
        self._needed = pairs_still_needed(self.state)
        if self.state.phase == Phase.ASKED:  # it ended between the instruction and the draw
            self._draw()

    def ask(self, instruction: str, other: str = "", evaluator: str = "") -> None:
        """Begin a comparison: take the instructions, then draw who acts.

        Raises:
            ValueError: When a comparison is open, or the instructions are empty, equal or too long.
        """
        require_phase(self.state, Phase.IDLE)
        instruction, other = instruction.strip(), other.strip()
        if not instruction or instruction == other:
            raise ValueError(
                "Type an instruction, and leave the second one empty or make it another."
            )
        _require_short(instruction, other, evaluator)
        self._write("asked", instruction=instruction, other=other, evaluator=evaluator.strip())
        self._draw()

    def begin(self) -> None:
        """The scene stands and the robot may act."""
        require_phase(self.state, Phase.READY)
        self.tally = Tally()
        self._write("begun", episode=self.state.episode)

    def end(self) -> None:
        """The robot has stopped."""
        require_phase(self.state, Phase.RUNNING)
        tally = self.tally
        self._write(
            "ended",
            episode=self.state.episode,
            chunks=tally.chunks,
            actions=tally.actions,
            failures=tally.failures,
            latency_s=[round(seconds, 4) for seconds in tally.latency_s],
            about=dict(tally.about),
        )

    def repeat(self, reason: str) -> None:
        """What happened does not count (the robot was bumped): the same episode once more."""
        require_phase(self.state, Phase.RUNNING, Phase.SCORING)
        _require_short(reason)
        self._write("repeated", episode=self.state.episode, reason=reason.strip())

    def score(self, progress: float, other_done: bool = False) -> None:
        """How far the policy came with what it was told, in per cent.

        Raises:
            ValueError: When the progress is not from 0 to 100, or there is no other instruction.
        """
        require_phase(self.state, Phase.SCORING)
        if not 0 <= progress <= 100:
            raise ValueError(f"The progress is {progress}; give 0 to 100 per cent.")
        if other_done and not self.state.open.other:
            raise ValueError("This comparison has no other instruction that could have been done.")
        self._write(
            "scored", episode=self.state.episode, progress=float(progress), other_done=other_done
        )

    def vote(self, preference: str, text: str, valid: bool = True) -> None:
        """Which one was better; this ends the comparison.

        Raises:
            ValueError: When the preference is unknown or the text too long.
        """
        require_phase(self.state, Phase.VOTING)
        if preference not in PREFERENCES:
            raise ValueError(f"The preference is {preference!r}; give one of {PREFERENCES}.")
        _require_short(text)
        self._write("voted", preference=preference, text=text.strip(), valid=valid)

    def drop(self, reason: str) -> None:
        """End the comparison without a vote; it stays in the journal and counts for nothing."""
        open_phases = [phase for phase in Phase if phase != Phase.IDLE]
        require_phase(self.state, *open_phases)
        _require_short(reason)
        self._write("dropped", reason=reason.strip())

    @property
    def running(self) -> tuple[str, str] | None:
        """Address and instruction of the episode that runs, or ``None``."""
        if self.state.phase != Phase.RUNNING:
            return None
        comparison, episode = self.state.open, self.episode
        return self.addresses[comparison.pair["AB".index(episode.label)]], episode.said

    @property
    def episode(self) -> Episode:
        """The present episode."""
        return self.state.open.episodes[self.state.episode]

    def view(self) -> dict[str, Any]:
        """All that an evaluator may know: no name, no address, nothing that tells A from B."""
        state = self.state
        counted = votes(state.comparisons)
        seen: dict[str, Any] = {
            "step": state.step,
            "phase": state.phase.value,
            "policies": len(state.policies),
            "votes": len(counted),
            "needed": self._needed,
        }
        if state.phase in (Phase.IDLE, Phase.ASKED):
            return seen
        comparison, episode = state.open, self.episode
        return {
            **seen,
            "comparison": comparison.number + 1,
            "instruction": comparison.instruction,
            "other": comparison.other,
            "episode": state.episode + 1,
            "episodes": len(comparison.episodes),
            "label": episode.label,
            "said": episode.said,
            "not_said": comparison.instruction if episode.swapped else comparison.other,
            "acting": self.tally.chunks > 0,
            "failed": self.tally.failures > 0,
        }

    def close(self) -> None:
        """Let go of the journal."""
        self._journal.close()

    def _draw(self) -> None:
        a, b = draw_pair(self.state)
        self._write("drawn", a=a, b=b)

    def _write(self, kind: str, **fields: Any) -> None:
        self.state = state_after([self._journal.append(kind, **fields)], self.state)
        if kind == "voted":
            self._needed = pairs_still_needed(self.state)


def pairs_still_needed(state: State) -> int | None:
    """Further comparisons until every pair that differs as estimated is told apart.

    ``None`` while nothing can be estimated, or two policies look exactly equal.
    """
    ranking = rank(votes(state.comparisons))
    ranked = {place.policy for place in ranking.ranks}
    if ranking.problem or ranked != set(state.policies):
        return None
    found = [gap.needed for gap in ranking.gaps]
    return None if None in found else sum(needed or 0 for needed in found)


def _require_short(*texts: str) -> None:
    if any(len(text) > TEXT_LIMIT for text in texts):
        raise ValueError(f"A text is longer than {TEXT_LIMIT} characters; shorten it.")
