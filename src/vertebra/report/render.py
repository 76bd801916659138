"""From a run directory to ``report.html``: one file that asks nothing of the network."""

import json
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from vertebra.report import phrases
from vertebra.spec.errors import MissingExtra
from vertebra.spec.storage import write_bytes, write_json
from vertebra.verdict.beside import INTERVAL, Beside
from vertebra.verdict.purchase import READING
from vertebra.verdict.run import read_run
from vertebra.verdict.summarise import summarise

try:
    import vl_convert
    from jinja2 import Environment, StrictUndefined

    from vertebra.report.charts import charts
    from vertebra.report.model import Page, build_page
    from vertebra.report.rows import ENDINGS
except ImportError as error:
    raise MissingExtra("The report", "report") from error

DRAW = """
const specs = JSON.parse(document.getElementById("chart-specs").textContent);
for (const [name, spec] of Object.entries(specs)) {
  const place = document.getElementById("chart-" + name);
  vegaEmbed(place, spec, {actions: false, renderer: "svg", tooltip: {theme: "custom"}})
    .then(() => place.setAttribute("data-drawn", "yes"))
    .catch((problem) => { console.error(name, problem); place.setAttribute("data-drawn", "no"); });
}
"""
"""Draws every chart of the page; the only code of ours that runs in the browser."""


def write_report(run_dir: Path) -> Path:
    """Summarise a run and write ``verdict.json`` and ``report.html`` into its folder.

    Safe to call after every finished training: both files are replaced atomically.

    Args:
        run_dir: Folder of a pilot, finished or not.

    Returns:
        Path of the page.

    Raises:
        ValueError: When the folder is not a pilot's or a finished job cannot be read.
    """
    run = read_run(run_dir)
    summary = summarise(run)
    write_json(run_dir / "verdict.json", summary)
    target = run_dir / "report.html"
    write_bytes(target, render(build_page(run_dir, run, summary)).encode())
    return target


def render(page: Page) -> str:
    """The page as HTML text."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(_text("page.html.j2"))
    specs = charts(page)
    return template.render(
        page=page,
        summary=page.summary,
        verdict=page.summary.verdict,
        drawn=specs,
        endings=tuple(ENDINGS.values()),
        say=phrases,
        reading=READING,
        style=_text("page.css"),
        specs=_inside_script(specs),
        bundle=_bundle(),
    )


def render_beside(found: Beside) -> str:
    """Two pilots side by side as HTML text."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(_text("compare.html.j2"))
    return template.render(found=found, say=phrases, style=_text("page.css"), interval=INTERVAL)


@cache
def _bundle() -> str:
    """Vega, Vega-Lite, Vega-Embed and our drawing code as one module (about 0.9 MB)."""
    code = vl_convert.javascript_bundle(DRAW)
    if "</script" in code.lower():
        raise ValueError("The Vega bundle holds '</script', so it cannot be inlined.")
    return code


def _inside_script(value: Any) -> str:
    """JSON that cannot end the script element it stands in."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _text(name: str) -> str:
    return (resources.files("vertebra.report") / name).read_text(encoding="utf-8")
