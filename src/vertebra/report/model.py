"""Everything a page shows, as plain data: rows for charts, cards, tables, pictures."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from vertebra import __version__
from vertebra.report import phrases
from vertebra.spec.storage import read_json
from vertebra.stats.interval import Estimate
from vertebra.verdict.run import Arm, Job, Run
from vertebra.verdict.summary import Grounding, Point, Summary

Row = dict[str, Any]

PALETTE = {
    "vla": ("#3f76bd", "#2a9d9d", "#7a6bc4"),
    "wam": ("#cf6a2c", "#b8457a", "#a8851f"),
    "hybrid": ("#4d8f4a", "#2f8f6f"),
    "control": ("#7d7f87", "#9a8f80"),
}
"""Colours of the arms of a family in the order of the plan; readable on white and on black."""

ENDINGS = {
    "followed": ("did what was asked", "#3c8f5f"),
    "another task": ("did another task", "#d8a024"),
    "right object, not finished": ("right object, not finished", "#7fb2dc"),
    "wrong object first": ("wrong object first", "#d0603f"),
    "nothing touched": ("touched nothing", "#a9abb3"),
    "error": ("error", "#5b2333"),
}
PICTURES_PER_ARM = 4


@dataclass(frozen=True, kw_only=True)
class Key:
    """How an arm is drawn: colour, and a hollow mark for blind twins."""

    name: str
    colour: str
    blind: bool
    family: str


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One large number of a card.

    Attributes:
        label: What it is.
        value: As written.
        interval: Its interval as written, or why there is none.
        basis: What it rests on.
        track: Positions in [0, 100] of low, value and high on a bar, or ``None``.
        twin: Position of the blind twin on the same bar, or ``None``.
    """

    label: str
    value: str
    interval: str
    basis: str
    track: tuple[float, float, float] | None
    twin: float | None


@dataclass(frozen=True, kw_only=True)
class Card:
    """A sighted arm on the first screen."""

    key: Key
    family: str
    demonstrations: str
    measures: tuple[Measure, ...]
    flags: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture inlined as a data URI, with its size in pixels."""

    arm: str
    kind: str
    caption: str
    uri: str
    width: int
    height: int


@dataclass(frozen=True, kw_only=True)
class HeatCell:
    """One cell of a confusion matrix: its share of the row decides the shade."""

    count: int
    share: float
    diagonal: bool


@dataclass(frozen=True, kw_only=True)
class HeatMap:
    """A confusion matrix ready to draw."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, int, tuple[HeatCell, ...]], ...]


@dataclass(frozen=True, kw_only=True)
class Page:
    """The whole page.

    Attributes:
        summary: The numbers and the verdict.
        keys: How each arm is drawn.
        facts: Short facts about the pilot, (label, value).
        cards: One a sighted arm.
        rows: Chart name to its rows.
        losses: Arm to rows of its validation loss.
        heat: Arm to its confusion matrices.
        pictures: Strips.
        word: The verdict in three words or fewer.
        chance: The most that a policy can follow which ignores the words.
        largest: Each arm at its largest finished number of demonstrations.
        offline: Names of the figures of an evaluation without a simulator.
        privileged: Who used privileged targets, and what users have instead.
        recompute: The command that makes this page again.
        version: Version of vertebra.
    """

    summary: Summary
    keys: tuple[Key, ...]
    facts: tuple[tuple[str, str], ...]
    cards: tuple[Card, ...]
    rows: Mapping[str, tuple[Row, ...]]
    losses: Mapping[str, tuple[Row, ...]]
    heat: Mapping[str, tuple[HeatMap, ...]]
    pictures: tuple[Picture, ...]
    word: str
    chance: str
    largest: tuple[Point, ...]
    offline: tuple[str, ...]
    privileged: str
    recompute: str
    version: str

    @property
    def has_tracks(self) -> bool:
        """Whether any card shows a bar."""
        return any(measure.track for card in self.cards for measure in card.measures)

    @property
    def has_rollouts(self) -> bool:
        """Whether there are film strips of rollouts."""
        return any(picture.kind == "rollout" for picture in self.pictures)


