"""From comparisons to one answer: who listens, who is fast enough, who may win, who is left."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from vertebra.spec.record import EpisodeRecord
from vertebra.spec.task import Outcome
from vertebra.stats.crossed import rate
from vertebra.stats.interval import Estimate
from vertebra.stats.quantile import quantile
from vertebra.verdict.compare import SIDES, TWIN, sides
from vertebra.verdict.grounding import swapped, tasks_by_state
from vertebra.verdict.measure import followed, rollouts
from vertebra.verdict.rule import (
    BARRED_DEAF,
    NOT_TIMED,
    SEEDS_REQUIRED,
    TOO_SLOW,
    Standing,
    admitted,
    over_all,
    undefeated,
)
from vertebra.verdict.run import Run
from vertebra.verdict.summary import (
    BETTER_FIRST,
    CANNOT_TELL,
    DEAF,
    LISTENS,
    UNSKILLED,
    Comparison,
    Listening,
    Point,
    Speed,
)

COMPETENT = 0.2
"""Success rate below which an arm has not learnt to act, so that its grounding says nothing."""
ACTS = 0.5
"""Share of rollouts that achieve any task from which on an arm may be called deaf."""
DEAF_BELOW = 0.25
"""An arm does not follow language when its score is shown to be below this: less than a quarter of
the way from doing the asked task by chance to always doing it."""


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """The answer, before it is put into words.

    Attributes:
        words: Pair of arms to the word over all endpoints.
        without_bars: The same, had every arm been admitted.
        standings: Whether each sighted arm may win.
        undefeated: Sighted arms that no other was shown to beat.
    """

    words: Mapping[tuple[str, str], str]
    without_bars: Mapping[tuple[str, str], str]
    standings: Mapping[str, Standing]
    undefeated: tuple[str, ...]


def judge(
    run: Run,
    comparisons: Sequence[Comparison],
    listening: Sequence[Listening],
    speeds: Sequence[Speed],
) -> Judgement:
    """Apply the rule to every pair of sighted arms."""
    standings = {one.arm: _standing(one, speeds) for one in listening}
    pairs = sides(run.plan)
    plain = {
        pair: over_all(
            [c.word for c in comparisons if c.kind == SIDES and (c.first, c.second) == pair]
        )
        for pair in pairs
    }
    words = {
        (first, second): admitted(
            word, standings.get(first, Standing()), standings.get(second, Standing())
        )
        for (first, second), word in plain.items()
    }
    sighted = [arm.name for arm in run.plan.arms if not arm.blind]
    return Judgement(
        words=words,
        without_bars=plain,
        standings=standings,
        undefeated=undefeated(sighted, words),
    )


def _standing(one: Listening, speeds: Sequence[Speed]) -> Standing:
    speed = next((speed for speed in speeds if speed.arm == one.arm), None)
    bar = ""
    if speed is not None and speed.keeps is not True:
        bar = TOO_SLOW if speed.keeps is False else NOT_TIMED
    elif one.word == DEAF:
        bar = BARRED_DEAF
    return Standing(bar=bar, able=one.word != UNSKILLED, listens=one.word == LISTENS)


def listening_of(
    point: Point, records: Sequence[EpisodeRecord], comparisons: Sequence[Comparison]
) -> Listening:
    """Whether a sighted arm does what it is told, from its rollouts and its blind twin's."""
    chosen = swapped(records)
    acts = rate(rollouts(chosen, _achieved_any))
    score = _score(chosen)
    twin = [c for c in comparisons if c.kind == TWIN and c.first == point.arm]
    word = CANNOT_TELL
    if twin and all(c.word == BETTER_FIRST for c in twin):
        word = LISTENS
    elif acts is not None and acts.seeds >= SEEDS_REQUIRED and _is_deaf(acts, score):
        word = DEAF
    elif point.success is not None and point.success.value < COMPETENT:
        word = UNSKILLED
    return Listening(arm=point.arm, word=word, acts=acts, score=score)


def _achieved_any(record: EpisodeRecord) -> bool:
    return record.outcome != Outcome.ERROR and bool(record.achieved)


def _is_deaf(acts: Estimate, score: Estimate | None) -> bool:
    return (
        acts.value >= ACTS
        and score is not None
        and score.high is not None
        and score.high < DEAF_BELOW
    )


def _score(chosen: Sequence[EpisodeRecord]) -> Estimate | None:
    """How far from chance (0) to always (1) the achieved task is the asked one."""
    achieved = [r for r in chosen if _achieved_any(r)]
    followed_share = rate(rollouts(achieved, followed))
    if followed_share is None:
        return None
    tasks = tasks_by_state(chosen)
    chance = sum(1 / len(tasks[r.split, r.initial_state]) for r in achieved) / len(achieved)

    def scaled(share: float | None) -> float | None:
        return None if share is None else (share - chance) / (1 - chance)

    return replace(
        followed_share,
        value=(followed_share.value - chance) / (1 - chance),
        low=scaled(followed_share.low),
        high=scaled(followed_share.high),
        method=followed_share.method + ", from chance to always",
    )


def speeds_of(run: Run) -> tuple[Speed, ...]:
    """Whether each sighted arm keeps the latency limit; empty without a limit."""
    limit = run.plan.criteria.limit_s
    if limit is None:
        return ()
    found: list[Speed] = []
    for arm in run.plan.arms:
        if arm.blind:
            continue
        p95 = quantile(run.latency.get(arm.name, {}).get("chunk", ()), 0.95)
        keeps = None
        if p95 is not None and p95.high is not None and p95.high <= limit:
            keeps = True
        elif p95 is not None and p95.low is not None and p95.low > limit:
            keeps = False
        found.append(Speed(arm=arm.name, limit_s=limit, p95_s=p95, keeps=keeps))
    return tuple(found)
