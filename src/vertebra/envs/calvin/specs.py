"""What CALVIN shows and what its actions mean, in the table and in its recordings alike."""

from vertebra.envs.calvin.protocols import Protocol
from vertebra.spec.action import ActionSpec, Frame, Gripper, Rotation
from vertebra.spec.observation import Camera, Dim, ObservationSpec

STATE = (
    *(Dim(name=f"tool_{axis}", unit="m") for axis in "xyz"),
    *(Dim(name=f"tool_{angle}", unit="rad") for angle in ("roll", "pitch", "yaw")),
    Dim(name="gripper_width", unit="m"),
    *(Dim(name=f"joint_{number}", unit="rad") for number in range(1, 8)),
    Dim(name="gripper_action", unit="1", low=-1.0, high=1.0),
)
ACTION = ActionSpec(
    dims=(
        *(Dim(name=f"delta_{axis}", unit="2 cm", low=-1.0, high=1.0) for axis in "xyz"),
        *(
            Dim(name=f"turn_{angle}", unit="0.05 rad", low=-1.0, high=1.0)
            for angle in ("roll", "pitch", "yaw")
        ),
        Dim(name="gripper", unit="1", low=-1.0, high=1.0),
    ),
    frame=Frame.DELTA,
    rotation=Rotation.RPY_XYZ,
    gripper=Gripper.OPEN_POSITIVE,
    rate_hz=30.0,
)


def offers(how: Protocol) -> ObservationSpec:
    """What an observation holds under a protocol."""
    return ObservationSpec(
        cameras=tuple(
            Camera(name=name, height=side, width=side) for name, side in how.cameras.items()
        ),
        state=STATE,
        rate_hz=how.rate_hz,
    )
