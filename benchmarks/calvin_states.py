"""Records what CALVIN's table does while a script lifts a block and presses the button.

Run with the simulator's own interpreter: ``PYTHONPATH=src ~/.cache/vertebra/envs/calvin/bin/python
benchmarks/calvin_states.py CLONE OUT.json``. Tests compare the fake table with the record.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from vertebra.envs.calvin.chains import initial_conditions
from vertebra.envs.calvin.demonstrator import actions, poses
from vertebra.envs.calvin.protocols import EVALUATED_IN, PILOT
from vertebra.envs.calvin.start import starting_point
from vertebra.envs.calvin.table import ENV, Table, fingerprint

START, TASKS, MOST, EVERY = 42, ("lift_blue_block_table", "turn_on_led"), 80, 3


def trace(clone: Path, task: str) -> dict[str, Any]:
    """One task: all actions, and every few steps what the table tells."""
    table = Table(clone, EVALUATED_IN, PILOT.robot, PILOT.renderer)
    table.reset(*starting_point(initial_conditions()[START]))
    before, button = table.info(), table.button_m()
    script = actions(table.robot(), poses(task, table.robot(), table.scene(), button))
    done, seen = [], [_seen(table, before, 0)]
    while len(done) < MOST and task not in seen[-1]["achieved"]:
        done.append(next(script).astype(float).round(6).tolist())
        table.step(np.array(done[-1]))
        now = _seen(table, before, len(done))
        if len(done) % EVERY == 0 or now["achieved"]:
            seen.append(now)
    table.close()
    return {"task": task, "button_m": button.round(4).tolist(), "actions": done, "seen": seen}


def _seen(table: Table, before: Any, step: int) -> dict[str, Any]:
    now = table.info()
    return {
        "step": step,
        "robot": table.robot().round(4).tolist(),
        "scene": table.scene().round(4).tolist(),
        "touching": list(table.touching(now)),
        "achieved": table.achieved(before, now),
    }


def main(clone: Path, out: Path) -> None:
    """Write the record."""
    sys.path.insert(0, str(clone / ENV))
    found = {
        "start": START,
        "clone": fingerprint(clone),
        "traces": [trace(clone, task) for task in TASKS],
    }
    lines = json.dumps(found, indent=1).replace("\n     ", " ").replace("\n    ]", "]")
    out.write_text(lines + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]))
