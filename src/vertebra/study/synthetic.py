"""Pilots drawn from known curves, and what the decision rule makes of them.

Truth: a training of arm a on N demonstrations with seed s succeeds in scene c with probability

    p = (1 - errors) * ceiling_a * sigmoid(logit_a + slope * ln(N / N_max) + e + u + v),

where the effect e of the seed has standard deviation ``seed_sd`` and a share ``sharing`` of its
variance is common to all N (nested subsets), u makes scenes easy or hard for all, and v suits them
to one arm. Errors count as failures. The rule is the one of every report: ``verdict.compare``
turns outcomes into evidence, ``verdict.rule`` decides.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from vertebra.spec.criteria import DEMONSTRATIONS, FOLLOWING, SUCCESS, Criteria
from vertebra.stats.crossed import Rollout
from vertebra.stats.distributions import sigmoid
from vertebra.stats.growth import Cell
from vertebra.verdict.compare import evidence_of_demonstrations, evidence_of_rates
from vertebra.verdict.rule import ALPHA, Decision, Evidence, decide, over_all

CHUNK = 250
"""Pilots drawn at once."""
Bits = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What one arm is really like.

    Attributes:
        logit: Logit (before ceiling and errors) at the largest number of demonstrations, for a
            scene and a seed of no effect.
        follows: The same for following instructions; ``logit`` when absent.
        ceiling: Success rate that more demonstrations approach.
        seed_sd: Standard deviation of the effect of a training seed, in logits.
    """

    logit: float = 0.6
    follows: float | None = None
    ceiling: float = 1.0
    seed_sd: float = 0.4


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A pilot and its truth.

    Attributes:
        arms: What is compared.
        counts: Numbers of demonstrations, ascending.
        seeds: Training seeds of each arm and number.
        rollouts: Scenes that each training is evaluated in, the same for all.
        slope: Logits per e-fold of demonstrations.
        sharing: Share of the seeds' variance that is common to all numbers of demonstrations.
        scene_sd: How much scenes differ for all arms, in logits.
        suited_sd: How much scenes suit one arm or the other, in logits.
        errors: Share of episodes that end in an error.
        criteria: What the verdict is judged by.
    """

    arms: tuple[Truth, ...] = (Truth(), Truth())
    counts: tuple[int, ...] = (50, 100, 200, 400, 800)
    seeds: int = 3
    rollouts: int = 50
    slope: float = 1.0
    sharing: float = 0.5
    scene_sd: float = 0.8
    suited_sd: float = 0.0
    errors: float = 0.0
    criteria: Criteria = field(default_factory=Criteria)

    def rate(self, arm: int, demonstrations: float, *, follows: bool = False) -> float:
        """True rate of an arm, averaged over seeds and scenes."""
        truth = self.arms[arm]
        logit = self.logit(arm, follows) + self.slope * math.log(demonstrations / self.counts[-1])
        spread = math.sqrt(truth.seed_sd**2 + self.scene_sd**2 + self.suited_sd**2)
        nodes, weights = np.polynomial.hermite_e.hermegauss(41)
        mean = float(weights @ sigmoid(logit + spread * nodes)) / math.sqrt(2 * math.pi)
        return (1 - self.errors) * truth.ceiling * mean

    def logit(self, arm: int, follows: bool) -> float:
        """Logit at the largest number of demonstrations in one measure."""
        truth = self.arms[arm]
        return truth.logit if not follows or truth.follows is None else truth.follows

    def difference(self, endpoint: str, first: int, second: int) -> float:
        """True difference: of rates at the largest number, or of ln(demonstrations to target)."""
        if endpoint != DEMONSTRATIONS:
            most, follows = self.counts[-1], endpoint == FOLLOWING
            one, other = (self.rate(arm, most, follows=follows) for arm in (first, second))
            return one - other
        return self.needed(second) - self.needed(first)

    def needed(self, arm: int) -> float:
        """Logarithm of the demonstrations to the target; infinite when it is never reached."""
        low, high = math.log(self.counts[0]) - 8, math.log(self.counts[-1]) + 12
        if self.rate(arm, math.exp(high)) < self.criteria.target_success:
            return math.inf
        for _ in range(50):
            middle = (low + high) / 2
            reached = self.rate(arm, math.exp(middle)) >= self.criteria.target_success
            low, high = (low, middle) if reached else (middle, high)
        return high


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What the rule said about one pair of arms of one pilot.

    Attributes:
        pair: Places of the arms.
        word: The word over all endpoints.
        evidence: One an endpoint.
        decisions: One an endpoint.
    """

    pair: tuple[int, int]
    word: str
    evidence: tuple[Evidence, ...]
    decisions: tuple[Decision, ...]


