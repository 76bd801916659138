"""The offline contrastive test: what it must say of policies whose behaviour is known."""

import json
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fakes.policies import Seeker
from fakes.worlds import record
from vertebra import recipes
from vertebra.cli.entry import run as command
from vertebra.data.cache import episode_hash
from vertebra.data.pairs import counterfactual_pairs, scene_numbers
from vertebra.demonstrate.record import make_demonstrations
from vertebra.evaluate.contrastive import (
    CANNOT_TELL,
    NOT_SHOWN,
    RIGHT_WAY,
    contrast_offline,
    starts_of,
)
from vertebra.pilot.material import trained_on
from vertebra.pilot.plan import Question, training_of
from vertebra.pilot.prepare import read_material
from vertebra.spec.seeds import SeedTree
from vertebra.spec.storage import write_json
from vertebra.stats.crossed import share_of_groups
from vertebra.train.loop import train
from vertebra.train.spec import train_spec_to_plain

BRIDGE = Path(__file__).parents[3] / "shared" / "data" / "bridge_sample"


def pairs(scenes=24):
    """Every scene asked for two of its three places."""
    return [named(n, asked=(n + k) % 3) for n in range(scenes) for k in (0, 1)]


def named(number, **more):
    return replace(record(number, **more), initial_state=f"scene-{number}")


class Startled(Seeker):
    """Reads, and moves to a side that has nothing to do with what it read."""

    def act(self, session, observation, deadline_s=None):
        seed = [session[0] % 2**32, zlib.crc32(observation.instruction.encode())]
        session, act = super().act(session, observation, deadline_s)
        side = np.random.default_rng(seed).normal(size=2) * 0.05
        return session, replace(act, chunk=act.chunk + side.astype(np.float32))


def found_in(policy, episodes=None, trained: frozenset[str] | None = frozenset(), **more):
    starts = starts_of(pairs() if episodes is None else episodes, trained)
    return contrast_offline(policy, starts, seed=3, **more)


def test_a_hearing_policy_goes_where_the_other_demonstration_went():
    found = found_in(Seeker(noise=0.002, chunk=4))
    (new,) = found.directions
    assert found.word == RIGHT_WAY and found.judged_on == new.of == "new"
    assert (new.scenes, new.swaps, new.towards.value, new.away) == (24, 48, 1.0, 0.0)
    assert new.towards.low is not None and new.towards.low > 0.85 and new.nearer.value == 1.0
    assert 0.8 < new.reach < 1.4


def test_a_deaf_policy_does_not_move_and_is_near_one_half_of_the_time():
    found = found_in(Seeker(noise=0.002, chunk=4, hears=False))
    (new,) = found.directions
    assert found.word == NOT_SHOWN
    assert (new.towards.value, new.unmoved, new.reach) == (0.0, 1.0, 0.0)
    assert new.nearer.value == 0.5


def test_a_contrary_policy_moves_away():
    (new,) = found_in(Seeker(noise=0.002, chunk=4, gain=-1.0)).directions
    assert new.away > 0.95 and new.reach < 0


def test_a_policy_that_words_move_anywhere_is_not_called_right():
    found = found_in(Startled(hears=False, chunk=4), pairs(60))
    (new,) = found.directions
    assert found.word == CANNOT_TELL
    assert new.unmoved == 0 and 0.35 < new.towards.value < 0.65


def test_recordings_that_were_trained_on_do_not_decide():
    episodes = pairs(20)
    known = frozenset(episode_hash(one) for one in episodes[:20])
    found = found_in(Seeker(noise=0.002), episodes, known)
    assert [(one.of, one.scenes) for one in found.directions] == [("new", 10), ("trained", 10)]
    assert found.judged_on == "new"
    few = found_in(Seeker(), episodes, known, most=10)
    assert [(one.of, one.scenes) for one in few.directions] == [("new", 10)]
    assert found_in(Seeker(), episodes, None).judged_on == "unknown"


