"""What words do: readers, rememberers, guessers and the clumsy are told apart."""

import math
from typing import Any

import numpy as np
import pytest

from fakes.run import fake_record
from vertebra.spec.task import Outcome
from vertebra.stats.information import OTHER, Asked, information
from vertebra.verdict.language import language

OBJECTS = ("red", "green", "blue")


def _records(choose, *, scenes=30, seeds=3, splits=("layout",), finish=1.0, conditions=("asked",)):
    """Rollouts of a policy: ``choose(scene, asked, condition, rng)`` names the object it goes for.

    It finishes what it goes for with probability ``finish``; ``None`` touches nothing.
    """
    rows = []
    for split in splits:
        for seed in range(seeds):
            for scene in range(scenes):
                rng = np.random.default_rng([seed, scene])
                rows += [
                    _one(choose, split, seed, scene, condition, asked, finish, rng)
                    for condition in conditions
                    for asked in range(3)
                ]
    return rows


def _one(choose, split, seed, scene, condition, asked, finish, rng):
    taken = choose(scene, asked, condition, rng)
    done = taken is not None and rng.random() < finish
    right = done and taken == asked
    name = None if taken is None else OBJECTS[taken]
    return fake_record(
        seed=seed,
        split=split,
        condition=condition,
        initial_state=f"{split}-{scene}",
        scene_seed=scene,
        task=f"lift/{OBJECTS[asked]}",
        target=OBJECTS[asked],
        outcome=Outcome.SUCCESS if right else Outcome.TIMEOUT,
        achieved=(f"lift/{name}",) if done else (),
        first_touched=name,
    )


def measured(records, twin=()) -> Any:
    found = language(records, twin)
    assert found is not None and found.bits is not None
    return found


def reads(scene, asked, condition, rng):
    return asked


def remembers(scene, asked, condition, rng):
    return scene % 3


def guesses(scene, asked, condition, rng):
    return int(rng.integers(3))


def idles(scene, asked, condition, rng):
    return None


def test_a_reader_follows_and_its_deeds_carry_all_the_information():
    found = measured(_records(reads), _records(remembers))
    assert found.following.value == found.swap_gap.value == found.sensitivity.value == 1.0
    assert found.bits.estimate.value == pytest.approx(math.log2(3), abs=0.03)
    assert found.bits.most == pytest.approx(math.log2(3)) and found.bits.p < 0.01
    assert found.twin.value == pytest.approx(1 / 3)
    assert found.grounding_failures.value == found.execution_failures.value == 0.0
    assert found.invariance is None


def test_one_who_remembers_scenes_is_caught_though_it_always_achieves_something():
    found = measured(_records(remembers))
    assert found.following.value == pytest.approx(1 / 3)
    assert found.swap_gap.value == 0.0 and found.sensitivity.value == 0.0
    assert found.bits.estimate.value == pytest.approx(0.0, abs=1e-9) and found.bits.p == 1.0
    assert found.grounding_failures.value == pytest.approx(2 / 3)
    assert found.execution_failures.value == 0.0


def test_one_who_guesses_is_sensitive_and_tells_nothing():
    found = measured(_records(guesses, scenes=60))
    assert found.sensitivity.value == pytest.approx(2 / 3, abs=0.06)
    assert abs(found.swap_gap.value) < 0.08 and abs(found.bits.estimate.value) < 0.03
    assert found.bits.p > 0.05 and found.bits.bias > 0


def test_clumsiness_is_not_taken_for_deafness():
    clumsy = measured(_records(reads, finish=0.4))
    assert clumsy.grounding_failures.value == 0.0
    assert clumsy.execution_failures.value == pytest.approx(0.6, abs=0.08)
    still = measured(_records(idles))
    assert still.execution_failures.value == 1.0 and still.bits.estimate.value == 0.0
    errors = [fake_record(**{**vars(r), "outcome": Outcome.ERROR}) for r in _records(reads)]
    found = measured(errors)
    assert found.following.value == found.swap_gap.value == 0.0
    assert found.sensitivity.value == found.grounding_failures.value == 0.0


def test_paraphrases_pass_when_text_is_ignored_and_fail_when_only_templates_are_known():
    both = ("asked", "paraphrase")
    deaf = measured(_records(remembers, conditions=both))
    assert deaf.invariance.value == 1.0 and deaf.swap_gap.value == 0.0

    def knows_templates(scene, asked, condition, rng):
        return asked if condition == "asked" else scene % 3

    parrot = measured(_records(knows_templates, conditions=both))
    assert parrot.following.value == 1.0
    assert parrot.invariance.value == pytest.approx(1 / 3)


def test_what_is_new_in_scenes_is_told_apart():
    def knows_layouts(scene, asked, condition, rng):
        return asked

    rows = _records(knows_layouts) + _records(remembers, splits=("pair",))
    found = measured(rows)
    assert [(one.split, round(one.following.value, 2)) for one in found.splits] == [
        ("layout", 1.0),
        ("pair", 0.33),
    ]


def test_without_swapped_rollouts_nothing_is_said():
    assert language([fake_record()]) is None and language([]) is None


def test_information_matches_the_table_that_it_abbreviates():
    rng = np.random.default_rng(1)
    p, q = 0.6, 0.15
    rows = []
    for _ in range(4000):
        done = []
        for asked in range(3):
            others = [k for k in range(3) if k != asked]
            place = rng.choice(4, p=[p, q, q, 1 - p - 2 * q])
            done.append([asked, *others, OTHER][place])
        rows.append(Asked(scene=len(rows), done=tuple(done)))
    table = np.zeros((3, 4))
    for row in rows:
        for asked, done in enumerate(row.done):
            table[asked, done] += 1
    joint = table / table.sum()
    independent = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    expected = float((joint * np.log2(joint / independent)).sum())
    found = information(rows)
    assert found is not None and found.bits == pytest.approx(expected, abs=0.003)
    assert found.p < 0.01 and found.scenes == 4000


def test_little_data_is_not_taken_for_information():
    rng = np.random.default_rng(2)
    found = []
    for _ in range(200):
        rows = [Asked(scene=n, done=tuple(rng.integers(3, size=3).tolist())) for n in range(12)]
        one = information(rows)
        assert one is not None
        found.append(one)
    assert abs(np.mean([one.bits for one in found])) < 0.006 < np.mean([one.bias for one in found])
    assert np.mean([one.p <= 0.05 for one in found]) < 0.1
    mixed = [Asked(scene=0, done=(0, 1)), Asked(scene=1, done=(0, 1, 2)), Asked(scene=2, done=(0,))]
    both = information(mixed)
    assert both is not None and both.most == pytest.approx((1 + math.log2(3)) / 2)
    assert information(mixed[2:]) is None
