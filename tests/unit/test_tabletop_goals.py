"""Each goal is a predicate of the present state: true and false cases."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("mujoco")

from vertebra.envs.tabletop.model import half_height
from vertebra.envs.tabletop.scene import SHAPES
from vertebra.envs.tabletop.tasks import LINE, Body, Goal, Place, World, holds, progress

PUT = Goal(skill="put", target="red cube", destination="blue plate")
ZONE = Goal(skill="push", target="red cube", destination="green zone")
PAST = Goal(skill="push", target="red cube", destination=LINE)
LIFT = Goal(skill="lift", target="red cube")
STACK = Goal(skill="stack", target="red cube", destination="cyan cylinder")
CHAIN = Goal(skill="chain", target="red cube", destination="blue plate", second="cyan cylinder")


def body(x: float, y: float, z: float, half: float = 0.027) -> Body:
    return Body(position=np.array([x, y, z]), half_height=half, radius=0.027, speed=0.0, fingers=0)


def world(cube: Body, cylinder: Body | None = None) -> World:
    return World(
        bodies={
            "red cube": cube,
            "cyan cylinder": cylinder or body(-0.1, -0.1, 0.030, 0.030),
        },
        places={
            "blue plate": Place(kind="plate", position=np.array([0.1, 0.05]), radius=0.045),
            "green zone": Place(kind="zone", position=np.array([-0.1, 0.05]), radius=0.048),
            LINE: Place(kind=LINE, position=np.array([0.155, 0.0]), radius=1.0),
        },
    )


START = body(0.0, 0.0, 0.027)
LEFT_LINE = Place(kind=LINE, position=np.array([-0.155, 0.0]), radius=-1.0)


@pytest.mark.parametrize(
    ("goal", "cube", "expected"),
    [
        (PUT, body(0.1, 0.05, 0.027), True),
        (PUT, body(0.1, 0.08, 0.027), True),
        (PUT, body(0.1, 0.09, 0.027), False),
        (PUT, body(0.1, 0.05, 0.060), False),
        (PUT, replace(body(0.1, 0.05, 0.027), fingers=1), False),
        (PUT, replace(body(0.1, 0.05, 0.027), speed=0.5), False),
        (PUT, START, False),
        (ZONE, body(-0.1, 0.05, 0.027), True),
        (ZONE, body(-0.07, 0.08, 0.027), True),
        (ZONE, body(-0.06, 0.05, 0.027), False),
        (ZONE, body(-0.1, 0.05, 0.060), False),
        (ZONE, replace(body(-0.1, 0.05, 0.027), fingers=2), True),
        (PAST, body(0.170, 0.1, 0.027), True),
        (PAST, body(0.160, 0.1, 0.027), False),
        (PAST, body(0.170, 0.1, 0.080), False),
        (LIFT, body(0.0, 0.0, 0.078), True),
        (LIFT, body(0.0, 0.0, 0.070), False),
        (STACK, body(-0.1, -0.1, 0.087), True),
        (STACK, body(-0.1, -0.1, 0.100), False),
        (STACK, body(-0.07, -0.1, 0.087), False),
        (STACK, replace(body(-0.1, -0.1, 0.087), fingers=1), False),
    ],
)
def test_goal_holds_exactly_in_the_right_states(goal, cube, expected):
    assert holds(goal, world(cube)) is expected
    how_far = progress(goal, world(cube), world(START))
    assert 0.0 <= how_far <= 1.0
    assert (how_far == 1.0) is expected


def test_a_line_on_the_left_is_passed_to_the_left():
    for x, expected in ((-0.170, True), (0.170, False), (-0.160, False)):
        here = world(body(x, 0.0, 0.027))
        here.places[LINE] = LEFT_LINE
        assert holds(PAST, here) is expected


@pytest.mark.parametrize(
    ("on_plate", "raised", "expected"),
    [(True, True, True), (True, False, False), (False, True, False)],
)
def test_a_chain_needs_both(on_plate, raised, expected):
    cube = body(0.1, 0.05, 0.027) if on_plate else START
    cylinder = body(-0.1, -0.1, 0.1 if raised else 0.030, 0.030)
    assert holds(CHAIN, world(cube, cylinder)) is expected
    how_far = progress(CHAIN, world(cube, cylinder), world(START))
    assert (how_far == 1.0) is expected
    assert how_far >= 0.5


def test_progress_grows_on_the_way():
    steps = [
        progress(PUT, world(body(0.1 * t, 0.05 * t, 0.1)), world(START)) for t in (0, 0.3, 0.6)
    ]
    assert steps == sorted(steps)
    assert steps[0] == 0.0
    assert steps[-1] > 0.5


@pytest.mark.parametrize("shape", SHAPES)
def test_vertical_size_of_a_turned_object(shape):
    radius, half = SHAPES[shape]
    assert half_height(shape, np.array([0.0, 0.0, 1.0])) == pytest.approx(half)
    assert half_height(shape, np.array([1.0, 0.0, 0.0])) == pytest.approx(radius)
    assert half_height(shape, np.array([0.6, 0.0, 0.8])) >= min(half, radius) - 1e-9
