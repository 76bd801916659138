"""How often the cheapest way to a target is priced right, and how often "dearer" is false."""

import math
from dataclasses import dataclass

from vertebra.stats.scaling import fit_curve
from vertebra.study.errors import Share
from vertebra.study.scenarios import Bill
from vertebra.study.synthetic import SyntheticPilot, pilots, trainings
from vertebra.verdict.cheapest import Rates, spans_of, word_of
from vertebra.verdict.purchase import CHEAPEST, DEARER
from vertebra.verdict.rule import ALPHA


@dataclass(frozen=True, kw_only=True)
class Billed:
    """What was said about totals.

    Attributes:
        false: Pilots with any false word: an arm called dearer (or the cheapest) that is not.
        right: Pilots in which an arm that costs more than another was called dearer.
        covered: How often the nominal 95 % interval of the first arm's total held the truth, where
            its curve reached the target.
    """

    false: Share
    right: Share
    covered: Share


def measure_bill(case: Bill, how_many: int, seed: int) -> Billed:
    """Draw pilots and count what is said about their totals."""
    scenario, arms = case.scenario, range(len(case.each))
    totals = [case.each[arm] * math.exp(scenario.needed(arm)) + case.once[arm] for arm in arms]
    least = min(totals)
    dear = {str(arm) for arm in arms if totals[arm] > least * (1 + 1e-9)}
    unique = {str(totals.index(least))} if len(dear) == len(totals) - 1 else set[str]()
    false = right = held = given = 0
    for pilot in pilots(scenario, how_many, seed):
        words, ends = _words(case, pilot)
        called = {word: {arm for arm, own in words.items() if own == word} for word in _WORDS}
        false += bool(called[DEARER] - dear or called[CHEAPEST] - unique)
        right += bool(called[DEARER] & dear)
        if ends is not None:
            given += 1
            held += ends[0] <= totals[0] <= ends[1]
    return Billed(
        false=Share(count=false, trials=how_many),
        right=Share(count=right, trials=how_many),
        covered=Share(count=held, trials=given),
    )


_WORDS = (DEARER, CHEAPEST)


def _words(case: Bill, pilot: SyntheticPilot) -> tuple[dict[str, str], tuple[float, float] | None]:
    """The word of every arm that has a total, and the interval of the first arm's alone."""
    target = case.scenario.criteria.target_success
    found = {
        str(arm): (fit_curve(trainings(case.scenario, pilot.success[arm])), rates)
        for arm, rates in enumerate(map(_rates, case.each, case.once))
    }
    reached = {
        arm: (curve, rates)
        for arm, (curve, rates) in found.items()
        if curve is not None and curve.reaching(target) is not None
    }
    spans = spans_of(reached, target, ALPHA)
    alone = spans_of({"0": reached["0"]}, target, ALPHA)["0"] if "0" in reached else None
    return {arm: word_of(arm, spans) for arm in spans}, alone


def _rates(each: float, once: float) -> Rates:
    return Rates(
        labels=0.0,
        video_frames=0.0,
        gpu_hours=0.0,
        demonstration=each,
        label=0.0,
        video=0.0,
        training=once,
    )
