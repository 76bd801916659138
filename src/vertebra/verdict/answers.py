"""Four short answers beside the headline: how sure, what it costs, what is missing, what next."""

from collections.abc import Sequence
from dataclasses import replace

from vertebra.spec.criteria import DEMONSTRATIONS
from vertebra.verdict.about import MEASURES
from vertebra.verdict.numbers import sentence, signed
from vertebra.verdict.rule import SEEDS_REQUIRED, level_at
from vertebra.verdict.run import Run
from vertebra.verdict.several import NAMED, nearest_open
from vertebra.verdict.summary import CANNOT_TELL, Comparison, Price, Verdict


def answered(
    found: Verdict, run: Run, comparisons: Sequence[Comparison], prices: Sequence[Price]
) -> Verdict:
    """The verdict with its short answers."""
    sides = [c for c in comparisons if c.kind == "sides"]
    return replace(
        found,
        sure=how_sure(found, run, sides),
        costs=what_it_costs(found, run, prices),
        missing=what_is_missing(found, run, sides),
    )


def how_sure(found: Verdict, run: Run, sides: Sequence[Comparison]) -> str:
    """What the answer rests on, with intervals."""
    if not any(job.records for job in run.jobs):
        return "Not at all: nothing was executed."
    known = [c for c in sides if c.difference is not None]
    seeds = min((c.difference.seeds for c in known if c.difference is not None), default=0)
    if seeds < SEEDS_REQUIRED:
        count = f"{seeds} training seed{'' if seeds == 1 else 's'}"
        return f"Not at all: {count} cannot tell recipes apart, {SEEDS_REQUIRED} are needed."
    level = f"{100 * level_at(run.plan.looks):.3g} %"
    corrected = f"{seeds} training seeds; the chance of a false “better” is at most {level}"
    if found.second:
        mine = [c for c in known if (c.first, c.second) == (found.first, found.second)]
        spans = "; ".join(f"{MEASURES[c.measure]} {_span(c)}" for c in mine)
        return f"{found.first} minus {found.second}, 95 % intervals: {spans}. {corrected}."
    pairs = len({(c.first, c.second) for c in sides})
    return (
        f"{len(found.beaten)} of {pairs} pairs are told apart, corrected for {len(sides)} "
        f"questions. {corrected}."
    )


def _span(c: Comparison) -> str:
    d = c.difference
    if d is None or d.low is None or d.high is None:
        return "open"
    if c.measure == DEMONSTRATIONS:
        return f"{d.low:.2g} to {d.high:.2g} times"
    return f"{signed(d.low)} to {signed(d.high)} points"


def what_it_costs(found: Verdict, run: Run, prices: Sequence[Price]) -> str:
    """Demonstrations to the target, of the arms that are left."""
    target = f"{100 * run.plan.criteria.target_success:.0f} % success"
    shown = [one for one in prices if one.arm in found.undefeated] or list(prices)
    if not shown:
        return f"Not known: no curve of demonstrations to {target}."
    if len(shown) > NAMED:
        read = sum(one.crossing is not None for one in shown)
        if not read:
            return f"Not known: no policy was seen to cross {target}."
        return f"Demonstrations to {target} were met by {read} of {len(shown)} policies: see below."
    told = "; ".join(f"{one.arm} {one.words}" for one in shown)
    return f"Demonstrations to {target}: {told}."


def what_is_missing(found: Verdict, run: Run, sides: Sequence[Comparison]) -> str:
    """What keeps it from being told."""
    left = len(run.plan.slots) - len(run.jobs)
    if left:
        return f"{left} of {len(run.plan.slots)} trainings are not finished."
    if found.word != CANNOT_TELL:
        return "Nothing for this question; other tasks, scenes or budgets are other questions."
    if not any(job.records for job in run.jobs):
        return "Rollouts on the robot or in a simulator of it."
    if found.second:
        sides = [c for c in sides if (c.first, c.second) == (found.first, found.second)]
    first = nearest_open(sides)
    if first is None:
        return found.next_step
    where = MEASURES[first.measure]
    if found.second:
        return sentence(f"{where}: {first.missing}")
    if first.settled_by == SEEDS_REQUIRED:
        return sentence(first.missing)
    pair = f"{first.first} against {first.second}"
    return f"Nearest to being told is {pair} in {where}: {first.missing}."