def build_page(directory: Path, run: Run, summary: Summary) -> Page:
    """Collect what a page shows from a run and its summary."""
    keys = _keys(run.plan.arms)
    largest = _largest(summary.points)
    return Page(
        summary=summary,
        keys=keys,
        facts=_facts(run, summary),
        cards=tuple(
            _card(key, largest.get(key.name), largest, summary) for key in keys if not key.blind
        ),
        rows={
            "curves": tuple(_curve_rows(summary.points)),
            "splits": tuple(_slice_rows(largest.values(), by="split")),
            "skills": tuple(_slice_rows(largest.values(), by="skill")),
            "endings": tuple(_ending_rows(largest.values())),
            "conditions": tuple(_condition_rows(largest.values())),
            "comparisons": tuple(_comparison_rows(summary)),
            "latency": tuple(_latency_rows(summary)),
            "imagination": tuple(_imagination_rows(summary.points)),
        },
        losses=_losses(run.jobs, largest),
        heat={point.arm: _heat(point.grounding) for point in largest.values() if point.grounding},
        pictures=tuple(_pictures(directory, run, largest)),
        word=_word(summary),
        chance=_chance(largest),
        largest=tuple(largest.values()),
        offline=tuple(dict.fromkeys(f.name for p in summary.points for f in p.offline)),
        privileged=_privileged(run, summary),
        recompute=f"vertebra report {directory}",
        version=__version__,
    )


def _word(summary: Summary) -> str:
    verdict = summary.verdict
    better = {"first better": verdict.first, "second better": verdict.second}
    if verdict.word in better:
        return f"{better[verdict.word]} is better"
    return verdict.word[0].upper() + verdict.word[1:]


def _chance(largest: Mapping[str, Point]) -> str:
    choices = [point.grounding.choices for point in largest.values() if point.grounding]
    if not choices:
        return phrases.NO_NUMBER
    return f"{phrases.percent(1 / choices[0])} here"


def _privileged(run: Run, summary: Summary) -> str:
    used = [c.arm for c in summary.costs if c.privileged_targets > 0]
    if run.plan.privileged == "none" or not used:
        return "No training used privileged targets."
    names = " and ".join(dict.fromkeys(used))
    return (
        f"Privileged targets say where each named thing is in the picture; the simulator gives "
        f"them away, and {names} used them. On recordings of your own, boxes from a detector can "
        "stand in for them; captions name things but do not place them; with neither, this part "
        "of the training falls away, and grounding takes longer to learn."
    )


def _keys(arms: Sequence[Arm]) -> tuple[Key, ...]:
    """A twin has the colour of its recipe; recipes take the colours of their family in turn."""
    colours: dict[str, str] = {}
    for arm in arms:
        palette = PALETTE.get(arm.family, PALETTE["control"])
        taken = sum(colour in palette for colour in colours.values())
        colours.setdefault(arm.recipe, palette[taken % len(palette)])
    return tuple(
        Key(name=arm.name, colour=colours[arm.recipe], blind=arm.blind, family=arm.family)
        for arm in arms
    )


def _largest(points: Sequence[Point]) -> dict[str, Point]:
    """Every arm at its largest finished number of demonstrations, in the order of the plan."""
    found: dict[str, Point] = {}
    for point in points:
        if point.arm not in found or point.demonstrations > found[point.arm].demonstrations:
            found[point.arm] = point
    return found


def _facts(run: Run, summary: Summary) -> tuple[tuple[str, str], ...]:
    plan = run.plan
    counts = sorted({slot.demonstrations for slot in plan.slots})
    seeds = sorted({slot.seed for slot in plan.slots})
    facts = [
        ("Trainings", f"{summary.jobs_finished} of {summary.jobs_planned} finished"),
        ("Demonstrations", ", ".join(phrases.grouped(count) for count in counts)),
        ("Training seeds", str(len(seeds))),
        ("Simulator", summary.environment or "none (recordings only)"),
    ]
    if plan.samples:
        facts.append(("Samples per arm", phrases.grouped(plan.samples)))
    return tuple(facts)


def _card(key: Key, point: Point | None, largest: Mapping[str, Point], summary: Summary) -> Card:
    if point is None:
        return Card(
            key=key,
            family=phrases.FAMILIES.get(key.family, key.family),
            demonstrations="not finished yet",
            measures=(),
            flags=(),
        )
    twin = next((p for p in largest.values() if p.blind and p.recipe == point.recipe), None)
    flags: list[str] = []
    if len(point.jobs) < point.seeds_planned:
        flags.append(f"{len(point.jobs)} of {point.seeds_planned} training seeds finished")
    if point.still_improving:
        flags.append(
            f"{point.still_improving} of {len(point.jobs)} trainings still improving at the end"
        )
    if point.errors:
        flags.append(f"{point.errors} of {point.episodes} episodes ended in an error (counted)")
    return Card(
        key=key,
        family=phrases.FAMILIES.get(key.family, key.family),
        demonstrations=f"{phrases.grouped(point.demonstrations)} demonstrations",
        measures=tuple(_measures(point, twin, summary)),
        flags=tuple(flags),
    )


