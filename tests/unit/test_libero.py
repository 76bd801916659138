"""LIBERO without LIBERO: its task files, protocols, and where fingers fit."""

from dataclasses import fields, replace

import numpy as np
import pytest

from vertebra.envs.libero.demonstrator import demonstrable
from vertebra.envs.libero.goals import instructions, pool_suites, read_task, target_of
from vertebra.envs.libero.grasp import CELL_M, HALF_M, grasps, map_points
from vertebra.envs.libero.protocols import PROTOCOLS, SUITES, Protocol, protocol_by_name
from vertebra.envs.libero.scene import axis_angle
from vertebra.envs.libero.shift import (
    FACTORS,
    Shift,
    arm_offset,
    blurred,
    orbited,
    shift_from_plain,
)
from vertebra.envs.libero.simulator import LIBERO
from vertebra.envs.simulators import SIMULATORS
from vertebra.spec.rotation import matrix_from_axis_angle, matrix_from_quat_xyzw
from vertebra.spec.storage import digest


def bddl(goal, things="milk_1 - milk basket_1 - basket", words="Pick it", fixtures="floor - floor"):
    """A file as LIBERO writes them."""
    return f"""(define (problem LIBERO_Floor_Manipulation)
      (:domain robosuite)
      (:language {words})
      (:regions (bin_region (:target floor) (:ranges ((-0.01 0.25 0.01 0.27))))
                (contain_region (:target basket_1)))
      (:fixtures {fixtures})
      (:objects {things})
      (:obj_of_interest milk_1)
      (:init (On milk_1 floor_bin_region)) ; a comment
      (:goal (And {goal})))"""


def task(name, goal, suite="libero_object", **more):
    return read_task(suite, name, bddl(goal, **more))


def in_basket(name):
    return f"(In {name}_1 basket_1_contain_region)"


MILK = task("pick_up_the_milk", in_basket("milk"), things="milk_1 soup_1 - food basket_1 - basket")
SOUP = task("pick_up_the_soup", in_basket("soup"))
TEA = task("pick_up_the_tea", in_basket("tea"))


def test_a_file_is_read():
    assert MILK.goal == (("in", "milk_1", "basket_1_contain_region"),)
    assert MILK.things == {
        "floor": "floor",
        "milk_1": "food",
        "soup_1": "food",
        "basket_1": "basket",
    }
    assert MILK.regions == {"floor_bin_region", "basket_1_contain_region"}
    assert read_task("s", "n", bddl("(On a b)").replace("(And (On a b))", "(On a b)")).goal == (
        ("on", "a", "b"),
    )
    with pytest.raises(ValueError, match="s/n has no goal"):
        read_task("s", "n", "(define (:objects a - b))")


def test_swaps_are_the_goals_of_other_tasks_whose_things_are_there():
    other_words = task(
        "pick_up_the_soup", in_basket("soup"), "libero_object_lan", words="grab soup"
    )
    asked = instructions(MILK, [MILK, SOUP, TEA, other_words])
    assert [(one.id, goal) for one, goal in asked] == [
        ("pick_up_the_milk", MILK.goal),
        ("pick_up_the_soup", SOUP.goal),
    ]
    assert asked[1][0].paraphrases == ("grab soup",) and asked[0][0].paraphrases == ()
    assert {one.skill for one, _ in asked} == {"put-in"}


def test_sentences_about_places_hold_in_their_own_scene_only():
    spatial = [
        task(f"pick_up_the_bowl_{where}", "(On milk_1 basket_1)", "libero_spatial")
        for where in ("left", "right")
    ]
    swap = task("pick_up_the_bowl_left", "(On soup_1 basket_1)", "libero_spatial_task")
    scene = replace(spatial[0], things={**spatial[0].things, "soup_1": "food"})
    asked = instructions(scene, [*spatial, swap])
    assert [one.instruction for one, _ in asked] == ["pick up the bowl left", "pick it"]


def test_long_tasks_share_named_scenes():
    one = task("KITCHEN_SCENE3_turn_on_the_stove", "(Turnon milk_1)", "libero_10")
    same = task("KITCHEN_SCENE3_put_it", "(On milk_1 basket_1)", "libero_90")
    other = task("KITCHEN_SCENE4_put_it_there", "(On basket_1 milk_1)", "libero_90")
    moved = replace(same, name="KITCHEN_SCENE3_and_so_on", things={"milk_1": "milk"})
    assert [t.instruction for t, _ in instructions(one, [one, same, other, moved])] == [
        "turn on the stove",
        "put it",
    ]
    assert instructions(one, [])[0][0].skill == "turn-on"


