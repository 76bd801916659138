"""The real CALVIN, where the user has set it up: its oracle sees a lift, and a state comes back."""

import numpy as np
import pytest

from vertebra.envs.calvin.demonstrator import demonstrable
from vertebra.envs.calvin.simulator import CALVIN
from vertebra.envs.outside import OutsideSettings, open_world
from vertebra.envs.places import ready

pytestmark = [
    pytest.mark.slow,
    pytest.mark.sim,
    pytest.mark.skipif(not ready(CALVIN), reason="vertebra env setup calvin --root CLONE"),
]


def test_blocks_are_told_apart_in_every_scene():
    """CALVIN lists them in another order in each; a lift must find the one that was asked for."""
    world = open_world(OutsideSettings(simulator="calvin", world="ABCD_D", protocol="pilot"))
    try:
        states = world.initial_states("train", 30, 0)
        for scene in "ABCD":
            state = next(one for one in states if one.data["scene"] == scene)
            task = state.tasks[0]
            assert task.id.startswith("lift")
            world.begin(state, task, 0)
            for _ in range(world.max_steps):
                world.apply(world.demonstrate(task))
                if world.judge().achieved:
                    break
            assert world.judge().achieved == (task.id,), state.id
            assert world.judge().first_touched == world.target_of(task)
    finally:
        world.close()


def test_a_scripted_lift_is_recognised_and_repeated():
    world = open_world(OutsideSettings(simulator="calvin", world="ABC_D", protocol="pilot"))
    try:
        state = world.initial_states("layout", 1, 0)[0]
        assert len({task.instruction for task in state.tasks}) == len(state.tasks) >= 10
        lifts = [task for task in state.tasks if task.id.startswith("lift")]
        task = next(task for task in lifts if demonstrable(task.id))
        ends: list[str] = []
        for _ in range(2):
            pictures = world.begin(state, task, 0).images
            assert all(picture.std() > 10 for picture in pictures.values())
            steps = 0
            while task.id not in world.judge().achieved and steps < world.max_steps:
                world.apply(world.demonstrate(task))
                steps += 1
            judged = world.judge()
            assert task.id in judged.achieved, f"not achieved in {steps} steps"
            assert judged.first_touched == world.target_of(task)
            ends.append(world.state_hash())
        assert ends[0] == ends[1], "the same state and actions end in the same state"
        world.apply(np.zeros(7, np.float32))
    finally:
        world.close()
