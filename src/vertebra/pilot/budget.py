"""From a wall-clock budget to a number of samples that is the same for every arm."""

import heapq
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vertebra.pilot.grid import Cell
from vertebra.pilot.plan import Question

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
RESERVE = 0.05
"""Share of a budget that is not planned, because machines slow down."""
LOOK_SAMPLES = 100
"""A look at the validation loss costs about as much as training on this many samples."""
LEAST_STEPS = 20
"""A training of fewer steps says nothing, so a budget that allows only that is refused."""
RESUME_COPIES = 10
"""Weights, averages and optimiser state of a running training, twice while they are replaced."""
LOOKS = 20
"""How often a training looks at its validation loss and writes a checkpoint."""


def parse_duration(text: str) -> float:
    """Seconds of ``90s``, ``45m``, ``2h`` or ``1h30m``.

    Raises:
        ValueError: When the text is none of these.
    """
    parts = re.findall(r"(\d+(?:\.\d+)?)([smh])", text.strip().lower())
    joined = "".join(number + unit for number, unit in parts)
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if not parts or joined != text.strip().lower() or seconds <= 0:
        raise ValueError(f"A duration like 90s, 45m, 2h or 1h30m is expected, found {text!r}.")
    return seconds


def words_of(seconds: float) -> str:
    """Seconds in words that ``parse_duration`` reads."""
    whole = round(seconds)
    hours, minutes = whole // 3600, whole % 3600 // 60
    if hours:
        return f"{hours}h{minutes:02d}m"
    return f"{minutes}m{whole % 60:02d}s" if minutes else f"{whole}s"


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one recipe costs on this machine, measured with all workers busy.

    Attributes:
        seconds_per_sample: Of training, by precision.
        flops_per_sample: Of training.
        episode_s: Seconds of one evaluated episode of an untrained policy (they rarely end early).
        overhead_s: Seconds of a job besides samples and episodes: start, data, validation, weights.
        memory_bytes: Peak resident memory of a job's process.
        checkpoint_bytes: Size of the weights.
    """

    seconds_per_sample: Mapping[str, float]
    flops_per_sample: float
    episode_s: float
    overhead_s: float
    memory_bytes: int
    checkpoint_bytes: int


def cost_from_rehearsal(result: Mapping[str, Any]) -> Cost:
    """Read the ``result.json`` of a rehearsal."""
    measured = result["calibration"]
    episodes = int(result["episodes"])
    return Cost(
        seconds_per_sample=dict(measured["seconds_by_precision"]),
        flops_per_sample=float(measured["flops_per_sample"]),
        episode_s=float(result["evaluation_seconds"]) / episodes if episodes else 0.0,
        overhead_s=float(result["start_seconds"]) + float(result["fixed_seconds"]),
        memory_bytes=int(result["memory_bytes"]),
        checkpoint_bytes=int(measured["checkpoint_bytes"]),
    )


def makespan(durations: Sequence[float], workers: int) -> float:
    """Seconds until all are done when each goes to the first free worker, in this order."""
    free = [0.0] * max(1, workers)
    end = 0.0
    for duration in durations:
        finished = heapq.heappop(free) + duration
        heapq.heappush(free, finished)
        end = max(end, finished)
    return end


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What a grid will cost.

    Attributes:
        samples: Training windows of every arm.
        precision: For every arm.
        job_s: Seconds of each job, in the order in which they are run.
        evaluation_s: Seconds of these that are evaluation.
        wall_s: Wall-clock seconds of the whole grid.
        flops: Of all trainings.
        memory_bytes: Of all workers together.
        disk_bytes: Written by all jobs.
    """

    samples: int
    precision: str
    job_s: tuple[float, ...]
    evaluation_s: tuple[float, ...]
    wall_s: float
    flops: float
    memory_bytes: int
    disk_bytes: int


