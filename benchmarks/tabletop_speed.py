"""Control steps per second of the table-top on one core, with observations.

Run: ``python benchmarks/tabletop_speed.py``. Figures are the best and the median of ``--repeats``
runs of 200 steps with random actions, per second of processor time of one thread.
"""

import argparse
import time

import numpy as np

from vertebra.envs.tabletop import Tabletop

CASES = (
    ("no observation", ("front",), False, False, False),
    ("front", ("front",), False, False, True),
    ("front, wrist", ("front", "wrist"), False, False, True),
    ("front, wrist, shadows", ("front", "wrist"), True, False, True),
    ("front, wrist, shadows, texture", ("front", "wrist"), True, True, True),
)


def steps_per_second(table: Tabletop, *, seen: bool, steps: int = 200) -> float:
    """Over one run of random actions in a scene with six objects."""
    rng = np.random.default_rng(0)
    actions = rng.normal(0.0, 0.5, (steps, 4)).astype(np.float32)
    start = time.process_time()
    for action in actions:
        table.apply(action)
        if seen:
            table.observe()
    return steps / (time.process_time() - start)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=15)
    arguments = parser.parse_args()
    for label, cameras, shadows, texture, seen in CASES:
        table = Tabletop(cameras=cameras, shadows=shadows, texture=texture)
        states = table.initial_states("train", 50, 0)
        state = next(state for state in states if len(state.data["objects"]) == 6)
        table.begin(state, state.tasks[0], 0)
        runs = [steps_per_second(table, seen=seen) for _ in range(arguments.repeats)]
        print(f"{label:32s} best {max(runs):6.0f}, median {np.median(runs):6.0f} steps/s")
