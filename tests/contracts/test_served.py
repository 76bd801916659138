"""Every recipe can be served: to openpi's clients and to RoboArena's."""

import threading
from dataclasses import replace

import numpy as np
import pytest

from fakes.networks import label, observation, policy_of
from fakes.serving import (
    Robot,
    droid_policy,
    openpi_message,
    roboarena_message,
    serving,
)
from vertebra.policy.recipe import Recipe
from vertebra.recipes import ALL
from vertebra.recipes.fast_wam import FAST_WAM
from vertebra.serve.dialect import roboarena_dialect
from vertebra.spec.seeds import seed_at

ROBOTS, TURNS, COMPARED = 8, 3, 3
ONE_FAST = [
    pytest.param(recipe, id=label(recipe), marks=() if recipe is FAST_WAM else pytest.mark.slow)
    for recipe in ALL
]
every_recipe = pytest.mark.parametrize("recipe", ALL, ids=label)


@every_recipe
def test_served_chunks_are_those_made_in_process(recipe: Recipe) -> None:
    policy = policy_of(recipe)
    session = policy.start(seed_at(0, "served", 0))
    executed = observation(0).executed
    with serving(policy_of(recipe)) as served:
        robot = Robot(served.url)
        for number in range(COMPARED):
            seen = replace(observation(number), executed=executed)
            answer = robot.send(openpi_message(seen))
            assert answer["server_timing"]["infer_ms"] > 0
            session, act = policy.act(session, seen)
            executed = act.chunk[: policy.execute]
            assert (answer["actions"] == act.chunk).all()
            assert answer["evaluations"] == dict(act.evaluations)
        robot.close()


@every_recipe
def test_roboarena_gets_actions_to_execute(recipe: Recipe) -> None:
    policy = droid_policy(recipe)
    with serving(policy, roboarena_dialect(policy)) as served:
        robot = Robot(served.url)
        assert robot.greeting["image_resolution"] == [32, 32]
        for number in range(3):
            answer = robot.send(roboarena_message(number, session=f"s{number // 20}-A"))
            assert answer.keys() == {"actions"}
            assert answer["actions"].shape == (policy.execute, 8)
            assert np.isfinite(answer["actions"]).all()
        assert robot.send({"endpoint": "reset", "session_id": "s0-A"}) == "reset successful"
        robot.close()


@pytest.mark.parametrize("recipe", ONE_FAST)
def test_interleaved_sessions_are_as_separate_ones(recipe: Recipe) -> None:
    def ask(robot: Robot, who: int, turn: int) -> bytes:
        answer = robot.send(openpi_message(observation(100 * who + turn)))
        return answer["actions"].tobytes()

    def talk(robot: Robot, who: int, heard: list[bytes]) -> None:
        heard += [ask(robot, who, turn) for turn in range(TURNS)]

    with serving(policy_of(recipe)) as served:
        separate: list[list[bytes]] = [[] for _ in range(ROBOTS)]
        for who in range(ROBOTS):
            robot = Robot(served.url)
            talk(robot, who, separate[who])
            robot.close()
        robots = [Robot(served.url) for _ in range(ROBOTS)]
        mixed: list[list[bytes]] = [[] for _ in robots]
        threads = [
            threading.Thread(target=talk, args=(robots[who], who, mixed[who]))
            for who in range(ROBOTS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        for robot in robots:
            robot.close()
    assert mixed == separate
    assert len({chunk for chunks in separate for chunk in chunks}) == ROBOTS * TURNS
