"""The question behind a pilot: what would be good enough, by how much, how fast, at which price.

Locked with a hash before anything runs, so that nobody can choose the yardstick after seeing the
numbers. The decision rule takes every threshold from here.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from vertebra.spec.storage import digest, to_plain

FOLLOWING, SUCCESS, DEMONSTRATIONS = "following", "success", "demonstrations"
ENDPOINTS = (FOLLOWING, SUCCESS, DEMONSTRATIONS)
"""What two arms can be compared in: share of instructions followed, success rate, and the number of
demonstrations that the target takes."""


@dataclass(frozen=True, kw_only=True)
class Criteria:
    """What the verdict is judged by.

    Prices are in any one currency; all zero means that no total is asked for.
    """

    target_success: float = 0.6
    """Success rate whose price in demonstrations is asked for."""
    minimum_difference: float = 0.05
    """Smallest difference of rates that matters; less is equivalent."""
    minimum_ratio: float = 1.25
    """Smallest ratio of demonstrations that matters."""
    endpoints: tuple[str, ...] = (FOLLOWING, SUCCESS)
    """What decides: following, success, demonstrations. Corrected for their number."""
    latency_limit_s: float | None = None
    """Seconds that a chunk may take (p95); slower arms cannot win."""
    control_rate_hz: float | None = None
    """Control rate of the robot; a chunk may take one period when no limit is given."""
    mix: Mapping[str, float] = field(default_factory=dict[str, float])
    """Weights of skills in the task mix; as evaluated by default."""
    tuning_trials: int = 0
    """Settings that were tried for each arm before the pilot, the same number for all."""
    demonstration_cost: float = 0.0
    """Price of one demonstration."""
    label_cost: float = 0.0
    """Price of one language label."""
    video_frame_cost: float = 0.0
    """Price of one frame of video used as target (an hour is 3600 x its rate)."""
    gpu_hour_cost: float = 0.0
    """Price of one hour of training."""
    operator_hour_cost: float = 0.0
    """Price of one hour of an operator at evaluations."""

    def __post_init__(self) -> None:
        found = [*self._thresholds(), *self._lists()]
        found += [
            f"{name} is {getattr(self, name)}; at least 0 is expected"
            for name in PRICES
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) >= 0)
        ]
        if found:
            raise ValueError("These criteria cannot be used:\n  - " + "\n  - ".join(found))

    def _thresholds(self) -> list[str]:
        found: list[str] = []
        for name, low, high in (("target_success", 0, 1), ("minimum_difference", 0, 1)):
            value = getattr(self, name)
            inside = low < value < high or (name == "minimum_difference" and value == 0)
            if not inside:
                found.append(f"{name} is {value}; a share between 0 and 1 is expected")
        if not (math.isfinite(self.minimum_ratio) and self.minimum_ratio >= 1):
            found.append(f"minimum_ratio is {self.minimum_ratio}; at least 1 is expected")
        for name in ("latency_limit_s", "control_rate_hz"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                found.append(f"{name} is {value}; more than 0 is expected, or nothing")
        if self.tuning_trials < 0:
            found.append(f"tuning_trials is {self.tuning_trials}; at least 0 is expected")
        return found

    def _lists(self) -> list[str]:
        found: list[str] = []
        unknown = [name for name in self.endpoints if name not in ENDPOINTS]
        if unknown or not self.endpoints or len(set(self.endpoints)) < len(self.endpoints):
            found.append(f"endpoints are {self.endpoints}; give each of {ENDPOINTS} at most once")
        weights = list(self.mix.values())
        if self.mix and not (min(weights) >= 0 and sum(weights) > 0):
            found.append(f"mix is {dict(self.mix)}; weights of at least 0 are expected, not all 0")
        return found

    @property
    def limit_s(self) -> float | None:
        """Seconds that a chunk may take: the limit, else one period of the control rate."""
        if self.latency_limit_s is not None or self.control_rate_hz is None:
            return self.latency_limit_s
        return 1 / self.control_rate_hz

    @property
    def priced(self) -> bool:
        """Whether any price is given."""
        return any(getattr(self, name) > 0 for name in PRICES)

    @property
    def hash(self) -> str:
        """Hash of all of it."""
        return digest(self)


PRICES = (
    *("demonstration_cost", "label_cost", "video_frame_cost"),
    *("gpu_hour_cost", "operator_hour_cost"),
)


def criteria_from_plain(plain: Mapping[str, Any]) -> Criteria:
    """Read criteria that were written as JSON.

    Raises:
        ValueError: On unknown fields or values that cannot be used (all named).
    """
    known = {f.name: f.default for f in fields(Criteria)}
    found = [f"{name} is unknown; known are {sorted(known)}" for name in set(plain) - set(known)]
    values: dict[str, Any] = {}
    for name, value in plain.items():
        try:
            values[name] = _value(name, value)
        except (TypeError, ValueError, AttributeError):
            found.append(f"{name} is {value!r}, which is of another kind")
    if found:
        raise ValueError("These criteria cannot be read:\n  - " + "\n  - ".join(sorted(found)))
    return Criteria(**values)


def _value(name: str, value: Any) -> Any:
    if name == "endpoints":
        return tuple(str(one) for one in value)
    if name == "mix":
        return {str(skill): float(weight) for skill, weight in value.items()}
    if name == "tuning_trials":
        return int(value)
    if name in ("latency_limit_s", "control_rate_hz"):
        return None if value is None else float(value)
    return float(value)


def criteria_changes(locked: Criteria, used: Criteria) -> list[str]:
    """Every criterion that differs, in words."""
    one, other = to_plain(locked), to_plain(used)
    return [
        f"{name}: locked is {one[name]}, used is {other[name]}"
        for name in one
        if one[name] != other[name]
    ]
