"""From a run's records to evidence, and from the rule's decisions to comparisons.

Pairs share training seed, initial state, simulator seed and task. A sighted arm beats its blind
twin in a measure when its interval lies above zero; both measures must hold, so neither is
corrected. Sighted arms are compared by :mod:`vertebra.verdict.rule`.
"""

import math
from collections.abc import Mapping, Sequence

from vertebra.spec.criteria import DEMONSTRATIONS, FOLLOWING, SUCCESS, Criteria
from vertebra.spec.record import EpisodeRecord
from vertebra.stats.contrast import Contrast, contrast, needed
from vertebra.stats.crossed import Rollout, difference
from vertebra.stats.interval import LEVEL, Estimate
from vertebra.stats.scaling import Cell, DemoRatio, demo_ratio
from vertebra.verdict.grounding import swapped
from vertebra.verdict.measure import (
    followed,
    headline,
    headline_split,
    pairs,
    rollouts,
    succeeded,
)
from vertebra.verdict.rule import SEEDS_REQUIRED, Decision, Evidence, decide, level_at
from vertebra.verdict.run import Plan, Run
from vertebra.verdict.summary import CANNOT_TELL, Comparison

TWIN, SIDES = "twin", "sides"
SPLITS = ("layout", "pair", "composition", "paraphrase")
"""Splits in the order in which they are shown; others follow."""
MORE_SEEDS = 2
"""Training seeds that are proposed where it is not known how many would do."""
Shown = tuple[Evidence, Estimate | None, str]
"""Evidence, how it is shown, and why there is none."""


def records_of(run: Run, arm: str, demonstrations: int) -> list[EpisodeRecord]:
    """All episodes of an arm's finished jobs at one number of demonstrations, in one order.

    The order is that of the seeds, splits, states and tasks, not that in which they were written.
    """
    found = [
        record
        for job in run.jobs
        if job.arm == arm and job.demonstrations == demonstrations
        for record in job.records
    ]
    return sorted(found, key=_place)


def _place(r: EpisodeRecord) -> tuple[int, int, str, str, str, str, str]:
    known = SPLITS.index(r.split) if r.split in SPLITS else len(SPLITS)
    return (r.seed, known, r.split, r.initial_state, r.task, r.condition, r.instruction)


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
    level = level_at(run.plan.looks)
    for pair in twins(run.plan):
        for measure in (FOLLOWING, SUCCESS):
            shown = _of_rates(run, measure, *pair, margin=0.0)
            found.append(_comparison(run, TWIN, shown, *decide([shown[0]], level), questions=1))
    asked = [
        _evidence(run, e, *pair) for pair in sides(run.plan) for e in run.plan.criteria.endpoints
    ]
    decisions = decide([evidence for evidence, _, _ in asked], level)
    for shown, decision in zip(asked, decisions, strict=True):
        found.append(_comparison(run, SIDES, shown, decision, questions=len(asked)))
    return tuple(found)


def cells_of(run: Run, arm: str) -> list[Cell]:
    """Success of every finished training of an arm on the headline split, in the task mix."""
    split, mix = headline_split(run), run.plan.criteria.mix
    found = [
        cell_of(headline(job.records, split), job.demonstrations, job.seed, mix)
        for job in run.jobs
        if job.arm == arm
    ]
    return [cell for cell in found if cell is not None]


def cell_of(
    records: Sequence[EpisodeRecord],
    demonstrations: int,
    seed: int,
    mix: Mapping[str, float] | None = None,
) -> Cell | None:
    """Success of one training; ``None`` when nothing counts.

    A chain counts by its links: how many were completed, of how many that were asked for.
    """
    weighted = rollouts(records, succeeded, mix)
    if not weighted:
        return None
    links = sum(record.links for record in records)
    done = sum(record.completed * one.weight for record, one in zip(records, weighted, strict=True))
    # Weights have a mean of 1; the ends of a rate stay the ends under rounding.
    return Cell(
        demonstrations=demonstrations, successes=min(float(links), done), trials=links, seed=seed
    )


def paired_rollouts(
    run: Run, measure: str, arms: Sequence[str], count: int
) -> list[list[EpisodeRecord]]:
    """The rollouts that all arms share in one measure, in the same order."""
    split = headline_split(run)
    chosen = [
        swapped(records_of(run, arm, count))
        if measure == FOLLOWING
        else headline(records_of(run, arm, count), split)
        for arm in arms
    ]
    for _ in range(2):  # the second round gives every arm what the last one left
        for other in range(1, len(chosen)):
            chosen[0], chosen[other] = pairs(chosen[0], chosen[other])
    return chosen


def rates_contrast(
    run: Run, measure: str, weights: Sequence[tuple[str, float]], count: int
) -> tuple[Contrast | None, int]:
    """A weighted sum of rates over shared rollouts, and the shared training seeds."""
    rows = _rows(run, measure, [arm for arm, _ in weights], count)
    found = contrast([(weight, row) for (_, weight), row in zip(weights, rows, strict=True)])
    return found, len({row.seed for row in rows[0]})


def common_count(plan: Plan, arms: Sequence[str]) -> int:
    """Largest number of demonstrations planned for all arms (0 when there is none)."""
    counts = [{s.demonstrations for s in plan.slots if s.arm == arm} for arm in arms]
    shared = {count for count in counts[0] if all(count in other for other in counts)}
    return max(shared, default=0)


