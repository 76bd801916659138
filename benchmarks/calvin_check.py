"""The manual check of CALVIN: our chains are its chains, its oracle sees a lift, a policy is run.

Run: ``python benchmarks/calvin_check.py --root CLONE``, with your clone of mees/calvin (about ten
core-minutes; the original alone draws its thousand chains in three). What it wrote when it was run
is ``tests/contracts/recorded/calvin_check.json``.
"""

import argparse
import contextlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

import numpy as np
from numpy.typing import NDArray

from vertebra import recipes
from vertebra.demonstrate.record import record
from vertebra.demonstrate.request import outside_request
from vertebra.envs.calvin.achieved import confusion, in_a_row
from vertebra.envs.calvin.chains import LINKS, PUBLISHED, initial_conditions
from vertebra.envs.calvin.demonstrator import demonstrable
from vertebra.envs.calvin.simulator import CALVIN
from vertebra.envs.calvin.start import seed_of, starting_point
from vertebra.envs.outside import OutsideSettings, open_world
from vertebra.envs.places import set_up
from vertebra.evaluate.actor import Actor, DemonstratorActor, PolicyActor
from vertebra.evaluate.plan import plan_episodes
from vertebra.evaluate.run import Identity, run_episodes
from vertebra.pilot.facts import software
from vertebra.pilot.prepare import read_material
from vertebra.policy.checkpoint import load_policy
from vertebra.spec.record import EpisodeRecord
from vertebra.spec.seeds import SeedTree
from vertebra.spec.storage import digest, read_json, write_json, write_jsonl
from vertebra.spec.task import InitialState
from vertebra.train.loop import train
from vertebra.train.spec import TrainSpec

PARTS = ("compare", "oracle", "policy")
SETTINGS = OutsideSettings(simulator="calvin", world="ABC_D", protocol="pilot")
DEMONSTRATIONS, VALIDATION, SAMPLES, BATCH = 4, 2, 160, 8


def original(clone: Path, name: str) -> ModuleType:
    """A file of CALVIN's evaluation, without the packages that it imports and does not need here.

    ``pyhash`` is replaced by our own hash function, so the starting points compare the rest.
    """
    stubs = ("cv2", "hydra", "pyhash", "calvin_agent", "calvin_agent.evaluation")
    modules = (*stubs, "calvin_agent.models.mcil", "calvin_agent.utils.utils", "omegaconf")
    for module in (*modules, "calvin_agent.models", "calvin_agent.utils"):
        sys.modules.setdefault(module, MagicMock())
    path = clone / f"calvin_models/calvin_agent/evaluation/{name}.py"
    spec = importlib.util.spec_from_file_location(f"calvin_agent.evaluation.{name}", path)
    assert spec is not None and spec.loader is not None, path
    found = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def compare(clone: Path) -> dict[str, Any]:
    """Our chains and starting points beside the original's (the original takes some minutes)."""
    theirs: Any = original(clone, "utils")
    theirs.hasher = lambda words: seed_of(_current[0])
    worst = 0.0
    for state in initial_conditions():
        _current[:] = [state]
        pairs = zip(
            theirs.get_env_state_for_initial_condition(state), starting_point(state), strict=True
        )
        worst = max([worst, *(float(np.abs(a - b).max()) for a, b in pairs)])
    sequences = original(clone, "multistep_sequences")
    drawn = sequences.get_sequences(1000, 1)
    state = initial_conditions()[0]
    first = [tuple(tasks.tolist()) for tasks in sequences.get_sequences_for_state2((state, 2, 0))]
    return {
        "chains": len(drawn),
        "hash": digest([{"state": dict(state), "tasks": tasks} for state, tasks in drawn]),
        "first_drawn": digest([{"state": state, "tasks": tasks} for tasks in first]),
        "starting_points": len(initial_conditions()),
        "largest_difference": worst,
    }


_current: list[Any] = []
"""The state whose seed the original asks for."""


@contextlib.contextmanager
def opened() -> Iterator[Any]:
    """The world, closed at the end."""
    world = open_world(SETTINGS)
    try:
        yield world
    finally:
        world.close()


def scripted(world: Any, states: int) -> list[dict[str, Any]]:
    """Every task with a script, from the first starting points: what the oracle saw."""
    found: list[dict[str, Any]] = []
    for state in world.initial_states("layout", states, 0):
        for task in (one for one in state.tasks if demonstrable(one.id)):
            world.begin(state, task, 0)
            steps, judged = 0, world.judge()
            while steps < world.max_steps and task.id not in judged.achieved:
                world.apply(world.demonstrate(task))
                steps, judged = steps + 1, world.judge()
            seen = {"achieved": judged.achieved, "touched_first": judged.first_touched}
            found.append({"start": state.id, "task": task.id, "steps": steps, **seen})
            print(found[-1], flush=True)
    return found


