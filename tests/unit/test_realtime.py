"""A world that does not wait: what a slow policy loses, and what beginning early saves."""

from typing import Any

import numpy as np
import pytest

from fakes.policies import Seeker
from fakes.worlds import Plane, make_state
from vertebra.evaluate.actor import PolicyActor
from vertebra.evaluate.plan import plan_episodes
from vertebra.evaluate.realtime import RealTime, drawn_from, run_realtime
from vertebra.evaluate.run import Identity, run_episodes
from vertebra.spec.errors import SpecMismatch
from vertebra.spec.task import Outcome

IDENTITY = Identity(pilot="p", arm="seeker", family="control", demonstrations=3, seed=1)
HOW = RealTime(rate_hz=10.0)


class Drift(Plane):
    """A tool that is blown to the left at every step, so that holding loses ground."""

    def __init__(self, **more):
        super().__init__(**more)
        self.applied = []

    def apply(self, action):
        self.applied.append(np.asarray(action))
        super().apply(action)
        self.position = np.clip(self.position - np.array([0.01, 0.0]), 0, 1)


def _plan(scenes=4):
    states = [make_state("layout", index) for index in range(scenes)]
    return plan_episodes(states, ["asked"], 7)


def _run(policy=None, *, seconds: Any = 0.05, how=HOW, world=None, plan=None):
    actor = PolicyActor(policy or Seeker())
    charged: Any = drawn_from([seconds]) if isinstance(seconds, float) else seconds
    world = world or Plane()
    return list(run_realtime(actor, world, plan or _plan(), IDENTITY, how=how, seconds=charged))


def test_a_policy_that_is_fast_enough_acts_as_if_the_world_waited():
    timed = _run(Seeker(noise=0.02), seconds=0.1)
    waited = run_episodes(PolicyActor(Seeker(noise=0.02)), Plane, _plan(), IDENTITY, lanes=1)
    assert [one.record.content_hash() for one in timed] == [r.content_hash() for r in waited]
    assert all(one.stale == 0 and one.record.held_ticks == 0 for one in timed)


def test_a_slow_policy_holds_and_what_it_does_then_is_stale():
    (one, *_) = _run(seconds=0.31)
    record = one.record
    chunks = len(record.timing.latency_s)
    assert record.held_ticks == 3 * chunks and one.stale == one.executed
    assert record.steps == record.held_ticks + one.executed
    assert record.outcome == Outcome.SUCCESS and set(record.timing.latency_s) == {0.31}


def test_holding_is_the_environments_and_is_seen_by_the_policy():
    world, policy = Drift(), Seeker()
    _run(policy, seconds=0.31, world=world, plan=_plan(scenes=1)[:1])
    assert all((action == 0).all() for action in world.applied[:3])
    assert policy.executed[0] == 0 and set(policy.executed[1:]) == {3 + 4}


def test_ten_times_the_latency_costs_success_under_the_same_control_rate():
    plan = _plan(scenes=10)
    rates = {}
    for slowdown in (1.0, 10.0):
        seconds = drawn_from([0.08, 0.09], slowdown=slowdown)
        done = _run(seconds=seconds, world=Drift(max_steps=25), plan=plan)
        rates[slowdown] = np.mean([one.record.outcome == Outcome.SUCCESS for one in done])
    assert rates[1.0] == 1.0 and rates[10.0] < 0.7


def test_beginning_early_hides_latency_behind_the_actions_that_are_left():
    early = _run(seconds=0.31, how=RealTime(rate_hz=10.0, ahead=3))
    for one in early:
        assert one.record.held_ticks == 3, "only the first chunk is waited for"
        assert one.record.outcome == Outcome.SUCCESS
        assert one.stale <= 4
    late = _run(seconds=0.31)
    held = [sum(one.record.held_ticks for one in some) for some in (early, late)]
    assert held[0] == 3 * len(early) < held[1]


def test_the_same_profile_gives_the_same_episodes():
    seconds = drawn_from(np.random.default_rng(0).uniform(0.02, 0.4, 50).tolist())
    one, other = (_run(Seeker(noise=0.02), seconds=seconds) for _ in range(2))
    assert [a.record for a in one] == [b.record for b in other]
    assert len({s for a in one for s in a.record.timing.latency_s}) > 5
    assert sum(a.record.held_ticks for a in one) > 0


@pytest.mark.parametrize(
    ("seconds", "ticks"), [(0.0, 0), (0.099, 0), (0.1, 0), (0.101, 1), (0.2, 1), (0.31, 3)]
)
def test_a_part_of_a_tick_costs_all_of_it(seconds, ticks):
    assert HOW.ticks(seconds) == ticks


def test_errors_stay_in():
    done = _run(Seeker(fails=("green",)))
    failed = [one.record for one in done if one.record.outcome == Outcome.ERROR]
    assert {record.task for record in failed} == {"reach/green"} and len(failed) == 4
    assert all("cannot understand" in record.error for record in failed)
    assert len(done) == 12


def test_the_robot_waits_with_its_gripper_open():
    tabletop = pytest.importorskip("vertebra.envs.tabletop")
    from vertebra.evaluate.realtime import _at_rest

    world = tabletop.Tabletop(skills=("lift",))
    assert world.hold(_at_rest(world.takes)).tolist() == [0.0, 0.0, 0.0, 1.0]


def test_what_cannot_be_run_is_refused():
    with pytest.raises(ValueError, match="another rate is another environment"):
        _run(how=RealTime(rate_hz=20.0))
    with pytest.raises(ValueError, match="at most 3 left"):
        _run(how=RealTime(rate_hz=10.0, ahead=4))
    with pytest.raises(ValueError, match="0 Hz and -1 actions"):
        RealTime(rate_hz=0, ahead=-1)
    with pytest.raises(ValueError, match="slowdown of 0"):
        drawn_from([0.1], slowdown=0)
    with pytest.raises(ValueError, match="0 values"):
        drawn_from([])
    policy = Seeker()
    policy.needs = policy.needs.__class__(
        cameras=(), state=policy.needs.state, rate_hz=policy.needs.rate_hz * 2
    )
    with pytest.raises(SpecMismatch):
        _run(policy)