def _measures(point: Point, twin: Point | None, summary: Summary) -> list[Measure]:
    found: list[Measure] = []
    if point.grounding is not None:
        blind = twin.grounding.following.value if twin and twin.grounding else None
        found.append(_share("Follows the instruction", point.grounding.following, blind))
    if point.success is not None:
        where = phrases.SPLITS.get(point.success_split, point.success_split)
        blind = twin.success.value if twin and twin.success else None
        found.append(_share(f"Succeeds, {where}", point.success, blind))
    found += [
        Measure(
            label=phrases.OFFLINE.get(figure.name, figure.name),
            value=phrases.NO_NUMBER if figure.estimate is None else f"{figure.estimate.value:.3g}",
            interval=_figure_interval(figure.estimate, figure.note),
            basis="" if figure.estimate is None else phrases.basis(figure.estimate),
            track=None,
            twin=None,
        )
        for figure in point.offline
    ]
    found.append(_latency_measure(point.arm, summary))
    return found


def _share(label: str, estimate: Estimate, twin: float | None) -> Measure:
    track = None
    if estimate.low is not None and estimate.high is not None:
        track = (100 * estimate.low, 100 * estimate.value, 100 * estimate.high)
    return Measure(
        label=label,
        value=phrases.percent(estimate.value),
        interval=phrases.percent_range(estimate),
        basis=phrases.basis(estimate),
        track=track,
        twin=None if twin is None else 100 * twin,
    )


def _figure_interval(estimate: Estimate | None, note: str) -> str:
    if estimate is None:
        return note or "not measured"
    if estimate.low is None or estimate.high is None:
        return estimate.method
    return f"{estimate.low:.3g}\u2009–\u2009{estimate.high:.3g}"


def _latency_measure(arm: str, summary: Summary) -> Measure:
    stages = [row for row in summary.latency if row.arm == arm]
    whole = next((row for row in stages if row.stage == "chunk"), None)
    if whole is None or whole.p50_s is None:
        return Measure(
            label="Latency of a chunk, median",
            value=phrases.NO_NUMBER,
            interval="timed last, with nothing else running",
            basis="",
            track=None,
            twin=None,
        )
    return Measure(
        label="Latency of a chunk, median",
        value=phrases.milliseconds(whole.p50_s.value),
        interval=phrases.milliseconds_range(whole.p50_s),
        basis=phrases.basis(whole.p50_s),
        track=None,
        twin=None,
    )


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
        if point.grounding is not None:
            rows.append(_estimate_row(point.grounding.following, measure="following", **place))
    return rows


def _slice_rows(points: Any, by: str) -> list[Row]:
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


def _ending_rows(points: Any) -> list[Row]:
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


def _condition_rows(points: Any) -> list[Row]:
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
    measures = {"following": "following", "success": "success"}
    return [
        _estimate_row(
            c.difference,
            name=f"{c.first} − its twin" if c.kind == "twin" else f"{c.first} − {c.second}",
            measure=measures[c.measure],
            word=c.word,
        )
        for c in summary.comparisons
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


def _losses(jobs: Sequence[Job], largest: Mapping[str, Point]) -> dict[str, tuple[Row, ...]]:
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


def _heat(grounding: Grounding) -> tuple[HeatMap, ...]:
    maps: list[HeatMap] = []
    for title, matrix in (
        ("by instruction of the scene", grounding.by_instruction),
        ("by skill", grounding.by_skill),
    ):
        rows = [
            (
                name,
                sum(counts),
                tuple(
                    HeatCell(
                        count=count,
                        share=count / sum(counts) if sum(counts) else 0.0,
                        diagonal=column == name,
                    )
                    for column, count in zip(matrix.columns, counts, strict=True)
                ),
            )
            for name, counts in zip(matrix.rows, matrix.counts, strict=True)
        ]
        maps.append(HeatMap(title=title, columns=matrix.columns, rows=tuple(rows)))
    return tuple(maps)


def _pictures(directory: Path, run: Run, largest: Mapping[str, Point]) -> list[Picture]:
    """Strips of the first finished seed of each arm at its largest number of demonstrations."""
    found: list[Picture] = []
    for point in largest.values():
        jobs = [job for job in run.jobs if job.id in point.jobs]
        shown = next(
            (f for f in (directory / "jobs" / job.id / "show" for job in jobs)
             if (f / "show.json").is_file()),
            None,
        )  # fmt: skip
        if shown is None:
            continue
        entries: list[Mapping[str, Any]] = read_json(shown / "show.json")
        for kind in ("imagined", "rollout"):
            of_kind = [entry for entry in entries if entry["kind"] == kind]
            found += [_picture(shown, point.arm, entry) for entry in of_kind[:PICTURES_PER_ARM]]
    return found


def _picture(folder: Path, arm: str, entry: Mapping[str, Any]) -> Picture:
    path = folder / entry["file"]
    with Image.open(path) as image:
        width, height = image.size
    return Picture(
        arm=arm,
        kind=entry["kind"],
        caption=entry.get("caption", ""),
        uri="data:image/png;base64," + base64.b64encode(path.read_bytes()).decode(),
        width=width,
        height=height,
    )
