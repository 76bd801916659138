"""The study as a page of tables."""

from collections.abc import Sequence

from vertebra.spec.criteria import DEMONSTRATIONS
from vertebra.study.bills import measure_bill
from vertebra.study.errors import Errors, Share, measure, measure_looks
from vertebra.study.scenarios import (
    POWER_CASE,
    Bill,
    Case,
    Looks,
    bills,
    equal_arms,
    extended,
    unequal_arms,
)
from vertebra.verdict.rule import level_at, spent

SEED = 20_261_122
Measured = list[tuple[Case, Errors]]
Looked = list[tuple[Looks, Share, Share]]
HEAD = """\
# Study: how often the verdict is wrong, and what it finds

Written by `make study`, not by hand: synthetic pilots with known truth, judged by the code that
judges every pilot (`src/vertebra/verdict/rule.py`, fed by `src/vertebra/verdict/compare.py`; the
truth is drawn in `src/vertebra/study/synthetic.py`). Unless a row says otherwise: 5 numbers of
demonstrations (50 to 800), 3 training seeds, 50 scenes, slope 1 logit per e-fold, seeds vary by
0.4 logit of which half of the variance is shared by all numbers of demonstrations (nested
subsets), scenes vary by 0.8 logit.

"""
SHORT = """\
## In short

- No true difference, seeds that vary by 0.4 logit: a false "better" in at most {worst} of
  {null:,} pilots, upper 95 % bound {bound:.1f} % ({where}).
- The same, extended for as long as it cannot tell: a false "better" in at most {looked} of
  {null:,} pilots, upper 95 % bound {looked_bound:.1f} % ({ladder}).
- The nominal 95 % interval of the ratio of demonstrations covers at least {covered}.
- A true factor of two, 5 numbers of demonstrations, 3 seeds, 50 rollouts: found in {power} of
  {pilots:,} pilots when any difference counts.
- One training seed: "better" in {single} of {null:,} pilots.

"""
NULL = """\
## No true difference

{pilots:,} pilots a row. Every "better" here is false, in either direction. Except in the first row
and where a margin is named, any difference counts (margin 0, ratio 1), which is the hardest case:
a rule at 5 % then errs in 5 % of the pilots, unless a floor makes it careful. The bound is the
upper end of the exact 95 % interval of the rate; over 2,000 pilots the bound of a rate of exactly
5 % would be 6.1 %, so more are drawn. Coverage is that of the nominal 95 % interval of the first
pair.

| what decides | false "better" | bound | "cannot tell" | coverage |
|---|---|---|---|---|
"""
POWER = """\
## A true difference

{pilots:,} pilots a row. The second arm needs twice the demonstrations (about 14 points of success
at the largest number); the target is 50 % success. With margins "better" means by more than 5
points, or by more than 1.25 times the demonstrations; otherwise any difference counts.

| what decides | right "better" | false "better" | "equivalent" | "cannot tell" | coverage |
|---|---|---|---|---|---|
"""
LOOKS = """\
## Extended for as long as it cannot tell

{null:,} pilots a row without a difference, {power:,} with one, judged by success with 200
rollouts and any difference; the true one is that of the table above. After each look that ends in
"cannot tell" the pilot is extended (`vertebra extend`); the second look is judged at {second:g} %,
the third at {third:g} %, the fourth at {fourth:g} %, so that over all looks a false word has a
chance below {together:g} %, however many they are.

| truth and looks | false "better" | bound | right "better" |
|---|---|---|---|
"""
BILLS = """\
## The cheapest way to the target

{pilots:,} pilots a row, 200 rollouts, the target is 50 % success. False is any arm that is called
dearer, or the cheapest, and is not; right is an arm that costs more and is called dearer. Coverage
is that of the 95 % interval of the first arm's total.

| arms and prices | false word | bound | right "dearer" | coverage |
|---|---|---|---|---|
"""
FOOT = """\
## Reading

- With three seeds a factor of two in demonstrations is found in a minority of pilots; how many
  depends on how much the seeds of one arm share over the numbers of demonstrations. More
  rollouts help little, more seeds help much.
- The variance of seeds is pooled over both arms. Where one arm varies three times as much as the
  other, rollouts are many and seeds are three, the rule errs somewhat more often than 5 %.
- The coverage of a ratio counts pilots in which the target was bracketed for both arms; in the
  others no ratio is given.
- Looking again helps more than it costs: most of what a longer pilot would have found is found,
  at a bounded price. Looking again without paying for it would be wrong most often.
- `vertebra plan pilot` runs the same simulation for a design of your own.
"""


