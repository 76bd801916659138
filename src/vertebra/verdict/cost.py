"""What it cost: latency, the ledger, and demonstrations to the target."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from vertebra.stats.quantile import quantile
from vertebra.stats.scaling import Curve, fit_curve
from vertebra.verdict.compare import cells_of, records_of
from vertebra.verdict.run import Job, Run
from vertebra.verdict.summary import Cost, Latency, Price

UNDETERMINED = "cannot tell: the curve is not determined (too few trainings, or no success)"


def latencies(run: Run) -> tuple[Latency, ...]:
    """Quantiles of every stage of every arm that was timed, in the order of the plan."""
    return tuple(
        Latency(
            arm=arm.name,
            stage=stage,
            n=len(seconds),
            p50_s=quantile(seconds, 0.50),
            p95_s=quantile(seconds, 0.95),
            p99_s=quantile(seconds, 0.99),
        )
        for arm in run.plan.arms
        if arm.name in run.latency
        for stage, seconds in sorted(
            run.latency[arm.name].items(), key=lambda item: _place(item[0])
        )
    )


def _place(stage: str) -> tuple[int, str]:
    """Stages in the order in which they run, the whole chunk last, unknown ones before it."""
    order = {"prefix": 0, "video": 1, "action": 2, "chunk": 4}
    return order.get(stage, 3), stage


def cost(arm: str, demonstrations: int, jobs: Sequence[Job]) -> Cost:
    """Mean ledger of the trainings of one arm at one number of demonstrations."""
    parameters = [
        float(job.training["parameters"]) for job in jobs if job.training.get("parameters")
    ]
    return Cost(
        arm=arm,
        demonstrations=demonstrations,
        trainings=len(jobs),
        language_labels=mean_ledger(jobs, "language_labels"),
        privileged_targets=mean_ledger(jobs, "privileged_targets"),
        video_frames=mean_ledger(jobs, "video_frames"),
        samples=mean_ledger(jobs, "samples"),
        flops=mean_ledger(jobs, "flops"),
        train_seconds=mean_ledger(jobs, "train_seconds"),
        evaluation_seconds=mean_ledger(jobs, "evaluation_seconds"),
        parameters=sum(parameters) / len(parameters) if parameters else None,
    )


def price(run: Run, arm: str) -> Price:
    """How many demonstrations an arm needs for the target success."""
    target = run.plan.criteria.target_success
    cells = cells_of(run, arm)
    counts = sorted({cell.demonstrations for cell in cells})
    nothing = Price(
        arm=arm,
        target=target,
        crossing=None,
        ceiling=1.0,
        words="",
        chains=any(record.links > 1 for job in run.jobs for record in job.records),
    )
    if len(counts) < 2:
        words = f"finished at {len(counts)} of the 2 or more numbers of demonstrations that a curve"
        return replace(nothing, words=f"cannot tell: {words} needs")
    curve = fit_curve(cells)
    if curve is None:
        return replace(nothing, words=UNDETERMINED)
    found = replace(
        nothing, ceiling=curve.ceiling, words=f"{read_curve(curve, target)}{_remarks(curve)}"
    )
    crossing = curve.crossing(target)
    return replace(found, crossing=crossing)


def read_curve(curve: Curve, target: float) -> str:
    """Demonstrations to the target, for people."""
    fewest, most = curve.fits.fewest, curve.fits.most
    crossing = curve.crossing(target)
    if crossing is not None:
        ends = (
            f"{crossing.low:.0f}" if crossing.low is not None else f"under {fewest / 2:.0f}",
            f"{crossing.high:.0f}" if crossing.high is not None else f"over {2 * most}",
        )
        return (
            f"{crossing.demonstrations:.0f} (95 % interval {ends[0]} to {ends[1]}; {_basis(curve)})"
        )
    if curve.at(most)[2] < target:
        return f"> {most} ({_basis(curve)})"
    if curve.at(fewest)[1] > target:
        return f"< {fewest} ({_basis(curve)})"
    return "cannot tell: the target is not between the rates that were measured"


def _basis(curve: Curve) -> str:
    return f"{curve.cells} trainings"


def _remarks(curve: Curve) -> str:
    remarks: list[str] = []
    if curve.ceiling < 1:
        remarks.append(f"levels off near {100 * curve.ceiling:.0f} %")
    if curve.holds is False:
        remarks.append("fitted without the largest number, the curve does not foretell it")
    return "".join(f"; {remark}" for remark in remarks)


def mean_ledger(jobs: Sequence[Job], part: str) -> float:
    """Mean of one part of the ledgers of some trainings."""
    return sum(_number(job.ledger, part) for job in jobs) / len(jobs)


def mean_extra(jobs: Sequence[Job], part: str) -> float:
    """Mean of a part of the ledgers that older trainings did not count, and had nothing of."""
    return sum(float(job.ledger.get(part, 0)) for job in jobs) / len(jobs)


def has_episodes(run: Run, arm: str) -> bool:
    """Whether any finished job of an arm was evaluated in a simulator."""
    return any(records_of(run, arm, count) for count in {s.demonstrations for s in run.plan.slots})


def _number(ledger: Mapping[str, Any], part: str) -> float:
    if part not in ledger:
        raise ValueError(f"A ledger lacks '{part}'; found {sorted(ledger)}.")
    return float(ledger[part])
