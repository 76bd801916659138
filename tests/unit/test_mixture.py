"""Recordings that lack words or actions: what is withheld, who learns from them, what they cost."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from fakes.worlds import ACTION, OBSERVATION, record
from vertebra import recipes
from vertebra.data.cache import build_cache
from vertebra.data.mixture import MOST_EXTRA, Mixture
from vertebra.data.windows import Windows
from vertebra.pilot.grid import Mix, arms_of
from vertebra.pilot.material import Material, divide, split_manifest
from vertebra.policy.losses import losses
from vertebra.spec.seeds import SeedTree
from vertebra.train.loop import train
from vertebra.train.prepare import prepare
from vertebra.train.spec import TrainSpec, train_spec_from_plain, train_spec_to_plain

TREE = SeedTree(root=0)
PI0, WAM = recipes.by_name("pi0"), recipes.by_name("fast-wam")
SEEDS = {"initialisation": 1, "batch_order": 2, "noise": 3}


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    episodes = [record(index) for index in range(20)]
    episodes[9] = record(9, instruction="wave")
    return build_cache(episodes, tmp_path_factory.mktemp("frames") / "cache")


@pytest.fixture(scope="module")
def material(cache) -> Material:
    return divide(cache, source="here", needs=OBSERVATION, makes=ACTION, tree=TREE, simulator=True)


def _spec(cache, recipe=WAM, **more) -> TrainSpec:
    plain = {"episodes": (0, 1, 2), "validation_episodes": (18, 19), "samples": 64, **more}
    return TrainSpec(
        recipe=recipe,
        size="tiny",
        needs=OBSERVATION,
        makes=ACTION,
        privileged="none",
        batch_size=16,
        data=str(cache.directory),
        data_hash=cache.content_hash,
        seeds=SEEDS,
        checkpoint_every=2,
        precision="fp32",
        **plain,
    )


def test_without_extras_the_draws_are_those_of_plain_windows(cache):
    parts = {"horizon": 4, "future_steps": (2, 4)}
    mixed = Mixture(cache, episodes=(3, 5), **parts).sample(np.random.default_rng(4), 12)
    plain = Windows(cache, episodes=(3, 5), **parts).sample(np.random.default_rng(4), 12)
    assert (mixed.episode == plain.episode).all() and (mixed.frame == plain.frame).all()


def test_what_recordings_lack_is_withheld_and_nothing_else(cache):
    mixed = Mixture(
        cache, episodes=(0,), unlabelled=(1, 2), video_only=(3,), horizon=4, chunks=2, stride=4
    )
    assert mixed.extra == MOST_EXTRA
    batch = mixed.sample(np.random.default_rng(0), 400)
    for one in (batch, *batch.before):
        words = np.array([bool(text) for text in one.instructions])
        acting = one.action_mask.any(axis=1)
        assert (words == ~np.isin(one.episode, (1, 2))).all()
        assert (acting == (one.episode != 3)).all()
        assert (np.isnan(one.state[:, 0]) == (one.episode == 3)).all()
        assert (one.target[one.episode != 0] == -1).all()
    share = (batch.episode != 0).mean()
    assert 0.4 < share < 0.6
    assert {1, 2, 3} <= {*batch.episode.tolist()}


def test_few_extras_are_drawn_like_any_frame(cache):
    mixed = Mixture(cache, episodes=tuple(range(9)), unlabelled=(9,), horizon=4)
    assert mixed.extra == pytest.approx(cache.lengths[9] / cache.lengths[:10].sum())


def test_videos_teach_frames_and_no_actions(cache):
    prepared = prepare(_spec(cache, video_only=(3, 4)))
    batch = prepared.batch(0)
    examples = prepared.examples(batch)
    video = torch.from_numpy(np.isin(batch.episode, (3, 4)))
    terms = losses(prepared.policy.network, examples, prepared.noise(0))
    assert video.any() and not video.all()
    assert (terms["action"][video] == 0).all() and (terms["action"][~video] > 0).all()
    known = examples[0].future_mask.any(-1)
    assert ((terms["future"] > 0) == known)[video].all() and known[video].any()
    assert examples[0].given.state.isfinite().all()


def test_the_action_loss_is_a_mean_over_windows_that_have_actions(cache):
    prepared = prepare(_spec(cache, video_only=(3, 4)))
    batch = prepared.batch(0)
    whole = losses(prepared.policy.network, prepared.examples(batch), prepared.noise(0))["action"]
    known = whole[whole > 0]
    unscaled = known * len(known) / len(whole)
    assert whole.mean().item() == pytest.approx(unscaled.mean().item(), rel=1e-5)


def test_statistics_never_see_the_actions_of_videos(cache):
    plain = prepare(_spec(cache)).policy.action_normaliser
    with_video = prepare(_spec(cache, video_only=(3, 4))).policy.action_normaliser
    silent = prepare(_spec(cache, unlabelled=(3, 4))).policy.action_normaliser
    probe = np.ones((1, len(ACTION.dims)), np.float32)
    assert (plain.normalise(probe) == with_video.normalise(probe)).all()
    assert (plain.normalise(probe) != silent.normalise(probe)).any()


def test_words_of_unlabelled_demonstrations_are_unknown_to_the_policy(cache):
    silent = prepare(_spec(cache, unlabelled=(9,))).policy.network.shape.vocabulary
    heard = prepare(_spec(cache, video_only=(9,))).policy.network.shape.vocabulary
    assert "wave" in heard and "wave" not in silent


def test_a_mixed_training_runs_resumes_and_counts_what_it_used(cache, tmp_path):
    spec = _spec(cache, unlabelled=(3,), video_only=(4, 5))
    found = train(spec, tmp_path / "one")
    frames = sum(cache.episodes[i].length for i in (3, 4, 5))
    own = sum(cache.episodes[i].length for i in (0, 1, 2))
    assert (found.language_labels, found.extra_labels) == (5, 2)
    assert (found.video_frames, found.extra_frames) == (own + frames, frames)
    blind = train(replace(spec, recipe=WAM.blinded()), tmp_path / "blind")
    assert (blind.language_labels, blind.extra_labels) == (0, 0)
    assert train_spec_from_plain(train_spec_to_plain(spec)) == spec
    assert "unlabelled" not in train_spec_to_plain(_spec(cache))


def test_what_cannot_be_meant_is_refused(cache):
    with pytest.raises(ValueError, match="pi0 imagines no frames, so video teaches it nothing"):
        _spec(cache, recipe=PI0, video_only=(3,))
    with pytest.raises(ValueError, match=r"episodes \[1\] are shown in two ways"):
        _spec(cache, unlabelled=(1,))
    with pytest.raises(ValueError, match=r"episodes \[18\] are in training and validation"):
        _spec(cache, video_only=(18,))


def test_every_recipe_has_an_arm_for_each_mix_that_teaches_it():
    mixes = (Mix(), Mix(video_only=8), Mix(unlabelled=4))
    arms = arms_of((PI0, WAM), mixes=mixes)
    assert [arm.name for arm in arms if not arm.blind] == [
        "pi0",
        "pi0+unlabelled4",
        "fast-wam",
        "fast-wam+video8",
        "fast-wam+unlabelled4",
    ]
    twins = {arm.recipe: arm.name for arm in arms if arm.blind}
    assert twins["fast-wam+video8"] == "fast-wam+video8+blind"
    assert {arm.costed for arm in arms} == {"pi0", "fast-wam"}
    with pytest.raises(ValueError, match="pi0 imagines no frames, so no mix with video"):
        arms_of((PI0,), mixes=(Mix(video_only=8),))


def test_extras_are_the_same_at_every_number_and_never_demonstrations(material):
    mix = Mix(unlabelled=3, video_only=2)
    for seed in range(3):
        unlabelled, videos = material.extras(TREE, mix, seed)
        assert (len(unlabelled), len(videos)) == (3, 2)
        most = len(material.pool) - mix.total
        assert not {*unlabelled, *videos} & {*material.subset(TREE, most, seed)}
    assert material.extras(TREE, mix, 0) != material.extras(TREE, mix, 1)
    with pytest.raises(ValueError, match="3 unlabelled ones and 2 videos are asked for"):
        material.require(len(material.pool) - 4, (mix,))


def test_episodes_without_actions_serve_as_video_first(cache, material):
    silent = replace(material, films=(17,))
    assert 17 in silent.extras(TREE, Mix(video_only=1), 0)[1]
    silent.require(len(material.pool), (Mix(video_only=1),))


def test_the_split_names_what_each_training_sees_besides(cache, material):
    mix = Mix(unlabelled=2)
    rows = split_manifest(material, cache, TREE, (4,), 2, {}, (Mix(), mix))["extras"]
    assert [(row["seed"], row["mix"]) for row in rows] == [(0, "+unlabelled2"), (1, "+unlabelled2")]
    assert rows[0]["unlabelled"]["episodes"] == list(material.extras(TREE, mix, 0)[0])
    assert "extras" not in split_manifest(material, cache, TREE, (4,), 2, {})
