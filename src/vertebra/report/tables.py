"""The numbers of a report as tables for other programs (CSV, Parquet) and for papers (LaTeX)."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vertebra.report.rows import Row
from vertebra.spec.errors import MissingExtra
from vertebra.spec.storage import write_bytes
from vertebra.stats.interval import Estimate
from vertebra.verdict.summary import Point, Summary

LATEX_SPECIAL = {"_": r"\_", "%": r"\%", "&": r"\&", "#": r"\#", "+": r"{+}"}


def write_tables(summary: Summary, folder: Path, *, kind: str) -> tuple[Path, ...]:
    """Write every table and ``verdict.tex``.

    Args:
        summary: The numbers.
        folder: Where to; made when absent.
        kind: ``csv`` or ``parquet``.

    Returns:
        The files.

    Raises:
        MissingExtra: When Parquet is asked for without pyarrow.
    """
    encode = {"csv": _csv, "parquet": _parquet}[kind]
    found = {f"{name}.{kind}": encode(rows) for name, rows in tables(summary).items() if rows}
    found["verdict.tex"] = latex(summary).encode()
    for name, content in found.items():
        write_bytes(folder / name, content)
    return tuple(folder / name for name in found)


def tables(summary: Summary) -> dict[str, list[Row]]:
    """Name to rows; every number with its interval, n and seeds."""
    return {
        "points": [
            {
                **_of(p, "arm", "recipe", "family", "blind", "demonstrations", "episodes"),
                **_of(p, "errors", "success_split"),
                **_estimate("success", p.success),
                **_estimate("following", p.grounding.following if p.grounding else None),
            }
            for p in summary.points
        ],
        "comparisons": [
            {
                **_of(c, "kind", "measure", "first", "second", "demonstrations", "margin"),
                **_estimate("difference", c.difference),
                **_of(c, "p", "p_holm", "p_equal", "word", "missing"),
            }
            for c in summary.comparisons
        ],
        "demonstrations": [
            {
                **_of(p, "arm", "target", "ceiling", "words"),
                "demonstrations": p.crossing.demonstrations if p.crossing else None,
                "demonstrations_low": p.crossing.low if p.crossing else None,
                "demonstrations_high": p.crossing.high if p.crossing else None,
            }
            for p in summary.prices
        ],
        "purchases": [dict(vars(one)) for one in summary.purchases],
        "latency": [
            {
                **_of(row, "arm", "stage", "n"),
                **_estimate("p50_s", row.p50_s),
                **_estimate("p95_s", row.p95_s),
                **_estimate("p99_s", row.p99_s),
            }
            for row in summary.latency
        ],
        "costs": [dict(vars(cost)) for cost in summary.costs],
    }


def latex(summary: Summary) -> str:
    """One table: following, success, latency and demonstrations of every arm, with intervals."""
    largest: dict[str, Point] = {}
    for point in sorted(summary.points, key=lambda p: p.demonstrations):
        largest[point.arm] = point
    lines = [
        f"% {_escaped(summary.verdict.headline)}",
        f"% vertebra, plan {summary.plan}; 95 % intervals over training seeds",
        r"\begin{tabular}{lrrrrr}",
        r"\toprule",
        r"policy & demonstrations & follows (\%) & succeeds (\%) & latency p50 (ms) & "
        rf"demonstrations to {100 * summary.criteria.target_success:.0f}\,\% \\",
        r"\midrule",
    ]
    for arm, point in largest.items():
        following = point.grounding.following if point.grounding else None
        cells = (
            _escaped(arm),
            str(point.demonstrations),
            _cell(following, 100),
            _cell(point.success, 100),
            _cell(_median(summary, arm), 1000),
            _price(summary, arm),
        )
        lines.append(" & ".join(cells) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def _median(summary: Summary, arm: str) -> Estimate | None:
    rows = [row for row in summary.latency if (row.arm, row.stage) == (arm, "chunk")]
    return rows[0].p50_s if rows else None


def _price(summary: Summary, arm: str) -> str:
    price = next((price for price in summary.prices if price.arm == arm), None)
    if price is None:
        return "--"
    if price.crossing is None:
        bound = price.words.partition(" (")[0]
        return f"${bound}$" if bound[:1] in "<>" else "--"
    low = "0" if price.crossing.low is None else f"{price.crossing.low:.0f}"
    high = r"$\infty$" if price.crossing.high is None else f"{price.crossing.high:.0f}"
    return f"{price.crossing.demonstrations:.0f} [{low}, {high}]"


def _cell(estimate: Estimate | None, scale: int) -> str:
    if estimate is None:
        return "--"
    if estimate.low is None or estimate.high is None:
        return f"{scale * estimate.value:.0f}"
    ends = f"{scale * estimate.low:.0f}, {scale * estimate.high:.0f}"
    return f"{scale * estimate.value:.0f} [{ends}]"


def _escaped(text: str) -> str:
    return "".join(LATEX_SPECIAL.get(letter, letter) for letter in text)


def _of(value: Any, *names: str) -> Row:
    return {name: getattr(value, name) for name in names}


def _estimate(name: str, estimate: Estimate | None) -> Row:
    parts = ("value", "low", "high", "n", "seeds")
    keys = (name, *(f"{name}_{part}" for part in parts[1:]))
    values = [None if estimate is None else getattr(estimate, part) for part in parts]
    return dict(zip(keys, values, strict=True))


def _csv(rows: Sequence[Mapping[str, Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def _parquet(rows: Sequence[Mapping[str, Any]]) -> bytes:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingExtra("Tables as Parquet", "data") from error
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist([dict(row) for row in rows]), sink)
    return sink.getvalue().to_pybytes()
