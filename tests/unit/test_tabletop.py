"""The table-top as an environment: physics, pictures, labels, oracle, Gymnasium."""

import warnings
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("mujoco")

from vertebra.envs.protocol import Environment
from vertebra.envs.tabletop import Tabletop
from vertebra.envs.tabletop.model import FINGER_TRAVEL_M
from vertebra.envs.tabletop.render import RayRenderer
from vertebra.envs.tabletop.scene import COLOURS, scene_from_plain
from vertebra.envs.tabletop.tasks import goal_of
from vertebra.spec.action import Frame, Gripper, Rotation

TABLE = Tabletop()
STATES = TABLE.initial_states("train", 12, 0)


def wander(table: Tabletop, steps: int = 15, *, look: bool = False) -> list[str]:
    """State hashes along a walk of random actions."""
    rng = np.random.default_rng(4)
    hashes = [table.state_hash()]
    for _ in range(steps):
        if look:
            table.observe()
            table.labels()
        table.apply(rng.normal(0.0, 0.7, 4).astype(np.float32))
        hashes.append(table.state_hash())
    return hashes


def test_it_is_an_environment_with_stated_conventions():
    environment: Environment = TABLE
    assert environment.name == "tabletop-v1"
    assert environment.offers.rate_hz == environment.takes.rate_hz == 10.0
    assert (environment.takes.frame, environment.takes.rotation) == (Frame.DELTA, Rotation.NONE)
    assert environment.takes.gripper is Gripper.OPEN_POSITIVE
    assert [dim.name for dim in environment.takes.dims] == [
        "delta_x", "delta_y", "delta_z", "gripper",
    ]  # fmt: skip
    observation = environment.begin(STATES[0], STATES[0].tasks[0], 0)
    assert observation.instruction == STATES[0].tasks[0].instruction
    assert observation.executed.shape == (0, 4)
    for camera in environment.offers.cameras:
        image = observation.images[camera.name]
        assert (image.shape, image.dtype) == ((camera.height, camera.width, 3), np.uint8)
    assert observation.state.shape == (len(environment.offers.state),)


def test_the_same_seed_gives_the_same_bytes():
    runs = []
    for table in (TABLE, Tabletop()):
        table.begin(STATES[1], STATES[1].tasks[0], 0)
        runs.append((wander(table), table.observe().images["front"].tobytes()))
    assert runs[0] == runs[1]
    assert len(set(runs[0][0])) == len(runs[0][0])
    TABLE.begin(STATES[2], STATES[2].tasks[0], 0)
    assert TABLE.state_hash() != runs[0][0][0]


def test_looking_does_not_change_what_happens():
    TABLE.begin(STATES[1], STATES[1].tasks[0], 0)
    blind = wander(TABLE)
    TABLE.begin(STATES[1], STATES[1].tasks[0], 0)
    assert wander(TABLE, look=True) == blind


def test_pictures_do_not_depend_on_the_order_of_calls():
    one, other = Tabletop(cameras=("front", "wrist")), Tabletop(cameras=("wrist", "front"))
    for table in (one, other):
        table.begin(STATES[3], STATES[3].tasks[0], 0)
    wander(one, look=True)
    wander(other)
    first, second = one.observe().images, other.observe().images
    for camera in ("front", "wrist"):
        np.testing.assert_array_equal(first[camera], second[camera])


def test_rays_that_are_left_out_would_have_hit_nothing(monkeypatch):
    table = Tabletop(shadows=True, texture=True)
    table.begin(STATES[4], STATES[4].tasks[0], 0)
    wander(table)
    quick = table.observe().images
    again = Tabletop(shadows=True, texture=True)
    again.begin(STATES[4], STATES[4].tasks[0], 0)
    wander(again)
    everything = lambda self, data, origin, cones: np.ones(64 * 64, bool)  # noqa: E731
    monkeypatch.setattr(RayRenderer, "_near", everything)
    slow = again.observe().images
    for camera in quick:
        np.testing.assert_array_equal(quick[camera], slow[camera])


