"""What a policy makes: chunks of actions, with their conventions spelled out."""

from dataclasses import dataclass
from enum import StrEnum

from vertebra.spec.observation import Dim


class Frame(StrEnum):
    """What the translational and rotational part of an action means."""

    DELTA = "delta"
    """Added to the commanded target pose of the previous step."""
    ABSOLUTE = "absolute"
    """The target pose itself."""
    JOINT = "joint"
    """Joint positions."""


class Gripper(StrEnum):
    """Which sign of the gripper number opens the gripper."""

    OPEN_POSITIVE = "open_positive"
    CLOSE_POSITIVE = "close_positive"
    NONE = "none"


class Rotation(StrEnum):
    """Layout of the rotational part; never implied."""

    NONE = "none"
    RPY_XYZ = "rpy_xyz"
    AXIS_ANGLE = "axis_angle"
    QUAT_XYZW = "quat_xyzw"
    QUAT_WXYZ = "quat_wxyz"
    ROT6D_COLUMNS = "rot6d_columns"


@dataclass(frozen=True, kw_only=True)
class ActionSpec:
    """The conventions of one action vector.

    Attributes:
        dims: One entry a number, with unit and range.
        frame: Meaning of the pose part.
        rotation: Layout of the rotational part.
        gripper: Sign convention of the gripper number (the last dimension unless NONE).
        rate_hz: Control rate at which one action is applied.
    """

    dims: tuple[Dim, ...]
    frame: Frame
    rotation: Rotation
    gripper: Gripper
    rate_hz: float
