"""Commands that check and change nothing. Exit code 1: faults were found, or nothing is told."""

from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

from vertebra.audit.checkpoint import CheckpointAudit, audit_checkpoint
from vertebra.audit.checkpoint_page import checkpoint_page, scaled
from vertebra.audit.layout import Family
from vertebra.audit.report import audit_run
from vertebra.audit.served import audit_served
from vertebra.audit.served_asking import Server, made_up_observation, read_observation
from vertebra.cli.arguments import (
    AuditCheckpointCommand,
    AuditPolicyCommand,
    AuditReportCommand,
)
from vertebra.cli.reading import write_out, write_out_json
from vertebra.cli.serve import read_key
from vertebra.serve.client import ServerError
from vertebra.spec.errors import MissingExtra
from vertebra.spec.storage import write_bytes

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


def checkpoint(command: AuditCheckpointCommand) -> int:
    """Say what a checkpoint from elsewhere is."""
    found = audit_checkpoint(command.path)
    if command.html:
        style = (resources.files("vertebra.report") / "page.css").read_text(encoding="utf-8")
        write_bytes(command.html, checkpoint_page(found, style).encode())
    if command.json:
        write_out_json(found)
    else:
        _tell(found)
        if command.html:
            write_out(f"page: {command.html}")
    return 1 if found.family == Family.CANNOT_TELL else 0


def policy(command: AuditPolicyCommand) -> int:
    """Ask a served policy."""
    given = None if command.observation is None else read_observation(command.observation)
    try:
        server = Server(command.server, api_key=read_key(command.api_key_file))
        message = made_up_observation(server.greeting) if given is None else given
        found = audit_served(server, message, command.instructions, command.repeats)
    except ServerError as error:
        raise ValueError(str(error)) from error
    if command.json:
        write_out_json(found)
        return 1 if found.findings else 0
    same = "gives the same bytes" if found.deterministic else "does not give the same bytes"
    asked = "The same question and seed" if found.seeded else "The same question"
    write_out(f"{asked} {same}; an answer takes {1000 * found.seconds:.0f} ms (median).")
    write_out(f"{found.horizon} actions of {found.dims} numbers in a chunk.")
    for probe in found.probes:
        word = "changes the answer" if probe.changed else "changes nothing"
        size = "" if probe.ratio is None else f", {probe.ratio:.3g} times the noise"
        certainty = "" if probe.p is None else f", p {probe.p:.3f}"
        write_out(f"  {probe.name}: {word}{size}{certainty}")
    for note in found.notes:
        write_out(f"seen: {note}")
    for finding in found.findings:
        write_out(f"! {finding}")
    return 1 if found.findings else 0


def _tell(found: CheckpointAudit) -> None:
    write_out(f"{found.family}: {found.headline}")
    if found.couples:
        write_out(f"coupling: {found.couples}")
    write_out(f"parameters: {scaled(found.parameters)}")
    for part in found.parts:
        write_out(f"  {part.share:6.1%}  {scaled(part.parameters):>10}  {part.part} ({part.where})")
    speaking = sum(reason.side == "for" for reason in found.evidence)
    if speaking:
        write_out(f"for it speak {speaking} names and sizes (listed by --json and --html)")
    others = [reason for reason in found.evidence if reason.side != "for"]
    for reason in others[:SHOWN]:
        write_out(f"{reason.side}: {reason.says} ({reason.where})")
    for pitfall in found.pitfalls:
        if pitfall.found:
            write_out(f"! {pitfall.name}: {pitfall.because}\n    check: {pitfall.check}")
    possible = [pitfall.name for pitfall in found.pitfalls if not pitfall.found]
    if possible:
        write_out("possible, each with its check in --json and --html: " + "; ".join(possible))


def _drawing() -> Callable[[Path, Any, Any], str] | None:
    """What draws the page anew; ``None`` without the extra."""
    try:
        from vertebra.report.model import build_page
        from vertebra.report.render import render
    except (ImportError, MissingExtra):
        return None
    return lambda directory, run, summary: render(build_page(directory, run, summary))