def test_actions_do_what_the_spec_says():
    TABLE.begin(STATES[0], STATES[0].tasks[0], 0)
    before = TABLE.tool()
    TABLE.apply(np.array([0.5, -0.25, 0.75, 1.0], np.float32))
    after = TABLE.tool()
    np.testing.assert_allclose(after.target - before.target, [0.02, -0.01, 0.03], atol=1e-7)
    for _ in range(3):
        TABLE.apply(np.array([0.0, 0.0, 0.0, -1.0], np.float32))
    np.testing.assert_allclose(TABLE.tool().position, after.target, atol=2e-3)
    assert TABLE.tool().width < 0.002
    TABLE.apply(TABLE.hold(np.array([1.0, 1.0, 1.0, 1.0], np.float32)))
    TABLE.apply(np.array([0.0, 0.0, 0.0, 1.0], np.float32))
    assert TABLE.tool().width > 2 * FINGER_TRAVEL_M - 0.003
    observation = TABLE.observe()
    assert observation.executed.shape == (6, 4)
    assert TABLE.observe().executed.shape == (0, 4)


def test_hold_keeps_the_robot_where_it_is():
    TABLE.begin(STATES[0], STATES[0].tasks[0], 0)
    last = np.array([0.7, 0.3, -0.4, -1.0], np.float32)
    TABLE.apply(last)
    target = TABLE.tool().target
    for _ in range(5):
        TABLE.apply(TABLE.hold(last))
    np.testing.assert_array_equal(TABLE.tool().target, target)
    assert TABLE.tool().target_width == 0.0


def test_bad_input_is_refused():
    table = Tabletop(size=8)
    with pytest.raises(ValueError, match="call begin"):
        table.observe()
    with pytest.raises(ValueError, match="cannot be asked"):
        table.begin(STATES[0], next(t for t in STATES[1].tasks if t not in STATES[0].tasks), 0)
    table.begin(STATES[0], STATES[0].tasks[0], 0)
    for bad in (np.zeros(3), np.array([0, 0, np.nan, 1])):
        with pytest.raises(ValueError, match="four finite numbers"):
            table.apply(bad.astype(np.float32))
    table.close()
    table.close()


def test_no_task_holds_at_the_beginning():
    table = Tabletop(size=8, cameras=("front",), skills=("put", "push", "lift", "stack", "chain"))
    for split in ("train", "composition", "pair"):
        for state in table.initial_states(split, 10, 5):
            table.begin(state, state.tasks[0], 0)
            judgement = table.judge()
            assert max(judgement.progress.values()) < 0.5
            assert judgement.achieved == ()
            assert judgement.first_touched is judgement.first_grasped is None


def test_what_held_at_the_start_is_not_achieved():
    state, task = next((s, t) for s in STATES for t in s.tasks if t.skill == "put")
    goal = goal_of(task.id)
    thing = next(item for item in state.data["objects"] if item["name"] == goal.target)
    flats = [
        {**item, "x": thing["x"], "y": thing["y"]} if item["name"] == goal.destination else item
        for item in state.data["flats"]
    ]
    moved = replace(state, data={**state.data, "flats": flats})
    TABLE.begin(moved, task, 0)
    assert TABLE.judge().progress[task.id] == 1.0
    assert task.id not in TABLE.judge().achieved


def test_label_points_lie_on_their_thing_and_on_its_colour():
    on, seen, coloured = 0, 0, 0
    for state in STATES:
        image = TABLE.begin(state, state.tasks[0], 0).images["front"]
        labels = TABLE.labels()
        mask = labels["segmentation"]["front"]
        assert labels["points"].shape == (10, 2)
        for number, name in enumerate(labels["entities"]):
            if not name or np.isnan(labels["points"][number]).any():
                assert not (mask == number + 1).any()
                continue
            column, row = np.minimum((labels["points"][number] * 64).astype(int), 63)
            seen += 1
            if mask[row, column] != number + 1:
                continue
            on += 1
            pixel = image[row, column] / max(image[row, column].max(), 1)
            paint = np.array(COLOURS.get(name.split()[0], (1.0, 1.0, 1.0)))
            coloured += np.abs(pixel - paint / paint.max()).max() < 0.08
    assert seen >= 80
    assert on / seen > 0.9  # the rest is covered by the gripper or another object
    assert coloured == on


