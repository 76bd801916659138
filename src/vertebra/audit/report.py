"""Is a report what its records say? Everything is recomputed; nothing is believed.

An audit finds what was edited, dropped, exchanged or left over. It cannot find a run that somebody
has made up as a whole.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vertebra.audit.report_finding import Finding, unreadable
from vertebra.audit.report_numbers import compare_files, compare_ledger, compare_page
from vertebra.audit.report_records import Planned, check_records
from vertebra.pilot.history import read_plan
from vertebra.pilot.layout import RunDirectory
from vertebra.spec.storage import digest, read_json
from vertebra.verdict.run import Run, read_run
from vertebra.verdict.summarise import summarise
from vertebra.verdict.summary import SUMMARY_VERSION, Summary

Draw = Callable[[Path, Run, Summary], str]
"""From a run directory, its run and its summary to the text of the page."""


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What an audit came to.

    Attributes:
        run: Directory of the pilot.
        jobs: Finished trainings that were checked.
        episodes: Episodes that were checked.
        findings: Everything that is not as it should be.
        unchecked: What could not be checked, and why.
    """

    run: Path
    jobs: int
    episodes: int
    findings: tuple[Finding, ...]
    unchecked: tuple[str, ...]


def audit_run(directory: Path, draw: Draw | None = None) -> Audit:
    """Check a run against its locked plan, and its verdict and report against its records.

    Args:
        directory: Directory of the pilot, finished or not.
        draw: Draws the page anew; without it the page is not checked.

    Raises:
        ValueError: When the directory is not a pilot's.
    """
    run = RunDirectory(root=directory)
    if not run.plan.is_file():
        raise ValueError(
            f"{directory} holds no plan.json, so it is not the folder of a pilot. "
            "Give the folder that was passed as --out."
        )
    findings: list[Finding] = []
    unchecked: list[str] = []
    planned = _planned(run, findings, unchecked)
    jobs = episodes = 0
    if planned is not None:
        checked = check_records(planned, run)
        findings += checked.findings
        unchecked += checked.unchecked
        jobs, episodes = checked.jobs, checked.episodes
        findings += compare_ledger(planned.plan, run)
    _check_numbers(directory, draw, findings, unchecked)
    return Audit(
        run=directory,
        jobs=jobs,
        episodes=episodes,
        findings=tuple(findings),
        unchecked=tuple(unchecked),
    )


def _planned(run: RunDirectory, findings: list[Finding], unchecked: list[str]) -> Planned | None:
    """The plan with its lists of episodes, as far as both agree with their hashes."""
    try:
        plan = read_plan(run)
    except (ValueError, KeyError, TypeError) as error:
        where = "plan.json, extensions.json" if run.extensions.exists() else "plan.json"
        findings.append(unreadable(where, error))
        return None
    split = read_json(run.split) if run.split.is_file() else None
    if split is None:
        unchecked.append("split.json is absent: which demonstrations each training was to see")
    elif split.get("data_hash") != plan.data_hash:
        findings.append(
            Finding(
                kind="stale record",
                where="split.json: data_hash",
                found=str(split.get("data_hash")),
                expected=plan.data_hash,
            )
        )
    if not plan.episodes:
        if plan.environment is not None:
            unchecked.append(
                "plan.json has no hashes of episodes (it was locked by an older version)"
            )
        return Planned(plan=plan, episodes={}, split=split)
    lists = read_json(run.episodes) if run.episodes.is_file() else {}
    episodes = {}
    for which, wanted in plan.episodes.items():
        found = digest(lists[which]) if which in lists else "absent"
        if found == wanted:
            episodes[which] = lists[which]
        else:
            findings.append(
                Finding(
                    kind="edited plan",
                    where=f"episodes.json: {which}",
                    found=found,
                    expected=wanted,
                )
            )
    return Planned(plan=plan, episodes=episodes, split=split)


def _check_numbers(
    directory: Path, draw: Draw | None, findings: list[Finding], unchecked: list[str]
) -> None:
    """Recompute the verdict, and compare what was written."""
    try:
        found = read_run(directory)
        summary = summarise(found)
    except (ValueError, KeyError, TypeError) as error:
        findings.append(unreadable("the run, for its verdict", error))
        return
    verdict, page = directory / "verdict.json", directory / "report.html"
    if verdict.is_file() and read_json(verdict).get("version") != SUMMARY_VERSION:
        unchecked.append(
            "verdict.json and report.html are of another version of vertebra: write them anew with "
            "`vertebra report`, and compare"
        )
        return
    if verdict.is_file():
        findings.extend(compare_files(verdict, summary.to_plain()))
    else:
        unchecked.append("verdict.json is absent")
    if not page.is_file():
        unchecked.append("report.html is absent")
    elif draw is None:
        unchecked.append("report.html: drawing it anew needs the extra 'report'")
    else:
        findings.extend(
            compare_page(
                page.read_text(encoding="utf-8"), draw(directory, found, summary), directory
            )
        )
