"""CALVIN without CALVIN: its rules, its table over a fake one, and what the real one recorded."""

import json
import re
from collections import Counter
from dataclasses import fields, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fakes.calvin import FakeCalvin, FakeTable, said
from fakes.outside import HERE
from vertebra.envs.calvin import chains as rules
from vertebra.envs.calvin.achieved import NOTHING, asked_and_achieved, confusion, in_a_row
from vertebra.envs.calvin.chains import (
    RULE_BY_NAME,
    RULES,
    Chain,
    can_follow,
    feasible,
    initial_conditions,
    stored_chains,
)
from vertebra.envs.calvin.demonstrator import actions, demonstrable, poses
from vertebra.envs.calvin.protocols import PROTOCOLS, TRAINED_IN, Protocol, protocol_by_name
from vertebra.envs.calvin.simulator import CALVIN
from vertebra.envs.calvin.specs import ACTION, STATE
from vertebra.envs.calvin.start import (
    APART_M,
    HEIGHT_M,
    SLOTS_X_M,
    TABLE_X_M,
    drawn_start,
    fnv1_32,
    seed_of,
    starting_point,
)
from vertebra.envs.calvin.table import fingerprint
from vertebra.envs.fitness import check_environment
from vertebra.envs.remote import Remote
from vertebra.envs.simulators import SIMULATORS
from vertebra.evaluate.actor import DemonstratorActor
from vertebra.evaluate.plan import plan_episodes
from vertebra.evaluate.run import Identity, run_episodes
from vertebra.spec.action import Frame, Gripper, Rotation
from vertebra.spec.record import EpisodeRecord
from vertebra.spec.storage import digest
from vertebra.spec.task import Outcome

RECORDED = Path(__file__).parents[1] / "contracts/recorded"
STATES: dict[str, Any] = json.loads((RECORDED / "calvin_states.json").read_text())
CHECK: dict[str, Any] = json.loads((RECORDED / "calvin_check.json").read_text())
SETTINGS = {"world": "ABC_D", "clone": ""}
IDENTITY = Identity(pilot="p", arm="script", family="control", demonstrations=0, seed=0)
START = initial_conditions()[STATES["start"]]


def world(protocol="pilot") -> FakeCalvin:
    return FakeCalvin(protocol=protocol, **SETTINGS)


def test_there_are_the_published_tasks_and_initial_conditions():
    assert len(RULES) == len(RULE_BY_NAME) == 34
    assert len(initial_conditions()) == 192
    for state in initial_conditions():
        places = [state[f"{colour}_block"] for colour in ("red", "blue", "pink")]
        assert 1 <= places.count("table") <= 2
        assert len({p for p in places if p != "table"}) == 3 - places.count("table")


def test_a_task_needs_what_it_needs_and_changes_what_it_changes():
    table = {**START, "red_block": "table", "drawer": "open", "slider": "right"}
    lifted = RULE_BY_NAME["lift_red_block_table"].after(table)
    assert lifted == [{**table, "red_block": "grasped", "grasped": 1}]
    (placed,) = RULE_BY_NAME["place_in_drawer"].after(lifted[0])
    assert (placed["red_block"], placed["grasped"]) == ("drawer", 0)
    assert RULE_BY_NAME["place_in_drawer"].after(table) == []
    assert RULE_BY_NAME["open_drawer"].after(table) == []
    assert RULE_BY_NAME["push_red_block_left"].after(lifted[0]) == []
    hidden = {**table, "red_block": "slider_left"}
    assert RULE_BY_NAME["lift_red_block_slider"].after(hidden)
    assert not RULE_BY_NAME["lift_red_block_slider"].after({**hidden, "slider": "left"})
    both = {**lifted[0], "blue_block": "table", "pink_block": "table"}
    assert len(RULE_BY_NAME["stack_block"].after(both)) == 2
    assert not can_follow(both, (RULE_BY_NAME["stack_block"],)), "which block is not said"