def test_one_goal_is_asked_for_once_and_one_sentence_means_one_goal():
    twin = task("lift_the_milk", in_basket("milk"))
    like = replace(SOUP, name="pick_up_the_milk")
    assert len(instructions(MILK, [twin, like])) == 1


def test_what_a_goal_is_about():
    assert target_of(MILK.goal) == "milk_1"
    assert target_of((("open", "wooden_cabinet_1_top_region"),)) == "wooden_cabinet_1"


def test_what_the_demonstrator_can_do():
    assert demonstrable((("on", "moka_pot_1", "flat_stove_1"), ("turnon", "flat_stove_1")))
    assert demonstrable((("on", "bowl_1", "plate_1"), ("in", "milk_1", "basket_1_contain_region")))
    for goal in (
        ("open", "wooden_cabinet_1_top_region"),
        ("in", "bowl_1", "wooden_cabinet_1_top_region"),
        ("on", "plate_1", "main_table_stove_front_region"),
    ):
        assert not demonstrable((goal, ("on", "bowl_1", "plate_1")))


def test_every_item_of_a_protocol_changes_the_hash():
    base = protocol_by_name("openpi")
    other = {
        "name": "x", "source": "x", "image_px": 1, "rotated": False, "cameras": {}, "state": "x",
        "wait_steps": 1, "wait_gripper": 0.0, "max_steps": {}, "seed": 1,
        "seed_counts": True, "controller": "x", "rate_hz": 1.0,
    }  # fmt: skip
    assert set(other) == {field.name for field in fields(Protocol)}
    changed = {digest(replace(base, **{name: value})) for name, value in other.items()}
    assert len(changed - {digest(base)}) == len(other)
    assert len({digest(one) for one in PROTOCOLS}) == len(PROTOCOLS)
    assert all(set(one.max_steps) == set(SUITES) for one in PROTOCOLS)
    with pytest.raises(ValueError, match="Known are"):
        protocol_by_name("mine")


def test_published_protocols_are_as_published():
    openpi, original = protocol_by_name("openpi"), protocol_by_name("original")
    assert (openpi.image_px, openpi.rotated, openpi.wait_steps, openpi.seed) == (256, True, 10, 7)
    assert list(openpi.max_steps.values()) == [220, 280, 300, 520, 400]
    assert (original.image_px, original.rotated, original.max_steps["libero_10"]) == (
        128,
        False,
        600,
    )
    lerobot, oft = protocol_by_name("lerobot"), protocol_by_name("oft")
    assert (lerobot.max_steps["libero_spatial"], lerobot.image_px) == (280, 360)
    assert (lerobot.seed, lerobot.seed_counts, oft.seed, oft.seed_counts) == (1000, True, 0, False)


def test_a_mujoco_that_draws_darker_pictures_is_refused():
    assert LIBERO in SIMULATORS
    assert not LIBERO.drifting({"mujoco": "3.3.2"})
    assert "sRGB" in LIBERO.drifting({"mujoco": "3.3.3"})[0]
    assert any(pin.startswith("mujoco==3.3.") for pin in LIBERO.requirements)
    assert all(set(pool_suites(suite)) >= {suite} for suite in SUITES)


def _map(inside, height):
    points = map_points(np.zeros(2))
    side = round(len(points) ** 0.5)
    mine = inside(points).reshape(side, side)
    return np.where(mine, height, 0.0), mine


def test_a_box_is_taken_across_its_narrow_side():
    angle = np.deg2rad(30)
    ahead, aside = (
        np.array([np.cos(angle), np.sin(angle)]),
        np.array([-np.sin(angle), np.cos(angle)]),
    )
    heights, mine = _map(lambda p: (abs(p @ ahead) < 0.07) & (abs(p @ aside) < 0.02), 0.06)
    best = grasps(heights, mine, np.zeros(2))[0]
    assert np.linalg.norm(best.place) < 0.03
    assert abs(np.rad2deg(best.yaw_rad) - 30) < 1
    assert 0.02 < best.tip_m < 0.05


