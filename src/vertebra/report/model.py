"""Everything a page shows, as plain data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vertebra import __version__
from vertebra.backbones.ledger import words_of
from vertebra.backbones.trunk import Trunk
from vertebra.report import phrases
from vertebra.report.cards import Card, Key, arm_keys, card
from vertebra.report.heat import HeatMap, heat_maps
from vertebra.report.pictures import Picture, pictures
from vertebra.report.rows import Row, chart_rows, loss_rows, note
from vertebra.verdict.run import Run
from vertebra.verdict.summary import Point, Summary
from vertebra.verdict.words import MANY


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
        notes: Chart name to the number of rollouts behind its marks, in words.
        split: Name of the split that curves and headline success are read from.
        word: The verdict in three words or fewer.
        chance: The most that a policy can follow which ignores the words.
        largest: Each arm at its largest finished number of demonstrations.
        offline: Names of the figures of an evaluation without a simulator.
        privileged: Who used privileged targets, and what users have instead.
        recompute: The command that makes this page again.
        reopen: The command that would re-open the verdict; empty when none would.
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
    notes: Mapping[str, str]
    split: str
    word: str
    chance: str
    largest: tuple[Point, ...]
    offline: tuple[str, ...]
    privileged: str
    recompute: str
    reopen: str
    version: str

    @property
    def has_tracks(self) -> bool:
        """Whether any card shows a bar."""
        return any(measure.track for card in self.cards for measure in card.measures)

    @property
    def finished_keys(self) -> tuple[Key, ...]:
        """Keys of the arms that have something to show."""
        names = {point.arm for point in self.largest}
        return tuple(key for key in self.keys if key.name in names)

    @property
    def many(self) -> bool:
        """Whether there are too many policies for a card each."""
        return len(self.cards) > MANY

    @property
    def ordered_cards(self) -> tuple[Card, ...]:
        """Cards of those that no other was shown to beat, then the rest; in the plan's order."""
        left = self.summary.verdict.undefeated
        return tuple(sorted(self.cards, key=lambda card: card.key.name not in left))

    @property
    def measure_labels(self) -> tuple[str, ...]:
        """What the cards measure, in order."""
        return tuple(dict.fromkeys(m.label for card in self.cards for m in card.measures))

    def has_heat(self, blind: bool) -> bool:
        """Whether there are confusion matrices of blind twins or of the others."""
        return any(key.name in self.heat and key.blind == blind for key in self.keys)

    def has_pictures(self, kind: str, blind: bool) -> bool:
        """Whether there are strips of a kind, of blind twins or of the others."""
        return any(p.kind == kind and p.blind == blind for p in self.pictures)


def build_page(directory: Path, run: Run, summary: Summary) -> Page:
    """Collect what a page shows from a run and its summary."""
    keys = arm_keys(run.plan.arms)
    largest = _largest(summary.points)
    rows = chart_rows(summary, largest)
    return Page(
        summary=summary,
        keys=keys,
        facts=_facts(run, summary),
        cards=tuple(
            card(key, largest.get(key.name), largest, summary) for key in keys if not key.blind
        ),
        rows=rows,
        losses=loss_rows(run.jobs, largest),
        heat={
            point.arm: heat_maps(point.grounding) for point in largest.values() if point.grounding
        },
        pictures=pictures(directory, largest.values()),
        notes={name: note(rows[name]) for name in ("splits", "skills", "conditions")},
        split=next((phrases.SPLITS.get(p.success_split, "") for p in summary.points), ""),
        word=_word(summary),
        chance=_chance(largest),
        largest=tuple(largest.values()),
        offline=tuple(dict.fromkeys(f.name for p in summary.points for f in p.offline)),
        privileged=_privileged(run, summary),
        recompute=f"vertebra report {directory}",
        reopen=summary.verdict.reopen and f"vertebra extend {directory} {summary.verdict.reopen}",
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
    backbone = plan.facts.get("backbone", {"start": "scratch", "priors": {}})
    from_where = ", ".join(sorted(backbone["priors"]))
    start = backbone["start"] + (f" ({from_where})" if backbone["priors"] else "")
    facts.append(("Backbones start from", start))
    facts += _released(backbone.get("standing") or {})
    if plan.samples:
        facts.append(("Samples per arm", phrases.grouped(plan.samples)))
    criteria = plan.criteria
    matters = f"{100 * criteria.minimum_difference:.0f} points"
    if "demonstrations" in criteria.endpoints:
        matters += f", {criteria.minimum_ratio:g} times the demonstrations"
    facts.append(("What matters", matters))
    if criteria.limit_s is not None:
        facts.append(("Latency limit", phrases.milliseconds(criteria.limit_s)))
    return tuple(facts)


def _released(standing: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The released models that arms stand on."""
    facts: list[tuple[str, str]] = []
    for what, title in (("vlm", "Vision-language model"), ("video", "Video model")):
        if (one := standing.get(what)) is not None:
            trunk = Trunk(**one, where="")
            facts.append(
                (
                    title,
                    f"{trunk.family}, {phrases.grouped(trunk.parameters)} parameters, "
                    f"{trunk.layers} layers, licence {trunk.licence or 'not stated'}, "
                    f"SHA-256 {trunk.sha256[:16]}",
                )
            )
            facts.append((f"{title} knew before", words_of(trunk)))
    if facts:
        facts.append(("Released weights are tuned", standing["tuning"]["tune"]))
    return facts
