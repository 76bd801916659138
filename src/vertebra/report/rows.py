"""Rows of the charts, drawn from a summary."""

from collections.abc import Mapping, Sequence
from typing import Any

from vertebra.report import phrases
from vertebra.spec.criteria import DEMONSTRATIONS
from vertebra.stats.interval import Estimate
from vertebra.verdict.run import Job
from vertebra.verdict.summary import CANNOT_TELL, Point, Summary

Row = dict[str, Any]
MOST_COMPARED = 40
"""Differences that a chart shows; of more, those that were decided (the table holds all)."""

ENDINGS = {
    "followed": ("did what was asked", "#3c8f5f"),
    "another task": ("did another task", "#d8a024"),
    "right object, not finished": ("right object, not finished", "#7fb2dc"),
    "wrong object first": ("wrong object first", "#d0603f"),
    "nothing touched": ("touched nothing", "#a9abb3"),
    "error": ("error", "#96395c"),
}
"""How a swapped rollout ended: its name on the page and its colour."""


def chart_rows(summary: Summary, largest: Mapping[str, Point]) -> dict[str, tuple[Row, ...]]:
    """Chart name to its rows; ``largest`` holds each arm at its most demonstrations."""
    points = tuple(largest.values())
    return {
        "curves": tuple(_curve_rows(summary.points)),
        "splits": tuple(_slice_rows(points, by="split")),
        "skills": tuple(_slice_rows(points, by="skill")),
        "endings": tuple(_ending_rows(points)),
        "conditions": tuple(_condition_rows(points)),
        "comparisons": tuple(_comparison_rows(summary)),
        "latency": tuple(_latency_rows(summary)),
        "imagination": tuple(_imagination_rows(summary.points)),
    }


def note(rows: Sequence[Row]) -> str:
    """How many rollouts of one policy are behind each name of a chart."""
    parts: list[str] = []
    for name in dict.fromkeys(row["name"] for row in rows):
        counts = sorted(row["n"] for row in rows if row["name"] == name)
        low, high = phrases.grouped(counts[0]), phrases.grouped(counts[-1])
        parts.append(f"{name} {low}" + ("" if low == high else f" to {high}"))
    return "Rollouts of each policy: " + ", ".join(parts) + "."


def loss_rows(jobs: Sequence[Job], largest: Mapping[str, Point]) -> dict[str, tuple[Row, ...]]:
    """Arm to its validation losses, one row a step and seed."""
    found: dict[str, tuple[Row, ...]] = {}
    for arm, point in largest.items():
        rows = tuple(
            {"step": step, "loss": loss, "seed": f"seed {job.seed}"}
            for job in jobs
            if job.id in point.jobs
            for step, loss in job.training.get("validation", ())
        )
        if rows:
            found[arm] = rows
    return found


def _estimate_row(estimate: Estimate, **more: Any) -> Row:
    return {
        "value": estimate.value,
        "low": estimate.value if estimate.low is None else estimate.low,
        "high": estimate.value if estimate.high is None else estimate.high,
        "n": estimate.n,
        "seeds": estimate.seeds,
        **more,
    }


def _curve_rows(points: Sequence[Point]) -> list[Row]:
    rows: list[Row] = []
    arms = list(dict.fromkeys(point.arm for point in points))
    for point in points:
        # Arms of one count are drawn side by side; the true count is in the tooltip.
        shift = 1.05 ** (arms.index(point.arm) - (len(arms) - 1) / 2)
        place = {
            "arm": point.arm,
            "demonstrations": point.demonstrations,
            "shown_at": point.demonstrations * shift,
        }
        if point.success is not None:
            rows.append(_estimate_row(point.success, measure="success", **place))
        if point.grounding is not None and point.grounding.following_in_split is not None:
            following = point.grounding.following_in_split
            rows.append(_estimate_row(following, measure="following", **place))
    return rows


def _slice_rows(points: Sequence[Point], by: str) -> list[Row]:
    rows: list[Row] = []
    for point in points:
        for part in point.slices:
            other = part.skill if by == "split" else part.split
            name = part.split if by == "split" else part.skill
            if other == "all":
                label = phrases.SPLITS.get(name, name) if by == "split" else name
                label = "all skills" if by == "skill" and name == "all" else label
                rows.append(_estimate_row(part.rate, arm=point.arm, name=label))
    return rows


def _ending_rows(points: Sequence[Point]) -> list[Row]:
    return [
        {
            "arm": point.arm,
            "ending": ENDINGS[ending.name][0],
            "order": place,
            "share": ending.count / ending.n,
            "count": ending.count,
            "n": ending.n,
        }
        for point in points
        if point.grounding
        for place, ending in enumerate(point.grounding.endings)
    ]


def _condition_rows(points: Sequence[Point]) -> list[Row]:
    return [
        _estimate_row(
            condition.rate,
            arm=point.arm,
            name=phrases.CONDITIONS.get(condition.name, condition.name),
        )
        for point in points
        for condition in point.conditions
    ]


def _comparison_rows(summary: Summary) -> list[Row]:
    shown = [c for c in summary.comparisons if c.measure != DEMONSTRATIONS]
    if len(shown) > MOST_COMPARED:
        shown = [c for c in shown if c.word != CANNOT_TELL][:MOST_COMPARED]
    return [
        _estimate_row(
            c.difference,
            name=f"{c.first} − its twin" if c.kind == "twin" else f"{c.first} − {c.second}",
            measure=c.measure,
            word=c.word,
        )
        for c in shown
        if c.difference is not None
    ]


def _latency_rows(summary: Summary) -> list[Row]:
    return [
        {
            "arm": row.arm,
            "p50": 1000 * row.p50_s.value,
            "p95": None if row.p95_s is None else 1000 * row.p95_s.value,
            "p99": None if row.p99_s is None else 1000 * row.p99_s.value,
            "n": row.n,
        }
        for row in summary.latency
        if row.stage == "chunk" and row.p50_s is not None
    ]


def _imagination_rows(points: Sequence[Point]) -> list[Row]:
    return [
        _estimate_row(
            point.imagination.ratio,
            arm=point.arm,
            name=f"{point.arm}, {point.demonstrations}",
        )
        for point in points
        if point.imagination is not None
    ]
