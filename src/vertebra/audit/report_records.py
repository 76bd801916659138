"""Jobs and their episodes beside the locked plan."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vertebra.audit.report_finding import Finding, unreadable
from vertebra.audit.report_numbers import differences
from vertebra.pilot.evidence import SEAL, checkpoint_evidence, episode_key, records_evidence, sealed
from vertebra.pilot.grid import Cell
from vertebra.pilot.layout import JobDirectory, RunDirectory
from vertebra.pilot.plan import PilotPlan
from vertebra.policy.saved import recipe_to_plain
from vertebra.spec.record import EpisodeRecord, record_from_plain
from vertebra.spec.seeds import SeedTree
from vertebra.spec.storage import digest, read_json, read_jsonl, to_plain
from vertebra.spec.task import Outcome

_STALE = ("plan", "data_hash")


@dataclass(frozen=True, kw_only=True)
class Planned:
    """What was locked.

    Attributes:
        plan: The plan.
        episodes: Its lists of episodes: ``largest``, ``fewer``, ``reference``.
        split: Which demonstrations each training was to see; ``None`` when that is lost.
    """

    plan: PilotPlan
    episodes: Mapping[str, Sequence[Mapping[str, Any]]]
    split: Mapping[str, Any] | None


@dataclass(kw_only=True)
class Checked:
    """What came of it, filled while checking."""

    findings: list[Finding] = field(default_factory=list[Finding])
    unchecked: list[str] = field(default_factory=list[str])
    jobs: int = 0
    episodes: int = 0
    starts: dict[tuple[str, str, int], list[tuple[str, str]]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def add(self, kind: str, where: str, found: Any, expected: Any) -> None:
        """Note a finding."""
        finding = Finding(kind=kind, where=where, found=str(found), expected=str(expected))
        self.findings.append(finding)


def check_records(planned: Planned, run: RunDirectory) -> Checked:
    """Check every finished job of a run, and the references, against what was planned."""
    checked = Checked()
    cells = {cell.id: cell for cell in planned.plan.grid.cells}
    for path in sorted((run.root / "jobs").glob("*/result.json")):
        name = path.parent.name
        if name not in cells:
            checked.add(
                "swapped label", f"jobs/{name}", "a training", "no such training is planned"
            )
            continue
        checked.jobs += 1
        _guarded(checked, name, lambda cell=cells[name]: _check_job(planned, run, cell, checked))
    if run.reference.finished:
        _guarded(checked, "reference", lambda: _check_reference(planned, run, checked))
    if run.timing.finished:
        _guarded(checked, "latency.json", lambda: _check_latency(run, checked))
    for path in sorted((run.root / "again").glob("*/*/*/result.json")):
        where = path.parent.relative_to(run.root).as_posix()
        _guarded(checked, where, lambda path=path: _check_again(planned, path.parent, checked))
    _check_starts(checked)
    return checked


def _guarded(checked: Checked, where: str, check: Any) -> None:
    try:
        check()
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        checked.findings.append(unreadable(where, error))


def _check_job(planned: Planned, run: RunDirectory, cell: Cell, checked: Checked) -> None:
    directory, plan = run.job(cell.id), planned.plan
    spec = read_json(directory.spec)
    _check_spec(planned, cell, spec, checked)
    result = _check_result(directory, spec, checked)
    samples = result["training"].get("samples")
    if samples != plan.samples:
        checked.add("edited number", f"{cell.id}: trained samples", samples, plan.samples)
    largest = plan.grid.full_at(cell.demonstrations)
    records = _check_episodes(
        directory, result, planned.episodes.get("largest" if largest else "fewer"), checked
    )
    for record in records:
        wanted = (plan.hash, cell.arm.name, cell.arm.family, cell.demonstrations, cell.seed)
        _check_owner(record, wanted, cell.id, checked)
        if record.environment != plan.environment:
            checked.add(
                "stale record", f"{cell.id}: environment", record.environment, plan.environment
            )


def _check_spec(planned: Planned, cell: Cell, spec: Mapping[str, Any], checked: Checked) -> None:
    """``job.json`` beside what the plan says about this training."""
    question, plan = planned.plan.grid, planned.plan
    tree = SeedTree(root=question.seed)
    expected: dict[str, Any] = {
        "id": cell.id,
        "plan": plan.hash,
        "arm": cell.arm.name,
        "recipe": cell.arm.recipe,
        "family": cell.arm.family,
        "blind": cell.arm.blind,
        "demonstrations": cell.demonstrations,
        "seed": cell.seed,
        "training": {
            "recipe": to_plain(recipe_to_plain(cell.arm.definition)),
            "size": question.size,
            "privileged": question.privileged,
            "samples": plan.samples,
            "batch_size": question.batch_size,
            "data_hash": plan.data_hash,
            "seeds": tree.training(cell.seed),
            "checkpoint_every": plan.checkpoint_every,
            "precision": plan.precision,
        },
        "evaluation": {
            "environment": to_plain(question.environment),
            "seed": tree.scenes(),
            "draws": to_plain(question.draws_at(cell.demonstrations))
            if question.environment is not None
            else [],
        },
    }
    for name, extra in _extras(planned.split, cell).items():
        expected["training"][name] = extra
    subset = _subset(planned.split, cell)
    if subset is not None:
        expected["training"]["episodes"] = subset
    found = {name: spec.get(name, "absent") for name in expected}
    for part in ("training", "evaluation"):
        found[part] = {name: spec[part].get(name, "absent") for name in expected[part]}
    for place, one, other in differences(found, expected):
        last = place.rpartition(".")[2]
        kind = "stale record" if last in _STALE else "swapped label"
        checked.add("changed seed" if "seed" in place else kind, f"{cell.id}: {place}", one, other)


def _subset(split: Mapping[str, Any] | None, cell: Cell) -> list[int] | None:
    """The demonstrations that a training was to see."""
    rows = split["subsets"] if split else []
    return next(
        (
            list(row["episodes"])
            for row in rows
            if (row["seed"], row["demonstrations"]) == (cell.seed, cell.demonstrations)
        ),
        None,
    )


def _extras(split: Mapping[str, Any] | None, cell: Cell) -> dict[str, list[int]]:
    """The recordings besides demonstrations that a training was to see."""
    rows = split.get("extras", []) if split else []
    return {
        name: list(row[name]["episodes"])
        for row in rows
        if (row["seed"], row["mix"]) == (cell.seed, cell.arm.mix.suffix)
        for name in ("unlabelled", "video_only")
        if row[name]["episodes"]
    }


def _check_result(
    directory: JobDirectory, spec: Mapping[str, Any], checked: Checked
) -> Mapping[str, Any]:
    """A result against its own seal, its job and its checkpoint."""
    name, result = directory.root.name, read_json(directory.result)
    evidence = result.get("evidence")
    if evidence is None:
        checked.unchecked.append(
            f"{name}: its result has no evidence (it was written by an older version)"
        )
        return result
    seal = sealed(result)[SEAL]
    if result.get(SEAL) != seal:
        checked.add("edited number", f"{name}: result.json, its seal", result.get(SEAL), seal)
    if evidence["job"] != digest(spec):
        checked.add("stale record", f"{name}: result of job", evidence["job"], digest(spec))
    if not directory.checkpoint.is_dir():
        if "checkpoint" in evidence:
            checked.unchecked.append(f"{name}: its checkpoint was removed")
        return result
    files = checkpoint_evidence(directory.checkpoint)
    for place, one, other in differences(files, evidence.get("checkpoint", {})):
        checked.add("stale record", f"{name}: checkpoint/{place}", one, other)
    return result


def _check_episodes(
    directory: JobDirectory,
    result: Mapping[str, Any],
    planned: Sequence[Mapping[str, Any]] | None,
    checked: Checked,
) -> list[EpisodeRecord]:
    """Episodes against their evidence, and one by one against the planned ones."""
    name = directory.root.name
    rows = read_jsonl(directory.records) if directory.records.is_file() else []
    records = [record_from_plain(row) for row in rows]
    checked.episodes += len(records)
    _check_evidence(records, result, name, checked)
    if planned is not None:
        _check_planned(records, planned, name, checked)
    for record in records:
        _check_outcome(record, name, checked)
        key = (record.split, record.initial_state, record.scene_seed)
        if record.initial_hash:
            checked.starts[key].append((record.initial_hash, name))
    return records


def _check_evidence(
    records: Sequence[EpisodeRecord], result: Mapping[str, Any], name: str, checked: Checked
) -> None:
    """Episodes against the number, outcomes and hash that were written with them."""
    wanted, found = result.get("evidence", {}).get("records"), records_evidence(records)
    if wanted is None:
        return
    for place, one, other in differences(found, wanted):
        kind = "dropped episode" if found["count"] < wanted["count"] else "edited record"
        checked.add(kind, f"{name}: records.jsonl, {place}", one, other)


def _check_planned(
    records: Sequence[EpisodeRecord],
    planned: Sequence[Mapping[str, Any]],
    name: str,
    checked: Checked,
) -> None:
    rows = {
        (row["split"], row["initial_state"], row["condition"], row["task"]): row for row in planned
    }
    counts = Counter(episode_key(record) for record in records)
    for key in rows:
        if key not in counts:
            checked.add("dropped episode", f"{name}: records.jsonl", "nothing", " / ".join(key))
    for key, count in counts.items():
        if key not in rows or count > 1:
            wanted = "one of these" if key in rows else "no such episode is planned"
            checked.add("added episode", f"{name}: {' / '.join(key)}", f"{count} of these", wanted)
    for record in records:
        row = rows.get(episode_key(record))
        for part in ("scene_seed", "skill", "instruction") if row else ():
            found, wanted = getattr(record, part), row[part] if row else None
            if found != wanted:
                kind = "changed seed" if part == "scene_seed" else "swapped label"
                where = f"{name}: {' / '.join(episode_key(record))}: {part}"
                checked.add(kind, where, found, wanted)


def _check_outcome(record: EpisodeRecord, name: str, checked: Checked) -> None:
    """An outcome says success exactly when the task that was meant is among the achieved ones."""
    where = f"{name}: {' / '.join(episode_key(record))}"
    succeeded = record.outcome == Outcome.SUCCESS
    failed = record.outcome == Outcome.ERROR
    if not failed and succeeded != (record.task in record.achieved):
        achieved = ", ".join(record.achieved) or "nothing"
        checked.add("swapped label", where, record.outcome, f"what follows from: {achieved}")
    if failed != bool(record.error):
        checked.add("swapped label", where, record.outcome, "an error has a traceback, others none")


def _check_owner(
    record: EpisodeRecord, wanted: tuple[Any, ...], name: str, checked: Checked
) -> None:
    """Whether an episode says that it is of this plan and training."""
    labels = ("pilot", "arm", "family", "demonstrations", "seed")
    for label, expected in zip(labels, wanted, strict=True):
        found = getattr(record, label)
        if found != expected:
            kinds = {"pilot": "stale record", "seed": "changed seed"}
            where = f"{name}: {' / '.join(episode_key(record))}: {label}"
            checked.add(kinds.get(label, "swapped label"), where, found, expected)


def _check_reference(planned: Planned, run: RunDirectory, checked: Checked) -> None:
    directory = run.reference
    spec = read_json(directory.spec)
    if spec.get("plan") != planned.plan.hash:
        checked.add("stale record", "reference: plan", spec.get("plan"), planned.plan.hash)
    result = _check_result(directory, spec, checked)
    records = _check_episodes(directory, result, None, checked)
    rows = planned.episodes.get("reference")
    for arm in ("demonstrator", "random") if rows is not None else ():
        own = [record for record in records if record.arm == arm]
        _check_planned(own, rows or (), f"reference, {arm}", checked)
    for record in records:
        wanted = (planned.plan.hash, record.arm, "control", 0, 0)
        _check_owner(record, wanted, "reference", checked)


def _check_again(planned: Planned, root: Path, checked: Checked) -> None:
    """What was evaluated again: its own evidence, and who it says that it is of."""
    directory, name = JobDirectory(root=root), f"{root.parent.name}/{root.name}"
    spec = read_json(directory.spec)
    result = _check_result(directory, spec, checked)
    setting = read_json(root.parent / "setting.json")
    for where, found in (("job.json", spec["plan"]), ("setting.json", setting["plan"])):
        if found != planned.plan.hash:
            checked.add("stale record", f"{name}: {where}: plan", found, planned.plan.hash)
    cells = {cell.id: cell for cell in planned.plan.grid.cells}
    cell = cells.get(root.name)
    if cell is None:
        checked.add("swapped label", name, "a training", "no such training is planned")
        return
    labels = (planned.plan.hash, cell.arm.name, cell.arm.family, cell.demonstrations, cell.seed)
    rows = read_jsonl(directory.records) if directory.records.is_file() else []
    records = [record_from_plain(row) for row in rows]
    _check_evidence(records, result, name, checked)
    for record in records:
        _check_owner(record, labels, name, checked)
        _check_outcome(record, name, checked)


def _check_latency(run: RunDirectory, checked: Checked) -> None:
    result = _check_result(run.timing, read_json(run.timing.spec), checked)
    if "latency" in result:
        found = digest(read_json(run.latency))
        if found != result["latency"]:
            checked.add("edited number", "latency.json", found, result["latency"])


def _check_starts(checked: Checked) -> None:
    """All policies must have started from the same physical state under the same seed."""
    for (split, state, seed), found in checked.starts.items():
        counts = Counter(start for start, _ in found)
        common = counts.most_common(1)[0][0]
        for job in sorted({job for start, job in found if start != common}):
            other = next(start for start, name in found if name == job and start != common)
            where = f"{job}: {split} / {state} / seed {seed}: physical state at the start"
            checked.add("edited record", where, other, common)
