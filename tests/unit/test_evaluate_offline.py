"""Offline figures: what they must say of policies whose behaviour is known."""

from dataclasses import replace

import numpy as np
import pytest

from fakes.policies import Seeker
from fakes.worlds import record
from vertebra.data.cache import build_cache
from vertebra.evaluate.offline import evaluate_offline, observations_of


@pytest.fixture(scope="module")
def annotated(tmp_path_factory):
    episodes = [record(index, annotated=True) for index in range(24)]
    return build_cache(episodes, tmp_path_factory.mktemp("annotated") / "cache")


def _figures(policy, cache, **more):
    asked = {"held_out": range(18, 24), "training": range(18), "seed": 3, **more}
    return evaluate_offline(policy, cache, **asked)


def test_a_policy_like_the_demonstrator_has_a_small_error_and_the_baselines_do_not(annotated):
    figures = _figures(Seeker(noise=0.002, chunk=2), annotated)
    assert figures["action_error"] < 0.5 * figures["error_of_mean_action"]
    assert figures["action_error"] < 0.7 * figures["error_of_repeated_action"]
    assert 0.7 < figures["error_of_mean_action"] < 1.3
    units = figures["details"]["mean_absolute_error"]
    assert units["dx"]["unit"] == "m/step" and 0 < units["dx"]["value"] < 0.05
    assert set(figures["details"]["action_error_by_episode"]) == {str(e) for e in range(18, 24)}
    assert figures["windows"] == 60 and figures["episodes"] == 6


def test_words_move_a_hearing_policy_towards_the_named_target(annotated):
    figures = _figures(Seeker(noise=0.002), annotated)
    assert figures["sensitivity"] > 5
    assert figures["directional"] > 0.9 and figures["directional_swaps"] == 60


def test_words_do_not_move_a_deaf_policy(annotated):
    figures = _figures(Seeker(noise=0.002, hears=False), annotated)
    assert figures["sensitivity"] == 0 and figures["sensitivity_to_silence"] == 0
    assert figures["directional"] == 0.5


def test_a_contrary_policy_is_sensitive_in_the_wrong_direction(annotated):
    contrary = _figures(Seeker(noise=0.002, gain=-1.0), annotated)
    assert contrary["sensitivity"] > 5 and contrary["directional"] < 0.1


def test_a_policy_without_noise_has_shifts_but_no_ratio(annotated):
    figures = _figures(Seeker(), annotated)
    assert figures["sensitivity"] == "not measurable: the policy draws no noise"
    assert figures["shift_of_swapped_words"] > 0 == figures["shift_of_noise"]


def test_without_annotated_targets_there_is_no_directional_score(tmp_path):
    episodes = [record(index, annotated=False) for index in range(24)]
    figures = _figures(Seeker(noise=0.002), build_cache(episodes, tmp_path / "cache"))
    assert figures["directional"].startswith("not measurable")
    assert figures["sensitivity"] > 5


def test_one_instruction_alone_says_nothing_about_words(tmp_path):
    episodes = [record(index, annotated=False, instruction="go to red") for index in range(24)]
    figures = _figures(Seeker(noise=0.002), build_cache(episodes, tmp_path / "cache"))
    assert figures["sensitivity"] == "not measurable: 1 different instruction(s) in the data"


def test_missing_labels_are_left_out_not_counted_as_zero(annotated, tmp_path):
    episodes = [record(index, annotated=True) for index in range(24)]
    holes = []
    for episode in episodes:
        actions = episode.actions.copy()
        actions[5:] = np.nan
        holes.append(replace(episode, actions=actions))
    figures = _figures(Seeker(noise=0.002, chunk=2), build_cache(holes, tmp_path / "cache"))
    assert figures["action_error"] < 0.5 * figures["error_of_mean_action"]


def test_held_out_means_held_out(annotated):
    with pytest.raises(ValueError, match=r"\[17\] are in both"):
        _figures(Seeker(), annotated, held_out=range(17, 24))


def test_recorded_frames_become_observations(annotated):
    seen = observations_of(annotated, [18, 19], 5)
    assert len(seen) == 5 and seen[0].instruction == annotated.episodes[18].instruction
    assert (seen[-1].state == annotated.state[annotated.starts[19] + 9]).all()
