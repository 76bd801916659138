"""The page of published evidence, made from its data file. No number on it is written by hand.

``python -m vertebra.recipes.evidence docs/evidence.json docs/evidence.md`` writes it anew.
"""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vertebra.spec.storage import read_json, write_bytes

BEGIN = "<!-- written by `make fix` from evidence.json, not by hand -->"
FAMILIES = ("VLA", "WAM", "hybrid", "control")


@dataclass(frozen=True, kw_only=True)
class Result:
    """One published number.

    Attributes:
        system: Which system.
        benchmark: On what.
        value: The number, in the unit of the benchmark; as printed in the source.
        training: What it was trained on for this number.
        protocol: How it was evaluated, as far as that was stated.
        source: Key of the source.
        by: ``own`` (its authors) or ``others``.
    """

    system: str
    benchmark: str
    value: str
    training: str
    protocol: str
    source: str
    by: str


@dataclass(frozen=True, kw_only=True)
class Latency:
    """How long one chunk takes.

    Attributes:
        system: Which system.
        ms: Milliseconds a chunk, as printed in the source.
        hardware: On what.
        what: What is included, and in which setting.
        source: Key of the source.
    """

    system: str
    ms: str
    hardware: str
    what: str
    source: str


@dataclass(frozen=True, kw_only=True)
class Meeting:
    """A VLA and a WAM side by side: the closest that the literature comes to a comparison.

    Attributes:
        where: Benchmark or robot.
        vla: Name and number of the best VLA there.
        vla_value: The number.
        wam: Name of the best WAM there.
        wam_value: The number.
        margin: Differences up to this are not told apart here; in the unit of the numbers.
        lower_is_better: For times.
        unequal: What else differs between the two.
        source: Key of the source.
    """

    where: str
    vla: str
    vla_value: float
    wam: str
    wam_value: float
    margin: float
    lower_is_better: bool
    unequal: str
    source: str

    @property
    def ahead(self) -> str:
        """``VLA``, ``WAM``, or ``cannot tell`` when the difference is within the margin."""
        gain = self.wam_value - self.vla_value
        if abs(gain) <= self.margin:
            return "cannot tell"
        return "WAM" if (gain > 0) != self.lower_is_better else "VLA"


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """All of it.

    Attributes:
        systems: Name of a system to its family.
        benchmarks: Name of a benchmark to what its number is.
        sources: Key of a source to what it is.
        results: Published numbers; the first of a system on a benchmark is its headline.
        latencies: Published times.
        meetings: VLA and WAM side by side.
        cautions: What cannot be compared, each with the key of its source.
    """

    systems: Mapping[str, str]
    benchmarks: Mapping[str, str]
    sources: Mapping[str, str]
    results: tuple[Result, ...]
    latencies: tuple[Latency, ...]
    meetings: tuple[Meeting, ...]
    cautions: tuple[Mapping[str, str], ...]


def evidence_from_plain(plain: Mapping[str, Any]) -> Evidence:
    """Read the data file.

    Raises:
        ValueError: Naming every system, benchmark, source or family that is unknown, and every
            source that nothing uses.
    """
    found = Evidence(
        systems=plain["systems"],
        benchmarks=plain["benchmarks"],
        sources=plain["sources"],
        results=tuple(Result(**row) for row in plain["results"]),
        latencies=tuple(Latency(**row) for row in plain["latencies"]),
        meetings=tuple(Meeting(**row) for row in plain["meetings"]),
        cautions=tuple(plain["cautions"]),
    )
    problems = _problems(found)
    if problems:
        raise ValueError("The evidence does not hang together:\n  - " + "\n  - ".join(problems))
    return found


def _problems(evidence: Evidence) -> list[str]:
    found = [
        f"system '{name}' is of family '{family}', known are {', '.join(FAMILIES)}"
        for name, family in evidence.systems.items()
        if family not in FAMILIES
    ]
    found += [
        f"{row} names an unknown system"
        for row in (*evidence.results, *evidence.latencies)
        if row.system not in evidence.systems
    ]
    for row in evidence.results:
        if row.benchmark not in evidence.benchmarks:
            found.append(f"{row} names an unknown benchmark")
        if row.by not in ("own", "others"):
            found.append(f"{row} is by '{row.by}', known are own and others")
    used = [row.source for row in (*evidence.results, *evidence.latencies, *evidence.meetings)]
    used += [caution["source"] for caution in evidence.cautions]
    found += [f"source '{key}' is not listed" for key in sorted(set(used) - set(evidence.sources))]
    found += [f"source '{key}' is not used" for key in sorted(set(evidence.sources) - set(used))]
    return found