def best_scripted(states: tuple[InitialState, ...]) -> InitialState:
    """The chain with the most links at its beginning for which there is a script."""

    def prefix(state: InitialState) -> int:
        tasks = state.tasks[0].id.split(">")
        return next((n for n, task in enumerate(tasks) if not demonstrable(task)), LINKS)

    return max(states, key=prefix)


def helped(world: Any) -> Callable[[Any], NDArray[np.float32]]:
    """The script where there is one, and else stillness."""
    still = np.zeros(len(world.takes.dims), np.float32)
    still[-1] = 1.0

    def act(task: Any) -> NDArray[np.float32]:
        try:
            return world.demonstrate(task)
        except ValueError:
            return still

    return act


def evaluated(actor: Actor, arm: str, states: tuple[InitialState, ...]) -> list[EpisodeRecord]:
    """Chains under the published rules."""
    identity = Identity(pilot="calvin-check", arm=arm, family="control", demonstrations=0, seed=0)
    plan = plan_episodes(states, ["asked"], 0)
    found: list[EpisodeRecord] = []
    for one in run_episodes(actor, lambda: open_world(SETTINGS), plan, identity, lanes=1):
        print(arm, one.initial_state, one.outcome, one.completed, one.steps, flush=True)
        found.append(one)
    return found


def tiny_policy(store: Path) -> tuple[Any, dict[str, Any]]:
    """A policy of size tiny after a few steps on a few scripted demonstrations."""
    tree = SeedTree(root=0)
    request = outside_request(
        SETTINGS, count=DEMONSTRATIONS, validation=VALIDATION, seed=tree.demonstrations()
    )
    recordings = store / "demonstrations"
    record(recordings, request)
    ready = read_material(
        store, recordings, mapping=None, env="auto", tree=tree, tell=lambda *words: None
    )
    spec = TrainSpec(
        recipe=recipes.by_name("pi0"),
        size="tiny",
        needs=ready.material.needs,
        makes=ready.material.makes,
        privileged="none",
        samples=SAMPLES,
        batch_size=BATCH,
        data=ready.material.cache,
        data_hash=ready.material.data_hash,
        episodes=ready.material.pool,
        validation_episodes=ready.material.validation,
        seeds={"initialisation": 1, "batch_order": 2, "noise": 3},
        precision="fp32",
        warmup=2,
    )
    result = train(spec, store / "training")
    facts = {"recipe": spec.recipe.name, "size": spec.size, "steps": result.steps}
    return load_policy(store / "training/checkpoint"), {**facts, "parameters": result.parameters}


def summary(records: list[EpisodeRecord]) -> dict[str, Any]:
    """Published figures of chains, and what was achieved whichever was asked."""
    shares = in_a_row(records, LINKS)
    return {
        "chains": len(records),
        "in_a_row": shares,
        "mean_length": sum(shares),
        "asked_and_achieved": confusion(records),
        "seconds": round(sum(one.timing.wall_s for one in records), 1),
        "episodes": [
            {
                "state": one.initial_state,
                "chain": one.task,
                "outcome": one.outcome,
                "completed": one.completed,
                "steps": one.steps,
                "achieved": one.achieved,
                "first_touched": one.first_touched,
                "content_hash": one.content_hash(),
            }
            for one in records
        ],
    }


def main() -> None:
    """Run the parts that are asked for and write them into the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="your clone of mees/calvin")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--chains", type=int, default=10)
    parser.add_argument("--starts", type=int, default=3, help="starting points of the scripts")
    parser.add_argument("--out", type=Path, default=Path("runs/calvin_check"))
    given = parser.parse_args()
    path = given.out / "calvin_check.json"
    found: dict[str, Any] = read_json(path) if path.exists() else {}
    if "compare" in given.parts:
        found["compared"] = compare(given.root)
        assert found["compared"]["hash"] == PUBLISHED, "our chains are not the published ones"
        write_json(path, found)
    set_up(CALVIN, clone=given.root, tell=print)
    with opened() as world:
        found["environment"] = {"name": world.name, "facts": world.facts}
        official = world.initial_states("official", 1000, 0)
        if "oracle" in given.parts:
            found["scripted"] = scripted(world, given.starts)
    if "policy" in given.parts:
        policy, found["policy"] = tiny_policy(given.out)
        helper = evaluated(DemonstratorActor(helped), "scripts", (best_scripted(official),))
        chained = evaluated(PolicyActor(policy), "tiny", official[: given.chains])
        write_jsonl(given.out / "records.jsonl", [*helper, *chained])
        found["scripts_in_a_chain"], found["evaluation"] = summary(helper), summary(chained)
    versions = software()
    found["software"] = {name: versions[name] for name in ("vertebra", "python", "numpy", "torch")}
    write_json(path, found)
    print(path)


if __name__ == "__main__":
    main()
