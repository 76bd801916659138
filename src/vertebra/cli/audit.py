"""Commands that check: they look for faults and change nothing. Exit code 1 when there are some."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from vertebra.audit.report import audit_run
from vertebra.cli.arguments import AuditReportCommand
from vertebra.cli.reading import write_out, write_out_json
from vertebra.spec.errors import MissingExtra

SHOWN = 40


def report(command: AuditReportCommand) -> int:
    """Recompute a run's verdict and report from its records and its locked plan."""
    found = audit_run(command.run, _drawing())
    if command.json:
        write_out_json({"ok": not found.findings, **vars(found)})
        return 1 if found.findings else 0
    for finding in found.findings[:SHOWN]:
        write_out(str(finding))
    if len(found.findings) > SHOWN:
        write_out(f"... and {len(found.findings) - SHOWN} more (all of them with --json)")
    for words in found.unchecked:
        write_out(f"not checked: {words}")
    write_out(
        f"{command.run}: {found.jobs} trainings and {found.episodes} episodes checked, "
        f"{len(found.findings) or 'no'} finding{'s' if len(found.findings) != 1 else ''}"
    )
    return 1 if found.findings else 0


def _drawing() -> Callable[[Path, Any, Any], str] | None:
    """What draws the page anew; ``None`` without the extra."""
    try:
        from vertebra.report.model import build_page
        from vertebra.report.render import render
    except (ImportError, MissingExtra):
        return None
    return lambda directory, run, summary: render(build_page(directory, run, summary))
