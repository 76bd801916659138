"""The light client: a served policy is a policy like any other."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fakes.policies import Seeker
from fakes.serving import Gated, robot_policy, serving, until
from fakes.worlds import ACTION, OBSERVATION, Plane, make_state
from house.interpreter import not_in_base, run_without
from vertebra.evaluate.actor import PolicyActor
from vertebra.evaluate.plan import Draw, plan_draws
from vertebra.evaluate.run import Identity, run_episodes
from vertebra.policy.checkpoint import load_policy, save_policy
from vertebra.policy.protocol import Policy
from vertebra.recipes.fast_wam import FAST_WAM_IDM
from vertebra.serve.client import ServedPolicy, ServerError
from vertebra.serve.dialect import roboarena_dialect
from vertebra.spec.observation import Observation
from vertebra.spec.record import EpisodeRecord
from vertebra.spec.task import Outcome

WHO = Identity(pilot="p", arm="a", family="wam", demonstrations=3, seed=0)


def records(
    policy: Policy, lanes: int, scenes: int = 1, max_steps: int = 12
) -> list[EpisodeRecord]:
    draws = [Draw(split="layout", scenes=scenes)]
    return list(
        run_episodes(
            PolicyActor(policy),
            lambda: Plane(max_steps=max_steps),
            plan_draws(Plane(), draws, 3),
            WHO,
            lanes=lanes,
        )
    )


def look(word: str) -> Observation:
    plane, state = Plane(), make_state("test", 0)
    return replace(plane.begin(state, state.tasks[0], 0), instruction=f"go to {word}")


def test_a_checkpoint_gives_the_same_records_over_the_wire(tmp_path: Path) -> None:
    made = robot_policy(FAST_WAM_IDM, OBSERVATION, ACTION)
    save_policy(tmp_path, made, {"samples": 1})
    here = records(load_policy(tmp_path), lanes=1)
    with serving(load_policy(tmp_path)) as served:
        client = ServedPolicy(served.url)
        assert (client.needs, client.makes, client.execute) == (
            made.needs,
            made.makes,
            made.execute,
        )
        there = records(client, lanes=4)
        client.close()
    assert [row.content_hash() for row in there] == [row.content_hash() for row in here]
    assert all(row.model_evaluations["video"] > 0 for row in there)
    assert len({row.instruction for row in there}) > 1


def test_errors_stay_in_their_lane() -> None:
    policy = Seeker(noise=0.002, fails=("green",))
    here = records(policy, lanes=1, scenes=4, max_steps=40)
    with serving(policy) as served:
        there = records(ServedPolicy(served.url), lanes=6, scenes=4, max_steps=40)
    assert [row.outcome for row in there] == [row.outcome for row in here]
    assert {row.outcome for row in there} >= {Outcome.ERROR, Outcome.SUCCESS}
    for one, other in zip(here, there, strict=True):
        if one.outcome == Outcome.ERROR:
            assert "the policy failed (RuntimeError)" in other.error
        else:
            assert one.content_hash() == other.content_hash()


def test_imagined_frames_travel_when_they_are_asked_for() -> None:
    policy = robot_policy(FAST_WAM_IDM, OBSERVATION, ACTION)
    _, here = policy.act(policy.start(3), look("red"))
    with serving(policy) as served:
        for wanted in (True, False):
            client = ServedPolicy(served.url, imagined=wanted)
            _, there = client.act(client.start(3), look("red"))
            client.close()
            assert (there.chunk == here.chunk).all()
            assert set(there.imagined) == ({"top"} if wanted else set())
            if wanted:
                assert (there.imagined["top"] == here.imagined["top"]).all()
                assert there.imagined_at_s == here.imagined_at_s


def test_a_session_cannot_go_back_but_may_be_asked_the_same_again() -> None:
    with serving(Seeker(noise=0.01)) as served:
        client = ServedPolicy(served.url)
        first = client.start(4)
        second, act = client.act(first, look("red"))
        again, same = client.act(first, look("red"))
        assert (act.chunk == same.chunk).all()
        assert again.turn == second.turn == 1
        with pytest.raises(ValueError, match="cannot go back"):
            client.act(first, look("blue"))
        third, _ = client.act(second, look("blue"))
        alone = Seeker(noise=0.01)
        _, expected = alone.act(alone.start(4), look("red"))
        assert (act.chunk == expected.chunk).all()
        assert third.turn == 2
        assert dict(act.evaluations) == dict(expected.evaluations)
        with pytest.raises(ValueError, match="deadline"):
            client.act(third, look("red"), deadline_s=0.1)
        assert served.server.metrics.value("vertebra_requests_total", outcome="answered") == 2


def test_connections_are_used_again() -> None:
    with serving(Seeker(), connections=3) as served:
        client = ServedPolicy(served.url)
        for number in range(3):
            session = client.start(number)
            client.act(session, look("red"))
            del session
        assert served.server.metrics.value("vertebra_connections") == 1
        kept = [client.start(number) for number in range(3)]
        with pytest.raises(ServerError, match="503"):
            client.start(3)
        del kept
        client.close()
        until(lambda: served.server.metrics.value("vertebra_connections") == 0)


def test_a_client_says_why_it_cannot_act() -> None:
    with pytest.raises(ServerError, match="does not let us in"):
        ServedPolicy("ws://127.0.0.1:9")
    with serving(Seeker(), api_key="k") as served:
        with pytest.raises(ServerError, match="401"):
            ServedPolicy(served.url)
        client = ServedPolicy(served.url, api_key="k")
        session = client.start(0)
        bad = replace(look("red"), images={"top": np.zeros((3, 3, 3), np.uint8)})
        with pytest.raises(ServerError, match="must be uint8"):
            client.act(session, bad)
        after, _ = client.act(session, look("red"))
    with pytest.raises(ServerError, match="closed the connection"):
        client.act(after, look("red"))
    policy = Gated()
    with serving(policy) as served:
        hasty = ServedPolicy(served.url, wait_s=1.0)
        session = hasty.start(0)
        policy.gate.clear()
        with pytest.raises(ServerError, match=r"no answer within 1\.0 s"):
            hasty.act(session, look("red"))
        policy.gate.set()


def test_a_server_that_does_not_describe_itself_is_refused() -> None:
    from fakes.serving import droid_policy
    from vertebra.recipes.pi0 import PI0

    policy = droid_policy(PI0)
    with (
        serving(policy, roboarena_dialect(policy)) as served,
        pytest.raises(ValueError, match="does not say what its policy needs"),
    ):
        ServedPolicy(served.url)


def test_the_client_needs_neither_torch_nor_a_simulator() -> None:
    with serving(Seeker()) as served:
        code = f"""
import sys
import numpy as np
from vertebra.serve.client import ServedPolicy
from vertebra.spec.observation import Observation
policy = ServedPolicy({served.url!r})
seen = Observation(
    images={{"top": np.zeros((16, 16, 3), np.uint8)}}, state=np.zeros(2, np.float32),
    instruction="stay", executed=np.zeros((0, 2), np.float32))
_, act = policy.act(policy.start(0), seen)
print(act.chunk.shape, sorted(n for n in ("torch", "mujoco", "scipy") if n in sys.modules))
"""
        done = run_without(not_in_base() | {"scipy", "rich", "tyro"}, code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "(8, 2) []"
    assert "torch" in sys.modules
