"""The report in headless Chromium: nothing fetched, everything drawn, readable on a phone."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fakes.chromium import Tab, chromium, find_chromium
from fakes.run import write_run
from vertebra.report.render import write_report

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        find_chromium() is None,
        reason="no Chromium is installed (apt-get install chromium)",
    ),
]

RUNS: dict[str, dict[str, Any]] = {
    "full": {},
    "one": {"finished": 1, "latency": False},
    "zero": {"finished": 0, "latency": False},
    "offline": {"simulator": False},
}

TEXTS = """
(() => {
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode, element = node.parentElement;
    if (!node.textContent.trim() || !element.checkVisibility()) continue;
    if (["SCRIPT", "STYLE", "TITLE", "DESC"].includes(element.tagName.toUpperCase())) continue;
    const style = getComputedStyle(element);
    const grounds = [];
    for (let e = element; e; e = e.parentElement) grounds.push(getComputedStyle(e).backgroundColor);
    const svg = element.closest("svg");
    found.push({
      text: node.textContent.trim().slice(0, 40),
      size: parseFloat(style.fontSize),
      scale: svg ? svg.getBoundingClientRect().width / svg.width.baseVal.value : 1,
      ink: svg ? style.fill : style.color,
      grounds: grounds,
    });
  }
  return found;
})()
"""
"""Every visible text: its size in CSS pixels, its ink and the colours behind it, near to far."""

CHARTS = """
[...document.querySelectorAll(".chart")].map(chart => {
  const svg = chart.querySelector("svg"), box = svg ? svg.getBoundingClientRect() : null;
  const marks = [...chart.querySelectorAll(
    ".mark-symbol path, .mark-rect path, .mark-line path, .mark-rule line")];
  const inside = marks.filter(mark => mark.closest("[class*='role-mark']"));
  const drawn = inside.filter(mark => {
    const b = mark.getBoundingClientRect();
    return b.width + b.height > 0;
  });
  const outside = [...chart.querySelectorAll("text")].filter(text => {
    const b = text.getBoundingClientRect();
    return b.width > 0 && (b.left < -0.5 || b.right > document.documentElement.clientWidth + 0.5);
  });
  return {
    id: chart.id, state: chart.dataset.drawn, marks: drawn.length,
    width: box ? box.width : 0, room: chart.clientWidth,
    outside: outside.map(text => text.textContent),
    label: chart.querySelector("[aria-label]") !== null,
  };
})
"""
"""Every chart: whether it has marks, fits its place and cuts off no text."""


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with chromium(tmp_path_factory.mktemp("profile")) as tab:
        yield tab


@pytest.fixture(scope="module", params=list(RUNS))
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    return write_report(write_run(folder, **RUNS[request.param]))


@pytest.mark.parametrize("width", [390, 768, 1280])
def test_page(tab: Tab, page: Path, width: int) -> None:
    tab.open(page, width)
    network = [url for url in tab.requests() if not url.startswith("data:")]
    assert network == [page.as_uri()]
    assert tab.complaints() == []
    charts = tab.evaluate(CHARTS)
    assert (len(charts) == 0) == ("zero" in str(page.parent))
    for chart in charts:
        assert chart["state"] == "yes", chart
        assert chart["marks"] > 0, chart
        assert 0 < chart["width"] <= chart["room"] + 0.5, chart
        assert chart["outside"] == [], chart
        assert chart["label"], chart


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_phone(tab: Tab, page: Path, dark: bool) -> None:
    tab.open(page, 390, dark=dark)
    tab.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    assert tab.evaluate("document.documentElement.clientWidth") == 390
    texts = tab.evaluate(TEXTS)
    assert len(texts) > 20
    small = [t for t in texts if t["size"] * t["scale"] < 12]
    assert small == []
    faint = [t for t in texts if contrast(t["ink"], t["grounds"]) < 4.5]
    assert faint == []


def test_charts_follow_the_width_of_the_window(tab: Tab, tmp_path: Path) -> None:
    page = write_report(write_run(tmp_path, pictures=False))
    tab.open(page, 1280)
    wide = {chart["id"]: chart["width"] for chart in tab.evaluate(CHARTS)}
    tab.resize(390)
    tab.wait_for(
        "[...document.querySelectorAll('.chart svg')].every("
        "svg => svg.getBoundingClientRect().width <= 390)"
    )
    narrow = {chart["id"]: chart["width"] for chart in tab.evaluate(CHARTS)}
    assert narrow.keys() == wide.keys()
    assert narrow["chart-endings"] < wide["chart-endings"]
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390


def contrast(ink: str, grounds: list[str]) -> float:
    """Contrast ratio as WCAG 2 defines it, of an ink on layers of colour (near to far)."""
    ground = (255.0, 255.0, 255.0)
    for layer in reversed(grounds):
        *colour, alpha = numbers(layer)
        ground = tuple(alpha * c + (1 - alpha) * g for c, g in zip(colour, ground, strict=True))
    one, other = sorted((luminance(numbers(ink)), luminance(ground)))
    return (other + 0.05) / (one + 0.05)


def numbers(colour: str) -> tuple[float, ...]:
    """Red, green, blue and opacity of a CSS colour."""
    found = [float(part) for part in colour[colour.index("(") + 1 : -1].split(",")]
    return (*found, 1.0) if len(found) == 3 else tuple(found)


def luminance(colour: tuple[float, ...]) -> float:
    linear = [
        c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4
        for c in (n / 255 for n in colour[:3])
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
