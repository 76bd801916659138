"""What words do: readers, rememberers, guessers and the clumsy are told apart."""

import json
import math
from typing import Any

import numpy as np
import pytest

from fakes.run import fake_record, write_run
from vertebra.report.render import write_report
from vertebra.spec.storage import read_jsonl, write_jsonl
from vertebra.spec.task import Outcome
from vertebra.stats.information import OTHER, Asked, information
from vertebra.verdict.language import language
from vertebra.verdict.run import read_run
from vertebra.verdict.summarise import summarise
from vertebra.verdict.summary import summary_from_plain

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


def _memorise(rows):
    """The same rollouts by a policy that does in every scene the one task that it was shown there.

    The first task of each scene is what it was shown; that is asked again as split ``train``.
    """
    shown: dict[str, dict[str, Any]] = {}
    for row in rows:
        if row["condition"] == "asked":
            shown.setdefault(row["initial_state"], row)
    done = []
    for row in rows:
        first = shown[row["initial_state"]]
        right = row["task"] == first["task"]
        outcome = "success" if right else "timeout"
        planted = {"outcome": outcome, "achieved": [first["task"]], "error": ""}
        done.append({**row, **planted, "first_touched": first["target"]})
        if row is first:
            state = f"shown-{row['initial_state']}"
            done.append({**done[-1], "split": "train", "initial_state": state})
    return done


def test_an_arm_that_memorises_scenes_and_ignores_language_is_caught(tmp_path):
    run = write_run(tmp_path, pictures=False, counts=(800,))
    for name in ("fast-wam", "fast-wam+blind"):
        for path in run.glob(f"jobs/{name}-800-*/records.jsonl"):
            write_jsonl(path, _memorise(list(read_jsonl(path))))
    summary = summarise(read_run(run))
    (point,) = (p for p in summary.points if p.arm == "fast-wam")
    trained = next(s.rate for s in point.slices if (s.split, s.skill) == ("train", "all"))
    assert trained.value == 1.0, "it succeeds wherever it was shown what to do"
    (heard,) = (one for one in summary.listening if one.arm == "fast-wam")
    assert heard.word == "does not follow language"
    assert any("fast-wam does not follow language" in s for s in summary.verdict.sentences)
    measured = {one.arm: one for one in summary.language}
    rote, reader = measured["fast-wam"], measured["pi0"]
    assert rote.bits is not None and reader.bits is not None
    assert abs(rote.bits.estimate.value) < 1e-9 and reader.bits.estimate.value > 0.5
    assert rote.swap_gap is not None and rote.swap_gap.value == 0.0
    assert summary.verdict.word == "first better" and summary.verdict.first == "pi0"
    assert summary_from_plain(json.loads(json.dumps(summary.to_plain()))) == summary


def test_the_page_shows_what_words_do(tmp_path):
    text = write_report(write_run(tmp_path, pictures=False, counts=(800,))).read_text()
    section = text[text.index("What do words do?") :]
    section = section[: section.index("</section>")]
    for name in ("Swap gap", "Bits", "Wrong choice", "Right choice, not done", "new pairs"):
        assert name in section
    assert section.count("of 1.58") == 4 and "<td" in section
