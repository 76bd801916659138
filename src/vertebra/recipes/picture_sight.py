"""Who sees whom as a picture: rows look at columns."""

from collections.abc import Mapping, Sequence
from xml.etree.ElementTree import Element

from vertebra.coupling.kinds import Head
from vertebra.policy.recipe import Recipe
from vertebra.recipes.drawing import EXPERTS, at, box, put, say
from vertebra.recipes.facts import Means, Sight, contexts, sights
from vertebra.recipes.words import MEANS, reach_in_words, role_in_words
from vertebra.spec.streams import Reach

LEFT = 164
"""Pixels of the labels of rows, in all pictures."""
CELL = 46
PITCH = 50
GAP = 16
LEGEND = 280
LETTER = 4.6
"""Height that a letter of a slanted label takes."""
CHUNKS = 3
"""Chunk times that a cell shows."""
LAYERS = 4
"""Bars that stand for the layers of a trunk."""


def shown(reach: Reach, query: int, key: int) -> bool:
    """Whether a token of one chunk time sees one of another."""
    match reach:
        case Reach.ALL:
            return True
        case Reach.UPTO:
            return key <= query
        case Reach.PAST:
            return key < query
        case Reach.SAME:
            return key == query


def draw_sight(parent: Element, recipe: Recipe) -> tuple[float, float]:
    """Add the picture to a group, and say how wide and high it is."""
    seen = sights(recipe.coupling)
    names = [stream.name for stream in recipe.table.streams]
    told = contexts(recipe.coupling)
    columns = {name: LEFT + PITCH * place for place, name in enumerate(names)}
    beside = LEFT + PITCH * len(names) + GAP
    crossed = {name: beside + PITCH * place for place, name in enumerate(told)}
    top = 24 + LETTER * max(len(name) for name in (*names, *told))
    rows = {name: top + PITCH * place for place, name in enumerate(names)}
    for name, x in (*columns.items(), *crossed.items()):
        label = at(parent, x + CELL / 2 + 5, top - 9)
        say(label, 0, 0, name.replace("_", " "), transform="rotate(-38)")
    _labels(parent, recipe, rows)
    marks = {(s.query, s.key, s.means is Means.CROSS): s for s in seen}
    for query, y in rows.items():
        for key, x, crosses in (
            *((key, x, False) for key, x in columns.items()),
            *((key, x, True) for key, x in crossed.items()),
        ):
            cell = at(parent, x, y, of=recipe.table.experts[query])
            box(cell, 0, 0, CELL, CELL, of="wash")
            sight = marks.get((query, key, crosses))
            if sight is not None:
                _mark(cell, recipe, sight)
    right = beside + PITCH * len(told) + (GAP if told else 0)
    high = _legend(at(parent, right + 8, top), recipe, seen)
    return right + 8 + LEGEND, top + max(PITCH * len(names), high)


def _labels(parent: Element, recipe: Recipe, rows: Mapping[str, float]) -> None:
    for name, y in rows.items():
        words = name.replace("_", " ")
        weight = "strong" if name == "action" else ""
        say(parent, LEFT - 18, y + 20, words, text_anchor="end", of=weight)
        role = role_in_words(recipe, name).replace("_", " ")
        say(parent, LEFT - 18, y + 35, role, text_anchor="end", of="soft small")
        expert = put(parent, "g", of=recipe.table.experts[name])
        put(expert, "rect", x=LEFT - 10, y=y, width=4, height=CELL, of="tint")


def _mark(cell: Element, recipe: Recipe, sight: Sight) -> None:
    match sight.means:
        case Means.ATTENTION if sight.reach is not Reach.ALL or recipe.rolling:
            _chunks(cell, sight.reach)
        case Means.ATTENTION:
            box(cell, 6, 6, CELL - 12, CELL - 12, of="tint", opacity=0.85)
        case Means.CROSS:
            put(cell, "circle", cx=CELL / 2, cy=CELL / 2, r=7, of="tint", opacity=0.85)
        case Means.HIDDEN:
            _layers(cell, recipe)
        case Means.PICTURES:
            _view(cell)


def _chunks(cell: Element, reach: Reach) -> None:
    size, pitch = 10, 12
    for query in range(CHUNKS):
        for key in range(CHUNKS):
            strong = 0.85 if shown(reach, query, key) else 0.1
            box(cell, 6 + pitch * key, 6 + pitch * query, size, size, of="tint", opacity=strong)


def _layers(cell: Element, recipe: Recipe) -> None:
    """Bars from the first layer, below, to the last one; those that are read are full."""
    depths = recipe.coupling.reads.depths if isinstance(recipe.coupling, Head) else ()
    read = {max(1, round(depth * LAYERS)) for depth in depths}
    for layer in range(1, LAYERS + 1):
        strong = 0.9 if layer in read else 0.2
        box(cell, 8, CELL - 1 - 9 * layer, CELL - 16, 6, of="tint", opacity=strong)


def _view(cell: Element) -> None:
    put(cell, "rect", x=8, y=10, width=CELL - 16, height=CELL - 20, rx=3, of="edge", stroke_width=2)
    put(cell, "path", d="M11 33 L20 21 L26 28 L30 24 L35 33 Z", of="tint")
    put(cell, "circle", cx=31, cy=17, r=2.5, of="tint")


def _legend(parent: Element, recipe: Recipe, seen: Sequence[Sight]) -> float:
    """Explain what occurs in the picture; says how high that is."""
    y, scale = 0.0, 0.55
    reaches = {s.reach for s in seen if s.means is Means.ATTENTION}
    told = [
        (Sight(query="", key="", means=Means.ATTENTION, reach=reach), reach_in_words(recipe, reach))
        for reach in Reach
        if reach in reaches
    ]
    used = {sight.means for sight in seen}
    told += [
        (Sight(query="", key="", means=means), words)
        for means, (_, words) in MEANS.items()
        if means in used
    ]
    for sight, words in told:
        glyph = put(parent, "g", transform=f"translate(0 {y}) scale({scale})", of="soft")
        _mark(glyph, recipe, sight)
        say(parent, 34, y + 17, f"sees {words}")
        y += 28
    y += 12
    say(parent, 0, y + 8, "weights", of="soft small")
    y += 16
    experts = set(recipe.table.experts.values())
    for expert in sorted(experts, key=EXPERTS.index):
        box(put(parent, "g", of=expert), 4, y, 16, 16, of="tint", opacity=0.85)
        say(parent, 34, y + 13, expert)
        y += 24
    return y
