"""A positive number opens the gripper: for the simulator, the demonstrator and the normaliser."""

import numpy as np

from vertebra.data.statistics import Scaling, fit
from vertebra.demonstrate import demonstrator
from vertebra.envs.tabletop import Tabletop
from vertebra.envs.tabletop.tasks import goal_of
from vertebra.spec.action import Gripper


def check_gripper() -> None:
    """What the spec says is what fingers do, what a demonstration holds, and what survives."""
    table = Tabletop(size=8, cameras=("front",), skills=("lift",))
    assert table.takes.gripper is Gripper.OPEN_POSITIVE
    (state,) = table.initial_states("train", 1, 3)
    task = state.tasks[0]
    _check_fingers(table, state, task)
    table.begin(state, task, 0)
    worker = demonstrator.Demonstrator(table)
    actions: list[np.ndarray] = []
    while task.id not in table.judge().achieved and len(actions) < table.max_steps:
        actions.append(worker.act(task))
        table.apply(actions[-1])
    judged = table.judge()
    assert judged.achieved == (task.id,), "the demonstrator did not lift what was asked"
    assert judged.first_grasped == goal_of(task.id).target
    made = np.stack(actions)
    assert made[0, 3] > 0 > made[-1, 3], "a lift starts open and ends closed"
    normaliser = fit(made, scaling=Scaling.MEAN_STD)
    back = normaliser.denormalise(normaliser.normalise(made))
    assert np.abs(back - made).max() < 1e-5, "an action did not survive normalisation"


def _check_fingers(table: Tabletop, state, task) -> None:
    table.begin(state, task, 0)
    widths = []
    for sign in (1.0, -1.0, 1.0):
        for _ in range(5):
            table.apply(np.array([0, 0, 0, sign], np.float32))
        widths.append(table.tool().width)
    assert widths[0] > 0.05 > 0.03 > widths[1], "a negative number did not close the fingers"
    assert widths[2] > 0.05, "a positive number did not open the fingers"