def markdown(evidence: Evidence) -> str:
    """The page, ending in a newline."""
    number = {key: place for place, key in enumerate(evidence.sources, start=1)}
    parts = [
        f"# What has been published\n\n{BEGIN}\n",
        _meetings(evidence, number),
        _overview(evidence, number),
        _cautions(evidence, number),
        _results(evidence, number),
        _latencies(evidence, number),
        "## Sources\n\nSome papers were read through reports about them. Check the original before "
        "quoting.\n\n"
        + "\n".join(f"{number[key]}. {text}" for key, text in evidence.sources.items())
        + "\n",
    ]
    return "\n".join(parts)


def _meetings(evidence: Evidence, number: Mapping[str, int]) -> str:
    told = [meeting.ahead for meeting in evidence.meetings]
    rows = [
        (
            meeting.where,
            f"{meeting.vla} {meeting.vla_value:g}",
            f"{meeting.wam} {meeting.wam_value:g}",
            meeting.ahead,
            f"{meeting.margin:g}",
            meeting.unequal,
            f"[{number[meeting.source]}]",
        )
        for meeting in evidence.meetings
    ]
    return (
        "## Is one family better? Nobody has shown it\n\n"
        f"In {len(told)} places a VLA and a WAM can be put side by side. The WAM is ahead in "
        f"{told.count('WAM')}, the VLA in {told.count('VLA')}, and {told.count('cannot tell')} "
        "cannot tell them apart. In no row is the pre-training matched, and none is known to "
        "repeat the training of both with other seeds: being ahead is a fact about two "
        "checkpoints, not about two families. *Margin*: smaller differences are not told apart "
        "(95 % from the number of trials or the published deviation where there is one, else two "
        "points).\n\n"
        + _table(("where", "VLA", "WAM", "ahead", "margin", "what else differs", "source"), rows)
    )


def _overview(evidence: Evidence, number: Mapping[str, int]) -> str:
    rows: list[tuple[str, ...]] = []
    for system, family in evidence.systems.items():
        cells: list[str] = []
        for benchmark in evidence.benchmarks:
            first = next(
                (
                    f"{row.value}{'' if row.by == 'own' else '*'} [{number[row.source]}]"
                    for row in evidence.results
                    if (row.system, row.benchmark) == (system, benchmark)
                ),
                "-",
            )
            cells.append(first)
        times = [
            f"{row.ms} ({row.hardware}) [{number[row.source]}]"
            for row in evidence.latencies
            if row.system == system
        ]
        rows.append((system, family, *cells, "; ".join(times) or "-"))
    heads = ("system", "family", *evidence.benchmarks, "ms a chunk (hardware)")
    units = "; ".join(f"{name}: {what}" for name, what in evidence.benchmarks.items())
    return (
        "## One line a system\n\n"
        f"{units}. A star: measured by others. A dash: not published, or not found. More numbers "
        "of the same system, and what they rest on, stand below.\n\n" + _table(heads, rows)
    )


def _cautions(evidence: Evidence, number: Mapping[str, int]) -> str:
    return (
        "## What cannot be compared\n\n"
        + "\n".join(
            f"- {caution['text']} [{number[caution['source']]}]" for caution in evidence.cautions
        )
        + "\n"
    )


def _results(evidence: Evidence, number: Mapping[str, int]) -> str:
    rows = [
        (
            row.system,
            row.benchmark,
            row.value,
            row.training,
            row.protocol,
            row.by,
            f"[{number[row.source]}]",
        )
        for row in evidence.results
    ]
    heads = ("system", "benchmark", "number", "training data", "protocol", "measured by", "source")
    return "## Every number\n\n" + _table(heads, rows)


def _latencies(evidence: Evidence, number: Mapping[str, int]) -> str:
    rows = [
        (row.system, row.ms, row.hardware, row.what, f"[{number[row.source]}]")
        for row in evidence.latencies
    ]
    return "## Every time\n\n" + _table(("system", "ms", "hardware", "what", "source"), rows)


def _table(heads: Iterable[str], rows: Iterable[tuple[str, ...]]) -> str:
    heads = tuple(heads)
    lines = [heads, tuple("---" for _ in heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


if __name__ == "__main__":
    page = markdown(evidence_from_plain(read_json(Path(sys.argv[1]))))
    write_bytes(Path(sys.argv[2]), page.encode())
