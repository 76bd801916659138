"""What a budget can find out: designs of a pilot, their cost, and how often they end in silence.

Every design that the budget pays for is simulated with the rule that will judge it. More than one
number of demonstrations is planned only when the demonstrations to a target decide.
"""

import math
from dataclasses import dataclass, replace
from itertools import product

from vertebra.spec.criteria import DEMONSTRATIONS, Criteria
from vertebra.study.errors import Share, measure
from vertebra.study.synthetic import Scenario, Truth

SEEDS = (3, 4, 5, 7, 10, 15)
ROLLOUTS = (30, 50, 100, 200)
SIZES = (1, 3, 5)
MOST = 12
"""Designs that are simulated: those with the most seeds, then the most rollouts, for the budget."""
SEED = 7


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What is to be found out, and what may be spent.

    Attributes:
        criteria: What the verdict will be judged by.
        arms: Sighted arms.
        twins: Whether blind twins are trained at the largest number of demonstrations.
        most: Largest number of demonstrations that can be had.
        difference: True difference of rates that should be found.
        ratio: True ratio of demonstrations that should be found.
        success: Success rate expected of the better arm at the largest number.
        seed_sd: How much training seeds are expected to differ, in logits.
        gpu_hours: Hours of training that may be spent.
        operator_hours: Hours of evaluation that may be spent.
        training_hours: Hours of one training.
        rollout_minutes: Minutes of an operator for one rollout; 0 in a simulator.
        pilots: Synthetic pilots a design.
    """

    criteria: Criteria
    arms: int = 2
    twins: bool = True
    most: int = 800
    difference: float = 0.2
    ratio: float = 2.0
    success: float = 0.7
    seed_sd: float = 0.4
    gpu_hours: float
    operator_hours: float
    training_hours: float = 1.0
    rollout_minutes: float = 1.0
    pilots: int = 300

    def __post_init__(self) -> None:
        found: list[str] = []
        if not 0 < self.difference < self.success < 1:
            found.append(
                f"difference {self.difference} and success {self.success}; expected are shares "
                "with 0 < difference < success < 1"
            )
        if self.ratio <= 1:
            found.append(f"ratio is {self.ratio}; more than 1 is expected")
        if self.arms < 2:
            found.append(f"{self.arms} arms; at least 2 are needed to compare")
        found += [
            f"{name} is {getattr(self, name)}; more than 0 is expected"
            for name in ("gpu_hours", "operator_hours", "training_hours")
            if not getattr(self, name) > 0
        ]
        if self.rollout_minutes < 0 or self.seed_sd < 0 or self.pilots < 1 or self.most < 2:
            found.append("rollout_minutes, seed_sd, pilots and most cannot be that small")
        if found:
            raise ValueError("No pilot can be planned from this:\n  - " + "\n  - ".join(found))


@dataclass(frozen=True, kw_only=True)
class Design:
    """One way to spend it.

    Attributes:
        counts: Numbers of demonstrations.
        seeds: Training seeds.
        rollouts: Scenes for each training.
        trainings: Of all arms and twins.
        gpu_hours: For training.
        operator_hours: For evaluation.
        demonstrations: To be recorded.
        total: Price of all of it, by the prices of the criteria; ``None`` without prices.
    """

    counts: tuple[int, ...]
    seeds: int
    rollouts: int
    trainings: int
    gpu_hours: float
    operator_hours: float
    demonstrations: int
    total: float | None


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What a design would find.

    Attributes:
        design: The design.
        power: How often the right arm is called better, when it is by what was wished.
        cannot_tell: How often such a pilot ends in "cannot tell".
        false_better: How often equal arms are called better.
    """

    design: Design
    power: Share
    cannot_tell: Share
    false_better: Share


def proposals(wish: Wish) -> tuple[Forecast, ...]:
    """Designs inside the budget, the most powerful first, then the cheapest.

    Raises:
        ValueError: When the budget does not pay for three seeds; with what would.
    """
    designs = affordable(wish)
    if not designs:
        least = _design(wish, _sizes(wish)[0], SEEDS[0], ROLLOUTS[0])
        raise ValueError(
            f"{wish.gpu_hours:g} GPU-hours and {wish.operator_hours:g} operator-hours do not pay "
            "for three training seeds, and with fewer the verdict is always 'cannot tell'. The "
            f"smallest pilot takes {least.gpu_hours:.1f} GPU-hours and "
            f"{least.operator_hours:.1f} operator-hours; give more, or cheaper trainings and "
            "rollouts."
        )
    found = [forecast(wish, design) for design in designs]
    found.sort(key=lambda f: (-f.power.value, f.design.gpu_hours + f.design.operator_hours))
    return tuple(found)


