"""The numbers of a report as CSV, Parquet and LaTeX: the same numbers, nothing lost."""

import csv
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from fakes.run import write_run
from vertebra.cli.entry import run as run_command
from vertebra.report.tables import latex, tables, write_tables
from vertebra.spec.criteria import Criteria
from vertebra.spec.storage import read_json, to_plain, write_json
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


def test_a_total_cost_grows_with_the_demonstrations(run_dir: Path, summary: Summary) -> None:
    priced = [price for price in summary.prices if price.crossing is not None]
    assert priced
    for price in priced:
        assert price.crossing is not None and price.total is not None
        hours = [c.train_seconds / 3600 for c in summary.costs if c.arm == price.arm]
        wanted = 2.5 * price.crossing.demonstrations + sum(hours) / len(hours)
        assert price.total == pytest.approx(wanted, rel=1e-6)
        assert (price.total_high is None) == (price.crossing.high is None)
    assert "Total cost" in _page(run_dir)


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
