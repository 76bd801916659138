"""One thing at a time is other than in demonstrations, and the tasks stay possible."""

from dataclasses import replace

import numpy as np
import pytest

from vertebra.demonstrate.demonstrator import Demonstrator
from vertebra.envs.tabletop import Tabletop
from vertebra.envs.tabletop.scene import scene_from_plain
from vertebra.envs.tabletop.shift import Shift, shift_from_plain, shifted
from vertebra.pilot.robustness import TABLETOP_FACTORS
from vertebra.pilot.worlds import TabletopSettings, make_environment

STATE = Tabletop().initial_states("layout", 1, 3)[0]


def _begin(shift=None):
    world = Tabletop(shift=shift)
    seen = world.begin(STATE, STATE.tasks[0], 0)
    return world, seen


def test_no_shift_changes_nothing():
    (_, plain), (world, seen) = _begin(), _begin(Shift())
    assert all((plain.images[name] == seen.images[name]).all() for name in plain.images)
    assert world.name == "tabletop-v1+shift" and Tabletop().name == "tabletop-v1"


@pytest.mark.parametrize("factor", [f for f in TABLETOP_FACTORS if f.shift], ids=lambda f: f.name)
def test_every_factor_changes_what_is_seen_and_is_read_from_a_plan(factor):
    plain = _begin()[1]
    settings = {**TabletopSettings().to_plain(), "shift": dict(factor.shift)}
    world = make_environment(settings)
    seen = world.begin(STATE, STATE.tasks[0], 0)
    assert np.abs(seen.images["front"].astype(int) - plain.images["front"].astype(int)).max() >= 8
    physics = Tabletop(), world
    hashes = []
    for one in physics:
        one.begin(STATE, STATE.tasks[0], 0)
        hashes.append(one.state_hash())
    moves = factor.name in ("layout", "distractors", "initial-pose")
    assert (hashes[0] != hashes[1]) is moves, "a look changes no physics"


def test_a_camera_that_moves_changes_the_front_view_only():
    plain, seen = _begin()[1], _begin(Shift(camera_m=(0.05, 0, 0)))[1]
    assert (plain.images["front"] != seen.images["front"]).any()
    assert (plain.images["wrist"] == seen.images["wrist"]).all()


def test_less_light_darkens_both_views():
    plain, seen = _begin()[1], _begin(Shift(brightness=0.5))[1]
    for name in plain.images:
        ratio = seen.images[name].mean() / plain.images[name].mean()
        assert ratio == pytest.approx(0.5, abs=0.01)
    bright = _begin(Shift(brightness=3.0))[1]
    assert bright.images["front"].max() == 255


def test_mirroring_twice_gives_the_scene_back():
    once = shifted(STATE, Shift(mirrored=True))
    assert once.id == STATE.id and once.tasks == STATE.tasks
    twice = shifted(once, Shift(mirrored=True))
    assert scene_from_plain(twice.data) == scene_from_plain(STATE.data)
    assert scene_from_plain(once.data).line_side == -scene_from_plain(STATE.data).line_side


def test_distractors_are_new_things_apart_from_the_others():
    many = 0
    for state in Tabletop().initial_states("layout", 12, 5):
        before = scene_from_plain(state.data)
        after = scene_from_plain(shifted(state, Shift(distractors=2)).data)
        assert after.objects[: len(before.objects)] == before.objects
        names = [item.name for item in after.objects]
        assert len(set(names)) == len(names) and len(after.entities()) <= 10
        many += len(after.objects) - len(before.objects)
        spots = np.array([(item.x, item.y) for item in (*after.objects, *after.flats)])
        for number in range(len(before.objects), len(after.objects)):
            others = np.delete(spots, number, axis=0)
            assert np.linalg.norm(others - spots[number], axis=1).min() >= 0.075
        again = shifted(state, Shift(distractors=2))
        assert scene_from_plain(again.data) == after
    assert many >= 12


@pytest.mark.parametrize("factor", [f for f in TABLETOP_FACTORS if f.shift], ids=lambda f: f.name)
def test_the_demonstrator_still_succeeds_mostly(factor):
    world = Tabletop(shift=shift_from_plain(factor.shift))
    done = []
    for state in world.initial_states("layout", 4, 11):
        task = state.tasks[0]
        world.begin(state, task, 0)
        act = Demonstrator(world).act
        for _ in range(world.max_steps):
            world.apply(act(task))
            if task.id in world.judge().achieved:
                break
        done.append(task.id in world.judge().achieved)
    assert sum(done) >= 3


def test_what_is_not_possible_is_refused():
    with pytest.raises(ValueError, match=r"brightness is 0 .* -1 distractors"):
        Shift(brightness=0, distractors=-1)
    assert shift_from_plain({"tool_m": [0.1, 0, 0]}) == replace(Shift(), tool_m=(0.1, 0.0, 0.0))
