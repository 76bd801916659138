"""What a pilot used in all: every finished job, and their sum."""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from typing import Any

from vertebra.pilot.jobs import Ledger
from vertebra.pilot.layout import JobDirectory
from vertebra.spec.storage import read_json

LEDGER_VERSION = 1


def ledger_from_plain(plain: Mapping[str, Any]) -> Ledger:
    """Read the ledger of one job.

    Raises:
        ValueError: On missing or unknown fields; what older versions did not count is 0.
    """
    known = {field.name for field in fields(Ledger)}
    needed = {field.name for field in fields(Ledger) if field.default is MISSING}
    if not needed <= set(plain) <= known:
        raise ValueError(
            f"A ledger lacks {sorted(needed - set(plain))} and has unknown fields "
            f"{sorted(set(plain) - known)}."
        )
    return Ledger(**plain)


def collect(plan: str, jobs: Sequence[JobDirectory]) -> dict[str, Any]:
    """The ledger of a pilot as JSON values: rows of finished jobs, totals, and what failed.

    Demonstrations and frames that several jobs share are counted in each of them; the totals are
    of what is spent anew each time.
    """
    rows: list[dict[str, Any]] = []
    for job in jobs:
        if job.finished:
            used = ledger_from_plain(read_json(job.result)["ledger"])
            rows.append({"job": job.root.name, **vars(used)})
    spent = ("samples", "flops", "train_seconds", "evaluation_seconds")
    return {
        "version": LEDGER_VERSION,
        "plan": plan,
        "jobs": rows,
        "total": {name: sum(row[name] for row in rows) for name in spent},
        "finished": len(rows),
        "planned": len(jobs),
        "failed": [job.root.name for job in jobs if job.failed.exists() and not job.finished],
    }
