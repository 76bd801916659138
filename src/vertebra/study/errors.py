"""How often the rule is wrong, right and silent in a scenario, and how often intervals cover."""

import math
from collections import Counter
from dataclasses import dataclass, replace

from vertebra.spec.criteria import DEMONSTRATIONS
from vertebra.stats.contrast import Contrast
from vertebra.stats.proportion import exact_bounds
from vertebra.stats.scaling import DemoRatio
from vertebra.study.scenarios import Looks
from vertebra.study.synthetic import Outcome, Scenario, begun, judged, pilots
from vertebra.verdict.rule import ALPHA, Evidence, level_at
from vertebra.verdict.summary import BETTER_FIRST, BETTER_SECOND, CANNOT_TELL, EQUIVALENT


@dataclass(frozen=True, kw_only=True)
class Share:
    """A count out of a number of trials."""

    count: int
    trials: int

    @property
    def value(self) -> float:
        """The share; not a number without trials."""
        return self.count / self.trials if self.trials else math.nan

    @property
    def upper(self) -> float:
        """Upper end of the exact two-sided 95 % interval."""
        return exact_bounds(self.count, self.trials, 0.95)[1] if self.trials else 1.0

    @property
    def lower(self) -> float:
        """Lower end of the exact two-sided 95 % interval."""
        return exact_bounds(self.count, self.trials, 0.95)[0] if self.trials else 0.0


@dataclass(frozen=True, kw_only=True)
class Errors:
    """What the rule did in a scenario.

    Attributes:
        scenario: The truth.
        false_better: Pilots with a false "better" for any pair: in a direction in which the true
            difference does not reach what matters in any endpoint.
        right_better: Pilots in which the first pair got the right "better".
        equivalent: Pilots in which the first pair was called equivalent.
        silent: Pilots in which the first pair ended in "cannot tell".
        covered: Endpoint to how often the nominal 95 % interval held the truth (first pair), where
            there was one.
    """

    scenario: Scenario
    false_better: Share
    right_better: Share
    equivalent: Share
    silent: Share
    covered: dict[str, Share]


def measure(scenario: Scenario, how_many: int, seed: int) -> Errors:
    """Draw pilots and count what the rule says about them."""
    pairs = [outcome.pair for outcome in judged(scenario, next(pilots(scenario, 1, seed)))]
    endpoints = scenario.criteria.endpoints
    truth = {(e, *pair): scenario.difference(e, *pair) for e in endpoints for pair in pairs}
    allowed = {pair: _allowed(scenario, truth, pair) for pair in pairs}
    wrong, words = 0, Counter[str]()
    held: Counter[str] = Counter()
    given: Counter[str] = Counter()
    for pilot in pilots(scenario, how_many, seed):
        outcomes = judged(scenario, pilot)
        wrong += any(_is_better(o) and o.word not in allowed[o.pair] for o in outcomes)
        words[outcomes[0].word] += 1
        for evidence in outcomes[0].evidence:
            ends = interval(evidence)
            if ends is not None:
                given[evidence.endpoint] += 1
                true = truth[(evidence.endpoint, *pairs[0])]
                held[evidence.endpoint] += ends[0] <= true <= ends[1]
    return Errors(
        scenario=scenario,
        false_better=Share(count=wrong, trials=how_many),
        right_better=Share(count=sum(words[w] for w in allowed[pairs[0]]), trials=how_many),
        equivalent=Share(count=words[EQUIVALENT], trials=how_many),
        silent=Share(count=words[CANNOT_TELL], trials=how_many),
        covered={name: Share(count=held[name], trials=given[name]) for name in endpoints},
    )


def measure_looks(case: Looks, how_many: int, seed: int) -> tuple[Share, Share]:
    """Draw pilots that are extended by seeds for as long as the rule cannot tell.

    Args:
        case: The truth, and the seeds at each look.
        how_many: Pilots.
        seed: Seed of the draw.

    Returns:
        How often a false "better" was said at any look, and a right one.
    """
    scenario = replace(case.scenario, seeds=case.seeds[-1])
    truth = {(e, 0, 1): scenario.difference(e, 0, 1) for e in scenario.criteria.endpoints}
    allowed = _allowed(scenario, dict[tuple[str, int, int], float](truth), (0, 1))
    wrong = right = 0
    for pilot in pilots(scenario, how_many, seed):
        word = CANNOT_TELL
        for look, seeds in enumerate(case.seeds, start=1):
            level = level_at(look) if case.spends else ALPHA
            word = judged(scenario, begun(pilot, seeds), level)[0].word
            if word != CANNOT_TELL:
                break
        better = word in (BETTER_FIRST, BETTER_SECOND)
        wrong += better and word not in allowed
        right += better and word in allowed
    return Share(count=wrong, trials=how_many), Share(count=right, trials=how_many)


def interval(evidence: Evidence) -> tuple[float, float] | None:
    """The nominal 95 % interval of a piece of evidence, if there is one."""
    found = evidence.found
    if isinstance(found, Contrast):
        return found.value - found.half(), found.value + found.half()
    return found.interval() if isinstance(found, DemoRatio) else None


def _is_better(outcome: Outcome) -> bool:
    return outcome.word in (BETTER_FIRST, BETTER_SECOND)


def _allowed(
    scenario: Scenario, truth: dict[tuple[str, int, int], float], pair: tuple[int, int]
) -> set[str]:
    """The words "better" that are true of a pair."""
    found: set[str] = set()
    for endpoint in scenario.criteria.endpoints:
        value, criteria = truth[(endpoint, *pair)], scenario.criteria
        least = criteria.minimum_difference
        if endpoint == DEMONSTRATIONS:
            least = math.log(criteria.minimum_ratio)
        if value > least + 1e-9:
            found.add(BETTER_FIRST)
        if value < -least - 1e-9:
            found.add(BETTER_SECOND)
    return found
