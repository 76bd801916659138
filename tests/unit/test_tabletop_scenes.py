"""Scenes, tasks and splits of the table-top."""

import itertools
from collections import Counter

import numpy as np
import pytest

pytest.importorskip("mujoco")

from vertebra.envs.tabletop import Tabletop
from vertebra.envs.tabletop.scene import (
    COLOURS,
    HELD_OUT_COMPOSITIONS,
    SHAPES,
    SPLITS,
    scene_from_plain,
)
from vertebra.envs.tabletop.tasks import (
    HELD_OUT_WORDINGS,
    SKILLS,
    TRAIN_WORDINGS,
    goal_of,
)

ALL = Tabletop(size=8, skills=SKILLS)
BASIC = Tabletop(size=8)
STATES = {split: BASIC.initial_states(split, 60, 0) for split in SPLITS}
MANY = BASIC.initial_states("train", 300, 0)


def test_there_are_enough_shapes_and_colours():
    assert len(SHAPES) >= 4
    assert len(COLOURS) >= 6
    assert {name.split()[1] for name in HELD_OUT_COMPOSITIONS} == set(SHAPES)


@pytest.mark.parametrize("split", SPLITS)
def test_every_scene_admits_three_tasks_with_unique_referents(split):
    for state in (*STATES[split], *ALL.initial_states(split, 20, 1)):
        scene = scene_from_plain(state.data)
        assert 3 <= len(scene.objects) <= 6
        assert len(state.tasks) >= 3
        assert len({task.id for task in state.tasks}) == len(state.tasks)
        names = scene.entities()
        assert len(set(names)) == len(names) <= 10
        for task in state.tasks:
            goal = goal_of(task.id)
            assert goal.target in names
            assert not goal.destination or goal.destination in names
            assert not goal.second or goal.second in names
            for word in (goal.target, goal.destination, goal.second):
                assert word in task.instruction


def test_the_same_seed_gives_the_same_states_and_a_prefix_stays():
    again = Tabletop(size=8).initial_states("layout", 10, 0)
    assert again == STATES["layout"][:10]
    assert BASIC.initial_states("layout", 10, 1) != again


def test_splits_share_no_scene_except_pair_with_train():
    scenes = {
        split: {str(sorted(state.data.items())) for state in states}
        for split, states in STATES.items()
    }
    for one, other in itertools.combinations(set(SPLITS) - {"pair"}, 2):
        assert not scenes[one] & scenes[other]
    many = {str(sorted(s.data.items())) for s in MANY}
    assert scenes["pair"] <= many


def test_pairs_of_scene_and_task_are_never_taught():
    taught = {(str(sorted(state.data.items())), task.id) for state in MANY for task in state.tasks}
    asked = {
        (str(sorted(state.data.items())), task.id)
        for state in STATES["pair"]
        for task in state.tasks
    }
    assert len(asked) >= 180
    assert not asked & taught


def test_new_compositions_are_absent_from_every_other_split_and_are_the_targets():
    for split, states in STATES.items():
        for state in states:
            present = {item.name for item in scene_from_plain(state.data).objects}
            if split == "composition":
                targets = {goal_of(task.id).target for task in state.tasks}
                assert targets <= HELD_OUT_COMPOSITIONS
            else:
                assert not present & HELD_OUT_COMPOSITIONS


def test_held_out_wordings_are_new():
    for key, sentences in TRAIN_WORDINGS.items():
        assert len(sentences) >= 3
        assert len(HELD_OUT_WORDINGS[key]) >= 2
    trained = {text for texts in TRAIN_WORDINGS.values() for text in texts}
    assert not trained & {text for texts in HELD_OUT_WORDINGS.values() for text in texts}
    said = {task.instruction for state in STATES["train"] for task in state.tasks}
    for state in STATES["paraphrase"]:
        for task in state.tasks:
            assert task.instruction in task.paraphrases
            assert task.instruction in goal_of(task.id).sentences(held_out=True)
            assert task.instruction not in said


def test_several_wordings_are_in_use():
    used = Counter(task.instruction.split()[0] for state in STATES["train"] for task in state.tasks)
    assert len(used) >= 8


def test_pixels_alone_tell_at_most_a_third():
    """Whoever sees only the scene cannot beat one task out of those taught in it."""
    for split in SPLITS:
        ceiling = np.mean([1.0 / len(state.tasks) for state in STATES[split]])
        assert ceiling <= 1 / 3 + 1e-9


@pytest.mark.parametrize("skill", SKILLS)
def test_only_tasks_of_the_requested_skills_appear(skill):
    for state in Tabletop(size=8, skills=(skill,)).initial_states("train", 3, 0):
        assert {task.skill for task in state.tasks} == {skill}
        assert len(state.tasks) >= 3


def test_roles_keep_outcomes_apart():
    """What is carried is never also a lift task, and no put begins a chain of the same scene."""
    for state in ALL.initial_states("train", 60, 2):
        goals = [goal_of(task.id) for task in state.tasks]
        carried = {g.target for g in goals if g.skill in ("put", "stack", "chain")}
        carried |= {g.second for g in goals if g.skill == "chain"}
        lifted = {g.target for g in goals if g.skill == "lift"}
        pushed = {g.target for g in goals if g.skill == "push"}
        assert not carried & lifted
        assert not carried & pushed
        assert not lifted & pushed
        puts = {(g.target, g.destination) for g in goals if g.skill == "put"}
        assert not puts & {(g.target, g.destination) for g in goals if g.skill == "chain"}


def test_wrong_arguments_are_all_named():
    with pytest.raises(ValueError, match=r"(?s)size is 4.*cameras is.*skills is.*max_steps is 0"):
        Tabletop(size=4, cameras=("top",), skills=("fly",), max_steps=0)
    with pytest.raises(ValueError, match="split 'test'"):
        BASIC.initial_states("test", 1, 0)
    with pytest.raises(ValueError, match="ids look like"):
        goal_of("put/red-cube")
    with pytest.raises(ValueError, match="not a table-top scene"):
        scene_from_plain({"objects": []})