def _evidence(run: Run, endpoint: str, first: str, second: str) -> Shown:
    if endpoint == DEMONSTRATIONS:
        return _of_demonstrations(run, first, second)
    return _of_rates(run, endpoint, first, second, margin=run.plan.criteria.minimum_difference)


def evidence_of_rates(
    endpoint: str, arms: tuple[str, str], rows: Sequence[Sequence[Rollout]], margin: float
) -> Evidence:
    """What two arms' shared rollouts say about one rate; ``rows`` in the order of ``arms``."""
    found = contrast([(1.0, rows[0]), (-1.0, rows[1])])
    return Evidence(
        endpoint=endpoint,
        first=arms[0],
        second=arms[1],
        margin=margin,
        found=found,
        seeds=len({row.seed for row in rows[0]}),
    )


def evidence_of_demonstrations(
    arms: tuple[str, str], cells: Sequence[Sequence[Cell]], criteria: Criteria
) -> tuple[Evidence, str]:
    """What two arms' trainings say about demonstrations to the target, or why nothing."""
    found, why = demo_ratio(cells[0], cells[1], criteria.target_success)
    evidence = Evidence(
        endpoint=DEMONSTRATIONS,
        first=arms[0],
        second=arms[1],
        margin=math.log(criteria.minimum_ratio),
        found=found,
        seeds=0 if found is None else found.seeds,
    )
    return evidence, why


def _of_rates(run: Run, measure: str, first: str, second: str, *, margin: float) -> Shown:
    count = common_count(run.plan, (first, second))
    rows = _rows(run, measure, (first, second), count)
    evidence = evidence_of_rates(measure, (first, second), rows, margin)
    if isinstance(evidence.found, Contrast):
        return evidence, evidence.found.estimate(), ""
    # One training seed: a difference of checkpoints, shown and never decided on.
    return evidence, difference(rows[0], rows[1]), ""


def _rows(run: Run, measure: str, arms: Sequence[str], count: int) -> list[list[Rollout]]:
    good = followed if measure == FOLLOWING else succeeded
    shared = paired_rollouts(run, measure, arms, count)
    return [rollouts(records, good, run.plan.criteria.mix) for records in shared]


def _of_demonstrations(run: Run, first: str, second: str) -> Shown:
    cells = [cells_of(run, arm) for arm in (first, second)]
    evidence, why = evidence_of_demonstrations((first, second), cells, run.plan.criteria)
    found = evidence.found
    return evidence, as_ratio(found) if isinstance(found, DemoRatio) else None, why


def as_ratio(found: DemoRatio) -> Estimate:
    """A ratio of demonstrations with its interval, open ends ``None``."""
    low, high = found.interval()
    return Estimate(
        value=math.exp(found.value),
        low=math.exp(low) if low > -700 else None,
        high=math.exp(high) if high < 700 else None,
        level=LEVEL,
        n=found.cells,
        seeds=found.seeds,
        states=0,
        method=f"t({found.fits.freedom}) over {found.seeds} seeds an arm, shared slope",
    )


def _comparison(
    run: Run, kind: str, shown: Shown, decision: Decision, questions: int
) -> Comparison:
    evidence, estimate, why = shown
    ratio = evidence.endpoint == DEMONSTRATIONS
    missing, seeds = _missing(run, evidence, decision, questions)
    return Comparison(
        kind=kind,
        measure=evidence.endpoint,
        first=evidence.first,
        second=evidence.second,
        demonstrations=0 if ratio else common_count(run.plan, (evidence.first, evidence.second)),
        difference=estimate,
        margin=math.exp(evidence.margin) if ratio else evidence.margin,
        p=decision.p,
        p_holm=decision.p_holm,
        p_equal=decision.p_equal,
        word=decision.word,
        missing=why or missing,
        settled_by=None if why else seeds,
    )


def _missing(
    run: Run, evidence: Evidence, decision: Decision, questions: int
) -> tuple[str, int | None]:
    """What it would take, in words (empty when it was decided), and the seeds an extension needs.

    What settles it is read after one more look, so it is judged at the level of that look.
    """
    if decision.word != CANNOT_TELL:
        return "", None
    found = evidence.found
    if found is None or evidence.seeds < SEEDS_REQUIRED:
        return (
            f"it takes {SEEDS_REQUIRED} training seeds finished on both sides, so far "
            f"{evidence.seeds}"
        ), SEEDS_REQUIRED
    if not isinstance(found, Contrast):
        return (
            "more training seeds, or more numbers of demonstrations around the target",
            evidence.seeds + MORE_SEEDS,
        )
    wanted = needed(found, evidence.margin, level_at(run.plan.looks + 1) / questions)
    lead = ""
    if found.estimate().excludes_zero and abs(found.value) > evidence.margin > 0:
        lead = (
            f"the lead is more than nothing, but not shown to reach the "
            f"{100 * evidence.margin:.0f} points that matter; "
        )
    if wanted is None:
        lasting = "not even 30 seeds on each side and eight times the scenes would settle it"
        return lead + lasting, None
    seeds, states = wanted
    scenes = "" if states <= found.states else f" and {states} scenes instead of {found.states}"
    settles = "would settle a difference of this size"
    if abs(found.value) <= evidence.margin:
        settles = "would show them equivalent, if the difference stays this small"
    words = f"{lead}about {seeds} seeds on each side{scenes} {settles}"
    return words, None if scenes else seeds
