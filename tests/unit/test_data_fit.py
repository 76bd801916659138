"""Whether recordings can show grounding: told by pairs, not by hopes."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vertebra.cli.entry import run as command
from vertebra.data.fit import data_fit
from vertebra.data.pairs import SAME
from vertebra.data.views import FirstViews
from vertebra.stats.classify import cross_validated
from vertebra.stats.trials import trials_needed

BRIDGE = Path(__file__).parents[3] / "shared" / "data" / "bridge_sample"
SAID = ("lift the red box", "lift the blue ball", "push the red box", "push the blue ball")


def views(scenes, instructions, *, noise=0.004, named=False, seed=0):
    """Episodes whose pictures follow from the number of their scene."""
    rng = np.random.default_rng(seed)
    pictures = rng.random((max(scenes) + 1, 48))
    pixels = pictures[list(scenes)] + noise * rng.normal(size=(len(scenes), 48))
    return FirstViews(
        episodes=tuple(range(10, 10 + len(scenes))),
        pixels=pixels.astype(np.float32),
        instructions=tuple(instructions),
        skills=tuple(text.split()[0] if text else "" for text in instructions),
        initial_states=tuple(f"scene-{n}" if named else "" for n in scenes),
        named_skills=named,
        actions=rng.normal(size=(len(scenes), 2)).astype(np.float32),
        action_names=("x", "y"),
    )


def one_instruction_a_scene(repeats=6):
    scenes = [n for n in range(8) for _ in range(repeats)]
    return views(scenes, [SAID[n % 4] for n in scenes])


def two_instructions_a_scene(count=20, **more):
    scenes = [n for n in range(count) for _ in range(2)]
    return views(scenes, [SAID[(n + k) % 4] for n in range(count) for k in (0, 1)], **more)


def test_one_instruction_a_scene_cannot_show_grounding_and_the_picture_gives_it_away():
    found = data_fit(one_instruction_a_scene())
    assert not found.can and found.pairs == 0 and found.scenes == 8
    assert found.instructions_per_scene == {1: 8}
    assert found.guess is not None and found.guess.rate == 1.0 and found.guess.chance < 0.5
    said = "; ".join(found.because)
    assert "0 of 8 initial scenes" in said and "gives the instruction away in 100 %" in said
    assert any("rewards a policy for not reading" in words for words in found.caveats)


def test_what_is_missing_is_listed_scene_by_scene_with_other_words():
    found = data_fit(one_instruction_a_scene())
    assert len(found.record) == 8 and found.paired_needed == 18
    assert len({one.episode for one in found.record}) == 8
    assert all(one.record != one.shown and one.record in SAID for one in found.record)
    skills = [one.shown.split()[0] for one in found.record]
    assert skills == ["lift", "push"] * 4


@pytest.mark.parametrize("named", [False, True])
def test_two_instructions_a_scene_can(named):
    found = data_fit(two_instructions_a_scene(named=named))
    assert found.can and found.scenes_known is named and found.record == ()
    assert (found.scenes, found.pairs, found.paired_scenes) == (20, 20, 20)
    assert "20 initial scenes" in found.because[0]
    assert found.guess is not None and found.guess.low < 0.5


def test_a_few_pairs_are_not_enough_and_the_rest_is_asked_for():
    found = data_fit(two_instructions_a_scene(count=17))
    assert not found.can and found.paired_scenes == 17 and found.record == ()
    more = views([*range(30), *range(5)], [SAID[0]] * 30 + [SAID[1]] * 5)
    found = data_fit(more)
    assert found.paired_scenes == 5 and len(found.record) == 13
    assert all(one.shown == SAID[0] and one.record == SAID[1] for one in found.record)
    assert not {one.episode for one in found.record} & set(range(10, 15))


def test_scenes_are_told_apart_by_their_first_views():
    close = views([0, 0, 1, 1], SAID, noise=0.2 * SAME)
    assert data_fit(close).scenes == 2
    assert data_fit(views([0, 0, 1, 1], SAID, noise=5 * SAME)).scenes == 4


def test_the_same_words_written_differently_are_no_pair():
    found = data_fit(views([0, 0, 1], ["Lift the box.", "lift  the box", "push"]))
    assert found.pairs == 0 and found.instructions == 2


def test_no_words_one_instruction_and_no_actions_cannot():
    silent = data_fit(views(range(20), [""] * 20))
    assert silent.because == ("no episode has an instruction",) and silent.with_words == 0
    single = data_fit(views(range(20), ["go"] * 20))
    assert "one instruction only" in single.because[0] and single.record == ()
    bare = two_instructions_a_scene()
    bare = replace(bare, actions=np.full_like(bare.actions, np.nan))
    assert data_fit(bare).because == ("no frame has an action",)
    assert data_fit(bare).action_ranges == {}


def test_skills_count_scenes_by_their_weight_and_actions_their_range():
    scenes = [0] * 9 + [1, 2]
    some = views(scenes, ["lift a"] * 10 + ["push b"])
    actions = np.stack([np.linspace(-1, 1, 11), np.ones(11)], axis=1).astype(np.float32)
    actions[0] = np.nan
    found = data_fit(replace(some, actions=actions))
    lift, push = found.skills
    assert (lift.episodes, lift.scenes) == (10, 2) and push.episodes == 1
    assert lift.effective_scenes == pytest.approx(100 / 82)
    assert found.constant_actions == ("y",) and found.labelled_share == pytest.approx(10 / 11)
    assert found.action_ranges["x"][1] == pytest.approx(0.98, abs=0.02)


def test_classifiers_find_what_is_there_and_nothing_else():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(200, 30))
    told = ["a" if row[3] > 0 else "b" for row in features]
    found = cross_validated(features, told)
    assert found is not None and found.linear > 160 and found.best >= found.nearest
    coin = cross_validated(features, [str(rng.integers(2)) for _ in range(200)])
    assert coin is not None and 70 < coin.best < 130
    parity = np.repeat(rng.normal(size=(40, 30)), 5, axis=0)
    places = cross_validated(parity, [str(n // 5 % 7) for n in range(200)])
    assert places is not None and places.nearest == 200
    assert cross_validated(features[:4], told[:4]) is None
    assert cross_validated(features, ["a"] * 200) is None


def test_how_many_scenes_are_needed_follows_from_the_exact_test():
    assert trials_needed(0.8, 0.5) == 18
    assert trials_needed(0.8, 0.5, power=0.95) > 18 > trials_needed(0.95, 0.5)
    with pytest.raises(ValueError, match="must be larger"):
        trials_needed(0.5, 0.5)


@pytest.mark.skipif(not BRIDGE.exists(), reason="the sample of real data is absent")
def test_the_real_sample_cannot_show_grounding(capsys):
    assert command(["data", "fit", str(BRIDGE)]) == 1
    said = capsys.readouterr().out
    assert "This data cannot show grounding, because 0 of 25 initial scenes" in said
    assert "Record these 18 pairs" in said and "start of episode" in said
    assert command(["data", "fit", str(BRIDGE), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["can"] is False and found["episodes"] == 25 and len(found["record"]) == 18


@pytest.mark.slow
def test_recordings_of_the_table_top_can(tmp_path, capsys):
    made = ["data", "make", str(tmp_path / "set"), "--count", "40", "--validation", "0"]
    assert command([*made, "--workers", "1"]) == 0
    capsys.readouterr()
    assert command(["data", "fit", str(tmp_path / "set"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["can"] and found["paired_scenes"] >= 18 and found["scenes_known"]
