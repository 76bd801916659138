"""Policies evaluated again under other conditions, beside what they did in the same episodes."""

from collections.abc import Sequence

from vertebra.spec.record import EpisodeRecord
from vertebra.stats.crossed import difference, rate
from vertebra.stats.quantile import quantile
from vertebra.verdict.adapt import ADAPT
from vertebra.verdict.again_read import Again, AgainJob, Waiting
from vertebra.verdict.measure import pairs, rollouts, succeeded


def again(jobs: Sequence[AgainJob], planned: Sequence[EpisodeRecord]) -> tuple[Again, ...]:
    """Compare every arm under every other condition with itself as planned.

    Args:
        jobs: What was evaluated again; lessons are left to :mod:`vertebra.verdict.adapt`.
        planned: Episodes of the same arms as the plan had them.
    """
    groups: dict[tuple[str, str, str, int], list[AgainJob]] = {}
    for job in jobs:
        if job.kind == ADAPT:
            continue
        groups.setdefault((job.kind, job.label, job.arm, job.demonstrations), []).append(job)
    found = [_one(group, planned) for group in groups.values()]
    return tuple(one for one in found if one is not None)


def _one(jobs: Sequence[AgainJob], planned: Sequence[EpisodeRecord]) -> Again | None:
    first = jobs[0]
    records = [record for job in jobs for record in job.records]
    success = rate(rollouts(records, succeeded))
    if success is None:
        return None
    own = [
        r
        for r in planned
        if (r.arm, r.demonstrations, r.condition) == (first.arm, first.demonstrations, "asked")
    ]
    here, there = pairs(records, own, same_words=False)
    return Again(
        kind=first.kind,
        label=first.label,
        words=first.words,
        arm=first.arm,
        demonstrations=first.demonstrations,
        planned=rate(rollouts(there, succeeded)),
        success=success,
        difference=difference(rollouts(here, succeeded), rollouts(there, succeeded)),
        waiting=_waiting(jobs) if first.kind == "realtime" else None,
    )


def _waiting(jobs: Sequence[AgainJob]) -> Waiting:
    def total(name: str) -> int:
        return sum(int(job.result[name]) for job in jobs)

    charged = [s for job in jobs for record in job.records for s in record.timing.latency_s]
    return Waiting(
        held_share=total("held") / max(1, total("ticks")),
        stale_share=total("stale") / max(1, total("executed")),
        emulated=bool(jobs[0].facts["emulated"]),
        p50_s=quantile(charged, 0.5),
        p95_s=quantile(charged, 0.95),
        p99_s=quantile(charged, 0.99),
    )
