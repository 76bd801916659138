"""Paired comparisons of arms, and when a difference may be put into words.

Rules, fixed before any number is seen:
- the unit is the training recipe; fewer than three shared training seeds: cannot tell;
- pairs share training seed, initial state, simulator seed and task;
- a sighted arm *listens* when it beats its blind twin in following **and** in success (both
  intervals exclude zero; both must hold, so neither is corrected);
- one side is *better* when a corrected (Holm) p value is below 0.05 on following or success
  in its favour and none is in favour of the other.
"""

from collections.abc import Sequence
from dataclasses import replace

from vertebra.spec.record import EpisodeRecord
from vertebra.stats.crossed import difference, p_value, seeds_needed
from vertebra.stats.paired import holm
from vertebra.verdict.grounding import swapped
from vertebra.verdict.measure import (
    SEEDS_REQUIRED,
    followed,
    headline,
    headline_split,
    pairs,
    rollouts,
    succeeded,
)
from vertebra.verdict.run import Plan, Run
from vertebra.verdict.summary import BETTER_FIRST, BETTER_SECOND, CANNOT_TELL, Comparison

ALPHA = 0.05
FOLLOWING, SUCCESS = "following", "success"


def records_of(run: Run, arm: str, demonstrations: int) -> list[EpisodeRecord]:
    """All episodes of an arm's finished jobs at one number of demonstrations."""
    return [
        record
        for job in run.jobs
        if job.arm == arm and job.demonstrations == demonstrations
        for record in job.records
    ]


def twins(plan: Plan) -> list[tuple[str, str]]:
    """Sighted arms with their blind twins, in the order of the plan."""
    blind = {arm.recipe: arm.name for arm in plan.arms if arm.blind}
    return [
        (arm.name, blind[arm.recipe]) for arm in plan.arms if not arm.blind and arm.recipe in blind
    ]


def sides(plan: Plan) -> list[tuple[str, str]]:
    """All pairs of sighted arms; the first pair of two families comes first."""
    sighted = [arm for arm in plan.arms if not arm.blind]
    found = [(a, b) for i, a in enumerate(sighted) for b in sighted[i + 1 :]]
    found.sort(key=lambda pair: pair[0].family == pair[1].family)
    return [(a.name, b.name) for a, b in found]


def comparisons(run: Run) -> tuple[Comparison, ...]:
    """Every comparison that the plan foresees, finished or not."""
    found: list[Comparison] = []
    for kind, arms in (("twin", twins(run.plan)), ("sides", sides(run.plan))):
        of_kind = [
            _compare(run, kind, measure, first, second)
            for first, second in arms
            for measure in (FOLLOWING, SUCCESS)
        ]
        found += _worded(of_kind, correct=kind == "sides")
    return tuple(found)


def _compare(run: Run, kind: str, measure: str, first: str, second: str) -> Comparison:
    count = _common_count(run.plan, first, second)
    good = followed if measure == FOLLOWING else succeeded
    split = headline_split(run)

    def choose(records: Sequence[EpisodeRecord]) -> list[EpisodeRecord]:
        return swapped(records) if measure == FOLLOWING else headline(records, split)

    one, other = pairs(
        choose(records_of(run, first, count)), choose(records_of(run, second, count))
    )
    a, b = rollouts(one, good), rollouts(other, good)
    estimate = difference(a, b)
    missing = ""
    if estimate is None or estimate.seeds < SEEDS_REQUIRED:
        seeds = 0 if estimate is None else estimate.seeds
        missing = f"it takes {SEEDS_REQUIRED} training seeds finished on both sides, so far {seeds}"
    elif not estimate.excludes_zero:
        needed = seeds_needed(a, b)
        missing = (
            f"about {needed} seeds on each side would settle a difference of this size"
            if needed is not None
            else "not even 50 seeds on each side would settle a difference of this size"
        )
    p = p_value(a, b)
    return Comparison(
        kind=kind,
        measure=measure,
        first=first,
        second=second,
        demonstrations=count,
        difference=estimate,
        p=p,
        p_holm=p,
        word=CANNOT_TELL,
        missing=missing,
    )


def _common_count(plan: Plan, first: str, second: str) -> int:
    """Largest number of demonstrations planned for both (0 when there is none)."""
    counts = [{s.demonstrations for s in plan.slots if s.arm == arm} for arm in (first, second)]
    return max(counts[0] & counts[1], default=0)


def _worded(found: list[Comparison], *, correct: bool) -> list[Comparison]:
    """Add the word; correct the p values first where any one of several may decide."""
    if correct:
        tested = [c for c in found if c.p is not None and not _too_few_seeds(c)]
        adjusted = holm([c.p for c in tested if c.p is not None])
        by_id = {id(c): p for c, p in zip(tested, adjusted, strict=True)}
        found = [replace(c, p_holm=by_id.get(id(c), c.p)) for c in found]
    return [_with_word(c) for c in found]


def _with_word(c: Comparison) -> Comparison:
    estimate = c.difference
    if estimate is None or _too_few_seeds(c) or not estimate.excludes_zero:
        return c
    if c.p_holm is None or c.p_holm >= ALPHA:
        return replace(
            c,
            missing="the interval excludes zero, but not after correction for the number of "
            "comparisons made; more training seeds are needed",
        )
    return replace(c, word=BETTER_FIRST if estimate.value > 0 else BETTER_SECOND)


def _too_few_seeds(c: Comparison) -> bool:
    return c.difference is None or c.difference.seeds < SEEDS_REQUIRED
