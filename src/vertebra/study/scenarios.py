"""The scenarios of the study: what is claimed about the rule is measured in these."""

import math
from dataclasses import dataclass, replace

from vertebra.spec.criteria import DEMONSTRATIONS, FOLLOWING, SUCCESS, Criteria
from vertebra.study.synthetic import Scenario, Truth

ALL_THREE = (FOLLOWING, SUCCESS, DEMONSTRATIONS)
POWER_CASE = "demonstrations, any difference counts"
"""The case that power is quoted from: a factor of two, 5 numbers x 3 seeds x 50 rollouts."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A scenario with a name.

    Attributes:
        name: What is special about it.
        scenario: The truth.
    """

    name: str
    scenario: Scenario


@dataclass(frozen=True, kw_only=True)
class Looks:
    """A pilot that is extended by training seeds for as long as the rule cannot tell.

    Attributes:
        name: What is special about it.
        scenario: The truth.
        seeds: Training seeds of each arm at each look.
        true: Whether there is a difference.
        spends: Whether later looks are judged more strictly, as the rule does.
    """

    name: str
    scenario: Scenario
    seeds: tuple[int, ...]
    true: bool
    spends: bool = True


@dataclass(frozen=True, kw_only=True)
class Bill:
    """A pilot whose arms have prices.

    Attributes:
        name: What is special about it.
        scenario: The truth.
        each: Price of a demonstration, with all that comes with it, for every arm.
        once: Price of a training, for every arm.
    """

    name: str
    scenario: Scenario
    each: tuple[float, ...]
    once: tuple[float, ...]


def bills() -> tuple[Bill, ...]:
    """Pilots whose arms cost the same, and pilots in which one costs more."""
    null = Scenario(criteria=_any(DEMONSTRATIONS), rollouts=200)
    twice = replace(null, arms=_twice(1.0))
    four = replace(null, arms=(Truth(),) * 4)
    even, free = (2.0, 2.0), (0.0, 0.0)
    return (
        Bill(name="equal arms, equal prices", scenario=null, each=even, once=free),
        Bill(name="4 equal arms", scenario=four, each=(2.0,) * 4, once=(0.0,) * 4),
        Bill(
            name="twice the demonstrations at half the price",
            scenario=twice,
            each=(2.0, 1.0),
            once=free,
        ),
        Bill(name="equal arms, 5 times the price", scenario=null, each=(1.0, 5.0), once=free),
        Bill(
            name="twice the demonstrations, 4 times the price",
            scenario=twice,
            each=(1.0, 4.0),
            once=(10.0, 10.0),
        ),
    )


def extended() -> tuple[Looks, ...]:
    """Pilots without and with a true difference, judged once or again after extensions."""
    null = Scenario(criteria=_any(SUCCESS), rollouts=200)
    twice = replace(null, arms=_twice(1.0))
    three, five, ladder = (3,), (3, 5), (3, 5, 7, 9)
    found: list[Looks] = []
    for truth, scenario in (("no difference", null), ("a difference", twice)):
        once = Looks(
            name=f"{truth}: 3 seeds", scenario=scenario, seeds=three, true=scenario is twice
        )
        every = f"{truth}: 3, 5, 7, then 9 seeds, every look at 5 % (not the rule)"
        found += [
            once,
            replace(once, name=f"{truth}: 3, then 5 seeds", seeds=five),
            replace(once, name=f"{truth}: 3, 5, 7, then 9 seeds", seeds=ladder),
            replace(once, name=every, seeds=ladder, spends=False),
        ]
    return tuple(found)


def equal_arms() -> tuple[Case, ...]:
    """No true difference (or one that does not matter): every "better" is false."""
    null = Scenario(criteria=_any(SUCCESS))
    everything = replace(null, criteria=_any(*ALL_THREE))
    burden = replace(null, criteria=_any(DEMONSTRATIONS))
    uneven = (Truth(logit=0.0, seed_sd=0.6), Truth(logit=0.0, seed_sd=0.2))
    top = (Truth(logit=3.0), Truth(logit=3.0))
    return (
        Case(name="default criteria: following, success, 5 points", scenario=Scenario()),
        Case(name="success", scenario=null),
        Case(name="demonstrations", scenario=burden),
        Case(name="following, success, demonstrations", scenario=everything),
        Case(name="demonstrations, seeds share nothing", scenario=replace(burden, sharing=0.0)),
        Case(name="demonstrations, seeds share all", scenario=replace(burden, sharing=1.0)),
        Case(name="success, 200 rollouts", scenario=replace(null, rollouts=200)),
        Case(name="success, seeds vary by 0.8", scenario=_with_sd(null, 0.8)),
        Case(name="success, seeds vary by 0.6 and 0.2", scenario=replace(null, arms=uneven)),
        Case(
            name="success, seeds vary by 0.6 and 0.2, 200 rollouts",
            scenario=replace(null, arms=uneven, rollouts=200),
        ),
        Case(name="success, scenes suit one arm", scenario=replace(null, suited_sd=0.7)),
        Case(name="success, near the ceiling (ties)", scenario=replace(null, arms=top)),
        Case(name="success, 10 % errors", scenario=replace(null, errors=0.1)),
        Case(name="success, 4 arms (6 pairs)", scenario=replace(null, arms=(Truth(),) * 4)),
        Case(name="success, 10 seeds", scenario=replace(null, seeds=10)),
        Case(name="success, 10 seeds, 200 rollouts", scenario=_many(null)),
        Case(name="success, difference as large as the margin", scenario=_at_margin()),
        Case(name="all three, one seed", scenario=replace(everything, seeds=1)),
    )