def test_a_bowl_is_taken_by_its_rim():
    def ring(p):
        return abs(np.linalg.norm(p, axis=1) - 0.06) < 0.005

    heights, mine = _map(ring, 0.05)
    best = grasps(heights, mine, np.zeros(2))[0]
    assert abs(np.linalg.norm(best.place) - 0.06) < 0.012
    closing = np.array([-np.sin(best.yaw_rad), np.cos(best.yaw_rad)])
    assert abs(closing @ best.place) / np.linalg.norm(best.place) > 0.85


def test_what_is_too_wide_flat_or_walled_in_is_not_taken():
    wide = _map(lambda p: (abs(p) < 0.06).all(axis=1), 0.06)
    flat = _map(lambda p: (abs(p) < 0.02).all(axis=1), 0.01)
    assert not grasps(*wide, np.zeros(2)) and not grasps(*flat, np.zeros(2))
    heights, mine = _map(lambda p: (abs(p) < 0.02).all(axis=1), 0.05)
    walls = np.where(mine, heights, 0.05)
    assert grasps(heights, mine, np.zeros(2)) and not grasps(walls, mine, np.zeros(2))
    assert len(heights) == round(2 * HALF_M / CELL_M) + 1


def test_axis_angle_is_the_rotation_of_the_quaternion():
    quaternion = np.array([0.1, -0.7, 0.3, 0.2])
    quaternion /= np.linalg.norm(quaternion)
    np.testing.assert_allclose(
        matrix_from_axis_angle(axis_angle(quaternion)),
        matrix_from_quat_xyzw(quaternion),
        atol=1e-9,
    )
    np.testing.assert_array_equal(axis_angle(np.array([0, 0, 0, 1.0])), np.zeros(3))


def test_a_camera_goes_around_what_it_looks_at():
    place, centre = np.array([0.8, 0.1, 1.6]), np.array([0.0, 0.1, 0.9])
    back = (place - centre) / np.linalg.norm(place - centre)
    right = np.cross([0.0, 0.0, 1.0], back)
    right /= np.linalg.norm(right)
    turn = np.stack([right, np.cross(back, right), back], axis=1)
    shift = Shift(camera_deg=(15.0, 5.0), camera_distance=1.2)
    there, turned = orbited(place, turn, centre, shift)
    far = np.linalg.norm(place - centre)
    np.testing.assert_allclose(there - centre, 1.2 * far * turned[:, 2], atol=1e-12)
    np.testing.assert_allclose(turned.T @ turned, np.eye(3), atol=1e-12)
    assert (there - place) @ right > 0.1 and there[2] > place[2]
    same = orbited(place, turn, centre, Shift())
    np.testing.assert_allclose(same[0], place)
    np.testing.assert_allclose(same[1], turn)


def test_an_arm_starts_elsewhere_by_a_known_length_and_for_everyone_alike():
    one, again, other = (arm_offset(7, 0.2, name) for name in ("a", "a", "b"))
    assert np.linalg.norm(one) == pytest.approx(0.2)
    np.testing.assert_array_equal(one, again)
    assert np.linalg.norm(one - other) > 0.01


def test_a_blur_keeps_light_and_loses_edges():
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[:, 32:] = 200
    soft = blurred(picture, 0.02)
    assert soft.shape == picture.shape and abs(soft.mean() - 100) < 1
    edge = soft[10, 30:34, 0].astype(int)
    assert (np.diff(edge) > 20).all() and 60 < edge[1] < 100 < edge[2] < 140
    np.testing.assert_array_equal(soft[:, 0], 0)
    flat = np.full((32, 32, 3), 77, np.uint8)
    np.testing.assert_array_equal(blurred(flat, 0.05), flat)


def test_every_factor_is_a_shift_and_changes_one_thing():
    for factor in FACTORS:
        shift = shift_from_plain({**factor.shift})
        assert (shift == Shift()) == (factor.condition == "paraphrase")
        assert set(factor.shift) == {"floor", "wall"} or len(factor.shift) <= 1
    assert shift_from_plain({"camera_deg": [1, 2]}) == Shift(camera_deg=(1.0, 2.0))
    with pytest.raises(ValueError, match=r"distance and light .* both floor and wall"):
        Shift(camera_distance=0, wall="dark-blue")
    with pytest.raises(ValueError, match="at least 0"):
        Shift(blur=-1)
