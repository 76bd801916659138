"""Finished trainings evaluated again, under other conditions than the plan's, or after a lesson.

Written into the directory of the pilot, beside and never over what the plan asked for::

    OUT/again/<kind>/<label>/setting.json          what was changed, in words and numbers
    OUT/again/<kind>/<label>/<job>/job.json        which training, and which episodes
    OUT/again/<kind>/<label>/<job>/records.jsonl   its episodes
    OUT/again/adapt/<label>/<job>/checkpoint/      what it became (``pilot/adapt.py``)
    OUT/again/<kind>/<label>/<job>/result.json     written last: without it, it is done again
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vertebra.evaluate.actor import PolicyActor
from vertebra.evaluate.plan import Draw, EpisodePlan, plan_draws
from vertebra.evaluate.run import Identity
from vertebra.pilot.evidence import evidence_of, sealed
from vertebra.pilot.facts import software
from vertebra.pilot.grid import Cell
from vertebra.pilot.history import read_plan
from vertebra.pilot.layout import JobDirectory, RunDirectory, locked
from vertebra.pilot.parts import Parts
from vertebra.pilot.plan import PilotPlan
from vertebra.spec.record import EpisodeRecord
from vertebra.spec.seeds import SeedTree
from vertebra.spec.storage import digest, read_json, to_plain, write_json, write_jsonl

AGAIN_VERSION = 1
KINDS = ("realtime", "robustness", "adapt")
Evaluate = Callable[
    [PolicyActor, Any, Sequence[EpisodePlan], Identity],
    tuple[list[EpisodeRecord], Mapping[str, Any]],
]
"""From actor, environment, episodes and identity to records and facts for ``result.json``."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One way in which trainings are evaluated again.

    Attributes:
        kind: One of ``KINDS``.
        label: Short name, also of the directory.
        words: What is different, for people.
        facts: The same in numbers.
        environment: Settings of the environment.
        draws: Which episodes.
    """

    kind: str
    label: str
    words: str
    facts: Mapping[str, Any]
    environment: Mapping[str, Any]
    draws: tuple[Draw, ...]


def locked_plan(run: RunDirectory) -> PilotPlan:
    """The plan of a pilot whose policies can be evaluated again.

    Raises:
        ValueError: When there is no plan, or the pilot has no simulator.
    """
    plan = read_plan(run)
    if plan.question.environment is None:
        raise ValueError(
            f"The pilot in {run.root} has recordings but no simulator, so nothing can be executed "
            "again."
        )
    return plan


def finished_cells(run: RunDirectory, plan: PilotPlan) -> tuple[Cell, ...]:
    """The sighted trainings at the largest number of demonstrations that have finished.

    Raises:
        ValueError: When there is none.
    """
    largest = max(plan.grid.counts)
    cells = tuple(
        cell
        for cell in plan.grid.cells
        if cell.demonstrations == largest and not cell.arm.blind and run.job(cell.id).finished
    )
    if not cells:
        raise ValueError(f"No sighted training at {largest} demonstrations has finished yet.")
    return cells


def asked_again(plan: PilotPlan, scenes: int | None, *, condition: str = "asked") -> Draw:
    """The first scenes of the plan, as many as are wanted, so that episodes pair with its own."""
    first = plan.question.draws[0]
    many = first.scenes if scenes is None else min(scenes, first.scenes)
    return replace(first, scenes=many, conditions=(condition,))


def evaluate_again(
    run: RunDirectory,
    plan: PilotPlan,
    cells: Sequence[Cell],
    setting: Setting,
    parts: Parts,
    evaluate: Callable[[Cell], Evaluate],
    tell: Callable[[str, int, int], None],
) -> None:
    """Evaluate finished trainings under a setting; what is done already is not done again.

    Args:
        run: Directory of the pilot.
        plan: Its plan.
        cells: Which trainings.
        setting: What is different.
        parts: What loads policies and makes environments.
        evaluate: From a training to what runs its episodes.
        tell: Told the setting, how many trainings are done and how many there are.

    Raises:
        ValueError: When the label stands for another setting in this directory.
    """
    root = run.root / "again" / setting.kind / setting.label
    busy = f"Another process evaluates {setting.label} in {run.root}. Wait for it, or end it first."
    with locked(run.root / "again" / ".lock", busy):
        _write_setting(root, plan, setting)
        for done, cell in enumerate(cells):
            tell(setting.label, done, len(cells))
            directory = JobDirectory(root=root / cell.id)
            spec = _spec(run, plan, cell, setting)
            if directory.finished and read_json(directory.spec) == spec:
                continue
            directory.result.unlink(missing_ok=True)
            write_json(directory.spec, spec)
            _evaluate_one(run, plan, cell, setting, directory, parts, evaluate(cell))
        tell(setting.label, len(cells), len(cells))


def _write_setting(root: Path, plan: PilotPlan, setting: Setting) -> None:
    plain = to_plain({"version": AGAIN_VERSION, "plan": plan.hash, **vars(setting)})
    path = root / "setting.json"
    if path.exists() and read_json(path) != plain:
        raise ValueError(
            f"{root} holds another evaluation under the name {setting.label!r}. Remove it, or "
            "ask for the same."
        )
    write_json(path, plain)


def _spec(run: RunDirectory, plan: PilotPlan, cell: Cell, setting: Setting) -> dict[str, Any]:
    """What one job of it is; its policy is named by the evidence of its training."""
    result = read_json(run.job(cell.id).result)
    policy = result.get("evidence", {}).get("checkpoint", {})
    plain: dict[str, Any] = to_plain(
        {
            "version": AGAIN_VERSION,
            "id": cell.id,
            "plan": plan.hash,
            "arm": cell.arm.name,
            "demonstrations": cell.demonstrations,
            "seed": cell.seed,
            "policy": digest(policy),
            "setting": digest(vars(setting)),
        }
    )
    return plain


def _evaluate_one(
    run: RunDirectory,
    plan: PilotPlan,
    cell: Cell,
    setting: Setting,
    directory: JobDirectory,
    parts: Parts,
    evaluate: Evaluate,
) -> None:
    policy = parts.load_policy(run.job(cell.id).checkpoint)
    identity = Identity(
        pilot=plan.hash,
        arm=cell.arm.name,
        family=cell.arm.family,
        demonstrations=cell.demonstrations,
        seed=cell.seed,
        software=software(),
    )
    planner = parts.make_environment(plan.question.environment or {})
    seed = SeedTree(root=plan.question.seed).scenes()
    episodes = plan_draws(planner, setting.draws, seed)
    planner.close()
    records, facts = evaluate(PolicyActor(policy), setting.environment, episodes, identity)
    write_jsonl(directory.records, records)
    evidence = {"job": digest(read_json(directory.spec)), **evidence_of(directory)}
    write_json(directory.result, sealed({"version": AGAIN_VERSION, **facts, "evidence": evidence}))
