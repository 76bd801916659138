"""The page as a file: complete, self-contained, safe, and honest when little has finished."""

import json
import re
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from fakes.run import ARMS
from fakes.run import write_run as write_any_run
from vertebra.report import phrases
from vertebra.report.render import write_report
from vertebra.spec.storage import read_json, read_jsonl, write_json, write_jsonl
from vertebra.stats.interval import Estimate
from vertebra.verdict.run import read_run
from vertebra.verdict.summarise import summarise
from vertebra.verdict.summary import summary_from_plain


def write_run(out: Path, **more: Any) -> Path:
    return write_any_run(out, **{"scenes": (6, 3, 3), **more})


class Parsed(HTMLParser):
    """Text outside scripts and styles, and the attributes that could load something."""

    VOID = frozenset({"meta", "link", "img", "br", "input"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text = ""
        self.links: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.open: list[str] = []
        self.feed(html)
        assert self.open == [], "unclosed elements"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.links += [v for k, v in attrs if k in ("src", "href", "data", "action") and v]
        if tag == "img":
            self.images.append(found)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self.open):
            self.text += data


def specs(html: str) -> dict[str, Any]:
    found = re.search(r'id="chart-specs">(.*?)</script>', html, re.DOTALL)
    assert found is not None
    return json.loads(found.group(1))


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("full"))


@pytest.fixture(scope="module")
def html(full: Path) -> str:
    return write_report(full).read_text()


def test_the_page_is_well_formed_and_loads_nothing(html: str) -> None:
    page = Parsed(html)
    assert page.links
    assert all(link.startswith("data:") for link in page.links)
    assert "@import" not in html
    assert "default-src 'none'" in html


def test_vega_is_bundled_once(html: str) -> None:
    assert html.count('<script type="module">') == 1
    assert len(html) < 2_500_000


def test_first_screen_holds_verdict_and_three_numbers_an_arm(full: Path, html: str) -> None:
    summary = summarise(read_run(full))
    text = Parsed(html).text
    assert summary.verdict.headline in text
    for point in summary.points:
        if point.blind or point.demonstrations != 800:
            continue
        assert point.grounding is not None and point.success is not None
        for estimate in (point.grounding.following, point.success):
            assert phrases.percent(estimate.value) in text
            assert phrases.percent_range(estimate) in text
            assert phrases.basis(estimate) in text
    medians = [r.p50_s for r in summary.latency if r.stage == "chunk"]
    assert all(m is not None and phrases.milliseconds(m.value) in text for m in medians)


def test_every_part_of_the_issue_is_there(html: str) -> None:
    text = Parsed(html).text
    for heading in (
        "What the verdict rests on",
        "How far do demonstrations carry?",
        "Where does it succeed?",
        "Does it follow language?",
        "What if the words change or vanish?",
        "How fast does it act?",
        "Does it imagine what really happens?",
        "How did training go?",
        "What did it cost?",
        "What did it look like?",
        "What this does not say",
        "Check it",
    ):
        assert heading in text
    assert "do not predict the ranking of billion-parameter models" in text
    assert "boxes from a detector" in text


def test_every_chart_has_a_place_an_alternative_text_and_readable_type(html: str) -> None:
    found = specs(html)
    assert {"curve-success", "curve-following", "splits", "skills", "endings", "conditions"} < set(
        found
    )
    assert {"comparisons", "latency", "imagination", "loss-pi0", "loss-fast-wam+blind"} < set(found)
    for name, spec in found.items():
        assert html.count(f'id="chart-{name}"') == 1
        assert spec["description"]
        assert spec["width"] == "container"
        assert spec["config"]["axis"]["labelFontSize"] >= 12


def test_charts_show_the_numbers_of_the_summary(full: Path, html: str) -> None:
    summary = summarise(read_run(full))
    rows = (
        next(iter(specs(html)["curve-following"]["datasets"].values()), None)
        if ("datasets" in specs(html)["curve-following"])
        else specs(html)["curve-following"]["data"]["values"]
    )
    assert rows is not None
    shown = {
        (r["arm"], r["demonstrations"]): (r["value"], r["low"], r["high"], r["n"]) for r in rows
    }
    expected = {}
    for p in summary.points:
        assert p.grounding is not None
        f = p.grounding.following_in_split
        assert f is not None
        expected[p.arm, p.demonstrations] = (f.value, f.low, f.high, f.n)
    assert shown == expected


def test_pictures_are_inlined_with_size_and_alternative_text(html: str) -> None:
    images = Parsed(html).images
    assert len(images) == 10
    for image in images:
        assert (image["src"] or "").startswith("data:image/png;base64,")
        assert image["alt"]
        assert int(image["width"] or 0) > 0 and int(image["height"] or 0) > 0