@dataclass(frozen=True, kw_only=True)
class SyntheticPilot:
    """Outcomes of one pilot.

    Attributes:
        success: [arms, seeds, counts, scenes].
        following: [arms, seeds, scenes], at the largest number of demonstrations.
    """

    success: Bits
    following: Bits


def pilots(scenario: Scenario, how_many: int, seed: int) -> Iterator[SyntheticPilot]:
    """Draw pilots."""
    rng = np.random.default_rng(seed)
    for start in range(0, how_many, CHUNK):
        yield from _drawn(scenario, min(CHUNK, how_many - start), rng)


def judged(scenario: Scenario, pilot: SyntheticPilot, level: float = ALPHA) -> tuple[Outcome, ...]:
    """The rule on one pilot, for every pair of arms, at the level of a look."""
    pairs = list(combinations(range(len(scenario.arms)), 2))
    endpoints = scenario.criteria.endpoints
    evidence = [_evidence(scenario, pilot, pair, end) for pair in pairs for end in endpoints]
    decisions = decide(evidence, level)
    each = len(endpoints)
    return tuple(
        Outcome(
            pair=pair,
            word=over_all([d.word for d in decisions[i * each : (i + 1) * each]]),
            evidence=tuple(evidence[i * each : (i + 1) * each]),
            decisions=decisions[i * each : (i + 1) * each],
        )
        for i, pair in enumerate(pairs)
    )


def begun(pilot: SyntheticPilot, seeds: int) -> SyntheticPilot:
    """A pilot as it was when only the first training seeds had been planned."""
    return SyntheticPilot(success=pilot.success[:, :seeds], following=pilot.following[:, :seeds])


def _drawn(scenario: Scenario, n: int, rng: np.random.Generator) -> Iterator[SyntheticPilot]:
    arms, seeds, scenes = len(scenario.arms), scenario.seeds, scenario.rollouts
    sizes = (n, arms, seeds, len(scenario.counts), scenes)
    sd = np.array([truth.seed_sd for truth in scenario.arms])[:, None, None, None]
    ceiling = np.array([truth.ceiling for truth in scenario.arms])[:, None, None, None]
    common = math.sqrt(scenario.sharing) * rng.normal(size=(n, arms, seeds, 1, 1))
    own = math.sqrt(1 - scenario.sharing) * rng.normal(size=(n, arms, seeds, sizes[3], 1))
    scene = scenario.scene_sd * rng.normal(size=(n, 1, 1, 1, scenes))
    suited = scenario.suited_sd * rng.normal(size=(n, arms, 1, 1, scenes))
    effects = sd * (common + own) + scene + suited
    growth = scenario.slope * np.log(np.array(scenario.counts) / scenario.counts[-1])

    def draw(follows: bool, part: slice) -> Bits:
        logits = np.array([scenario.logit(arm, follows) for arm in range(arms)])
        level = logits[:, None, None, None] + growth[part, None]
        share = (1 - scenario.errors) * ceiling * sigmoid(level + effects[..., part, :])
        return rng.random(share.shape) < share

    success = draw(False, slice(None))
    following = draw(True, slice(-1, None))[..., 0, :]
    for one, other in zip(success, following, strict=True):
        yield SyntheticPilot(success=one, following=other)


def _evidence(
    scenario: Scenario, pilot: SyntheticPilot, pair: tuple[int, int], endpoint: str
) -> Evidence:
    names = (str(pair[0]), str(pair[1]))
    if endpoint == DEMONSTRATIONS:
        cells = [trainings(scenario, pilot.success[arm]) for arm in pair]
        return evidence_of_demonstrations(names, cells, scenario.criteria)[0]
    table = pilot.success[:, :, -1] if endpoint == SUCCESS else pilot.following
    rows = [_rollouts(table[arm]) for arm in pair]
    return evidence_of_rates(endpoint, names, rows, scenario.criteria.minimum_difference)


def _rollouts(table: Bits) -> list[Rollout]:
    """[seeds, scenes] as rollouts."""
    return [
        Rollout(value=float(value), seed=s, state=c)
        for s, row in enumerate(table.tolist())
        for c, value in enumerate(row)
    ]


def trainings(scenario: Scenario, table: Bits) -> list[Cell]:
    """[seeds, counts, scenes] as trainings."""
    hits = table.sum(axis=2)
    return [
        Cell(
            demonstrations=count,
            successes=int(hits[s, k]),
            trials=table.shape[2],
            seed=s,
        )
        for s in range(table.shape[0])
        for k, count in enumerate(scenario.counts)
    ]
