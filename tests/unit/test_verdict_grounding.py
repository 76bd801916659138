"""Following, confusion and endings on rollouts whose answer is known by hand."""

from dataclasses import replace

import pytest

from fakes.run import fake_record
from vertebra.spec.record import EpisodeRecord
from vertebra.spec.task import Outcome
from vertebra.verdict.grounding import ending, grounding, swapped
from vertebra.verdict.measure import conditions, headline, slices
from vertebra.verdict.summary import Grounding

A, B, C = "put/red", "push/blue", "lift/green"
SKILLS = {A: "put", B: "push", C: "lift"}


def rollout(task: str, achieved: tuple[str, ...] = (), **more: object) -> EpisodeRecord:
    """A rollout of one state that asks for a task whose target has the colour of its name."""
    done = task in achieved
    return fake_record(
        task=task,
        skill=SKILLS[task],
        target=task.split("/")[1],
        achieved=achieved,
        outcome=Outcome.SUCCESS if done else Outcome.TIMEOUT,
        **more,
    )


def measured(records: list[EpisodeRecord]) -> Grounding:
    found = grounding(records, SKILLS)
    assert found is not None
    return found


def test_errors_and_timeouts_stay_in_the_denominator() -> None:
    records = [
        rollout(A, (A,)),
        rollout(B),
        replace(rollout(C, (C,)), outcome=Outcome.ERROR, error="boom"),
    ]
    found = measured(records)
    assert (found.following.value, found.following.n) == (pytest.approx(1 / 3), 3)


def test_following_in_one_split_leaves_the_others_out() -> None:
    records = [rollout(A, (A,)), rollout(B), *(rollout(t, (t,), split="pair") for t in (A, B))]
    found = grounding(records, SKILLS, "layout")
    assert found is not None
    assert found.following_in_split is not None
    assert (found.following.value, found.following.n) == (0.75, 4)
    assert (found.following_in_split.value, found.following_in_split.n) == (0.5, 2)
    elsewhere = grounding(records, SKILLS, "composition")
    assert elsewhere is not None
    assert elsewhere.following_in_split is None


def test_secondary_rate_is_among_those_that_achieved_anything() -> None:
    found = measured([rollout(A, (A,)), rollout(B, (A,)), rollout(C)])
    assert found.among_achieved is not None
    assert (found.among_achieved.value, found.among_achieved.n) == (0.5, 2)


def test_secondary_rate_is_undefined_when_nothing_was_achieved() -> None:
    found = measured([rollout(A), rollout(B)])
    assert found.among_achieved is None
    assert found.following.value == 0


def test_only_states_under_two_tasks_and_the_asked_wording_count() -> None:
    alone = rollout(A, (A,), initial_state="lonely")
    reworded = rollout(A, (A,), condition="paraphrase")
    records = [rollout(A), rollout(B), alone, reworded]
    assert swapped(records) == records[:2]
    assert grounding([alone], SKILLS) is None


def test_a_state_counts_as_swapped_by_the_seed_that_ran_it() -> None:
    assert swapped([rollout(A, seed=0), rollout(B, seed=1)]) == []


def test_a_policy_that_always_does_one_task_follows_one_in_three() -> None:
    records = [rollout(task, (A,), initial_state=f"s{i}") for i in range(10) for task in (A, B, C)]
    found = measured(records)
    assert found.following.value == pytest.approx(1 / 3)
    assert found.among_achieved is not None
    assert found.among_achieved.value == pytest.approx(1 / 3)
    assert found.choices == 3


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (rollout(A, (A,), first_touched="blue"), "followed"),
        (rollout(A, (A, B), first_touched="red"), "followed"),
        (rollout(A, (B,), first_touched="red"), "another task"),
        (rollout(A, first_touched="red"), "right object, not finished"),
        (rollout(A, first_touched="blue"), "wrong object first"),
        (rollout(A, first_touched=None), "nothing touched"),
        (replace(rollout(A, (A,)), outcome=Outcome.ERROR), "error"),
    ],
)
def test_endings(record: EpisodeRecord, expected: str) -> None:
    assert ending(record) == expected


