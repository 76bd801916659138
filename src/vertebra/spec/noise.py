"""Noise as data: how flow times are drawn, how losses are weighted, how a sampler steps.

There is one time: 0 is noise, 1 is data, and the point at time t is ``t * data + (1 - t) * noise``.
Other conventions are read at a point of that path, after one scaling:

- EDM adds noise of level sigma: ``data + sigma * noise`` is ``1 / t`` times the point at
  ``t = 1 / (1 + sigma)``.
- DDPM mixes ``sqrt(abar) * data + sqrt(1 - abar) * noise``: sigma is
  ``sqrt((1 - abar) / abar)``, and the mix is ``sqrt(abar) + sqrt(1 - abar)`` times that point.

Noise levels (1 - t, sigma, abar) keep the direction of their sources; only times are turned.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


def _require(owner: object, rules: Mapping[str, bool]) -> None:
    """Raise one ValueError with every rule that does not hold."""
    broken = [rule for rule, holds in rules.items() if not holds]
    if broken:
        raise ValueError(f"{owner}: " + "; ".join(broken) + ".")


@dataclass(frozen=True, kw_only=True)
class BetaTimes:
    """Times t = 1 - (scale * Beta(a, b) + 1 - scale), which favours the noisy end for a > b.

    Source: openpi src/openpi/models/pi0.py @ 15a9616 (a=1.5, b=1, scale=0.999; its time 1 is
    noise).
    """

    a: float = 1.5
    b: float = 1.0
    scale: float = 0.999

    def __post_init__(self) -> None:
        _require(
            self,
            {
                "a must be positive": 0 < self.a < math.inf,
                "b must be positive": 0 < self.b < math.inf,
                "scale must lie in (0, 1]": 0 < self.scale <= 1,
            },
        )


@dataclass(frozen=True, kw_only=True)
class ShiftedUniform:
    """Noise level s = shift * u / (1 + (shift - 1) * u) with u uniform; time t = 1 - s.

    Source: FastWAM src/fastwam/models/wan22/schedulers/scheduler_continuous.py @ 45d8e14 (shift 5).
    """

    shift: float = 5.0

    def __post_init__(self) -> None:
        _require(self, {"shift must be positive": 0 < self.shift < math.inf})


@dataclass(frozen=True, kw_only=True)
class LogitNormal:
    """Noise level s with logit(s) normal, then shifted as in ``ShiftedUniform``; time t = 1 - s.

    Shifting adds ln(shift) to the mean of the logit.

    Source: Esser et al., arXiv:2403.03206, sections 3.1 and 5.3.2 (mean 0, std 1, shift 3).
    """

    mean: float = 0.0
    std: float = 1.0
    shift: float = 1.0

    def __post_init__(self) -> None:
        _require(
            self,
            {
                "mean must be finite": math.isfinite(self.mean),
                "std must be positive": 0 < self.std < math.inf,
                "shift must be positive": 0 < self.shift < math.inf,
            },
        )


@dataclass(frozen=True, kw_only=True)
class LogNormalSigma:
    """EDM noise level sigma; time t = 1 / (1 + sigma).

    With probability ``uniform_share`` sigma is uniform in [low, high], else ln(sigma) is normal.
    Without the uniform share these are the times of ``LogitNormal`` with equal mean and std.

    Source: Karras et al., arXiv:2206.00364, table 1 (mean -1.2, std 1.2); the mixture: Cosmos
    Policy cosmos_policy/modules/hybrid_edm_sde.py @ 18a2acc (mean ln 4, std 1.2, 30 % in [1, 85]).
    """

    mean: float = -1.2
    std: float = 1.2
    uniform_share: float = 0.0
    low: float = 1.0
    high: float = 85.0

    def __post_init__(self) -> None:
        _require(
            self,
            {
                "mean must be finite": math.isfinite(self.mean),
                "std must be positive": 0 < self.std < math.inf,
                "uniform_share must lie in [0, 1]": 0 <= self.uniform_share <= 1,
                "0 <= low < high must hold": 0 <= self.low < self.high < math.inf,
            },
        )


@dataclass(frozen=True, kw_only=True)
class DiscreteSteps:
    """One of the ``count`` noise levels of DDPM, all equally likely; t = 1 / (1 + sigma).

    ``linear``: betas grow evenly from 0.0001 to 0.02, whatever the count. ``cosine``: abar is
    cos((k / count + 0.008) / 1.008 * pi / 2) ** 2, divided by its value at k = 0, with betas capped
    at 0.999.

    Source: Ho et al., arXiv:2006.11239, section 4 (linear, 1000); Nichol and Dhariwal,
    arXiv:2102.09672, section 3.2 (cosine).
    """

    count: int = 1000
    curve: Literal["linear", "cosine"] = "cosine"

    def __post_init__(self) -> None:
        _require(
            self,
            {
                "count must be 1 or more": self.count >= 1,
                "curve must be 'linear' or 'cosine'": self.curve in ("linear", "cosine"),
            },
        )


@dataclass(frozen=True, kw_only=True)
class Between:
    """Times uniform in [low, high].

    Source: LingBot-VA, arXiv:2601.21998 (history of imagined frames read at [0.5, 1]).
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        _require(self, {"0 <= low <= high <= 1 must hold": 0 <= self.low <= self.high <= 1})