def test_segmentation_names_the_objects_in_both_views():
    for state in STATES[:4]:
        TABLE.begin(state, state.tasks[0], 0)
        labels = TABLE.labels()
        things = len(scene_from_plain(state.data).entities())
        for camera in ("front", "wrist"):
            mask = labels["segmentation"][camera]
            assert mask.dtype == np.uint8
            assert set(np.unique(mask)) <= set(range(things + 1))
        assert len(np.unique(labels["segmentation"]["front"])) >= things - 1


def test_depth_is_metric():
    camera = np.array([0.0, -0.25, 0.70])
    checked = 0
    for state in STATES:
        TABLE.begin(state, state.tasks[0], 0)
        labels, depth = TABLE.labels(), TABLE.depth("front")
        for item in scene_from_plain(state.data).flats:
            number = labels["entities"].index(item.name)
            column, row = (np.nan_to_num(labels["points"][number]) * 64).astype(int)
            if labels["segmentation"]["front"][row, column] == number + 1:
                distance = np.linalg.norm(camera - [item.x, item.y, 0.0])
                assert depth[row, column] == pytest.approx(distance, abs=0.006)
                checked += 1
    assert checked >= 20


def test_shadow_and_texture_change_the_picture_only():
    plain = TABLE.begin(STATES[0], STATES[0].tasks[0], 0).images["front"].astype(int)
    mask = TABLE.labels()["segmentation"]["front"]
    for table in (Tabletop(shadows=True), Tabletop(texture=True)):
        image = table.begin(STATES[0], STATES[0].tasks[0], 0).images["front"].astype(int)
        assert (image != plain).any(axis=2).mean() > 0.02
        np.testing.assert_array_equal(table.labels()["segmentation"]["front"], mask)
        assert table.state_hash() == TABLE.state_hash()


def test_touch_and_grasp_are_noticed():
    state = STATES[0]
    name = scene_from_plain(state.data).objects[0].name
    TABLE.begin(state, state.tasks[0], 0)
    spot = TABLE.world().bodies[name].position
    while np.linalg.norm(TABLE.tool().target[:2] - spot[:2]) > 1e-3:
        delta = np.clip((spot[:2] - TABLE.tool().target[:2]) / 0.04, -1, 1)
        TABLE.apply(np.array([*delta, 0.0, 1.0], np.float32))
    while TABLE.tool().target[2] > spot[2] + 1e-3:
        down = np.clip((spot[2] - TABLE.tool().target[2]) / 0.04, -1, 1)
        TABLE.apply(np.array([0.0, 0.0, down, 1.0], np.float32))
    assert TABLE.judge().first_grasped is None
    for _ in range(3):
        TABLE.apply(np.array([0.0, 0.0, 0.0, -1.0], np.float32))
    judgement = TABLE.judge()
    assert judgement.first_touched == judgement.first_grasped == name


def test_gymnasium_finds_nothing_to_complain_about():
    gymnasium = pytest.importorskip("gymnasium")
    from gymnasium.utils.env_checker import check_env

    name = "vertebra.envs.tabletop.gym:vertebra/Tabletop-v1"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        environment = gymnasium.make(name, size=16, render_mode="rgb_array")
        check_env(environment.unwrapped)
    observation, info = environment.reset(seed=1)
    assert observation["instruction"]
    for step in range(environment.unwrapped.table.max_steps):
        observation, reward, terminated, truncated, info = environment.step(
            np.array([0, 0, 1, 1], np.float32)
        )
        assert truncated is (step == environment.unwrapped.table.max_steps - 1)
        assert (reward, terminated) == (0.0, False)
    assert environment.render().shape == (256, 256, 3)
    with pytest.raises(ValueError, match="give both"):
        environment.unwrapped.reset(options={"task": info["task"]})
