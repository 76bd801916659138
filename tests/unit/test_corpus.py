"""Nothing of the evaluation leaks into the corpora of priors, and their answers are true."""

# The compiled names of MuJoCo carry no type information.
# pyright: reportAttributeAccessIssue=false

import re
from dataclasses import replace
from pathlib import Path

import mujoco
import numpy as np
import pytest

from fakes.priors import CORPUS
from vertebra.data.cache import FrameCache
from vertebra.envs.tabletop import Tabletop
from vertebra.envs.tabletop.model import scene_xml
from vertebra.envs.tabletop.scene import HELD_OUT_COMPOSITIONS, scene_from_plain
from vertebra.envs.tabletop.tasks import HELD_OUT_WORDINGS, TRAIN_WORDINGS
from vertebra.nn.embeddings import split_words
from vertebra.pretrain import captions, stage
from vertebra.pretrain.corpus import CAMERA, build_corpus
from vertebra.pretrain.pairs import KINDS, location, pair_at, vocabulary
from vertebra.pretrain.video import footage_at
from vertebra.pretrain.vlm import asked_at


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pretrain")


@pytest.fixture(scope="module")
def cache(store: Path) -> FrameCache:
    return build_corpus(CORPUS, store / "corpora")


# What the corpora hold, and what they do not.


def test_clips_hold_no_action_and_no_state(cache: FrameCache) -> None:
    assert cache.actions.shape[1] == cache.state.shape[1] == 0
    assert list(cache.images) == [CAMERA] and CAMERA not in Tabletop().cameras


def test_no_clip_shows_or_names_a_held_out_composition() -> None:
    rng = np.random.default_rng(0)
    shown = {item.name for _ in range(300) for item in stage._drawn_scene(rng).objects}
    assert len(shown) > 60 and not shown & HELD_OUT_COMPOSITIONS


def test_no_pair_names_a_held_out_composition(cache: FrameCache) -> None:
    rng = np.random.default_rng(0)
    names = "|".join(sorted(HELD_OUT_COMPOSITIONS))
    for number in range(400):
        clip = number % len(cache.episodes)
        pair = pair_at(cache, 16 * clip, clip, "points", rng)
        assert not re.search(names, f"{pair.prompt} {pair.answer}"), pair


def test_no_caption_is_an_instruction_of_the_table_top() -> None:
    said = {text for group in captions.CAPTIONS.values() for text in group}
    for table in (TRAIN_WORDINGS, HELD_OUT_WORDINGS):
        asked = {text for group in table.values() for text in group}
        assert not said & asked
    assert {"red", "cube", "plate", "put", "lift", "zone", "line"} <= set(vocabulary())


def test_no_clip_shows_the_scene_of_a_task() -> None:
    """Layouts are drawn from other seeds, and nothing lies where it lies in any task."""
    rng = np.random.default_rng(0)
    staged = {(i.name, i.x, i.y) for _ in range(50) for i in stage._drawn_scene(rng).objects}
    states = [s for split in ("train", "layout") for s in Tabletop().initial_states(split, 40, 0)]
    asked = {(i.name, i.x, i.y) for s in states for i in scene_from_plain(s.data).objects}
    assert staged and asked and not staged & asked


def robot() -> mujoco.MjModel:
    scene = scene_from_plain(Tabletop().initial_states("train", 1, 0)[0].data)
    return mujoco.MjModel.from_xml_string(scene_xml(scene))


def staged(seed: int) -> mujoco.MjModel:
    rng = np.random.default_rng(seed)
    scene = stage._drawn_scene(rng)
    sizes = {item.name: stage._size(item.kind, rng) for item in scene.objects}
    palette = dict.fromkeys((*stage.COLOURS, *stage.MORE_COLOURS), (0.5, 0.5, 0.5))
    return mujoco.MjModel.from_xml_string(stage._stage_xml(scene, sizes, palette, rng))


def test_cameras_stand_elsewhere_and_see_through_other_lenses() -> None:
    front = robot().camera("front")
    own = np.arctan2(front.pos[0], -front.pos[1])
    for seed in range(60):
        camera = staged(seed).camera("front")
        turned = np.arctan2(camera.pos[0], -camera.pos[1]) - own
        assert abs(turned) > 0.06 and abs(float(camera.fovy[0]) - float(front.fovy[0])) > 1.9


def test_hands_and_sizes_are_not_the_robots() -> None:
    model = robot()
    fingers = [g for g in range(model.ngeom) if model.geom(g).name in ("left", "right", "palm")]
    known = {(int(model.geom_type[g]), *np.round(model.geom_rgba[g, :3], 2)) for g in fingers}
    kinds: set[int] = set()
    for seed in range(60):
        other = staged(seed)
        hand = [g for g in range(other.ngeom) if other.geom(g).name.startswith("hand#")]
        kinds.add(len(hand))
        assert not known & {(int(other.geom_type[g]), *other.geom_rgba[g, :3]) for g in hand}
        assert not {int(other.geom_type[g]) for g in hand} & {mujoco.mjtGeom.mjGEOM_BOX.value}
    assert 0 in kinds and len(kinds) > 3
    rng = np.random.default_rng(0)
    scales = [stage._size("cube", rng)[0] / stage.SHAPES["cube"][0] for _ in range(100)]
    assert min(abs(scale - 1) for scale in scales) > 0.04