def page(null_pilots: int, power_pilots: int, looks_pilots: int, bill_pilots: int) -> str:
    """The whole page, with so many pilots a row of each table."""
    equal: Measured = [
        (case, measure(case.scenario, null_pilots, SEED + i)) for i, case in enumerate(equal_arms())
    ]
    unequal: Measured = [
        (case, measure(case.scenario, power_pilots, SEED + 1000 + i))
        for i, case in enumerate(unequal_arms())
    ]
    looks = [
        (
            case,
            *measure_looks(
                case, looks_pilots if case.true else null_pilots, SEED + 2000 + case.true
            ),
        )
        for case in extended()
    ]
    costs = "".join(_bill_row(case, bill_pilots, i) for i, case in enumerate(bills()))
    parts = (
        *(HEAD, _short(equal, unequal, looks, null_pilots, power_pilots)),
        *(NULL.format(pilots=null_pilots), *(_null_row(*one) for one in equal), "\n"),
        *(POWER.format(pilots=power_pilots), *(_power_row(*one) for one in unequal), "\n"),
        *(_looks_head(null_pilots, looks_pilots), *(_looks_row(*one) for one in looks), "\n"),
        *(BILLS.format(pilots=bill_pilots), costs, "\n"),
        FOOT,
    )
    return "".join(parts)


def _short(equal: Measured, unequal: Measured, looks: Looked, null: int, pilots: int) -> str:
    """What the study is held to, read from its rows."""
    usual = [
        (case, found)
        for case, found in equal
        if all(arm.seed_sd == 0.4 for arm in case.scenario.arms) and case.scenario.seeds > 1
    ]
    where, worst = max(usual, key=lambda one: one[1].false_better.upper)
    ratios = [
        found.covered[DEMONSTRATIONS]
        for _, found in (*equal, *unequal)
        if found.covered.get(DEMONSTRATIONS) and found.covered[DEMONSTRATIONS].trials
    ]
    ruled = [(case, false) for case, false, _ in looks if case.spends and not case.true]
    ladder, looked = max(ruled, key=lambda one: one[1].upper)
    power = next(found for case, found in unequal if case.name == POWER_CASE)
    single = sum(found.false_better.count for case, found in equal if case.scenario.seeds == 1)
    return SHORT.format(
        worst=_percent(worst.false_better),
        bound=100 * worst.false_better.upper,
        where=where.name,
        looked=_percent(looked),
        looked_bound=100 * looked.upper,
        ladder=ladder.name,
        covered=_percent(min(ratios, key=lambda share: share.value)),
        power=_percent(power.right_better),
        single=single,
        null=null,
        pilots=pilots,
    )


def _null_row(case: Case, found: Errors) -> str:
    cells = (
        case.name,
        _percent(found.false_better),
        f"{100 * found.false_better.upper:.1f} %",
        _percent(found.silent),
        _coverage(found),
    )
    return _row(cells)


def _power_row(case: Case, found: Errors) -> str:
    cells = (
        case.name,
        _percent(found.right_better),
        _percent(found.false_better),
        _percent(found.equivalent),
        _percent(found.silent),
        _coverage(found),
    )
    return _row(cells)


def _looks_head(null: int, power: int) -> str:
    second, third, fourth = (100 * level_at(look) for look in (2, 3, 4))
    levels = {"second": second, "third": third, "fourth": fourth, "together": 100 * spent(50)}
    return LOOKS.format(null=null, power=power, **levels)


def _looks_row(case: Looks, false: Share, right: Share) -> str:
    return _row((case.name, _percent(false), f"{100 * false.upper:.1f} %", _percent(right)))


def _bill_row(case: Bill, pilots_each: int, place: int) -> str:
    found = measure_bill(case, pilots_each, SEED + 3000 + place)
    covered = f"{_percent(found.covered)} of {found.covered.trials:,}"
    bound = f"{100 * found.false.upper:.1f} %"
    return _row((case.name, _percent(found.false), bound, _percent(found.right), covered))


def _coverage(found: Errors) -> str:
    parts = [
        f"{name} {_percent(share)} of {share.trials:,}"
        for name, share in found.covered.items()
        if share.trials
    ]
    return "; ".join(parts) if parts else "no interval"


def _percent(share: Share) -> str:
    return f"{100 * share.value:.1f} %"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |\n"
