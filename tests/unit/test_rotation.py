"""Every layout goes to a matrix and back, and means what its name says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from vertebra.spec.action import Rotation
from vertebra.spec.rotation import WIDTH, convert, from_matrix, to_matrix

LAYOUTS = [layout for layout in Rotation if layout is not Rotation.NONE]
VECTORS = hnp.arrays(
    np.float64, st.tuples(st.integers(1, 4), st.just(3)), elements=st.floats(-7, 7)
)
QUARTER = np.pi / 2


@settings(max_examples=150, deadline=None)
@given(vectors=VECTORS, layout=st.sampled_from(LAYOUTS))
def test_a_matrix_survives_every_layout(vectors: np.ndarray, layout: Rotation) -> None:
    matrix = to_matrix(vectors, Rotation.AXIS_ANGLE)
    assert matrix @ np.swapaxes(matrix, -1, -2) == pytest.approx(
        np.broadcast_to(np.eye(3), matrix.shape), abs=1e-12
    )
    assert np.linalg.det(matrix) == pytest.approx(np.ones(len(matrix)))
    values = from_matrix(matrix, layout)
    assert values.shape == (len(vectors), WIDTH[layout])
    assert to_matrix(values, layout) == pytest.approx(matrix, abs=1e-7)


@settings(max_examples=100, deadline=None)
@given(vectors=VECTORS, one=st.sampled_from(LAYOUTS), two=st.sampled_from(LAYOUTS))
def test_converting_there_and_back_is_the_same_rotation(
    vectors: np.ndarray, one: Rotation, two: Rotation
) -> None:
    values = convert(vectors, Rotation.RPY_XYZ, one)
    back = convert(convert(values, one, two), two, one)
    assert to_matrix(back, one) == pytest.approx(to_matrix(values, one), abs=1e-7)


@settings(max_examples=100, deadline=None)
@given(
    angles=hnp.arrays(np.float64, (3,), elements=st.floats(-1.5, 1.5)),
)
def test_angles_inside_the_range_come_back_as_numbers(angles: np.ndarray) -> None:
    for layout in (Rotation.RPY_XYZ, Rotation.AXIS_ANGLE):
        assert convert(angles, layout, layout) == pytest.approx(angles, abs=1e-7)


@pytest.mark.parametrize(
    ("layout", "values"),
    [
        (Rotation.RPY_XYZ, [0, 0, QUARTER]),
        (Rotation.AXIS_ANGLE, [0, 0, QUARTER]),
        (Rotation.QUAT_XYZW, [0, 0, np.sqrt(0.5), np.sqrt(0.5)]),
        (Rotation.QUAT_WXYZ, [np.sqrt(0.5), 0, 0, np.sqrt(0.5)]),
        (Rotation.ROT6D_COLUMNS, [0, 1, 0, -1, 0, 0]),
    ],
)
def test_a_quarter_turn_about_z_in_every_layout(layout: Rotation, values: list[float]) -> None:
    expected = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]])
    assert to_matrix(np.array(values, dtype=float), layout) == pytest.approx(expected, abs=1e-12)


def test_roll_is_applied_first_about_fixed_axes() -> None:
    # Roll turns y to z, then yaw leaves z alone.
    turned = to_matrix(np.array([QUARTER, 0, QUARTER]), Rotation.RPY_XYZ) @ [0, 1, 0]
    assert turned == pytest.approx([0, 0, 1], abs=1e-12)


@pytest.mark.parametrize("pitch", [QUARTER, -QUARTER])
def test_a_pitch_of_a_quarter_turn_keeps_the_rotation(pitch: float) -> None:
    matrix = to_matrix(np.array([0.3, pitch, -0.8]), Rotation.RPY_XYZ)
    back = from_matrix(matrix, Rotation.RPY_XYZ)
    assert to_matrix(back, Rotation.RPY_XYZ) == pytest.approx(matrix, abs=1e-7)


def test_half_turns_and_no_turn() -> None:
    for vector in ([np.pi, 0, 0], [0, np.pi, 0], [0, 0, np.pi], [0, 0, 0], [0, 1e-13, 0]):
        back = convert(np.array(vector, float), Rotation.AXIS_ANGLE, Rotation.AXIS_ANGLE)
        assert np.abs(back) == pytest.approx(np.abs(vector), abs=1e-12)


def test_wrong_widths_and_impossible_rotations_are_refused() -> None:
    with pytest.raises(ValueError, match="expected 4 numbers last: x, y, z, w"):
        to_matrix(np.zeros(3), Rotation.QUAT_XYZW)
    with pytest.raises(ValueError, match="length zero"):
        to_matrix(np.zeros(4), Rotation.QUAT_WXYZ)
    with pytest.raises(ValueError, match="parallel"):
        to_matrix(np.array([1.0, 0, 0, 2.0, 0, 0]), Rotation.ROT6D_COLUMNS)
    with pytest.raises(ValueError, match="expected matrices"):
        from_matrix(np.zeros((2, 3)), Rotation.RPY_XYZ)
    with pytest.raises(ValueError, match="no rotation"):
        to_matrix(np.zeros(0), Rotation.NONE)