def unequal_arms() -> tuple[Case, ...]:
    """True differences: the second arm needs twice the demonstrations, and others."""
    base = Scenario(arms=_twice(1.0))

    def judged_by(*endpoints: str) -> Scenario:
        return replace(base, criteria=Criteria(target_success=0.5, endpoints=endpoints))

    plain = replace(base, criteria=_any(DEMONSTRATIONS))
    steep = replace(plain, slope=1.2, arms=_twice(1.2))
    return (
        Case(name="success, margin", scenario=judged_by(SUCCESS)),
        Case(name="demonstrations, margin", scenario=judged_by(DEMONSTRATIONS)),
        Case(name="success, any difference", scenario=replace(plain, criteria=_any(SUCCESS))),
        Case(name=POWER_CASE, scenario=plain),
        Case(name="the same, seeds share nothing", scenario=replace(plain, sharing=0.0)),
        Case(name="the same, seeds share all", scenario=replace(plain, sharing=1.0)),
        Case(name="any difference, slope 1.2", scenario=steep),
        Case(name="any difference, seeds vary by 0.2", scenario=_with_sd(plain, 0.2)),
        Case(name="any difference, 200 rollouts", scenario=replace(plain, rollouts=200)),
        Case(name="any difference, 5 seeds", scenario=replace(plain, seeds=5)),
        Case(name="any difference, 10 seeds", scenario=replace(plain, seeds=10)),
        Case(name="unequal ceilings 0.95 and 0.75", scenario=_ceilings(plain)),
        Case(name="all three, margins", scenario=judged_by(*ALL_THREE)),
        Case(name="all three, any difference", scenario=replace(plain, criteria=_any(*ALL_THREE))),
        Case(name="all three, margins, one seed", scenario=replace(judged_by(*ALL_THREE), seeds=1)),
        Case(name="equal arms, 10 seeds, 200 rollouts, margin 10 points", scenario=_same()),
    )


def _any(*endpoints: str) -> Criteria:
    """Any difference counts: the hardest margins for false verdicts."""
    return Criteria(
        minimum_difference=0.0, minimum_ratio=1.0, target_success=0.5, endpoints=endpoints
    )


def _twice(slope: float) -> tuple[Truth, Truth]:
    """The second arm lags by a factor of two in demonstrations."""
    return Truth(logit=1.0), Truth(logit=1.0 - slope * math.log(2))


def _many(scenario: Scenario) -> Scenario:
    """So many seeds and rollouts that no floor makes the rule careful: it errs as often as said."""
    return replace(scenario, seeds=10, rollouts=200)


def _with_sd(scenario: Scenario, seed_sd: float) -> Scenario:
    return replace(scenario, arms=tuple(replace(arm, seed_sd=seed_sd) for arm in scenario.arms))


def _ceilings(scenario: Scenario) -> Scenario:
    first, second = scenario.arms
    arms = (replace(first, logit=1.6, ceiling=0.95), replace(second, logit=1.6, ceiling=0.75))
    return replace(scenario, arms=arms)


def _at_margin() -> Scenario:
    """A true difference of just what matters: calling it better would be false."""
    arms = (Truth(logit=0.6), Truth(logit=0.0))
    open_margin = Scenario(arms=arms, criteria=Criteria(endpoints=(SUCCESS,)))
    exact = open_margin.difference(SUCCESS, 0, 1)
    criteria = Criteria(endpoints=(SUCCESS,), minimum_difference=exact)
    return replace(open_margin, criteria=criteria)


def _same() -> Scenario:
    criteria = Criteria(endpoints=(SUCCESS,), minimum_difference=0.1)
    arms = (Truth(seed_sd=0.2), Truth(seed_sd=0.2))
    return Scenario(arms=arms, seeds=10, rollouts=200, criteria=criteria)
