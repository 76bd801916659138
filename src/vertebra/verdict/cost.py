"""What it cost: latency, the ledger, and demonstrations to the target."""

from collections.abc import Mapping, Sequence
from typing import Any

from vertebra.stats.quantile import quantile
from vertebra.stats.scaling import Cell, fit_curve
from vertebra.verdict.compare import records_of
from vertebra.verdict.measure import headline, headline_split, succeeded
from vertebra.verdict.run import Job, Run
from vertebra.verdict.summary import Cost, Latency, Price


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

    def mean(part: str) -> float:
        return sum(_number(job.ledger, part) for job in jobs) / len(jobs)

    parameters = [
        float(job.training["parameters"]) for job in jobs if job.training.get("parameters")
    ]
    return Cost(
        arm=arm,
        demonstrations=demonstrations,
        trainings=len(jobs),
        language_labels=mean("language_labels"),
        privileged_targets=mean("privileged_targets"),
        video_frames=mean("video_frames"),
        samples=mean("samples"),
        flops=mean("flops"),
        train_seconds=mean("train_seconds"),
        evaluation_seconds=mean("evaluation_seconds"),
        parameters=sum(parameters) / len(parameters) if parameters else None,
    )


def price(run: Run, arm: str) -> Price:
    """How many demonstrations an arm needs for the target success, if that was bracketed."""
    target = run.plan.target_success
    cells: list[Cell] = []
    for job in run.jobs:
        if job.arm == arm and job.records:
            chosen = headline(job.records, headline_split(run))
            cells.append(
                Cell(
                    demonstrations=job.demonstrations,
                    successes=sum(succeeded(r) for r in chosen),
                    trials=len(chosen),
                )
            )
    counts = sorted({cell.demonstrations for cell in cells})
    if len(counts) < 2:
        return Price(
            arm=arm,
            target=target,
            crossing=None,
            words=f"cannot tell: finished at {len(counts)} of the 2 or more numbers of "
            "demonstrations that a curve needs",
        )
    curve = fit_curve(cells)
    if curve is None:
        return Price(
            arm=arm,
            target=target,
            crossing=None,
            words="cannot tell: the curve is not determined (too few trainings, or no success)",
        )
    crossing = curve.crossing(target)
    if crossing is not None:
        ends = (
            f"{crossing.low:.0f}" if crossing.low is not None else f"under {counts[0] / 2:.0f}",
            f"{crossing.high:.0f}" if crossing.high is not None else f"over {2 * counts[-1]}",
        )
        words = (
            f"{crossing.demonstrations:.0f} (95 % interval {ends[0]} to {ends[1]}; "
            f"{curve.cells} trainings)"
        )
    elif curve.at(counts[-1])[2] < target:
        words = f"> {counts[-1]} ({curve.cells} trainings)"
    elif curve.at(counts[0])[1] > target:
        words = f"< {counts[0]} ({curve.cells} trainings)"
    else:
        words = "cannot tell: the target is not between the rates that were measured"
    return Price(arm=arm, target=target, crossing=crossing, words=words)


def has_episodes(run: Run, arm: str) -> bool:
    """Whether any finished job of an arm was evaluated in a simulator."""
    return any(records_of(run, arm, count) for count in {s.demonstrations for s in run.plan.slots})


def _number(ledger: Mapping[str, Any], part: str) -> float:
    if part not in ledger:
        raise ValueError(f"A ledger lacks '{part}'; found {sorted(ledger)}.")
    return float(ledger[part])