def test_without_pairs_or_with_pairs_that_begin_alike_it_is_refused():
    with pytest.raises(ValueError, match="none of the 6 initial scenes was recorded under two"):
        found_in(Seeker(), [named(n) for n in range(6)])
    alike = [named(0, asked=0, instruction=words) for words in ("go", "run")]
    more = [named(1, asked=0, instruction="go"), named(2, asked=0, instruction="go")]
    with pytest.raises(ValueError, match="All 1 counterfactual pairs begin with the same actions"):
        found_in(Seeker(), [*alike, *more])


def test_actions_without_a_label_are_left_out():
    holes = []
    for one in pairs():
        actions = one.actions.copy()
        actions[2:] = np.nan
        holes.append(replace(one, actions=actions))
    assert found_in(Seeker(noise=0.002), holes).word == RIGHT_WAY


def test_pairs_are_one_scene_and_other_words():
    pixels = np.repeat(np.random.default_rng(0).random((3, 12), np.float32), 2, axis=0)
    scenes, named = scene_numbers([""] * 6, pixels)
    assert scenes == [0, 0, 1, 1, 2, 2] and not named
    assert scene_numbers(list("aabbca"), pixels) == ([0, 0, 1, 1, 2, 0], True)
    words = ("Lift it.", "lift  it", "push", "lift", "", "lift")
    assert counterfactual_pairs(scenes, words) == ((2, 3),)
    assert len(counterfactual_pairs([0] * 3, ("a", "b", "c"))) == 3


@pytest.mark.parametrize("rate", [0.5, 0.8, 0.95])
def test_the_interval_of_a_share_over_scenes_covers(rate):
    """Known truth: both swaps of a scene mostly end alike, so that trials are not independent."""
    rng = np.random.default_rng(4)
    held = trials = 0
    for _ in range(600):
        first = rng.random(30) < rate
        second = np.where(rng.random(30) < 0.7, first, rng.random(30) < rate)
        found = share_of_groups(np.stack([first, second], axis=1).astype(float).tolist())
        held += found.low <= rate <= found.high
        trials += 1
    assert held / trials >= 0.94


def test_a_share_needs_groups_with_shares():
    with pytest.raises(ValueError, match="Found 1 groups"):
        share_of_groups([[0.5, 1.2]])


@pytest.mark.skipif(not BRIDGE.is_dir(), reason="the real data set is not there")
def test_real_recordings_without_pairs_are_refused_with_the_reason(tmp_path, capsys):
    assert command(["audit", "grounding", str(tmp_path), "--data", str(BRIDGE)]) == 2
    said = capsys.readouterr().err
    assert "no counterfactual pair" in said and "0 of 25 initial scenes" in said


def test_a_checkpoint_is_tested_on_what_it_was_not_trained_on(tmp_path, capsys):
    root = tmp_path / "demonstrations"
    make_demonstrations(root, count=6, validation=6, seed=1, workers=1, size=32)
    tree = SeedTree(root=0)
    ready = read_material(
        tmp_path, root, mapping=None, env="auto", tree=tree, tell=lambda *what: None
    )
    question = Question(
        recipes=(recipes.by_name("pi0"),),
        counts=(4,),
        seeds=1,
        size="tiny",
        privileged="none",
        samples=8,
        batch_size=4,
    )
    spec = training_of(
        question,
        ready.material,
        question.cells[0],
        samples=8,
        precision="fp32",
        checkpoint_every=10,
    )
    job = tmp_path / "job"
    train(spec, job)
    asked = ["audit", "grounding", str(job / "checkpoint"), "--data", str(root), "--json"]
    assert trained_on(job / "checkpoint") is None
    command(asked)
    assert json.loads(capsys.readouterr().out)["judged_on"] == "unknown"
    write_json(job / "job.json", {"training": train_spec_to_plain(spec)})
    known = trained_on(job / "checkpoint")
    assert known == {ready.cache.episodes[number].content_hash for number in spec.episodes}
    command(asked)
    found = json.loads(capsys.readouterr().out)
    assert found["judged_on"] == "new" and found["pairs"] >= 3
    assert found["directions"][0]["swaps"] >= 2 * 3
    command(asked[:-1])
    assert "recordings that the policy was not trained on" in capsys.readouterr().out