def affordable(wish: Wish) -> tuple[Design, ...]:
    """The designs to be simulated: for each number of sizes the best that the budget pays for."""
    found = [
        _design(wish, size, seeds, rollouts)
        for size, seeds, rollouts in product(_sizes(wish), SEEDS, ROLLOUTS)
    ]
    paid = [
        d
        for d in found
        if d.gpu_hours <= wish.gpu_hours * (1 + 1e-9)
        and d.operator_hours <= wish.operator_hours * (1 + 1e-9)
    ]
    useful = [d for d in paid if not any(_contains(other, d) for other in paid)]
    useful.sort(key=lambda d: (-d.seeds, -d.rollouts, -len(d.counts)))
    return tuple(useful[:MOST])


def forecast(wish: Wish, design: Design) -> Forecast:
    """Simulate a design, once with the wished difference and once with equal arms."""
    truth = scenario(wish, design)
    equal = replace(truth, arms=(truth.arms[0],) * len(truth.arms))
    found, null = measure(truth, wish.pilots, SEED), measure(equal, wish.pilots, SEED + 1)
    return Forecast(
        design=design,
        power=found.right_better,
        cannot_tell=found.silent,
        false_better=null.false_better,
    )


def scenario(wish: Wish, design: Design) -> Scenario:
    """The truth that was wished for: the first arm is ahead of the second, the others equal it."""
    slope = 1.0
    top = _logit(wish, wish.success)
    behind = _logit(wish, wish.success - wish.difference)
    if DEMONSTRATIONS in wish.criteria.endpoints:
        behind = top - slope * math.log(wish.ratio)
    arms = (Truth(logit=top, seed_sd=wish.seed_sd), Truth(logit=behind, seed_sd=wish.seed_sd))
    return Scenario(
        arms=arms + (arms[1],) * (wish.arms - 2),
        counts=design.counts,
        seeds=design.seeds,
        rollouts=design.rollouts,
        slope=slope,
        criteria=wish.criteria,
    )


def _logit(wish: Wish, rate: float) -> float:
    """The logit of an arm whose rate, averaged over seeds and scenes, is this."""
    low, high = -20.0, 20.0
    for _ in range(40):
        middle = (low + high) / 2
        arm = Truth(logit=middle, seed_sd=wish.seed_sd)
        reached = Scenario(arms=(arm,), counts=(wish.most,)).rate(0, wish.most) >= rate
        low, high = (low, middle) if reached else (middle, high)
    return high


def _sizes(wish: Wish) -> list[int]:
    """How many numbers of demonstrations to try; more than one only where that can decide."""
    decides = DEMONSTRATIONS in wish.criteria.endpoints
    return [size for size in SIZES if (size > 1) == decides]


def _design(wish: Wish, size: int, seeds: int, rollouts: int) -> Design:
    """A design with halving numbers of demonstrations, and its cost."""
    counts = tuple(sorted({max(1, round(wish.most / 2**k)) for k in range(size)}))
    trainings = seeds * wish.arms * (len(counts) + (1 if wish.twins else 0))
    gpu_hours = trainings * wish.training_hours
    operator_hours = trainings * rollouts * wish.rollout_minutes / 60
    criteria = wish.criteria
    total = (
        wish.most * (criteria.demonstration_cost + criteria.label_cost)
        + gpu_hours * criteria.gpu_hour_cost
        + operator_hours * criteria.operator_hour_cost
    )
    return Design(
        counts=counts,
        seeds=seeds,
        rollouts=rollouts,
        trainings=trainings,
        gpu_hours=gpu_hours,
        operator_hours=operator_hours,
        demonstrations=wish.most,
        total=total if criteria.priced else None,
    )


def _contains(larger: Design, design: Design) -> bool:
    """Whether another design does all that this one does, and more."""
    return (
        larger != design
        and larger.seeds >= design.seeds
        and larger.rollouts >= design.rollouts
        and len(larger.counts) >= len(design.counts)
    )
