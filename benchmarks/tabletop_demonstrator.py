"""Success and length of the demonstrator with disturbances, by skill.

Run: ``python benchmarks/tabletop_demonstrator.py`` (1,000 episodes a skill; some six minutes on one
core).
"""

import argparse

import numpy as np

from vertebra.demonstrate.rollout import Run, carry_out
from vertebra.envs.tabletop import Tabletop
from vertebra.envs.tabletop.tasks import SKILLS


def measure(skill: str, episodes: int, *, perturb: bool) -> None:
    """Carry out tasks of one skill and print how it went."""
    basic = ("put", "push", "lift")
    table = Tabletop(size=8, cameras=("front",), skills=basic if skill in basic else SKILLS)
    runs: list[Run] = []
    index = 0
    states = table.initial_states("validation", 2 * episodes, 1)
    while len(runs) < episodes:
        tasks = [task for task in states[index].tasks if task.skill == skill]
        runs += [
            carry_out(table, states[index], task, seed=1, perturb=perturb)
            for task in tasks[: episodes - len(runs)]
        ]
        index += 1
    lengths = [run.steps for run in runs if run.succeeded]
    print(
        f"{skill:6s} {'disturbed' if perturb else 'clean':9s} "
        f"success {np.mean([run.succeeded for run in runs]):.4f} of {len(runs)}, "
        f"steps mean {np.mean(lengths):.1f}, median {np.median(lengths):.0f}, "
        f"95 % {np.percentile(lengths, 95):.0f}, longest {max(lengths)}; "
        f"also achieved another task {sum(run.also_achieved for run in runs)}; "
        f"touched the target first {np.mean([run.touched_first for run in runs]):.3f}"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--episodes", type=int, default=1000)
    arguments = parser.parse_args()
    for name in SKILLS:
        for disturbed in (True, False):
            measure(name, arguments.episodes, perturb=disturbed)