def test_endings_are_exhaustive() -> None:
    found = measured([rollout(A, (A,)), rollout(B, (A,)), rollout(C, first_touched="green")])
    assert sum(e.count for e in found.endings) == 3
    assert {e.n for e in found.endings} == {3}


def test_touched_target_leaves_out_tasks_without_one() -> None:
    records = [
        rollout(A, first_touched="red"),
        rollout(B, first_touched="red"),
        replace(rollout(C), target=None),
    ]
    found = measured(records)
    assert found.touched_target is not None
    assert (found.touched_target.value, found.touched_target.n) == (0.5, 2)


def test_confusion_matrices_place_every_rollout_once() -> None:
    records = [
        rollout(A, (A,)),
        rollout(B, (A,)),
        rollout(C, (A, C)),
        rollout(A, (B, C), initial_state="second"),
        rollout(B, ("stack/unasked",), initial_state="second"),
        rollout(C, initial_state="second"),
        replace(rollout(A, initial_state="third"), outcome=Outcome.ERROR),
        rollout(B, (B,), initial_state="third"),
    ]
    matrix = measured(records).by_skill
    assert matrix.rows == ("lift", "push", "put")
    cells = {
        (row, column): count
        for row, counts in zip(matrix.rows, matrix.counts, strict=True)
        for column, count in zip(matrix.columns, counts, strict=True)
        if count
    }
    assert cells == {
        ("put", "put"): 1,
        ("push", "put"): 1,
        ("lift", "asked+"): 1,
        ("put", "several"): 1,
        ("push", "other"): 1,
        ("lift", "nothing"): 1,
        ("put", "error"): 1,
        ("push", "push"): 1,
    }


def test_following_is_the_diagonal_and_asked_plus() -> None:
    records = [rollout(A, (A,)), rollout(B, (A, B)), rollout(C, (A,))]
    for matrix in (measured(records).by_skill, measured(records).by_instruction):
        right = sum(
            count
            for row, counts in zip(matrix.rows, matrix.counts, strict=True)
            for column, count in zip(matrix.columns, counts, strict=True)
            if column in (row, "asked+")
        )
        assert right / len(records) == pytest.approx(measured(records).following.value)


def test_position_of_an_instruction_does_not_depend_on_the_order_of_records() -> None:
    records = [rollout(A, (B,)), rollout(B, (B,)), rollout(C, (A,))]
    assert measured(records).by_instruction == measured(records[::-1]).by_instruction


def test_conditions_compare_the_same_state_and_task() -> None:
    asked = [rollout(A, (A,), seed=s, initial_state=f"i{i}") for s in range(3) for i in range(4)]
    blank = [replace(r, condition="blank", achieved=()) for r in asked[::2]]
    found = {c.name: c for c in conditions([*asked, *blank])}
    assert list(found) == ["asked", "blank"]
    assert found["asked"].versus_asked is None
    versus = found["blank"].versus_asked
    assert versus is not None
    assert (versus.value, versus.n) == (-1.0, 6)


def test_conditions_without_pairs_have_no_difference() -> None:
    asked = rollout(A, (A,), initial_state="here")
    blank = replace(rollout(A, initial_state="there"), condition="blank")
    assert conditions([asked, blank])[1].versus_asked is None


def test_success_headline_is_new_layouts_when_there_are_any() -> None:
    layout, pair = rollout(A, (A,)), rollout(B, split="pair")
    assert headline([layout, pair], "layout") == [layout]
    assert headline([layout, pair], "all") == [layout, pair]
    blank = replace(layout, condition="blank")
    reworded = replace(layout, condition="paraphrase", split="paraphrase")
    assert headline([blank, reworded], "all") == [reworded]


def test_slices_count_by_split_and_skill() -> None:
    records = [rollout(A, (A,)), rollout(B), rollout(A, (A,), split="pair")]
    found = {(s.split, s.skill): (s.rate.value, s.rate.n) for s in slices(records)}
    assert found == {
        ("all", "all"): (pytest.approx(2 / 3), 3),
        ("all", "put"): (1.0, 2),
        ("all", "push"): (0.0, 1),
        ("layout", "all"): (0.5, 2),
        ("layout", "put"): (1.0, 1),
        ("layout", "push"): (0.0, 1),
        ("pair", "all"): (1.0, 1),
        ("pair", "put"): (1.0, 1),
    }
