"""The runner: what ends an episode, what is kept, and what never changes between runs."""

import json
import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from fakes.policies import Seeker
from fakes.worlds import ACTION, Plane, demonstrate, make_state, renamed
from vertebra.evaluate.actor import DemonstratorActor, PolicyActor, RandomActor
from vertebra.evaluate.film import caption, choose, list_pictures, write_films
from vertebra.evaluate.latency import measure_latency
from vertebra.evaluate.plan import Draw, chosen_tasks, plan_draws, plan_episodes
from vertebra.evaluate.run import Identity, run_blocks, run_episodes
from vertebra.spec.errors import SpecMismatch
from vertebra.spec.record import record_from_plain
from vertebra.spec.storage import canonical_json
from vertebra.spec.task import InitialState, Outcome, Task

IDENTITY = Identity(pilot="p", arm="seeker", family="control", demonstrations=3, seed=1)


def _plan(scenes=4, conditions=("asked",), instructions=3):
    states = [make_state("layout", index) for index in range(scenes)]
    return plan_episodes(states, conditions, 7, instructions=instructions)


def _run(policy, plan=None, make: Callable[[], Plane] = Plane, **more):
    return list(run_episodes(PolicyActor(policy), make, plan or _plan(), IDENTITY, **more))


def test_every_scene_is_asked_for_each_of_its_tasks_under_one_seed():
    plan = _plan()
    assert len(plan) == 12
    for state in {one.initial_state.id for one in plan}:
        same = [one for one in plan if one.initial_state.id == state]
        assert {one.task.id for one in same} == {"reach/red", "reach/green", "reach/blue"}
        assert len({one.scene_seed for one in same}) == 1
        assert all(one.instruction == one.task.instruction for one in same)
    assert len({one.scene_seed for one in plan}) == 4


def test_conditions_change_the_words_and_nothing_else():
    plan = _plan(conditions=("asked", "paraphrase", "blank", "nonsense"))
    by = {c: [one for one in plan if one.condition == c] for c in ("asked", "paraphrase", "blank")}
    assert all(one.instruction == "" for one in by["blank"])
    assert all(one.instruction in one.task.paraphrases for one in by["paraphrase"])
    key = [(one.initial_state.id, one.task.id, one.scene_seed) for one in by["asked"]]
    assert key == [(one.initial_state.id, one.task.id, one.scene_seed) for one in by["paraphrase"]]
    nonsense = [one.instruction for one in plan if one.condition == "nonsense"]
    assert all(words and "go to" not in words for words in nonsense)


def test_skills_take_turns_and_smaller_choices_are_prefixes():
    tasks = tuple(
        Task(id=f"{skill}/{n}", skill=skill, instruction="x")
        for skill in ("put", "push", "lift")
        for n in range(4)
    )
    state = InitialState(id="s", split="layout", tasks=tasks)
    for seed in range(20):
        three = chosen_tasks(state, seed, 3)
        assert {task.skill for task in three} == {"put", "push", "lift"}
        assert chosen_tasks(state, seed, 2) == three[:2]


def test_draws_of_one_split_share_scenes_and_run_nothing_twice():
    draws = (
        Draw(split="layout", scenes=4),
        Draw(split="layout", scenes=2, conditions=("asked", "blank"), instructions=1),
        Draw(split="pair", scenes=1, seed=99),
    )
    plan = plan_draws(Plane(), draws, 5)
    assert len(plan) == 12 + 2 + 3
    assert {p.initial_state.id for p in plan if p.condition == "blank"} == {
        "layout-5-0",
        "layout-5-1",
    }
    assert {p.initial_state.id for p in plan if p.initial_state.split == "pair"} == {"pair-99-0"}


def test_impossible_draws_and_missing_paraphrases_are_refused():
    with pytest.raises(ValueError, match=r"'shouted' is not one of .*must be >= 1"):
        Draw(split="layout", scenes=0, conditions=("shouted",))
    bare = replace(make_state("layout", 0), tasks=(Task(id="a", skill="b", instruction="c"),))
    with pytest.raises(ValueError, match="no paraphrases"):
        plan_episodes([bare], ["paraphrase"], 0)


