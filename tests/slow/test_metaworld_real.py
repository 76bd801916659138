"""The real Meta-World, set up by the test itself; skipped, with the reason, where it cannot be."""

import pytest

from vertebra.envs.fitness import check_environment
from vertebra.envs.metaworld.simulator import METAWORLD
from vertebra.envs.outside import open_world, outside_from_words
from vertebra.envs.places import set_up

pytestmark = [pytest.mark.slow, pytest.mark.sim]


def test_five_tasks_and_what_the_check_says_of_them():
    try:
        set_up(METAWORLD)
    except ValueError as error:
        pytest.skip(f"Meta-World cannot be set up here: {error}")
    world = open_world(outside_from_words("metaworld"))
    try:
        found = check_environment(world, world.demonstrate)
        unfit = [one.question for one in found if not one.fit]
        assert unfit == ["several instructions in one scene"], found
        solved = []
        for state in world.initial_states("layout", 10, 0):
            (task,) = state.tasks
            world.begin(state, task, 0)
            steps = 0
            while steps < world.max_steps and not world.judge().achieved:
                world.apply(world.demonstrate(task))
                steps += 1
            solved.append(world.judge().achieved == (task.id,))
        assert sum(solved) >= 9, solved
    finally:
        world.close()
