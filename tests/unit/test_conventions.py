"""Conventions that cross rooms. `house/test_mutations.py` proves that these checks can fail."""

import pytest

from checks.outcomes import check_outcomes
from checks.windows import check_windows


def test_a_positive_number_opens_the_gripper_everywhere() -> None:
    pytest.importorskip("mujoco")
    from checks.gripper import check_gripper

    check_gripper()


def test_windows_stand_at_the_right_frames() -> None:
    check_windows()


def test_success_is_the_asked_task_and_nothing_else() -> None:
    check_outcomes()
