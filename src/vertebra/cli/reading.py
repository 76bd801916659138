"""Commands that read what a pilot left; they need the base install only, the report apart."""

import json
import sys
from pathlib import Path
from typing import Any

from vertebra.cli.arguments import CompareCommand, ReportCommand, VerdictCommand
from vertebra.spec.storage import read_json, to_plain, write_bytes
from vertebra.verdict.beside import beside
from vertebra.verdict.numbers import signed
from vertebra.verdict.purchase import READING
from vertebra.verdict.real import RULES, protocol, with_records
from vertebra.verdict.run import Run, read_run
from vertebra.verdict.summarise import summarise
from vertebra.verdict.summary import summary_from_plain


def write_out(text: str) -> None:
    """Print a text on standard output."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def write_out_json(value: Any) -> None:
    """Print a value as JSON on standard output."""
    write_out(json.dumps(to_plain(value), indent=2))


def report(command: ReportCommand) -> int:
    """Write ``verdict.json`` and ``report.html``, and tables where asked."""
    from vertebra.report.render import write_report

    path = write_report(command.run)
    written: tuple[Path, ...] = ()
    if command.tables is not None:
        from vertebra.report.tables import write_tables

        summary = summary_from_plain(read_json(command.run / "verdict.json"))
        written = write_tables(summary, command.tables, kind=command.tables_as)
    pictures: tuple[Path, ...] = ()
    if command.png is not None or command.pdf is not None:
        from vertebra.report.screen import draw_first_screen

        pictures = draw_first_screen(path, png=command.png, pdf=command.pdf)
    if command.json:
        verdict = command.run / "verdict.json"
        found = {"report": path, "verdict": verdict, "tables": written, "pictures": pictures}
        write_out_json(found)
    else:
        for file in (*written, *pictures, path):
            write_out(str(file))
    return 0


def compare(command: CompareCommand) -> int:
    """Lay two pilots side by side."""
    found = beside(command.first, command.second)
    if command.html is not None:
        from vertebra.report.render import render_beside

        write_bytes(command.html, render_beside(found).encode())
    if command.json:
        write_out_json(found)
        return 0
    for change in found.changes:
        write_out(f"{change.what}: {change.first} -> {change.second}")
    for row in found.rows:
        values = [
            "-" if one is None else f"{100 * one.value:.0f} %" for one in (row.first, row.second)
        ]
        span = ""
        if row.low is not None and row.high is not None:
            span = f" ({signed(row.low)} to {signed(row.high)} points)"
        place = f"{row.arm} at {row.demonstrations}, {row.measure}"
        write_out(f"{place}: {values[0]} -> {values[1]}{span}; {row.words}")
    if command.html is not None:
        write_out(str(command.html))
    return 0


def verdict(command: VerdictCommand) -> int:
    """Summarise a run without writing anything."""
    run = read_run(command.run)
    if command.protocol is not None:
        return _protocol(run, command)
    summary = summarise(with_records(run, command.records) if command.records else run)
    if command.json:
        write_out_json(summary)
        return 0
    found = summary.verdict
    done = f"{summary.jobs_finished} of {summary.jobs_planned} trainings finished"
    write_out(f"{found.word} ({done})\n{found.headline}")
    target = f"{100 * summary.criteria.target_success:.0f} % success"
    costs = [
        f"{one.arm} to {target}: {one.words}; {READING[one.word]}." for one in summary.purchases
    ]
    for sentence in (*found.sentences, *costs, *summary.extensions):
        write_out(f"- {sentence}")
    write_out(f"How sure: {found.sure}\nCosts: {found.costs}\nMissing: {found.missing}")
    write_out(f"Next: {found.next_step}")
    if found.reopen:
        write_out(f"To re-open it: vertebra extend {command.run} {found.reopen}")
    return 0


def _protocol(run: Run, command: VerdictCommand) -> int:
    """Print what an operator does, and the key that stays with somebody else."""
    trials, key = protocol(run, command.protocol or 0)
    if command.json:
        write_out_json({"plan": run.plan.hash, "rules": RULES, "trials": trials, "key": key})
        return 0
    write_out(f"Protocol for plan {run.plan.hash}")
    for number, rule in enumerate(RULES, start=1):
        write_out(f"{number}. {rule}")
    write_out("trial  scene  policy  instruction")
    for one in trials:
        write_out(f"{one.number:5}  {one.scene:5}  {one.policy:6}  {one.instruction}")
    write_out("Key (cut off here; it is not for the operator):")
    for letters, training in key.items():
        write_out(f"  {letters} = {training}")
    return 0
