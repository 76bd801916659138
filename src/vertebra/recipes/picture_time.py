"""What makes a chunk as a timeline: one column a network pass, one lane a stream."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from vertebra.policy.recipe import Recipe
from vertebra.recipes.drawing import at, box, put, say
from vertebra.recipes.facts import Beat, Doing, beats, memory
from vertebra.recipes.picture_sight import LEFT
from vertebra.recipes.words import notes, robot_in_words
from vertebra.spec.streams import Role

TOP = 54
LANE = 30
SIZE = 18
STEP = 22
GAP = 16
STAGE = 74
"""Least width of a stage, for its name."""
EXECUTE = 190
LINE = 20
LETTER = 6.8
"""Generous width of a letter, so that no note is cut off."""


@dataclass(frozen=True, kw_only=True)
class Placed:
    """A beat and where it stands."""

    beat: Beat
    number: int
    x: float

    @property
    def end(self) -> float:
        """Right edge of its last pass."""
        return self.x + STEP * (self.beat.steps - 1) + SIZE


def draw_time(parent: Element, recipe: Recipe) -> tuple[float, float]:
    """Add the picture to a group, and say how wide and high it is."""
    placed, right = _placed(beats(recipe))
    lanes = {name: TOP + LANE * place for place, name in enumerate(_lanes(recipe))}
    robot = TOP + LANE * len(lanes) + 6
    _stages(parent, placed, robot - 8)
    for name, y in lanes.items():
        say(parent, LEFT - 18, y + 14, name.replace("_", " "), text_anchor="end")
        lane = put(parent, "g", of=recipe.table.experts[name])
        _kept_lines(lane, recipe, name, placed, y, right)
        if name in recipe.noisy and not any(name in one.beat.touched for one in placed):
            say(lane, LEFT, y + 14, "not made", of="soft small")
        for one in placed:
            _passes(lane, name, one, y)
    _robot(parent, recipe, robot, right)
    y = robot + LANE + 22
    longest = 0
    for number, words in notes(recipe):
        say(parent, LEFT + 12, y, str(number or ""), text_anchor="end", of="soft")
        say(parent, LEFT + 22, y, words)
        y, longest = y + LINE, max(longest, len(words))
    for words in _caption(placed):
        say(parent, LEFT, y + 6, words, of="soft small")
        y += LINE - 4
    return max(right + EXECUTE, LEFT + 22 + LETTER * longest, LEFT + 560), y


def _placed(made: Sequence[Beat]) -> tuple[list[Placed], float]:
    """Beats from left to right, and where the chunk is done."""
    placed: list[Placed] = []
    x, began, stage = float(LEFT), float(LEFT), made[0].stage
    for number, beat in enumerate(made, start=1):
        if beat.stage != stage:
            x = max(x, began + STAGE)
            began, stage = x, beat.stage
        placed.append(Placed(beat=beat, number=number, x=x))
        x = placed[-1].end + GAP
    return placed, max(x, began + STAGE)


def _lanes(recipe: Recipe) -> Iterator[str]:
    """Streams that some pass reads, or that might be denoised, in order."""
    touched = {name for beat in beats(recipe) for name in beat.touched}
    for stream in recipe.table.streams:
        if stream.name in touched or stream.role is Role.DENOISED:
            yield stream.name


def _stages(parent: Element, placed: Sequence[Placed], bottom: float) -> None:
    """Names of stages with their passes, and numbers of beats."""
    groups: dict[str, list[Placed]] = {}
    for one in placed:
        groups.setdefault(one.beat.stage, []).append(one)
    for stage, group in groups.items():
        count = sum(one.beat.passes for one in group)
        say(parent, group[0].x, 14, stage, of="strong")
        passes = f"{count} pass{'es' if count > 1 else ''}"
        say(parent, group[0].x, 28, passes, of="soft small")
        x = group[0].x - GAP / 2
        put(parent, "line", x1=x, y1=4, x2=x, y2=bottom, of="rule", stroke_dasharray="2 3")
    for one in placed:
        label = at(parent, one.x + SIZE / 2, TOP - 8)
        say(label, 0, 0, str(one.number), text_anchor="middle", of="small")
        if one.beat.width > 1:
            say(label, 8, 0, f"\u00d7{one.beat.width}", of="soft small")


def _kept_lines(
    lane: Element, recipe: Recipe, name: str, placed: Sequence[Placed], y: float, right: float
) -> None:
    """Lines along which keys and values stay readable; dashed where only what was imagined is."""
    held = memory(recipe).streams
    middle = y + SIZE / 2
    if name in held:
        _line(lane, LEFT - 4, right, middle, 0.45)
        _line(lane, right, right + EXECUTE - 20, middle, 0.2)
    for one in placed:
        if name not in one.beat.keeps:
            continue
        if name not in held:
            _line(lane, one.end, right - GAP, middle, 0.45)
        elif one.beat.doing is Doing.FINISH:
            say(lane, right, y - 3, "what is real will replace it", of="soft small")


def _line(lane: Element, start: float, end: float, y: float, shown: float) -> None:
    put(lane, "line", x1=start, y1=y, x2=end, y2=y, of="edge", stroke_width=2, opacity=shown)


def _passes(lane: Element, name: str, one: Placed, y: float) -> None:
    """A box for each pass that touches the stream, the fuller the less noisy it leaves it."""
    beat = one.beat
    if name not in beat.touched:
        return
    for step in range(beat.steps):
        x = one.x + STEP * step
        if beat.twice:
            box(lane, x + 3, y - 3, SIZE, SIZE, of="edge", stroke_width=1, opacity=0.6)
        box(lane, x, y, SIZE, SIZE, of="paper")
        if name in beat.held:
            box(lane, x, y, SIZE, SIZE, of="edge", stroke_width=1.5, stroke_dasharray="3 2")
            continue
        time = 1.0 if name in beat.anew else beat.times[step + 1]
        strong = 0.4 if beat.doing is Doing.ASSUME else 0.08 + 0.84 * time
        box(lane, x, y, SIZE, SIZE, of="tint", opacity=strong)
        box(lane, x, y, SIZE, SIZE, of="edge", stroke_width=1.5)
        if beat.doing is Doing.RECORD:
            tick = f"M{x + 4:g} {y + 9:g} l4 4 l7 -8"
            put(lane, "path", d=tick, of="onpaper", stroke_width=2)


def _robot(parent: Element, recipe: Recipe, y: float, right: float) -> None:
    meanwhile, after = robot_in_words(recipe)
    say(parent, LEFT - 18, y + 14, "robot", text_anchor="end", of="soft")
    if meanwhile:
        box(parent, LEFT, y, right - GAP - LEFT, SIZE + 2, of="wash")
        say(parent, LEFT + 8, y + 14, meanwhile, of="small")
    else:
        put(parent, "line", x1=LEFT, y1=y + 10, x2=right - GAP, y2=y + 10, of="rule")
    box(parent, right, y, EXECUTE - 20, SIZE + 2, of="wash")
    say(parent, right + 8, y + 14, f"executes {after}", of="small")


def _caption(placed: Sequence[Placed]) -> Iterator[str]:
    """How to read the picture, as far as it shows it."""
    yield "A box is a network pass, the fuller the less noise is left; a line: what stays readable."
    if any(one.beat.twice for one in placed):
        yield "A frame behind a box: once more, without words."