def test_a_hearing_policy_succeeds_and_a_deaf_one_is_caught_by_swapped_instructions():
    heard = _run(Seeker())
    assert all(record.outcome == Outcome.SUCCESS for record in heard)
    assert all(record.task in record.achieved for record in heard)
    assert all(record.first_touched == record.target for record in heard)
    deaf = _run(Seeker(hears=False))
    good = [record for record in deaf if record.outcome == Outcome.SUCCESS]
    assert {record.task for record in good} == {"reach/red"} and len(good) == 4
    wrong = [record for record in deaf if record.task != "reach/red"]
    assert all(record.achieved == ("reach/red",) for record in wrong)
    assert all(record.outcome == Outcome.TIMEOUT and record.steps == 40 for record in wrong)


def test_success_ends_an_episode_at_once():
    (record,) = _run(Seeker(), plan=_plan(scenes=1, instructions=1))
    place = np.array(make_state("layout", 0).data["places"][record.task.split("/")[1]])
    steps_needed = np.ceil((np.abs(place - 0.3).max() - 0.05) / 0.1)
    assert steps_needed <= record.steps <= steps_needed + 4
    assert record.model_evaluations == {"action": 10 * int(np.ceil(record.steps / 4))}


def test_the_number_of_lanes_does_not_change_records_of_an_unbatched_policy():
    one = _run(Seeker(noise=0.02), lanes=1)
    many = _run(Seeker(noise=0.02), lanes=5)
    assert [a.content_hash() for a in one] == [b.content_hash() for b in many]
    assert [a.content_hash() for a in one] != [b.content_hash() for b in _run(Seeker(noise=0.03))]


def test_a_resumed_evaluation_continues_with_the_same_blocks():
    actor, plan = PolicyActor(Seeker(noise=0.02)), _plan()
    whole = list(run_blocks(actor, Plane, plan, IDENTITY, lanes=5))
    rest = list(run_blocks(actor, Plane, plan, IDENTITY, lanes=5, first=1))
    assert [len(block) for block in whole] == [5, 5, 2]
    assert [[f.record.content_hash() for f in block] for block in whole[1:]] == [
        [f.record.content_hash() for f in block] for block in rest
    ]


def test_policies_see_the_actions_executed_since_they_last_looked():
    policy = Seeker()
    _run(policy, plan=_plan(scenes=1, instructions=1))
    assert policy.executed[0] == 0
    assert set(policy.executed[1:]) == {4}


def test_errors_of_a_policy_stay_in_and_harm_no_one_else():
    records = _run(Seeker(fails=("green",)))
    by_task = {r.task: [x for x in records if x.task == r.task] for r in records}
    assert all(r.outcome == Outcome.ERROR for r in by_task["reach/green"])
    assert all("cannot understand" in r.error for r in by_task["reach/green"])
    others = by_task["reach/red"] + by_task["reach/blue"]
    assert len(others) == 8 and all(r.outcome == Outcome.SUCCESS for r in others)
    alone = [r for r in _run(Seeker()) if r.task != "reach/green"]
    assert [r.content_hash() for r in alone] == [
        r.content_hash() for r in records if r.task != "reach/green"
    ]


def test_an_environment_that_breaks_is_replaced():
    made = []

    def make():
        made.append(Plane(breaks_at=("layout-0-1", 3)))
        return made[-1]

    records = _run(Seeker(), make=make, lanes=3)
    broken = [record for record in records if record.initial_state == "layout-0-1"]
    assert all(r.outcome == Outcome.ERROR and r.steps == 3 for r in broken) and len(broken) == 3
    assert "the simulator diverged" in broken[0].error
    assert sum(record.outcome == Outcome.SUCCESS for record in records) == 9
    assert len(made) == 6 and all(environment.closed for environment in made)