SimpleTimes = BetaTimes | ShiftedUniform | LogitNormal | LogNormalSigma | DiscreteSteps | Between


@dataclass(frozen=True, kw_only=True)
class PartlyClean:
    """Time exactly 1 (the data itself) with probability ``clean``, else ``otherwise``.

    Source: LingBot-VA, arXiv:2601.21998 (clean 0.5, otherwise [0.5, 1]); FastWAM
    src/fastwam/models/wan22/fastwam_idm.py @ 45d8e14 (clean 0.5, otherwise shifted uniform).
    """

    clean: float
    otherwise: SimpleTimes

    def __post_init__(self) -> None:
        _require(self, {"clean must lie in [0, 1]": 0 <= self.clean <= 1})


@dataclass(frozen=True, kw_only=True)
class SameAs:
    """The time that is drawn for another stream of the same sample."""

    stream: str

    def __post_init__(self) -> None:
        _require(self, {"the stream must be named": bool(self.stream)})


Times = SimpleTimes | PartlyClean | SameAs


@dataclass(frozen=True, kw_only=True)
class Flat:
    """All times count alike in the squared error of what the network predicts."""


@dataclass(frozen=True, kw_only=True)
class Bell:
    """Squared velocity error times a bell over the noise level s = 1 - t.

    The weight is (exp(-2 * (s - 0.5) ** 2) - exp(-0.5)) / m: zero at both ends, greatest in the
    middle. m is the mean of the numerator over the 1000 levels phi(1), phi(0.999), ..., phi(0.001)
    with phi of ``ShiftedUniform``, so the weights of times drawn with this shift have mean 1.

    Source: "BSMNTW" in FastWAM src/fastwam/models/wan22/schedulers/scheduler_continuous.py
    @ 45d8e14; the same numbers in LingBot-VA wan_va/utils/scheduler.py @ 6f092cb and DreamZero
    groot/vla/model/dreamzero/modules/flow_match_scheduler.py @ ab790c1, from DiffSynth-Studio.
    """

    shift: float = 5.0

    def __post_init__(self) -> None:
        _require(self, {"shift must be positive": 0 < self.shift < math.inf})


@dataclass(frozen=True, kw_only=True)
class EdmWeight:
    """Squared error of the data times (sigma ** 2 + sigma_data ** 2) / (sigma * sigma_data) ** 2.

    Source: Karras et al., arXiv:2206.00364, table 1 (sigma_data 0.5).
    """

    sigma_data: float = 0.5

    def __post_init__(self) -> None:
        _require(self, {"sigma_data must be positive": 0 < self.sigma_data < math.inf})


Weighting = Flat | Bell | EdmWeight


class Predicts(StrEnum):
    """What the output of a network means."""

    VELOCITY = "velocity"
    """data - noise."""
    DATA = "data"
    NOISE = "noise"
    """Undefined at time 0, where the point is the noise: sample on a grid that starts later."""


@dataclass(frozen=True, kw_only=True)
class UniformGrid:
    """Equal steps in time, from 0."""


@dataclass(frozen=True, kw_only=True)
class ShiftedGrid:
    """Equal steps in u from 1 to 0, where s = shift * u / (1 + (shift - 1) * u) and t = 1 - s.

    A shift above 1 takes smaller steps where it is noisy.

    Source: FastWAM src/fastwam/models/wan22/schedulers/scheduler_continuous.py @ 45d8e14.
    """

    shift: float = 5.0

    def __post_init__(self) -> None:
        _require(self, {"shift must be positive": 0 < self.shift < math.inf})


@dataclass(frozen=True, kw_only=True)
class KarrasGrid:
    """Equal steps in sigma ** (1 / rho) from sigma_max to sigma_min, then one to the data.

    n steps evaluate at n levels: sigma_max, ..., sigma_min (one step: at sigma_max only).

    Source: Karras et al., arXiv:2206.00364, equation 5 (80, 0.002, rho 7); Cosmos Policy
    cosmos_policy/modules/cosmos_sampler.py @ 18a2acc (80, 4, rho 7).
    """

    sigma_max: float = 80.0
    sigma_min: float = 0.002
    rho: float = 7.0

    def __post_init__(self) -> None:
        _require(
            self,
            {
                "0 < sigma_min < sigma_max must hold": 0
                < self.sigma_min
                < self.sigma_max
                < math.inf,
                "rho must be positive": 0 < self.rho < math.inf,
            },
        )


Grid = UniformGrid | ShiftedGrid | KarrasGrid
