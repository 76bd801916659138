"""Success of a simulator's demonstrator by task, as a Markdown table.

Run: ``python benchmarks/outside_demonstrator.py libero:libero_object official --keep FILE`` (ten
core-seconds an episode; needs ``vertebra env setup``). Every episode is written to the file, one
JSON value a line; the same command goes on where it stopped. Tasks that it cannot do are named.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

from vertebra.demonstrate.rollout import carry_out, own_demonstrator
from vertebra.envs.outside import open_world, outside_from_words
from vertebra.envs.remote import WorldError
from vertebra.stats.proportion import clopper_pearson


def measure(words: str, split: str, episodes: int, tasks: int, keep: Path) -> None:
    """Carry out the own task of every scene and print a line as soon as a task is done."""
    world = open_world(outside_from_words(words))
    print(f"{world.name}\n\n| task | success | at least (95 %) | steps, mean | s an episode |")
    print("|---|---|---|---|---|", flush=True)
    kept = [json.loads(line) for line in keep.read_text().splitlines()] if keep.exists() else []
    done = {(row["world"], row["state"]): row for row in kept}
    states = world.initial_states(split, tasks * episodes, 0)
    for first in range(tasks):
        rows: list[dict[str, Any]] = []
        for state in states[first::tasks]:
            row = done.get((world.name, state.id)) or carried_out(world, state, keep)
            rows.append(row)
            if row["why"]:
                break
        print(line_of(rows), flush=True)
    world.close()


def carried_out(world: Any, state: Any, keep: Path) -> dict[str, Any]:
    """One episode as a line of the file."""
    began, task = time.perf_counter(), state.tasks[0]
    row = {"world": world.name, "state": state.id, "task": task.instruction, "why": ""}
    try:
        run = carry_out(world, state, task, 0, perturb=False, demonstrate=own_demonstrator)
        row |= {"succeeded": run.succeeded, "steps": run.steps}
    except (ValueError, WorldError) as error:
        row["why"] = str(error).splitlines()[0][:60]
    row["seconds"] = time.perf_counter() - began
    with keep.open("a") as file:
        file.write(json.dumps(row) + "\n")
    return row


def line_of(rows: list[dict[str, Any]]) -> str:
    """A task's line of the table."""
    if rows[-1]["why"]:
        return f"| {rows[0]['task']} | not attempted: {rows[-1]['why']} |"
    good = [row["steps"] for row in rows if row["succeeded"]]
    bounds = clopper_pearson(len(good), len(rows))
    assert bounds is not None
    seconds = sum(row["seconds"] for row in rows) / len(rows)
    steps = sum(good) / max(1, len(good))
    return (
        f"| {rows[0]['task']} | {len(good)}/{len(rows)} | {bounds.low:.2f} | {steps:.0f} | "
        f"{seconds:.0f} |"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("world")
    parser.add_argument("split")
    parser.add_argument("--episodes", type=int, default=20)
    parser.add_argument("--tasks", type=int, default=10)
    parser.add_argument("--keep", type=Path, default=Path("demonstrator.jsonl"))
    given = parser.parse_args()
    measure(given.world, given.split, given.episodes, given.tasks, given.keep)