def reference_s(question: Question, costs: Mapping[str, Cost]) -> float:
    """Seconds of the references: the first scenes twice, in half as many steps as chance needs."""
    slowest = max(cost.episode_s for cost in costs.values())
    return slowest * sum(draw.episodes for draw in question.draws[:1])


def precision_of(question: Question, costs: Mapping[str, Cost]) -> str:
    """The precision of all arms: the one asked for, or that in which all together are fastest."""
    if question.precision != "auto":
        return question.precision
    common = set.intersection(*(set(cost.seconds_per_sample) for cost in costs.values()))
    return min(
        sorted(common), key=lambda name: sum(c.seconds_per_sample[name] for c in costs.values())
    )


def forecast(
    question: Question, costs: Mapping[str, Cost], *, samples: int, workers: int, extra_s: float
) -> Forecast:
    """What a grid costs at a number of samples.

    Args:
        question: The grid.
        costs: By recipe name; a blind twin costs what its sighted arm costs.
        samples: Training windows of every arm.
        workers: Processes side by side.
        extra_s: Seconds of references and latency.
    """
    precision = precision_of(question, costs)
    cells = question.cells
    evaluation = tuple(_evaluation_s(question, cell, costs) for cell in cells)
    training = tuple(
        costs[cell.arm.costed].overhead_s
        + (samples + LOOKS * LOOK_SAMPLES) * costs[cell.arm.costed].seconds_per_sample[precision]
        for cell in cells
    )
    job_s = tuple(a + b for a, b in zip(training, evaluation, strict=True))
    largest = max(cost.memory_bytes for cost in costs.values())
    return Forecast(
        samples=samples,
        precision=precision,
        job_s=job_s,
        evaluation_s=evaluation,
        wall_s=makespan(job_s, workers) + extra_s,
        flops=sum(costs[cell.arm.costed].flops_per_sample * samples for cell in cells),
        memory_bytes=largest * min(workers, len(cells)),
        disk_bytes=sum(_disk(question, cell, costs) for cell in cells)
        + RESUME_COPIES * workers * max(cost.checkpoint_bytes for cost in costs.values()),
    )


def lock_samples(
    question: Question, costs: Mapping[str, Cost], *, workers: int, extra_s: float
) -> int:
    """The most samples, in whole batches, with which the grid stays inside the budget.

    Raises:
        ValueError: When the budget is too small for a training that says anything; with the budget
            that would do.
    """
    if question.samples is not None:
        return question.samples // question.batch_size * question.batch_size
    budget = (question.budget_s or 0.0) * (1 - RESERVE)

    def wall(steps: int) -> float:
        return forecast(
            question,
            costs,
            samples=steps * question.batch_size,
            workers=workers,
            extra_s=extra_s,
        ).wall_s

    if wall(LEAST_STEPS) > budget:
        needed = wall(LEAST_STEPS) / (1 - RESERVE)
        raise ValueError(
            f"A budget of {words_of(question.budget_s or 0.0)} is too small for "
            f"{len(question.cells)} trainings with {workers} worker(s): {LEAST_STEPS} steps each "
            f"take {words_of(needed)}, most of it evaluation. Give a larger --budget, fewer "
            "--scenes, or a smaller grid."
        )
    low, high = LEAST_STEPS, 2 * LEAST_STEPS
    while wall(high) <= budget:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if wall(middle) <= budget else (low, middle)
    return low * question.batch_size


def _evaluation_s(question: Question, cell: Cell, costs: Mapping[str, Cost]) -> float:
    if question.environment is None:
        return 0.0
    episodes = sum(draw.episodes for draw in question.draws_at(cell.demonstrations))
    return episodes * costs[cell.arm.costed].episode_s


def _disk(question: Question, cell: Cell, costs: Mapping[str, Cost]) -> int:
    """Weights, some 1.2 kB a record, and pictures and logs."""
    episodes = sum(draw.episodes for draw in question.draws_at(cell.demonstrations))
    return costs[cell.arm.costed].checkpoint_bytes + 1_200 * episodes + 600_000
