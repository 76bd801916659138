"""A recipe as one picture, or as one page; both hold everything they need."""

from html import escape
from xml.etree.ElementTree import Element, tostring

from vertebra.policy.recipe import Recipe
from vertebra.recipes.drawing import STYLE, at, put, say
from vertebra.recipes.picture_sight import draw_sight
from vertebra.recipes.picture_time import draw_time
from vertebra.recipes.table import row_of
from vertebra.recipes.words import facts

MARGIN = 20
PAGE = """\
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui,
  -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 1240px; margin: 0 auto; padding: 28px 24px 48px; }
h1 { font-size: 28px; margin: 0; letter-spacing: -.01em; }
h2 { font-size: 17px; margin: 30px 0 8px; }
p { margin: 2px 0 0; color: var(--soft); } figure { margin: 0; overflow-x: auto; }
dl { display: grid; grid-template-columns: 140px 1fr; gap: 6px 24px; margin: 8px 0 0; }
dt { color: var(--soft); text-align: right; } dd { margin: 0; }
"""
"""Look of what stands around the pictures."""


def svg(recipe: Recipe) -> str:
    """Visibility and timeline as one picture, ending in a newline."""
    row = row_of(recipe)
    root = _root()
    put(root, "rect", width="100%", height="100%", of="paper")
    say(root, MARGIN, 34, row.recipe, of="title")
    say(root, MARGIN, 54, f"{row.source}; status: {row.status}", of="soft")
    wide, high = draw_sight(at(root, MARGIN, 66), recipe)
    below = 66 + high + 40
    wide2, high2 = draw_time(at(root, MARGIN, below), recipe)
    return _sized(root, max(wide, wide2) + 2 * MARGIN, below + high2 + MARGIN)


def html(recipe: Recipe) -> str:
    """The same as a page, with what follows from the recipe."""
    row = row_of(recipe)
    told = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in facts(row))
    parts: list[str] = []
    for draw in (draw_sight, draw_time):
        root = _root()
        parts.append(_sized(root, *draw(at(root, 0, 4), recipe)))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(row.recipe)}</title><style>{PAGE}</style></head>\n<body><main>"
        f"<h1>{escape(row.recipe)}</h1>"
        f"<p>{escape(row.family)} &middot; {escape(row.source)} &middot; "
        f"status: {escape(row.status)}</p>"
        f"<h2>Who sees whom: rows look at columns</h2><figure>{parts[0]}</figure>"
        f"<h2>What makes a chunk</h2><figure>{parts[1]}</figure>"
        f"<h2>What follows</h2><dl>{told}</dl></main></body></html>\n"
    )


def _root() -> Element:
    root = Element("svg", {"xmlns": "http://www.w3.org/2000/svg"})
    put(root, "style").text = STYLE
    return root


def _sized(root: Element, wide: float, high: float) -> str:
    root.attrib |= {"width": f"{wide:.0f}", "height": f"{high:.0f}"}
    root.attrib["viewBox"] = f"0 0 {wide:.0f} {high:.0f}"
    return tostring(root, encoding="unicode") + "\n"
