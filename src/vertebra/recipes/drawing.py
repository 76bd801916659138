"""Elements of the pictures of recipes: what they are made of, and how they look."""

from xml.etree.ElementTree import Element, SubElement

EXPERTS = ("vlm", "video", "action", "inverse")
STYLE = """
svg, body { --paper: #fbfaf8; --ink: #1d2129; --soft: #636975; --line: #dcd9d2; --wash: #f0eee8; }
svg .vlm { color: #3f76bd; } svg .video { color: #c9702c; }
svg .action { color: #2c8a62; } svg .inverse { color: #86559f; }
@media (prefers-color-scheme: dark) {
  svg, body { --paper: #15171b; --ink: #eceae6; --soft: #9fa2ac; --line: #363a43; --wash: #23262d; }
  svg .vlm { color: #7fa9de; } svg .video { color: #e5955a; }
  svg .action { color: #5fc094; } svg .inverse { color: #b98bd2; }
}
svg { font: 13px system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  font-variant-numeric: tabular-nums; }
svg text { fill: var(--ink); }
svg .soft { fill: var(--soft); } svg .small { font-size: 11px; }
svg .strong { font-weight: 650; } svg .title { font-size: 17px; font-weight: 650; }
svg .tint { fill: currentColor; } svg .edge { stroke: currentColor; fill: none; }
svg .paper { fill: var(--paper); } svg .wash { fill: var(--wash); }
svg .rule { stroke: var(--line); fill: none; } svg .onpaper { stroke: var(--paper); fill: none; }
"""


def put(parent: Element, tag: str, **attributes: float | str) -> Element:
    """Add an element; numbers are rounded, and underscores in names become hyphens.

    The attribute ``of`` stands for ``class``.
    """
    names = {"of": "class"}
    plain = {
        names.get(name, name.replace("_", "-")): (
            f"{value:.5g}" if isinstance(value, float) else str(value)
        )
        for name, value in attributes.items()
    }
    return SubElement(parent, tag, plain)


def say(parent: Element, x: float, y: float, words: str, **attributes: float | str) -> Element:
    """Add a text."""
    element = put(parent, "text", x=x, y=y, **attributes)
    element.text = words
    return element


def box(
    parent: Element, x: float, y: float, wide: float, high: float, **attributes: float | str
) -> Element:
    """Add a rectangle with round corners."""
    return put(parent, "rect", x=x, y=y, width=wide, height=high, rx=3, **attributes)


def at(parent: Element, x: float, y: float, **attributes: float | str) -> Element:
    """Add a group whose origin lies at a place."""
    return put(parent, "g", transform=f"translate({x:.5g} {y:.5g})", **attributes)
