"""A robot's own program: one episode, led by whoever answers at an address (a policy, an arena).

Run: `python examples/robot_program.py ws://127.0.0.1:8001 --scene 0`. The robot is the built-in
table-top and a scene is a number; put yours into `make_robot` and lay out a scene on your table.
"""

import argparse

from vertebra.envs.tabletop import Tabletop
from vertebra.serve.client import ServedPolicy, ServerError


def make_robot(needs):
    """Your robot: an Environment, as `vertebra client record --robot FILE.py:NAME` takes it."""
    names = tuple(camera.name for camera in needs.cameras)
    return Tabletop(cameras=names, size=needs.cameras[0].height)


def run(address, scene):
    """Act until told to stop, or until time is up."""
    policy = ServedPolicy(address)
    robot = make_robot(policy.needs)
    state = robot.initial_states("layout", scene + 1, 0)[scene]
    print(f"scene {scene}: {'; '.join(task.instruction for task in state.tasks)}")
    session = policy.start(seed=0)
    seen, achieved, steps = robot.begin(state, state.tasks[0], 0), set(), 0
    try:
        while steps < robot.max_steps:
            session, act = policy.act(session, seen)
            for action in act.chunk[: policy.execute]:
                robot.apply(action)
                achieved |= set(robot.judge().achieved)
                steps += 1
            seen = robot.observe()
    except ServerError as error:
        print(f"stopped: {error}")
    words = [task.instruction for task in state.tasks if task.id in achieved]
    print(f"{steps} steps; done: {'; '.join(words) or 'nothing'}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address")
    parser.add_argument("--scene", type=int, default=0)
    given = parser.parse_args()
    run(given.address, given.scene)