def test_held_out_clips_are_no_training_clips(cache: FrameCache) -> None:
    hashes = [cache.episodes[clip].content_hash for clip in (*CORPUS.held, *CORPUS.training)]
    assert len(set(hashes)) == len(hashes) == 14 and not set(CORPUS.held) & set(CORPUS.training)


def test_a_corpus_is_the_same_whoever_makes_it(cache: FrameCache, tmp_path: Path) -> None:
    assert build_corpus(CORPUS, tmp_path).content_hash == cache.content_hash
    other = build_corpus(replace(CORPUS, seed=4), tmp_path)
    assert other.content_hash != cache.content_hash


# Questions and answers.


def test_answers_are_true(cache: FrameCache) -> None:
    rng = np.random.default_rng(1)
    back = {new: old for old, many in captions.SYNONYMS.items() for new in many}
    met: set[str] = set()
    for number in range(600):
        clip = number % len(cache.episodes)
        row, frame = cache.episodes[clip], 16 * clip + number % 16
        pair = pair_at(cache, frame, clip, "points", rng)
        met.add(pair.kind)
        places = dict(zip(row.entities, cache.points[frame], strict=False))
        seen = {name: at for name, at in places.items() if np.isfinite(at).all()}
        prompt = " ".join(back.get(word, word) for word in pair.prompt.split())
        words = " ".join(back.get(word, word) for word in pair.answer.split())
        match pair.kind:
            case "there":
                asked = re.sub(r"is there a |do you see a ", "", prompt)
                # A thing outside the picture is not asked about as absent.
                assert (words == "yes") == (asked in seen) and (
                    words == "yes" or asked not in places
                )
            case "side":
                one, side, other = re.match(
                    r"is the (.+) (left of|right of|above|below) the (.+)", prompt
                ).groups()  # type: ignore[union-attr]
                apart = seen[one] - seen[other]
                axis, sign = {"l": (0, -1), "r": (0, 1), "a": (1, -1), "b": (1, 1)}[side[0]]
                assert (words == "yes") == (sign * apart[axis] > 0)
            case "name":
                order = sorted(seen, key=lambda name: seen[name][0])[:4]
                assert words == " ".join(order)
            case "what":
                assert location(seen[words]) in prompt
            case "point" | "ground":
                wanted = [location(at) for at in pair.points if np.isfinite(at).all()]
                assert pair.answer.split() == wanted and np.isfinite(pair.points[0]).all()
            case _:
                kind = re.sub(r"how many | are there|count the ", "", prompt).removesuffix("s")
                found = sum(name.split()[-1] == kind.removesuffix("e") for name in seen)
                found = found or sum(name.split()[-1] == kind for name in seen)
                assert words == captions.NUMBERS[found], (prompt, words, sorted(seen))
    assert met == set(KINDS)


def test_without_targets_no_place_is_asked_for_or_told(cache: FrameCache) -> None:
    rng = np.random.default_rng(0)
    for number in range(300):
        pair = pair_at(cache, 16 * (number % 14), number % 14, "none", rng)
        assert np.isnan(pair.points).all() and not re.search(
            r"\bloc\d", f"{pair.prompt} {pair.answer}"
        )


def test_every_word_of_a_corpus_is_known(cache: FrameCache) -> None:
    known, rng = set(vocabulary()), np.random.default_rng(0)
    said = [row.instruction for row in cache.episodes]
    pairs = [pair_at(cache, 16 * (n % 14), n % 14, "points", rng) for n in range(300)]
    said += [f"{pair.prompt} {pair.answer}" for pair in pairs]
    assert {word for text in said for word in split_words(text)} <= known


def test_shuffled_pairs_are_those_of_other_pictures(cache: FrameCache) -> None:
    drawn = [
        asked_at(
            cache,
            CORPUS.training,
            np.random.default_rng(0),
            6,
            targets="points",
            shuffled=shuffled,
        )
        for shuffled in (False, True)
    ]
    right, shuffled = ([pair.prompt for pair in one.pairs] for one in drawn)
    assert shuffled == [*right[1:], right[0]] and (drawn[0].images == drawn[1].images).all()
    clips = [
        footage_at(cache, CORPUS.training, np.random.default_rng(0), 6, (2, 4), shuffled=shuffled)
        for shuffled in (False, True)
    ]
    assert (clips[0].later == clips[1].later).all() and clips[0].captions != clips[1].captions
    assert sorted(clips[0].captions) == sorted(clips[1].captions)