def test_the_first_chains_are_drawn_as_published():
    state = initial_conditions()[0]
    drawn = list(islice(rules._drawn(state, 0), 2))
    for tasks in drawn:
        chosen = tuple(RULE_BY_NAME[name] for name in tasks)
        assert can_follow(state, chosen) and len({rule.kind for rule in chosen}) == 5
    ours = [Chain(state=state, tasks=tasks) for tasks in drawn]
    assert digest(ours) == CHECK["compared"]["first_drawn"]


def test_chains_are_read_from_their_file_and_another_file_is_not_believed(tmp_path, monkeypatch):
    some = (Chain(state=START, tasks=("open_drawer",) * 5),)
    asked = []
    monkeypatch.setattr(rules, "chains", lambda: asked.append(1) or some)
    with pytest.raises(ValueError, match="another version of numpy"):
        stored_chains(tmp_path / "chains.json")
    monkeypatch.setattr(rules, "PUBLISHED", digest(some))
    assert stored_chains(tmp_path / "chains.json") == some
    assert stored_chains(tmp_path / "chains.json") == some and len(asked) == 2
    (tmp_path / "chains.json").write_text("[]")
    assert stored_chains(tmp_path / "chains.json") == some and len(asked) == 3


def test_starting_points_follow_from_the_state_alone():
    assert fnv1_32("hello world") == 2805756500, "as in the README of pyhash"
    assert seed_of(START) == seed_of(dict(sorted(START.items())))
    assert len({seed_of(state) for state in initial_conditions()}) == 192
    robot, scene = starting_point(START)
    assert robot.shape == (15,) and scene.shape == (24,)
    np.testing.assert_allclose(scene, STATES["traces"][0]["seen"][0]["scene"], atol=5e-3)
    np.testing.assert_allclose(robot, STATES["traces"][0]["seen"][0]["robot"], atol=5e-3)


@pytest.mark.parametrize("letter", "ABCD")
def test_blocks_are_drawn_where_the_scene_has_its_table_and_apart(letter):
    for seed in range(20):
        robot, scene = drawn_start(START, letter, seed)
        np.testing.assert_array_equal(scene, drawn_start(START, letter, seed)[1])
        np.testing.assert_array_equal(robot, starting_point(START)[0])
        red, blue, pink = (scene[6 + 6 * place : 9 + 6 * place] for place in range(3))
        low, high = TABLE_X_M[letter]
        assert START["red_block"] == "slider_right" and red[0] == SLOTS_X_M[letter][1]
        assert all(low <= one[0] <= high and one[2] == HEIGHT_M for one in (blue, pink))
        assert abs(blue[0] - pink[0]) >= APART_M


def test_actions_and_state_say_their_conventions():
    assert (ACTION.frame, ACTION.rotation) == (Frame.DELTA, Rotation.RPY_XYZ)
    assert (ACTION.gripper, ACTION.rate_hz) == (Gripper.OPEN_POSITIVE, 30.0)
    assert [dim.unit for dim in ACTION.dims] == ["2 cm"] * 3 + ["0.05 rad"] * 3 + ["1"]
    assert len(STATE) == 15
    assert CALVIN in SIMULATORS and CALVIN.clone is not None


def test_every_item_of_a_protocol_changes_the_hash():
    base = protocol_by_name("original")
    other = {
        "name": "x", "source": "x", "cameras": {}, "renderer": "x", "layout_links": 2,
        "link_steps": 1, "robot": "x", "fresh": False, "rate_hz": 1.0,
    }  # fmt: skip
    assert set(other) == {field.name for field in fields(Protocol)}
    changed = {digest(replace(base, **{name: value})) for name, value in other.items()}
    assert len(changed - {digest(base)}) == len(other)
    assert base.cameras == {"rgb_static": 200, "rgb_gripper": 84} and base.link_steps == 360
    assert {one.name for one in PROTOCOLS} == set(CALVIN.protocols)
    assert set(CALVIN.worlds) == set(TRAINED_IN)


