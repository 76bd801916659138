"""The first screen: one card a sighted arm, with its three numbers."""

from collections.abc import Mapping, Sequence
from colorsys import hls_to_rgb
from dataclasses import dataclass

from vertebra.report import phrases
from vertebra.stats.interval import Estimate
from vertebra.verdict.run import Arm
from vertebra.verdict.summary import (
    CANNOT_TELL,
    DEAF,
    LISTENS,
    UNSKILLED,
    Point,
    Price,
    Speed,
    Summary,
)

PALETTE = {
    "vla": ("#3f76bd", "#2a9d9d", "#7a6bc4"),
    "wam": ("#cf6a2c", "#b8457a", "#a8851f"),
    "hybrid": ("#4d8f4a", "#2f8f6f"),
    "control": ("#7d7f87", "#9a8f80"),
}
"""Colours of the arms of a family in the order of the plan; readable on white and on black."""

CARD_FIGURES = ("action_error", "sensitivity")
"""Figures of an evaluation without a simulator that are large on a card."""


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
class Found:
    """Something that was found out about an arm, in words."""

    good: bool
    words: str


@dataclass(frozen=True, kw_only=True)
class Card:
    """A sighted arm on the first screen.

    Attributes:
        key: How it is drawn.
        family: What it stands on, in words.
        demonstrations: How many it was trained on at most.
        standing: Whether another arm was shown to beat it.
        found: What was found out about it.
        measures: Its numbers.
        flags: What to keep in mind.
    """

    key: Key
    family: str
    demonstrations: str
    standing: str
    found: tuple[Found, ...]
    measures: tuple[Measure, ...]
    flags: tuple[str, ...]


HUES = {"vla": (0.48, 0.76), "wam": (-0.10, 0.14), "hybrid": (0.22, 0.44), "control": (0.0, 0.0)}
"""Hues of a family, as parts of the circle, when it has more recipes than its palette colours."""


def family_colours(family: str, count: int) -> tuple[str, ...]:
    """As many different colours of a family as it has recipes."""
    name = family if family in PALETTE else "control"
    if count <= len(PALETTE[name]):
        return PALETTE[name][:count]
    low, high = HUES[name]
    found: list[str] = []
    for place in range(count):
        hue = (low + (high - low) * place / (count - 1)) % 1.0
        light = (0.40, 0.52, 0.46)[place % 3] if high > low else 0.35 + 0.3 * place / (count - 1)
        red, green, blue = hls_to_rgb(hue, light, 0.55 if high > low else 0.04)
        found.append("#" + "".join(f"{round(255 * part):02x}" for part in (red, green, blue)))
    return tuple(found)


def arm_keys(arms: Sequence[Arm]) -> tuple[Key, ...]:
    """A twin has the colour of its recipe; recipes take the colours of their family in turn."""
    families: dict[str, dict[str, None]] = {}
    for arm in arms:
        families.setdefault(arm.family, {})[arm.recipe] = None
    colours = {
        recipe: colour
        for family, recipes in families.items()
        for recipe, colour in zip(recipes, family_colours(family, len(recipes)), strict=True)
    }
    return tuple(
        Key(name=arm.name, colour=colours[arm.recipe], blind=arm.blind, family=arm.family)
        for arm in arms
    )


def card(key: Key, point: Point | None, largest: Mapping[str, Point], summary: Summary) -> Card:
    """The card of one arm; ``largest`` holds each arm at its most demonstrations."""
    if point is None:
        return Card(
            key=key,
            family=phrases.FAMILIES.get(key.family, key.family),
            demonstrations="not finished yet",
            standing=CANNOT_TELL,
            found=(),
            measures=(),
            flags=(),
        )
    twin = next((p for p in largest.values() if p.blind and p.recipe == point.recipe), None)
    flags: list[str] = []
    if len(point.jobs) < point.seeds_planned:
        flags.append(f"{len(point.jobs)} of {point.seeds_planned} training seeds finished")
    if len(point.jobs) == 1 and point.episodes:
        flags.append("one training seed: the intervals speak of this checkpoint only")
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
        standing=_standing(point.arm, summary),
        found=_found(point.arm, summary),
        measures=tuple(_measures(point, twin, summary)),
        flags=tuple(flags),
    )


def _standing(arm: str, summary: Summary) -> str:
    """Beaten by whom, not beaten, or "cannot tell" when nothing could be decided about it."""
    winners = [winner for loser, winner in summary.verdict.beaten if loser == arm]
    if len(winners) > 1:
        return f"beaten by {winners[0]} and {len(winners) - 1} more"
    if winners:
        return f"beaten by {winners[0]}"
    own = [c for c in summary.comparisons if c.kind == "sides" and arm in (c.first, c.second)]
    return "not beaten" if any(c.p is not None for c in own) else CANNOT_TELL


HEARD = {
    LISTENS: (True, "Follows language"),
    DEAF: (False, "Does not follow language"),
    UNSKILLED: (False, "Has not learnt to act"),
}


def _found(arm: str, summary: Summary) -> tuple[Found, ...]:
    """Whether an arm listens, and whether it is fast enough."""
    heard = [HEARD[one.word] for one in summary.listening if one.arm == arm and one.word in HEARD]
    told = [Found(good=good, words=words) for good, words in heard]
    return (*told, *(_speed(speed) for speed in summary.speeds if speed.arm == arm))


def _speed(speed: Speed) -> Found:
    limit = f"the limit of {phrases.milliseconds(speed.limit_s)} a chunk"
    if speed.keeps is None:
        return Found(good=False, words=f"Not shown to keep {limit}")
    words = f"Keeps {limit}" if speed.keeps else f"Too slow: breaks {limit}"
    return Found(good=speed.keeps, words=words)


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
            value=f"{figure.estimate.value:.3g}",
            interval=phrases.plain_range(figure.estimate),
            basis=phrases.basis(figure.estimate),
            track=None,
            twin=None,
        )
        for figure in point.offline
        if figure.estimate is not None and figure.name in CARD_FIGURES
    ]
    found.append(_latency_measure(point.arm, summary))
    found += [_price_measure(price) for price in summary.prices if price.arm == point.arm]
    return found


def _price_measure(price: Price) -> Measure:
    """The burden: demonstrations to the target."""
    label = f"Demonstrations for {phrases.target(price)}"
    if price.crossing is None:
        value, _, rest = price.words.partition(" (")
        told = value if value[:1] in "<>" else phrases.NO_NUMBER
        interval = "no interval" if value[:1] in "<>" else price.words
        return Measure(
            label=label, value=told, interval=interval, basis=rest[:-1], track=None, twin=None
        )
    return Measure(
        label=label,
        value=phrases.grouped(price.crossing.demonstrations),
        interval=phrases.count_range(price.crossing.low, price.crossing.high),
        basis="" if price.ceiling == 1 else f"levels off near {phrases.percent(price.ceiling)}",
        track=None,
        twin=None,
    )


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


def _latency_measure(arm: str, summary: Summary) -> Measure:
    stages = [row for row in summary.latency if row.arm == arm]
    whole = next((row for row in stages if row.stage == "chunk"), None)
    limit = summary.criteria.limit_s
    against = "" if limit is None else f", limit {phrases.milliseconds(limit)}"
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
        basis=phrases.basis(whole.p50_s) + against,
        track=None,
        twin=None,
    )
