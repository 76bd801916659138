"""What an arena has shown: votes for a ranking, and a record of every counted episode."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vertebra.serve.arena.comparison import Comparison, Episode, state_after, votes
from vertebra.serve.arena.journal import read_journal
from vertebra.serve.arena.referee import JOURNAL
from vertebra.spec.record import EpisodeRecord, Timing
from vertebra.spec.storage import digest, read_jsonl
from vertebra.spec.task import Outcome
from vertebra.stats.bradley_terry import Vote

VOTES, RECORDS = "votes.jsonl", "records.jsonl"
SPLIT = "arena"


@dataclass(frozen=True, kw_only=True)
class Listening:
    """What a policy did where one scene allowed two instructions.

    Attributes:
        policy: Its name.
        episodes: Episodes, half of them under each instruction.
        done: Those in which it did what it was told.
        other_done: Those in which it did what the other instruction asks for.
    """

    policy: str
    episodes: int
    done: int
    other_done: int


def read_comparisons(directory: Path) -> tuple[Comparison, ...]:
    """The comparisons of an arena; none where there is no journal.

    Raises:
        ValueError: When the journal was edited.
    """
    if not (directory / JOURNAL).is_file():
        return ()
    return state_after(read_journal(directory / JOURNAL)).comparisons


def read_votes(directory: Path) -> list[Vote]:
    """The valid comparisons of an arena, or of imported ones.

    Raises:
        ValueError: When the directory holds neither.
    """
    if (directory / JOURNAL).is_file():
        return votes(read_comparisons(directory))
    if (directory / VOTES).is_file():
        rows = read_jsonl(directory / VOTES)
        return [Vote(a=row["a"], b=row["b"], preference=row["preference"]) for row in rows]
    raise ValueError(f"{directory} holds neither {JOURNAL} nor {VOTES}; give an arena's directory.")


def listening(comparisons: Sequence[Comparison]) -> tuple[Listening, ...]:
    """How each policy took its words, in valid comparisons whose scene allowed two instructions."""
    found: dict[str, list[Episode]] = {}
    for comparison in comparisons:
        if comparison.valid and comparison.other:
            for episode in comparison.episodes:
                arm = comparison.pair["AB".index(episode.label)]
                found.setdefault(arm, []).append(episode)
    return tuple(
        Listening(
            policy=arm,
            episodes=len(rows),
            done=sum(row.progress == 100.0 for row in rows),
            other_done=sum(row.other_done for row in rows),
        )
        for arm, rows in sorted(found.items())
    )


def comparison_records(comparisons: Sequence[Comparison], environment: str) -> list[EpisodeRecord]:
    """A record of every scored episode of the valid comparisons.

    A progress of 100 is a success. ``demonstrations`` and ``seed`` are what the policy's server
    says of it, 0 when it says nothing; ``steps`` are the actions that the robot was sent.

    Args:
        comparisons: Of one arena.
        environment: Name of the robot and its place.
    """
    return [
        _record(comparison, episode, environment)
        for comparison in comparisons
        if comparison.valid
        for episode in comparison.episodes
        if episode.progress is not None
    ]


def _record(comparison: Comparison, episode: Episode, environment: str) -> EpisodeRecord:
    about = episode.about
    not_said = comparison.instruction if episode.swapped else comparison.other
    done = episode.progress == 100.0
    failed = bool(episode.failures) and not episode.chunks
    return arena_record(
        arm=comparison.pair["AB".index(episode.label)],
        environment=environment,
        comparison=f"comparison-{comparison.number}",
        said=episode.said,
        achieved=((episode.said,) if done else ()) + ((not_said,) if episode.other_done else ()),
        outcome=Outcome.ERROR if failed else Outcome.SUCCESS if done else Outcome.FAILURE,
        progress=(episode.progress or 0.0) / 100,
        steps=episode.actions,
        error="the policy's server failed before the first action" if failed else "",
        about=about,
        latency_s=episode.latency_s,
    )


def arena_record(
    *,
    arm: str,
    environment: str,
    comparison: str,
    said: str,
    achieved: tuple[str, ...],
    outcome: Outcome,
    progress: float,
    steps: int,
    error: str = "",
    about: Any = None,
    latency_s: tuple[float, ...] = (),
) -> EpisodeRecord:
    """A record of one episode; an instruction is its own task, a comparison an initial state."""
    known = dict(about or {})
    return EpisodeRecord(
        pilot=str(known.get("plan", "")),
        arm=arm,
        family=str(known.get("family", "")),
        demonstrations=int(known.get("demonstrations", 0)),
        seed=int(known.get("seed", 0)),
        environment=environment,
        split=SPLIT,
        condition="asked",
        initial_state=comparison,
        initial_hash="",
        scene_seed=0,
        task=said,
        skill="",
        instruction=said,
        outcome=outcome,
        achieved=tuple(sorted(achieved)),
        first_touched=None,
        first_grasped=None,
        target=None,
        progress=progress,
        steps=steps,
        model_evaluations={},
        error=error,
        spec_hash=digest(environment),
        software={"about": known} if known else {},
        timing=Timing(latency_s=latency_s, wall_s=float(sum(latency_s))),
    )
