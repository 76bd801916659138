"""Commands that read what a pilot left; they need the base install only, the report apart."""

import json
import sys
from typing import Any

from vertebra.cli.arguments import ReportCommand, VerdictCommand
from vertebra.spec.storage import to_plain
from vertebra.verdict.run import read_run
from vertebra.verdict.summarise import summarise


def write_out(text: str) -> None:
    """Print a text on standard output."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def write_out_json(value: Any) -> None:
    """Print a value as JSON on standard output."""
    write_out(json.dumps(to_plain(value), indent=2))


def report(command: ReportCommand) -> int:
    """Write ``verdict.json`` and ``report.html``."""
    from vertebra.report.render import write_report

    path = write_report(command.run)
    if command.json:
        write_out_json({"report": path, "verdict": command.run / "verdict.json"})
    else:
        write_out(str(path))
    return 0


def verdict(command: VerdictCommand) -> int:
    """Summarise a run without writing anything."""
    summary = summarise(read_run(command.run))
    if command.json:
        write_out_json(summary)
        return 0
    found = summary.verdict
    done = f"{summary.jobs_finished} of {summary.jobs_planned} trainings finished"
    write_out(f"{found.word} ({done})\n{found.headline}")
    for sentence in found.sentences:
        write_out(f"- {sentence}")
    return 0