def test_the_fingerprint_of_a_clone_is_of_what_decides(tmp_path):
    for name in ("calvin_env/conf/a.yaml", "calvin_models/conf/annotations/x.yaml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1")
    for name in (
        "calvin_models/conf/callbacks/rollout/tasks/new_playtable_tasks.yaml",
        "calvin_models/conf/annotations/new_playtable_validation.yaml",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1")
    before = fingerprint(tmp_path)
    (tmp_path / "calvin_models/conf/annotations/x.yaml").write_text("2")
    assert fingerprint(tmp_path) == before
    (tmp_path / "calvin_env/conf/a.yaml").write_text("2")
    assert fingerprint(tmp_path) != before


@pytest.mark.parametrize("trace", STATES["traces"], ids=lambda one: one["task"])
def test_the_fake_table_does_what_the_real_one_did(trace):
    """The same actions: places within 4 cm on the way and 1 cm in the end, the same achievement."""
    table = FakeTable()
    table.reset(*starting_point(START))
    before, first, achieved = table.info(), None, {}
    seen = {one["step"]: one for one in trace["seen"]}
    for step, action in enumerate(trace["actions"], 1):
        table.step(np.array(action))
        now = table.info()
        achieved[step] = table.achieved(before, now)
        first = first or next(iter(table.touching(now)), None)
        if step in seen:
            real = np.array(seen[step]["robot"])
            assert np.abs(table.at[:3] - real[:3]).max() < 0.04
            assert abs(table.at[5] - real[5]) < 0.1 and table.at[14] == real[14]
    last = trace["seen"][-1]
    assert np.abs(table.at[:3] - np.array(last["robot"])[:3]).max() < 0.01
    assert np.abs(table.world[6:] - np.array(last["scene"])[6:]).max() < 0.01
    assert first == next(name for one in trace["seen"] for name in one["touching"])
    when = {step for step, names in achieved.items() if trace["task"] in names}
    assert min(when) == last["step"] and last["achieved"] == [trace["task"]]


@pytest.mark.parametrize("trace", STATES["traces"], ids=lambda one: one["task"])
def test_the_script_is_the_one_that_worked_on_the_real_table(trace):
    table = FakeTable()
    table.reset(*starting_point(START))
    start = trace["seen"][0]
    robot, scene = np.array(start["robot"]), np.array(start["scene"])
    script = actions(robot, poses(trace["task"], robot, scene, np.array(trace["button_m"])))
    ours = np.array(list(islice(script, len(trace["actions"]))))
    np.testing.assert_allclose(ours, trace["actions"], atol=0.02)
    assert not demonstrable("open_drawer")
    with pytest.raises(ValueError, match="No demonstrator"):
        poses("open_drawer", robot, scene, np.zeros(3))


def test_one_scene_is_asked_for_everything_that_can_be_done_in_it():
    one = world()
    states = one.initial_states("layout", 192, 0)
    assert len({state.id for state in states}) == 192
    for state in states:
        assert [task.id for task in state.tasks] == [r.name for r in feasible(state.data["state"])]
        assert len(state.tasks) >= 10 and all(task.links == 1 for task in state.tasks)
    assert {state.data["scene"] for state in states} == {"D"}
    shown = one.initial_states("train", 60, 0)
    assert Counter(state.data["scene"] for state in shown).keys() == {"A", "B", "C"}
    assert all(demonstrable(task.id) for state in shown for task in state.tasks)
    with pytest.raises(ValueError, match="193 initial states"):
        one.initial_states("layout", 193, 0)
    with pytest.raises(ValueError, match="CALVIN has"):
        one.initial_states("test", 1, 0)


def test_published_chains_begin_where_published_and_their_swaps_share_the_state():
    states = world("original").initial_states("official", 3, 0)
    assert [state.id for state in states] == ["chain-0000", "chain-0001", "chain-0002"]
    (task,) = states[0].tasks
    assert task.links == 5 and task.instruction.startswith(f"{said('turn_on_led')}, then please")
    (mine,) = (
        state
        for state in world("original").initial_states("layout", 192, 0)
        if state.id == f"start-{STATES['start']:03d}"
    )
    assert [task.id.split(">")[0] for task in mine.tasks] == [
        "turn_on_led", "lift_pink_block_table", "open_drawer",
    ]  # fmt: skip


def remote(protocol="pilot") -> Remote:
    return Remote("fakes.calvin:FakeCalvin", {**SETTINGS, "protocol": protocol}, path=(HERE,))


def helped(one) -> Any:
    def act(task):
        try:
            return one.demonstrate(task)
        except ValueError:
            return np.array([0, 0, 0, 0, 0, 0, 1], np.float32)

    return act


@pytest.fixture(scope="module")
def chained() -> list[EpisodeRecord]:
    """The published protocol behind the wire, with scripts where there are some."""
    one = remote()
    plan = plan_episodes(one.initial_states("official", 3, 0), ["asked"], 0)
    one.close()
    return list(run_episodes(DemonstratorActor(helped), remote, plan, IDENTITY, lanes=1))


def test_a_chain_behind_the_wire_goes_link_by_link_and_keeps_all_that_was_achieved(chained):
    two, also, none = chained
    assert [one.completed for one in chained] == [2, 2, 0]
    assert two.outcome == also.outcome == none.outcome == Outcome.TIMEOUT
    assert two.achieved == ("1:turn_on_led", "2:lift_blue_block_table")
    assert none.steps == 360 and 360 < two.steps < 600
    assert (two.first_touched, two.target) == ("button", "button")
    assert two.links == 5 and two.progress == pytest.approx(0.4)


def test_what_was_asked_and_what_was_achieved_is_counted(chained):
    two, _, none = chained
    assert asked_and_achieved(two) == [
        ("turn_on_led", frozenset({"turn_on_led"})),
        ("lift_blue_block_table", frozenset({"lift_blue_block_table"})),
        ("close_drawer", frozenset()),
    ]
    wrong = replace(none, achieved=("1:push_red_block_left", "1:turn_on_led"))
    assert confusion([two, wrong]) == {
        "close_drawer": {NOTHING: 1},
        "lift_blue_block_table": {"lift_blue_block_table": 1},
        "open_drawer": {"push_red_block_left": 1, "turn_on_led": 1},
        "turn_on_led": {"turn_on_led": 1},
    }
    assert in_a_row(chained, 5) == (2 / 3, 2 / 3, 0, 0, 0)
    assert asked_and_achieved(replace(two, outcome=Outcome.ERROR)) == []
    whole = replace(two, outcome=Outcome.SUCCESS, progress=1.0)
    assert len(asked_and_achieved(whole)) == 5
    single = replace(two, links=1, task="open_drawer", achieved=("open_drawer",))
    assert asked_and_achieved(single) == [("open_drawer", frozenset({"open_drawer"}))]
    with pytest.raises(ValueError, match="no record"):
        in_a_row([], 5)


def test_a_finished_chain_is_achieved_with_its_last_link():
    one = world()
    state = one.initial_states("official", 1, 0)[0]
    task = replace(
        state.tasks[0], id=">".join(("turn_on_led", "turn_off_led") * 2 + ("turn_on_led",))
    )
    one.begin(replace(state, tasks=(task,)), task, 0)
    heard, judged = [one.said()], one.judge()
    for _ in range(400):
        one.apply(one.demonstrate(task))
        judged = one.judge()
        if one.said() != heard[-1]:
            heard.append(one.said())
        if task.id in judged.achieved:
            break
    assert judged.achieved == ("5:turn_on_led", task.id) and judged.progress == {task.id: 1.0}
    assert heard == [said(name) for name in task.id.split(">")]


def drawn(one: FakeCalvin) -> int:
    assert isinstance(one._table, FakeTable)
    return one._table.drawn


def test_pictures_are_drawn_when_asked_for_and_small_where_the_protocol_says():
    for protocol, sides in (("pilot", (64, 64)), ("cpu", (200, 84))):
        one = world(protocol)
        state = one.initial_states("layout", 1, 0)[0] if protocol == "pilot" else (
            one.initial_states("official", 1, 0)[0]
        )  # fmt: skip
        one.start(state, state.tasks[0], 0)
        one.apply(np.zeros(7, np.float32))
        assert drawn(one) == 0
        assert [view.shape for view in one.observe().images.values()] == [
            (side, side, 3) for side in sides
        ]
        assert drawn(one) == 2


def test_a_simulator_is_made_for_every_episode_unless_the_protocol_says_otherwise():
    one = world()
    states = one.initial_states("train", 12, 0)
    tables = []
    for fresh in (True, False):
        one.how = replace(one.how, fresh=fresh)
        for state in (states[0], states[0], next(s for s in states if s.id[0] != states[0].id[0])):
            one.start(state, state.tasks[0], 0)
            tables.append(one._table)
            assert one.scene == state.id[0]
    assert len({id(table) for table in tables}) == 5
    assert [table.closed for table in tables] == [1, 1, 1, 1, 1, 0]


def test_the_gripper_is_open_or_closed_and_nothing_between():
    one = world()
    state = one.initial_states("layout", 1, 0)[0]
    one.begin(state, state.tasks[0], 0)
    for number, sign in ((0.3, 1), (-0.01, -1), (0.0, -1)):
        one.apply(np.array([*[0.0] * 6, number], np.float32))
        assert one.state()[14] == sign
    assert one.hold(np.array([1, 1, 1, 1, 1, 1, -0.5], np.float32)).tolist() == [0] * 6 + [-0.5]


def test_it_is_fit_for_a_pilot():
    one = remote()
    findings = {found.question: found for found in check_environment(one, one.demonstrate)}
    one.close()
    assert all(found.fit for found in findings.values()), findings
    assert "3 of 3" in findings["the oracle sees success"].answer


def test_the_manual_check_was_run_and_says_what_it_found():
    compared, facts = CHECK["compared"], CHECK["environment"]["facts"]
    assert compared["hash"] == rules.PUBLISHED and compared["chains"] == 1000
    assert compared["starting_points"] == 192 and compared["largest_difference"] == 0
    assert CHECK["environment"]["name"] == f"calvin:ABC_D:pilot@{digest(facts)[:8]}"
    assert facts["clone"] == STATES["clone"] and facts["protocol"]["renderer"] == "tiny"
    lifts = [one for one in CHECK["scripted"] if one["task"].startswith("lift")]
    assert len(lifts) >= 4
    for one in CHECK["scripted"]:
        assert one["task"] in one["achieved"] and one["steps"] < 360
        assert one["touched_first"] == RULE_BY_NAME[one["task"]].target
    assert not re.search(r'"(/|[A-Z]:)', json.dumps(CHECK)), "no path of a machine"


def test_the_policy_of_the_manual_check_was_run_by_the_published_rules():
    evaluated, helped_by = CHECK["evaluation"], CHECK["scripts_in_a_chain"]
    assert evaluated["chains"] == len(evaluated["episodes"]) == 10
    assert helped_by["mean_length"] >= 2, "the script carried out the first links of a chain"
    for part in (evaluated, helped_by):
        done = [one["completed"] for one in part["episodes"]]
        assert part["mean_length"] == pytest.approx(sum(done) / len(done))
        assert part["in_a_row"] == [sum(n >= k for n in done) / len(done) for k in range(1, 6)]
        for one in part["episodes"]:
            assert one["outcome"] == (Outcome.SUCCESS if one["completed"] == 5 else Outcome.TIMEOUT)
            names = one["chain"].split(">")
            kinds = {RULE_BY_NAME[name].kind for name in names}
            assert len(names) == len(kinds) == 5
            assert 360 <= one["steps"] <= 360 * (one["completed"] + 1)
            for link in range(one["completed"]):
                assert f"{link + 1}:{names[link]}" in one["achieved"]
    asked = Counter(one["chain"].split(">")[0] for one in evaluated["episodes"])
    assert set(asked) <= set(evaluated["asked_and_achieved"])
