"""Noise descriptions as data: how flow times are drawn. Time 0 is noise and time 1 is data."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class BetaTimes:
    """Times t = 1 - (scale * Beta(a, b) + 1 - scale), which favours the noisy end for a > b.

    Source: openpi src/openpi/models/pi0.py @ 15a9616 (a=1.5, b=1, scale=0.999; its time 1 is
    noise).
    """

    a: float = 1.5
    b: float = 1.0
    scale: float = 0.999


@dataclass(frozen=True, kw_only=True)
class ShiftedUniform:
    """Noise level s = shift * u / (1 + (shift - 1) * u) with u uniform; time t = 1 - s.

    Source: FastWAM src/fastwam/models/wan22/schedulers/scheduler_continuous.py @ 45d8e14 (shift 5).
    """

    shift: float = 5.0


Times = BetaTimes | ShiftedUniform