def test_verdict_json_holds_the_same_summary(full: Path, html: str) -> None:
    assert html
    assert summary_from_plain(read_json(full / "verdict.json")) == summarise(read_run(full))


def test_writing_again_gives_the_same_bytes_quickly(full: Path, html: str) -> None:
    began = time.process_time()
    assert write_report(full).read_text() == html
    assert time.process_time() - began < 3
    assert not list(full.glob(".*.part"))


@pytest.mark.parametrize("finished", [0, 1, 2, 7])
def test_partial_pilots_have_a_page(tmp_path: Path, finished: int) -> None:
    write_run(tmp_path, finished=finished, latency=False, pictures=finished == 1)
    text = Parsed(write_report(tmp_path).read_text()).text
    assert f"{finished} of 18 finished" in text
    if finished == 0:
        assert "Nothing finished yet" in text
        assert specs((tmp_path / "report.html").read_text()) == {}
    else:
        assert "Not measured yet: latency is timed last" in text
        assert "Cannot tell yet whether pi0 or fast-wam is better" in text


def test_one_seed_is_marked_as_one_checkpoint(tmp_path: Path) -> None:
    write_run(tmp_path, finished=1, pictures=False)
    text = Parsed(write_report(tmp_path).read_text()).text
    assert "the intervals speak of this checkpoint only" in text


def test_a_pilot_without_a_simulator_says_what_it_cannot(tmp_path: Path) -> None:
    write_run(tmp_path, simulator=False, pictures=False)
    html = write_report(tmp_path).read_text()
    text = Parsed(html).text
    assert "no simulator or robot" in text
    assert "not measurable" in text
    assert "Priors learnt on the built-in table-top mean nothing" in text
    assert "Does it follow language?" not in text
    assert "No training used privileged targets" in text
    assert "latency" in specs(html)


def test_words_of_a_data_set_cannot_become_code(tmp_path: Path) -> None:
    write_run(tmp_path, finished=1)
    evil = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"
    folder = tmp_path / "jobs" / "pi0-800-s0"
    entries = read_json(folder / "show" / "show.json")
    entries[0]["caption"] = evil
    write_json(folder / "show" / "show.json", entries)
    rows = list(read_jsonl(folder / "records.jsonl"))
    for row in rows:
        row["skill"] = evil
    write_jsonl(folder / "records.jsonl", rows)
    html = write_report(tmp_path).read_text()
    page = Parsed(html)
    assert "<script>alert" not in html
    assert "<img src=x" not in html
    assert evil in page.text
    assert evil in json.dumps(specs(html))


def test_the_page_of_a_run_that_cannot_be_read_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"plan\.json"):
        write_report(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_failing_rewrite_keeps_the_old_page(tmp_path: Path) -> None:
    write_run(tmp_path, finished=1, pictures=False)
    before = write_report(tmp_path).read_bytes()
    (tmp_path / "jobs" / "pi0-800-s0" / "result.json").write_text("{")
    with pytest.raises(ValueError, match="pi0-800-s0"):
        write_report(tmp_path)
    assert (tmp_path / "report.html").read_bytes() == before


def test_arms_of_one_family_get_different_colours(tmp_path: Path) -> None:
    variants = tuple(
        type(ARMS[1])(name=name, recipe=name, family="wam") for name in ("joint", "idm")
    )
    write_run(tmp_path, arms=(*ARMS, *variants), seeds=(0,), pictures=False)
    scale = specs(write_report(tmp_path).read_text())["splits"]["layer"][0]["encoding"]["color"]
    colours = dict(zip(scale["scale"]["domain"], scale["scale"]["range"], strict=True))
    assert colours["pi0"] == colours["pi0+blind"]
    assert len(set(colours.values())) == 4


def estimate(value: float, low: float | None, high: float | None, n: int = 10) -> Estimate:
    return Estimate(
        value=value, low=low, high=high, level=0.95, n=n, seeds=3, states=2, method="test"
    )


def test_numbers_are_written_for_people() -> None:
    t = phrases.THIN
    assert phrases.percent(0.635) == f"64{t}%"
    assert phrases.percent(None) == "–"
    assert phrases.points(-0.031) == "−3"
    assert phrases.points_range(estimate(0.1, -0.02, 0.2)) == "−2 to +20"
    assert phrases.percent_range(estimate(0.1, None, None)) == "no interval"
    assert phrases.milliseconds(0.02741) == f"27.4{t}ms"
    assert phrases.milliseconds_range(estimate(0.02, 0.019, None)) == f"over 19.0{t}ms"
    assert phrases.scientific(2.1e14) == f"2.1{t}×{t}10¹⁴"
    assert phrases.scientific(0) == "0"
    assert phrases.duration(59.6) == f"1{t}min 0{t}s"
    assert phrases.duration(3725) == f"1{t}h 2{t}min"
    assert phrases.grouped(1234567) == f"1{t}234{t}567"
