"""The numbers of a report as CSV, Parquet and LaTeX: the same numbers, nothing lost."""

import csv
import math
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from fakes.run import write_run
from vertebra.cli.entry import run as run_command
from vertebra.report.tables import latex, tables, write_tables
from vertebra.spec.criteria import Criteria
from vertebra.spec.storage import read_json, to_plain, write_json
from vertebra.stats.growth import Cell
from vertebra.stats.scaling import fit_curve
from vertebra.verdict.cheapest import word_of
from vertebra.verdict.purchase import CHEAPEST, DEARER, OPEN
from vertebra.verdict.run import read_run
from vertebra.verdict.summarise import summarise
from vertebra.verdict.summary import Summary

QUICK: dict[str, Any] = {"pictures": False, "scenes": (26, 2, 2), "seed_sd": 0.05}


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = write_run(tmp_path_factory.mktemp("run"), **QUICK)
    priced = Criteria(
        target_success=0.55, demonstration_cost=2.0, label_cost=0.5, gpu_hour_cost=1.0
    )
    plan = read_json(out / "plan.json")
    write_json(out / "plan.json", {**plan, "criteria": to_plain(priced)})
    return out


@pytest.fixture(scope="module")
def summary(run_dir: Path) -> Summary:
    return summarise(read_run(run_dir))


def test_csv_and_parquet_hold_the_same_numbers(summary: Summary, tmp_path: Path) -> None:
    write_tables(summary, tmp_path, kind="csv")
    write_tables(summary, tmp_path, kind="parquet")
    for name, rows in tables(summary).items():
        with (tmp_path / f"{name}.csv").open() as handle:
            texts = list(csv.DictReader(handle))
        assert pq.read_table(tmp_path / f"{name}.parquet").to_pylist() == rows
        assert len(texts) == len(rows) > 0
        for text, row in zip(texts, rows, strict=True):
            assert text == {key: "" if v is None else str(v) for key, v in row.items()}


def test_points_carry_interval_n_and_seeds(summary: Summary) -> None:
    row = tables(summary)["points"][0]
    point = summary.points[0]
    assert point.success is not None
    assert (row["success"], row["success_low"]) == (point.success.value, point.success.low)
    assert (row["success_n"], row["success_seeds"]) == (point.success.n, 3)


def test_latex_has_a_line_an_arm(summary: Summary) -> None:
    text = latex(summary)
    assert text.count(r"\\") == 1 + len({point.arm for point in summary.points})
    assert "pi0{+}blind" in text
    assert text.startswith("% ") and summary.plan in text
    assert text.count("{") == text.count("}")


def test_the_cheapest_way_adds_up(run_dir: Path, summary: Summary, capsys) -> None:
    """Fake trainings use a label a demonstration, and fifteen frames where they imagine."""
    priced = {one.arm: one for one in summary.purchases}
    assert set(priced) == {"pi0", "fast-wam"}
    told = [one for one in priced.values() if one.total is not None]
    assert told
    for one in told:
        assert one.demonstrations is not None
        hours = [c.train_seconds / 3600 for c in summary.costs if c.arm == one.arm]
        wanted = 2.5 * one.demonstrations + sum(hours) / len(hours)
        assert one.total == pytest.approx(wanted, rel=1e-6)
        assert one.labels == pytest.approx(one.demonstrations)
        assert one.video_frames == pytest.approx(15 * one.demonstrations * (one.arm != "pi0"))
        parts = (
            one.demonstration_part,
            one.label_part,
            one.video_part,
            one.extra_part,
            one.training_part,
        )
        assert one.total == pytest.approx(sum(part for part in parts if part is not None))
        assert None not in parts
        assert (one.total_high is None) == (one.high is None)
        crossing = next(p.crossing for p in summary.prices if p.arm == one.arm)
        assert one.extrapolated == (crossing is None)
    page = _page(run_dir)
    assert "What is the cheapest way to" in page and "GPU-hours" in page
    capsys.readouterr()
    assert run_command(["verdict", str(run_dir)]) == 0
    printed = capsys.readouterr().out
    assert all(one.words in printed for one in priced.values())


def test_a_total_is_not_read_beyond_twice_the_data() -> None:
    cells = [
        Cell(demonstrations=n, successes=round(100 * p), trials=100, seed=seed)
        for n, p in ((100, 0.2), (200, 0.33), (400, 0.5))
        for seed in range(3)
    ]
    curve = fit_curve(cells)
    assert curve is not None
    assert curve.crossing(0.6) is None and curve.crossing(0.1) is None
    beyond = curve.reaching(0.6)
    assert beyond is not None and 400 < beyond.demonstrations < 800
    assert curve.reaching(0.75) is None and curve.reaching(0.01) is None
    assert curve.reaching(0.4) == curve.crossing(0.4)


def test_dearer_and_cheapest_are_said_only_when_intervals_lie_apart() -> None:
    spans = {"a": (1.0, 2.0), "b": (2.5, 9.0), "c": (8.0, math.inf)}
    assert [word_of(arm, spans) for arm in spans] == [CHEAPEST, DEARER, DEARER]
    spans["a"] = (-math.inf, 2.6)
    assert [word_of(arm, spans) for arm in spans] == [OPEN, OPEN, DEARER]
    assert word_of("a", {"a": (1.0, 2.0)}) == OPEN


def _page(run_dir: Path) -> str:
    assert run_command(["report", str(run_dir)]) == 0
    return (run_dir / "report.html").read_text()


def test_tables_by_command(
    run_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["report", str(run_dir), "--tables", str(tmp_path / "t")]) == 0
    printed = capsys.readouterr().out.split()
    assert all(Path(name).is_file() for name in printed)
    assert printed[-1].endswith("report.html")
    assert {Path(name).suffix for name in printed} == {".csv", ".tex", ".html"}
