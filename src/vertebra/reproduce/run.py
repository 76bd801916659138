"""Runs a published protocol with released weights; an interrupted run goes on where it was."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from vertebra.envs.protocol import Environment
from vertebra.evaluate.actor import PolicyActor
from vertebra.evaluate.plan import EpisodePlan
from vertebra.evaluate.run import Identity, run_blocks
from vertebra.policy.protocol import Policy
from vertebra.policy.released_conventions import Robot
from vertebra.recipes import by_name
from vertebra.reproduce.record import Measured, Reproduction, measured
from vertebra.reproduce.targets import Part, Target
from vertebra.spec.record import EpisodeRecord, record_from_plain
from vertebra.spec.seeds import seed_at
from vertebra.spec.storage import digest, read_json, read_jsonl, write_json, write_jsonl

RESULT = "reproduction.json"
RUNNING = "running.json"
SEED = 0
Told = Callable[[str, int, int], None]


def weights_of(directory: Path) -> dict[str, str]:
    """SHA-256 of every file of weights.

    Raises:
        ValueError: When there are none.
    """
    files = sorted(directory.glob("*.safetensors"))
    if not files:
        raise ValueError(f"{directory} holds no *.safetensors.")
    found: dict[str, str] = {}
    for path in files:
        with path.open("rb") as handle:
            found[path.name] = hashlib.file_digest(handle, "sha256").hexdigest()
    return found


def reproduce(
    target: Target,
    weights: Path,
    out: Path,
    *,
    open_policy: Callable[[Robot], Policy],
    make: Callable[[str], Environment],
    lanes: int,
    episodes: int = 0,
    software: dict[str, Any],
    machine: dict[str, Any],
    told: Told = lambda part, done, whole: None,
) -> Reproduction:
    """Run all parts of a target.

    Args:
        target: What is to be reproduced.
        weights: Directory of the released weights.
        out: Gets the episode records and, last, ``reproduction.json``.
        open_policy: From the robot of the environment to the policy with these weights.
        make: From the words for a world to the environment.
        lanes: Environments that are stepped together.
        episodes: Episodes of each part; 0 for all of the protocol. Fewer earn nothing.
        software: What runs it.
        machine: On what.
        told: Called after each block with part, episodes done, and all of them.

    Raises:
        ValueError: When ``out`` holds another reproduction, or the weights do not fit.
        SpecMismatch: When weights and recipe, or policy and environment, do not fit.
    """
    files = weights_of(weights)
    identity = digest([target, files, episodes, lanes])
    _require_same(out, identity)
    first = make(target.parts[0].world)
    try:
        actor = PolicyActor(open_policy(robot_of(first, target)))
        actor.require_fit(first)
    finally:
        first.close()
    write_json(out / RUNNING, {"identity": identity})
    parts: list[Measured] = []
    for part in target.parts:
        who = Identity(
            pilot=identity,
            arm=target.recipe,
            family=by_name(target.recipe).family,
            demonstrations=0,
            seed=0,
            software=software,
        )
        parts.append(_part(target, part, out, actor, make, who, lanes, episodes, told))
    done = Reproduction(
        target=target, weights=files, parts=tuple(parts), software=software, machine=machine
    )
    write_json(out / RESULT, done.to_plain())
    return done


def robot_of(environment: Environment, target: Target) -> Robot:
    """The robot of an environment as it starts, under the names that a release gives its parts."""
    (one,) = protocol_plan(environment, target.split, 1)
    seen = environment.begin(one.initial_state, one.task, one.scene_seed)
    return Robot(
        needs=environment.offers,
        makes=environment.takes,
        cameras=target.cameras,
        relative=target.relative,
        states=seen.state[None],
    )


def _part(
    target: Target,
    part: Part,
    out: Path,
    actor: PolicyActor,
    make: Callable[[str], Environment],
    who: Identity,
    lanes: int,
    episodes: int,
    told: Told,
) -> Measured:
    path = out / f"{part.name}.jsonl"
    count = min(episodes or part.episodes, part.episodes)
    records: list[EpisodeRecord] = []
    if path.exists():
        records = [record_from_plain(row) for row in read_jsonl(path)]
    one = make(part.world)
    try:
        name, plan = one.name, protocol_plan(one, target.split, count)
    finally:
        one.close()
    blocks = run_blocks(
        actor, lambda: make(part.world), plan, who, lanes=lanes, first=len(records) // lanes
    )
    if len(records) < len(plan):
        for block in blocks:
            records += [finished.record for finished in block]
            write_jsonl(path, records)
            told(part.name, len(records), len(plan))
    return measured(part, records, target.level, name)


def protocol_plan(environment: Environment, split: str, count: int) -> tuple[EpisodePlan, ...]:
    """One episode an initial state, in their order, under the first of its tasks."""
    states: Sequence[Any] = environment.initial_states(split, count, SEED)
    return tuple(
        EpisodePlan(
            initial_state=state,
            task=state.tasks[0],
            instruction=state.tasks[0].instruction,
            condition="asked",
            scene_seed=seed_at(SEED, state.id),
        )
        for state in states
    )


def _require_same(out: Path, identity: str) -> None:
    path = out / RUNNING
    if path.exists() and read_json(path)["identity"] != identity:
        raise ValueError(
            f"{out} holds a reproduction of other weights, numbers or episodes: use a fresh "
            "directory."
        )