@pytest.mark.parametrize(
    ("chunk", "message"),
    [(np.zeros((8, 3)), r"shape \[8, 3\], expected \[n >= 1, 2\]"), (np.nan, "not finite")],
)
def test_a_malformed_chunk_is_an_error_not_a_motion(chunk, message):
    class Bad(Seeker):
        def act(self, session, observation, deadline_s=None):
            after, act = super().act(session, observation)
            return after, replace(act, chunk=act.chunk * 0 + chunk if chunk is np.nan else chunk)

    for record in _run(Bad(), plan=_plan(scenes=1)):
        assert record.outcome == Outcome.ERROR and re.search(message, record.error)
        assert record.steps == 0


def test_a_policy_that_does_not_fit_is_refused_before_anything_runs():
    policy = Seeker()
    policy.needs = renamed(policy.needs, "side")
    with pytest.raises(SpecMismatch, match="camera 'side' is needed"):
        _run(policy)


def test_references_bracket_a_policy_and_render_nothing_needless():
    made = []

    def make():
        made.append(Plane())
        return made[-1]

    plan = _plan(scenes=8)
    up = list(run_episodes(DemonstratorActor(demonstrate), make, plan, IDENTITY, lanes=4))
    assert all(record.outcome == Outcome.SUCCESS for record in up)
    assert sum(environment.rendered for environment in made) == len(plan)
    down = list(run_episodes(RandomActor(ACTION), Plane, plan, IDENTITY))
    assert sum(r.outcome == Outcome.SUCCESS for r in down) < len(plan) // 2
    again = list(run_episodes(RandomActor(ACTION), Plane, plan, IDENTITY, lanes=3))
    assert [r.content_hash() for r in down] == [r.content_hash() for r in again]


def test_records_survive_json():
    for record in _run(Seeker(fails=("green",)), plan=_plan(conditions=("asked", "blank"))):
        again = record_from_plain(json.loads(canonical_json(record)))
        assert again.content_hash() == record.content_hash() and again == record


def test_films_show_failures_first_and_are_listed(tmp_path):
    plan = _plan()
    policy = PolicyActor(Seeker(hears=False))
    (block,) = run_blocks(policy, Plane, plan, IDENTITY, filmed=6)
    assert [bool(one.frames) for one in block] == [True] * 6 + [False] * 6
    assert len(block[0].frames) == int(np.ceil(block[0].record.steps / 4)) + 1
    shown = choose(block, 4)
    assert [one.record.outcome for one in shown] == ["timeout", "success", "timeout", "success"]
    list_pictures(tmp_path, "imagined", [{"file": "i.png", "kind": "imagined", "caption": "c"}])
    for _ in range(2):
        write_films(tmp_path, block)
    listed = json.loads((tmp_path / "show.json").read_text())
    assert [entry["kind"] for entry in listed] == ["imagined"] + ["rollout"] * 4
    assert "achieved reach/red instead" in listed[1]["caption"]
    with Image.open(tmp_path / listed[1]["file"]) as picture:
        assert picture.width > 4 * 128 and picture.height > 128


def test_captions_name_the_outcome():
    (record,) = _run(Seeker(fails=("go",)), plan=_plan(scenes=1, instructions=1))
    assert caption(record).endswith("error after 0 steps, RuntimeError: cannot understand "
                                    f"'{record.instruction}'")  # fmt: skip
    silent = replace(record, outcome=Outcome.TIMEOUT, instruction="", achieved=(), steps=40)
    assert caption(silent) == "(nothing said): timeout after 40 steps, touched nothing"


def test_latency_is_raw_seconds_of_every_stage_after_warm_up():
    seen = [
        Plane().begin(make_state("layout", n), make_state("layout", n).tasks[0], 0) for n in (0, 1)
    ]
    slow, fast = Seeker(slow_s=0.004), Seeker()
    measured = measure_latency({"slow": slow, "fast": fast}, seen, repeats=5, warm_up=2)
    assert len(slow.executed) == 7
    assert {stage: len(s) for stage, s in measured["slow"].items()} == {
        "chunk": 5,
        "prefix": 5,
        "action": 5,
    }
    assert min(measured["slow"]["chunk"]) >= 0.004 > np.median(measured["fast"]["chunk"])
    with pytest.raises(ValueError, match="at least one observation"):
        measure_latency({"fast": fast}, [])
