"""What a policy is shown: cameras, proprioception, an instruction."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Camera:
    """One camera. Images are uint8, height x width x RGB, origin top left."""

    name: str
    height: int
    width: int


@dataclass(frozen=True, kw_only=True)
class Dim:
    """One number of a state or action vector.

    Attributes:
        name: What it is, for example ``tool_x``.
        unit: ``m``, ``rad``, ``1`` (dimensionless), ``m/step`` ...
        low: Smallest legal value, ``None`` when unbounded.
        high: Largest legal value, ``None`` when unbounded.
    """

    name: str
    unit: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, kw_only=True)
class ObservationSpec:
    """What an environment offers or a policy needs.

    Attributes:
        cameras: In the order in which a policy stacks them.
        state: Proprioception, one entry a number.
        rate_hz: Control rate at which observations arrive.
        language: Whether an instruction comes with the observation.
    """

    cameras: tuple[Camera, ...]
    state: tuple[Dim, ...]
    rate_hz: float
    language: bool = True


@dataclass(frozen=True, kw_only=True)
class Observation:
    """One observation.

    Attributes:
        images: Camera name to uint8 [height, width, 3].
        state: float32 [len(spec.state)], in the units of the spec.
        instruction: What the robot was told; empty when nothing was said.
        executed: float32 [n, len(action dims)], the actions really executed since the last
            observation that a policy saw (n = 0 at the start of an episode).
    """

    images: Mapping[str, NDArray[np.uint8]]
    state: NDArray[np.float32]
    instruction: str
    executed: NDArray[np.float32]
