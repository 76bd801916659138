"""From a run to its summary."""

from collections.abc import Sequence
from dataclasses import replace

from vertebra.stats.crossed import rate
from vertebra.verdict.about import about_looks
from vertebra.verdict.adapt import adaptations, lesson_ratios
from vertebra.verdict.again import again
from vertebra.verdict.answers import answered
from vertebra.verdict.cheapest import purchases
from vertebra.verdict.compare import comparisons, records_of
from vertebra.verdict.cost import cost, has_episodes, latencies, price
from vertebra.verdict.factors import effects
from vertebra.verdict.grounding import grounding
from vertebra.verdict.judge import judge, listening_of, speeds_of
from vertebra.verdict.language import languages
from vertebra.verdict.measure import (
    conditions,
    headline,
    headline_split,
    imagination,
    offline,
    rollouts,
    slices,
    succeeded,
)
from vertebra.verdict.run import Arm, Job, Run
from vertebra.verdict.summary import Point, Reference, Summary
from vertebra.verdict.words import Findings, running, verdict


def summarise(run: Run) -> Summary:
    """Everything a report shows, from a run that may be finished in part or not at all."""
    skills = {record.task: record.skill for job in run.jobs for record in job.records}
    groups = [
        (arm, count, [j for j in run.jobs if j.arm == arm.name and j.demonstrations == count])
        for arm in run.plan.arms
        for count in sorted({s.demonstrations for s in run.plan.slots if s.arm == arm.name})
    ]
    planned = [record for job in run.jobs for record in job.records]
    finished = [(arm, count, jobs) for arm, count, jobs in groups if jobs]
    found = tuple(_point(run, arm, count, jobs, skills) for arm, count, jobs in finished)
    compared = comparisons(run)
    heard = tuple(
        listening_of(point, records_of(run, point.arm, point.demonstrations), compared)
        for point in _largest(found)
        if not point.blind
    )
    speeds = speeds_of(run)
    findings = Findings(
        points=found,
        comparisons=compared,
        listening=heard,
        speeds=speeds,
        latencies=latencies(run),
        judgement=judge(run, compared, heard, speeds),
        running=running(run),
    )
    prices = tuple(
        price(run, arm.name)
        for arm in run.plan.arms
        if not arm.blind and has_episodes(run, arm.name)
    )
    return Summary(
        plan=run.plan.hash,
        environment=run.plan.environment,
        privileged=run.plan.privileged,
        criteria=run.plan.criteria,
        locked_criteria=run.plan.locked_criteria,
        changes=run.changes,
        looks=run.plan.looks,
        extensions=about_looks(run),
        jobs_planned=len(run.plan.slots),
        jobs_finished=len(run.jobs),
        running=findings.running,
        failed=tuple(f"{failure.job}: {failure.why}" for failure in run.failures),
        verdict=answered(verdict(run, findings), run, compared, prices),
        points=found,
        comparisons=compared,
        references=_references(run),
        latency=findings.latencies,
        costs=tuple(cost(arm.name, count, jobs) for arm, count, jobs in finished),
        prices=prices,
        purchases=purchases(run),
        listening=heard,
        speeds=speeds,
        effects=effects(run),
        language=languages(run),
        timed_on=run.timed_on,
        again=again(run.again, planned),
        adaptations=adaptations(run.again, planned, run.plan.criteria),
        lesson_ratios=lesson_ratios(run.again, run.plan.criteria),
    )


def _largest(found: Sequence[Point]) -> list[Point]:
    """Each arm at its largest finished number of demonstrations."""
    return list({p.arm: p for p in sorted(found, key=lambda p: p.demonstrations)}.values())


def _point(run: Run, arm: Arm, count: int, jobs: Sequence[Job], skills: dict[str, str]) -> Point:
    records = records_of(run, arm.name, count)
    split = headline_split(run)
    chosen = headline(records, split)
    return Point(
        arm=arm.name,
        recipe=arm.recipe,
        family=arm.family,
        blind=arm.blind,
        demonstrations=count,
        jobs=tuple(job.id for job in jobs),
        seeds_planned=sum(
            (slot.arm, slot.demonstrations) == (arm.name, count) for slot in run.plan.slots
        ),
        success=rate(rollouts(chosen, succeeded, run.plan.criteria.mix)),
        success_split=split,
        slices=slices(records),
        conditions=conditions(records),
        grounding=grounding(records, skills, split, run.plan.criteria.mix),
        errors=sum(record.outcome == "error" for record in records),
        episodes=len(records),
        still_improving=sum(bool(job.training.get("still_improving")) for job in jobs),
        imagination=imagination(jobs),
        offline=offline(jobs),
    )


def _references(run: Run) -> tuple[Reference, ...]:
    split = headline_split(run)
    found: list[Reference] = []
    for arm in dict.fromkeys(record.arm for record in run.references):
        chosen = headline([record for record in run.references if record.arm == arm], split)
        estimate = rate(rollouts(chosen, succeeded))
        if estimate is not None:
            unseeded = replace(estimate, seeds=0, method="t over initial states")
            found.append(Reference(arm=arm, success=unseeded, split=split))
    return tuple(found)
