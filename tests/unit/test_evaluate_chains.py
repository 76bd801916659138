"""Chains in one episode: the next link is said, everything of the last one is forgotten."""

from dataclasses import replace

import numpy as np
import pytest

from fakes.outside import PlaneWorld
from fakes.policies import Seeker
from fakes.worlds import COLOURS, Plane, make_state
from vertebra.evaluate.actor import PolicyActor
from vertebra.evaluate.plan import plan_episodes
from vertebra.evaluate.realtime import RealTime, drawn_from, run_realtime
from vertebra.evaluate.run import Identity, run_episodes
from vertebra.spec.task import Outcome, Task, links_done

IDENTITY = Identity(pilot="p", arm="seeker", family="control", demonstrations=3, seed=1)
CHAIN = Task(id="chain", skill="chain", instruction="go to one, then another", links=3)
SHOWN = (0.0, 1 / 3, 2 / 3, 1.0)


class Chained(Plane):
    """Three places, one after the other."""

    def begin(self, initial_state, task, seed):
        self.link = 0
        return super().begin(initial_state, task, seed)

    def observe(self):
        said = f"go to {COLOURS[min(self.link, 2)]}"
        return replace(super().observe(), instruction=said)

    def apply(self, action):
        super().apply(action)
        if self.link < 3 and COLOURS[self.link] in self._reached():
            self.link += 1

    def judge(self):
        achieved = ("chain",) if self.link == 3 else ()
        return replace(super().judge(), achieved=achieved, progress={"chain": SHOWN[self.link]})

    def target_of(self, task):
        return COLOURS[0]


class Watched(Seeker):
    """A seeker that says which session it was asked in and what it heard."""

    def __init__(self, **more):
        super().__init__(**more)
        self.heard, self.started = [], []

    def start(self, seed):
        self.started.append(seed)
        return super().start(seed)

    def act(self, session, observation, deadline_s=None):
        self.heard.append((session, observation.instruction, len(observation.executed)))
        return super().act(session, observation, deadline_s)


def run(policy, conditions=("asked",), max_steps=40):
    state = replace(
        make_state("official", 0), tasks=(replace(CHAIN, paraphrases=("go to green, please",)),)
    )
    plan = plan_episodes([state], conditions, 7)
    actor = PolicyActor(policy)
    made = run_episodes(actor, lambda: Chained(max_steps=max_steps), plan, IDENTITY, lanes=1)
    return list(made)


def test_each_link_is_said_in_its_turn_to_a_session_of_its_own():
    policy = Watched()
    (record,) = run(policy)
    assert record.outcome == Outcome.SUCCESS and record.completed == record.links == 3
    assert record.instruction == CHAIN.instruction and record.achieved == ("chain",)
    assert list(dict.fromkeys(said for _, said, _ in policy.heard)) == [
        f"go to {colour}" for colour in COLOURS
    ]
    assert len(policy.started) == len(set(policy.started)) == 3
    first = {said: (made, n) for (_, made), said, n in reversed(policy.heard)}
    assert set(first.values()) == {(0, 0)}, "a link begins with nothing remembered or executed"


def test_what_was_planned_for_one_link_is_not_executed_in_the_next():
    policy = Watched(chunk=16, gain=1.2)
    (record,) = run(policy)
    begun = [place for place, (session, _, _) in enumerate(policy.heard) if session[1] == 0]
    assert record.completed == 3 and len(begun) == 3
    assert record.steps < 8 * len(policy.heard), "each link broke a chunk off"


def test_a_chain_times_out_by_link_and_not_by_episode():
    (record,) = run(Seeker(), max_steps=12)
    assert record.outcome == Outcome.SUCCESS and record.steps > 12
    (slow,) = run(Watched(hears=False), max_steps=12)
    assert slow.outcome == Outcome.TIMEOUT and slow.completed == 1
    assert 12 < slow.steps <= 24


def test_other_words_are_said_at_every_link():
    policy = Watched()
    (record,) = run(policy, ["blank"])
    assert record.outcome == Outcome.TIMEOUT
    assert {said for _, said, _ in policy.heard} == {""}


def test_links_are_counted_in_whole_ones():
    assert [links_done(5, n / 5) for n in range(6)] == [*range(6)]
    assert links_done(5, 0.59) == 2 and links_done(3, 1 / 3) == 1


def test_chains_are_not_run_in_real_time():
    state = replace(make_state("official", 0), tasks=(CHAIN,))
    timed = run_realtime(
        PolicyActor(Seeker()),
        Chained(),
        plan_episodes([state], ["asked"], 7),
        IDENTITY,
        how=RealTime(rate_hz=10.0),
        seconds=drawn_from([0.1]),
    )
    with pytest.raises(ValueError, match="'chain' is one: leave"):
        next(timed)


def test_an_adapter_says_its_tasks_sentence_unless_it_says_otherwise():
    class Says(PlaneWorld):
        def said(self):
            return "now the other one"

    state = make_state("layout", 0)
    settings = {"world": "flat", "protocol": "plain"}
    seen = [kind(**settings).begin(state, state.tasks[0], 0) for kind in (PlaneWorld, Says)]
    assert [one.instruction for one in seen] == ["go to red", "now the other one"]
    np.testing.assert_array_equal(seen[0].state, seen[1].state)
