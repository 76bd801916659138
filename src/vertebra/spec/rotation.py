"""Rotations in five layouts; the layout is in every name and never implied.

All functions take and return float64 arrays with any number of leading axes. Matrices turn column
vectors: ``v_parent = matrix @ v_child``. Angles are in radians.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from vertebra.spec.action import Rotation

Array = NDArray[np.float64]

WIDTH: Mapping[Rotation, int] = MappingProxyType(
    {
        Rotation.NONE: 0,
        Rotation.RPY_XYZ: 3,
        Rotation.AXIS_ANGLE: 3,
        Rotation.QUAT_XYZW: 4,
        Rotation.QUAT_WXYZ: 4,
        Rotation.ROT6D_COLUMNS: 6,
    }
)
"""How many numbers each layout has."""


def matrix_from_rpy_xyz(angles_rad: NDArray[np.floating]) -> Array:
    """Roll, pitch, yaw [..., 3] about the fixed x, y, z axes in this order: Rz(y) Ry(p) Rx(r)."""
    roll, pitch, yaw = np.moveaxis(_wide(angles_rad, 3, "roll, pitch, yaw"), -1, 0)
    cr, sr, cp, sp, cy, sy = (f(a) for a in (roll, pitch, yaw) for f in (np.cos, np.sin))
    rows = (
        (cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr),
        (sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr),
        (-sp, cp * sr, cp * cr),
    )
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def rpy_xyz_from_matrix(matrix: NDArray[np.floating]) -> Array:
    """Roll and yaw in (-pi, pi], pitch in [-pi/2, pi/2]: [..., 3].

    Where the pitch is a quarter turn only a combination of roll and yaw is determined; roll is set
    to zero there.
    """
    m = _matrix(matrix)
    flat = np.hypot(m[..., 0, 0], m[..., 1, 0])
    locked = flat < 1e-9
    pitch = np.arctan2(-m[..., 2, 0], flat)
    roll = np.where(locked, 0.0, np.arctan2(m[..., 2, 1], m[..., 2, 2]))
    yaw = np.where(
        locked,
        np.arctan2(-m[..., 0, 1], m[..., 1, 1]),
        np.arctan2(m[..., 1, 0], m[..., 0, 0]),
    )
    return np.stack([roll, pitch, yaw], axis=-1)


def matrix_from_axis_angle(vector_rad: NDArray[np.floating]) -> Array:
    """Axis times angle [..., 3] (Rodrigues' formula)."""
    vector = _wide(vector_rad, 3, "axis times angle")
    angle = _length(vector)
    half = angle / 2
    # sin(half) / angle, which is 1/2 at zero
    factor = np.sinc(half / np.pi) / 2
    return matrix_from_quat_wxyz(np.concatenate([np.cos(half), factor * vector], axis=-1))


def axis_angle_from_matrix(matrix: NDArray[np.floating]) -> Array:
    """Axis times angle [..., 3], angle in [0, pi]."""
    quaternion = quat_wxyz_from_matrix(matrix)
    real, imaginary = quaternion[..., :1], quaternion[..., 1:]
    length = _length(imaginary)
    angle = 2 * np.arctan2(length, real)
    safe = np.where(length > 1e-12, length, 1.0)
    return imaginary * np.where(length > 1e-12, angle / safe, 2.0)


def matrix_from_quat_wxyz(quaternion: NDArray[np.floating]) -> Array:
    """Quaternion (w, x, y, z) [..., 4]; it is brought to unit length.

    Raises:
        ValueError: When one has length zero.
    """
    wide = _wide(quaternion, 4, "w, x, y, z")
    length = _length(wide)
    if (length == 0).any():
        raise ValueError("A quaternion of length zero is no rotation.")
    w, x, y, z = np.moveaxis(wide / length, -1, 0)
    rows = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        (2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        (2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    )
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def quat_wxyz_from_matrix(matrix: NDArray[np.floating]) -> Array:
    """Unit quaternion (w, x, y, z) [..., 4] with w >= 0.

    The largest of the four is found first, so that nothing small is divided by.
    """
    m = _matrix(matrix)
    xx, yy, zz = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    squares = np.stack([1 + xx + yy + zz, 1 + xx - yy - zz, 1 - xx + yy - zz, 1 - xx - yy + zz], -1)
    largest = squares.argmax(axis=-1)
    # 4 q_i q_j for all pairs
    wx, wy, wz = (
        m[..., 2, 1] - m[..., 1, 2],
        m[..., 0, 2] - m[..., 2, 0],
        m[..., 1, 0] - m[..., 0, 1],
    )
    xy, xz, yz = (
        m[..., 1, 0] + m[..., 0, 1],
        m[..., 0, 2] + m[..., 2, 0],
        m[..., 2, 1] + m[..., 1, 2],
    )
    ww, ii, jj, kk = np.moveaxis(squares, -1, 0)
    products = np.stack(
        [
            np.stack([ww, wx, wy, wz], -1),
            np.stack([wx, ii, xy, xz], -1),
            np.stack([wy, xy, jj, yz], -1),
            np.stack([wz, xz, yz, kk], -1),
        ],
        axis=-2,
    )
    picked = np.take_along_axis(products, largest[..., None, None], axis=-2)
    row: Array = picked[..., 0, :]
    row = row / _length(row)
    return row * np.where(row[..., :1] < 0, -1.0, 1.0)


def matrix_from_quat_xyzw(quaternion: NDArray[np.floating]) -> Array:
    """Quaternion (x, y, z, w) [..., 4]; it is brought to unit length."""
    return matrix_from_quat_wxyz(np.roll(_wide(quaternion, 4, "x, y, z, w"), 1, axis=-1))


def quat_xyzw_from_matrix(matrix: NDArray[np.floating]) -> Array:
    """Unit quaternion (x, y, z, w) [..., 4] with w >= 0."""
    return np.roll(quat_wxyz_from_matrix(matrix), -1, axis=-1)


def matrix_from_rot6d_columns(columns: NDArray[np.floating]) -> Array:
    """First and second column of the matrix [..., 6], made orthonormal (Gram-Schmidt).

    Raises:
        ValueError: When the columns are zero or parallel.

    Source: Zhou et al., On the Continuity of Rotation Representations, arXiv:1812.07035, sec. 4.
    """
    wide = _wide(columns, 6, "two columns of a matrix")
    one, two = wide[..., :3], wide[..., 3:]
    length = _length(one)
    one = one / np.where(length == 0, 1.0, length)
    two = two - (one * two).sum(axis=-1, keepdims=True) * one
    rest = _length(two)
    if (length == 0).any() or (rest == 0).any():
        raise ValueError("Two columns that are zero or parallel are no rotation.")
    two = two / rest
    return np.stack([one, two, np.cross(one, two).astype(np.float64)], axis=-1)


def rot6d_columns_from_matrix(matrix: NDArray[np.floating]) -> Array:
    """First column, then second column of the matrix: [..., 6]."""
    m = _matrix(matrix)
    return np.concatenate([m[..., :, 0], m[..., :, 1]], axis=-1)


def _no_rotation(values: NDArray[np.floating]) -> Array:
    raise ValueError(f"Layout 'none' has no rotation to convert (shape {list(values.shape)}).")


_TO_MATRIX: Mapping[Rotation, Callable[[NDArray[np.floating]], Array]] = MappingProxyType(
    {
        Rotation.NONE: _no_rotation,
        Rotation.RPY_XYZ: matrix_from_rpy_xyz,
        Rotation.AXIS_ANGLE: matrix_from_axis_angle,
        Rotation.QUAT_XYZW: matrix_from_quat_xyzw,
        Rotation.QUAT_WXYZ: matrix_from_quat_wxyz,
        Rotation.ROT6D_COLUMNS: matrix_from_rot6d_columns,
    }
)
_FROM_MATRIX: Mapping[Rotation, Callable[[NDArray[np.floating]], Array]] = MappingProxyType(
    {
        Rotation.NONE: _no_rotation,
        Rotation.RPY_XYZ: rpy_xyz_from_matrix,
        Rotation.AXIS_ANGLE: axis_angle_from_matrix,
        Rotation.QUAT_XYZW: quat_xyzw_from_matrix,
        Rotation.QUAT_WXYZ: quat_wxyz_from_matrix,
        Rotation.ROT6D_COLUMNS: rot6d_columns_from_matrix,
    }
)


def to_matrix(values: NDArray[np.floating], layout: Rotation) -> Array:
    """Rotations in a layout [..., WIDTH[layout]] as matrices [..., 3, 3]."""
    return _TO_MATRIX[layout](values)


def from_matrix(matrix: NDArray[np.floating], layout: Rotation) -> Array:
    """Matrices [..., 3, 3] in a layout [..., WIDTH[layout]]."""
    return _FROM_MATRIX[layout](matrix)


def convert(values: NDArray[np.floating], found: Rotation, wanted: Rotation) -> Array:
    """Rotations from one layout to another: [..., WIDTH[found]] to [..., WIDTH[wanted]]."""
    return from_matrix(to_matrix(values, found), wanted)


def _length(vectors: Array) -> Array:
    return np.sqrt((vectors * vectors).sum(axis=-1, keepdims=True))


def _wide(values: NDArray[np.floating], width: int, what: str) -> Array:
    if values.shape[-1:] != (width,):
        raise ValueError(
            f"Found shape {list(values.shape)}, expected {width} numbers last: {what}."
        )
    return values.astype(np.float64)


def _matrix(values: NDArray[np.floating]) -> Array:
    if values.shape[-2:] != (3, 3):
        raise ValueError(f"Found shape {list(values.shape)}, expected matrices [..., 3, 3].")
    return values.astype(np.float64)
