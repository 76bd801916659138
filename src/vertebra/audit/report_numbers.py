"""Written numbers beside recomputed ones: the verdict, the ledger, the page."""

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vertebra.audit.report_finding import Finding
from vertebra.pilot.layout import RunDirectory
from vertebra.pilot.ledger import collect
from vertebra.pilot.plan import PilotPlan
from vertebra.spec.storage import read_json, to_plain

TOLERANCE = 1e-9
"""Relative difference of two floats that another processor or library version may cause."""
_SPECS = re.compile(
    r'<script type="application/json" id="(?P<name>[\w-]+)">(?P<json>.*?)</script>', re.DOTALL
)
_PROGRAM = re.compile(r'<script type="module">.*?</script>', re.DOTALL)
_COMMAND = re.compile(r"vertebra report ([^<\n]+)</code>")
_SHOWN = 160


def differences(found: Any, expected: Any, where: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Every place at which two JSON values differ: path, found, expected."""
    if isinstance(found, dict) and isinstance(expected, dict):
        for name in [*expected, *(name for name in found if name not in expected)]:
            place = f"{where}.{name}" if where else str(name)
            if name in found and name in expected:
                yield from differences(found[name], expected[name], place)
            else:
                yield place, found.get(name, "absent"), expected.get(name, "absent")
    elif isinstance(found, list) and isinstance(expected, list) and len(found) == len(expected):
        for place, (one, other) in enumerate(zip(found, expected, strict=True)):
            yield from differences(one, other, f"{where}[{place}]")
    elif not _equal(found, expected):
        yield where, found, expected


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, float) or isinstance(other, float):
        if not isinstance(one, int | float) or not isinstance(other, int | float):
            return False
        return one == other or abs(one - other) <= TOLERANCE * max(abs(one), abs(other))
    return bool(one == other)


def edited(where: str, found: Any, expected: Any) -> Finding:
    """A number (or word) that is not what follows from the records."""
    return Finding(
        kind="edited number", where=where, found=_short(found), expected=_short(expected)
    )


def compare_files(path: Path, expected: Mapping[str, Any]) -> list[Finding]:
    """A JSON file beside what it should hold."""
    # Written and read once, so that both sides are JSON values.
    again = json.loads(json.dumps(to_plain(expected)))
    return [
        edited(f"{path.name}: {place}", one, other)
        for place, one, other in differences(read_json(path), again)
    ]


def compare_ledger(plan: PilotPlan, run: RunDirectory) -> list[Finding]:
    """The sum of what jobs used, beside the jobs."""
    if not run.ledger.is_file():
        return []
    jobs = [run.job(cell.id) for cell in plan.grid.cells]
    try:
        expected = collect(plan.hash, jobs)
    except (ValueError, KeyError, TypeError):
        return []  # The result that cannot be read has its own finding.
    return compare_files(run.ledger, expected)


def compare_page(found: str, expected: str, directory: Path) -> list[Finding]:
    """A page beside the same page drawn anew.

    Charts are compared as data; the rest line by line. The drawing program is compared as a whole,
    and the directory in commands may be another one, because a run can be moved.
    """
    named = _COMMAND.search(found)
    if named is not None:
        found = found.replace(named[1], str(directory))
    findings: list[Finding] = []
    one, other = (
        {match["name"]: match["json"] for match in _SPECS.finditer(text)}
        for text in (found, expected)
    )
    for name in [*other, *(name for name in one if name not in other)]:
        try:
            values = json.loads(one.get(name, "null")), json.loads(other.get(name, "null"))
        except json.JSONDecodeError as error:
            findings.append(edited(f"report.html: {name}", str(error), "JSON"))
            continue
        findings += [
            edited(f"report.html: {name}: {place}", a, b) for place, a, b in differences(*values)
        ]
    if _PROGRAM.findall(found) != _PROGRAM.findall(expected):
        findings.append(
            edited("report.html: the program that draws", "another program", "that of vl-convert")
        )
    return findings + _compare_lines(
        *(_PROGRAM.sub("", _SPECS.sub("", t)) for t in (found, expected))
    )


def _compare_lines(found: str, expected: str) -> list[Finding]:
    one, other = found.splitlines(), expected.splitlines()
    matcher = difflib.SequenceMatcher(a=one, b=other, autojunk=False)
    return [
        edited(f"report.html: line {a + 1}", *_changed(" ".join(one[a:b]), " ".join(other[c:d])))
        for tag, a, b, c, d in matcher.get_opcodes()
        if tag != "equal"
    ]


def _changed(one: str, other: str) -> tuple[str, str]:
    """The parts in which two lines differ, with a little of what stands around them."""
    start = next(
        (place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b),
        min(len(one), len(other)),
    )
    end = next(
        (
            place
            for place, (a, b) in enumerate(
                zip(reversed(one[start:]), reversed(other[start:]), strict=False)
            )
            if a != b
        ),
        min(len(one), len(other)) - start,
    )
    begin = max(0, start - 40)
    return one[begin : len(one) - max(0, end - 20)], other[begin : len(other) - max(0, end - 20)]


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."
