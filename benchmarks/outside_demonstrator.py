"""Success of a simulator's demonstrator by task, as a Markdown table.

Run: ``python benchmarks/outside_demonstrator.py libero:libero_object official --episodes 20`` (some
ten core-seconds an episode; needs ``vertebra env setup``). Tasks that it cannot do are named.
"""

import argparse
import time

from vertebra.demonstrate.rollout import Run, carry_out, own_demonstrator
from vertebra.envs.outside import open_world, outside_from_words
from vertebra.envs.remote import WorldError
from vertebra.stats.proportion import clopper_pearson


def measure(words: str, split: str, episodes: int, tasks: int) -> None:
    """Carry out the own task of every scene and print a line as soon as a task is done."""
    world = open_world(outside_from_words(words))
    print(f"{world.name}\n\n| task | success | at least (95 %) | steps, mean | s an episode |")
    print("|---|---|---|---|---|", flush=True)
    states = world.initial_states(split, tasks * episodes, 0)
    for first in range(tasks):
        runs: list[Run] = []
        began, task = time.perf_counter(), states[first].tasks[0]
        for state in states[first::tasks]:
            try:
                runs.append(
                    carry_out(world, state, task, 0, perturb=False, demonstrate=own_demonstrator)
                )
            except (ValueError, WorldError) as error:
                print(f"| {task.instruction} | not attempted: {str(error).splitlines()[0][:60]} |")
                break
        if len(runs) < episodes:
            continue
        good = [run.steps for run in runs if run.succeeded]
        bounds = clopper_pearson(len(good), len(runs))
        assert bounds is not None
        mean = sum(good) / max(1, len(good))
        print(
            f"| {task.instruction} | {len(good)}/{len(runs)} | {bounds.low:.2f} | {mean:.0f} | "
            f"{(time.perf_counter() - began) / len(runs):.0f} |",
            flush=True,
        )
    world.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("world")
    parser.add_argument("split")
    parser.add_argument("--episodes", type=int, default=20)
    parser.add_argument("--tasks", type=int, default=10)
    given = parser.parse_args()
    measure(given.world, given.split, given.episodes, given.tasks)
