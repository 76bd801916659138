"""Schedules as data."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ActionOnly:
    """Encode what is given once, then denoise the action alone.

    Attributes:
        steps: Euler steps from noise to action.
    """

    steps: int = 10


@dataclass(frozen=True, kw_only=True)
class Together:
    """Denoise action and imagined frames in the same steps, at the same flow time.

    Attributes:
        steps: Euler steps.
    """

    steps: int = 10


@dataclass(frozen=True, kw_only=True)
class VideoFirst:
    """Denoise the imagined frames to the end, then the action that reads them.

    Attributes:
        video_steps: Euler steps of the imagined frames.
        steps: Euler steps of the action.
    """

    video_steps: int = 10
    steps: int = 10


Schedule = ActionOnly | Together | VideoFirst
