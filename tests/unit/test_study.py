"""The decision rule on synthetic pilots with known truth, small enough for every run of the tests.

The full study is `make study`; its tables are in docs/study.md.
"""

import math
import re
from dataclasses import replace

import pytest

from fakes.run import fake_record
from house import repository
from vertebra.spec.criteria import DEMONSTRATIONS, FOLLOWING, SUCCESS, Criteria
from vertebra.spec.record import EpisodeRecord
from vertebra.spec.task import Outcome as Ended
from vertebra.study.bills import measure_bill
from vertebra.study.design import Wish, affordable, forecast, proposals, scenario
from vertebra.study.errors import Share, measure, measure_looks
from vertebra.study.scenarios import POWER_CASE, bills, equal_arms, extended, unequal_arms
from vertebra.study.synthetic import Scenario, SyntheticPilot, Truth, judged, pilots
from vertebra.study.tables import page
from vertebra.verdict.compare import comparisons
from vertebra.verdict.rule import over_all
from vertebra.verdict.run import Arm, Job, Plan, Run, Slot
from vertebra.verdict.summary import CANNOT_TELL

ANY = Criteria(minimum_difference=0.0, minimum_ratio=1.0, target_success=0.5)


def test_equal_recipes_are_rarely_called_different() -> None:
    found = measure(Scenario(criteria=replace(ANY, endpoints=(SUCCESS,))), 300, 1)
    assert found.false_better.value <= 0.06
    assert found.covered[SUCCESS].value >= 0.94


def test_the_ratio_of_demonstrations_covers_and_is_found() -> None:
    """Seeds share everything over the numbers: where an interval over cells would cover 64 %."""
    ahead = (Truth(logit=1.0), Truth(logit=1.0 - math.log(4)))
    criteria = replace(ANY, endpoints=(DEMONSTRATIONS,), target_success=0.4)
    found = measure(Scenario(arms=ahead, sharing=1.0, criteria=criteria), 60, 2)
    assert found.covered[DEMONSTRATIONS].trials > 25
    assert found.covered[DEMONSTRATIONS].value >= 0.88
    assert found.right_better.value > 0.3
    assert found.false_better.count == 0


def test_one_seed_never_says_better() -> None:
    apart = (Truth(logit=3.0), Truth(logit=-3.0))
    criteria = Criteria(endpoints=(FOLLOWING, SUCCESS, DEMONSTRATIONS))
    for seeds in (1, 2):
        found = measure(Scenario(arms=apart, seeds=seeds, criteria=criteria), 20, 3)
        assert found.silent.value == 1.0


def test_a_large_difference_is_found_and_equality_too() -> None:
    apart = (Truth(logit=1.5, seed_sd=0.2), Truth(logit=-0.8, seed_sd=0.2))
    found = measure(Scenario(arms=apart, criteria=Criteria(endpoints=(SUCCESS,))), 40, 4)
    assert found.right_better.value > 0.9
    same = (Truth(seed_sd=0.1), Truth(seed_sd=0.1))
    criteria = Criteria(endpoints=(SUCCESS,), minimum_difference=0.15)
    found = measure(Scenario(arms=same, seeds=8, rollouts=100, criteria=criteria), 20, 5)
    assert found.equivalent.value > 0.9


def test_true_rates_are_those_that_are_drawn() -> None:
    truth = Scenario(arms=(Truth(ceiling=0.8, follows=1.5), Truth(logit=-0.5)), errors=0.1)
    drawn = list(pilots(truth, 400, 6))
    for arm in range(2):
        share = sum(pilot.success[arm, :, -1].mean() for pilot in drawn) / len(drawn)
        assert share == pytest.approx(truth.rate(arm, 800), abs=0.02)
    share = sum(pilot.following[0].mean() for pilot in drawn) / len(drawn)
    assert share == pytest.approx(truth.rate(0, 800, follows=True), abs=0.02)
    half = replace(truth, arms=(Truth(), Truth(logit=0.6 - math.log(2))))
    assert half.difference(DEMONSTRATIONS, 0, 1) == pytest.approx(math.log(2), abs=1e-6)


def as_run(truth: Scenario, pilot: SyntheticPilot) -> Run:
    """The run directory that such a pilot would leave, read."""
    arms = [Arm(name=str(a), recipe=str(a), family="vla", blind=False) for a in range(2)]
    jobs = [
        Job(
            id=f"{a}-{count}-{seed}",
            arm=str(a),
            demonstrations=count,
            seed=seed,
            training={},
            ledger={},
            imagined=None,
            offline=None,
            records=tuple(
                record(truth, pilot, a, k, seed, scene, task)
                for scene in range(truth.rollouts)
                for task in "xy"
            ),
        )
        for a in range(2)
        for k, count in enumerate(truth.counts)
        for seed in range(truth.seeds)
    ]
    plan = Plan(
        hash="synthetic",
        arms=tuple(arms),
        slots=tuple(Slot(arm=j.arm, demonstrations=j.demonstrations, seed=j.seed) for j in jobs),
        samples=None,
        privileged="none",
        environment="synthetic",
        criteria=truth.criteria,
        locked_criteria=True,
    )
    return Run(plan=plan, jobs=tuple(jobs))


def record(
    truth: Scenario, pilot: SyntheticPilot, arm: int, k: int, seed: int, scene: int, task: str
) -> EpisodeRecord:
    """Both tasks of a scene end alike, so that rates and clusters are those of the scene."""
    followed = k == len(truth.counts) - 1 and bool(pilot.following[arm, seed, scene])
    succeeded = bool(pilot.success[arm, seed, k, scene])
    return fake_record(
        arm=str(arm),
        demonstrations=truth.counts[k],
        seed=seed,
        initial_state=str(scene),
        scene_seed=scene,
        task=task,
        skill="lift",
        outcome=Ended.SUCCESS if succeeded else Ended.TIMEOUT,
        achieved=(task,) if followed else (),
    )


def test_the_study_judges_as_a_report_does() -> None:
    """From records to words and from arrays to words: the same estimates and the same decisions."""
    criteria = Criteria(endpoints=(FOLLOWING, SUCCESS), minimum_difference=0.02)
    apart = (Truth(logit=1.6, seed_sd=0.2), Truth(logit=-0.6, seed_sd=0.2))
    truth = Scenario(arms=apart, counts=(100, 800), rollouts=20, criteria=criteria)
    words: set[str] = set()
    for pilot in pilots(truth, 8, 8):
        outcome = judged(truth, pilot)[0]
        told = comparisons(as_run(truth, pilot))
        assert [c.word for c in told] == [d.word for d in outcome.decisions]
        assert over_all([c.word for c in told]) == outcome.word
        for c, d, e in zip(told, outcome.decisions, outcome.evidence, strict=True):
            assert c.difference is not None and e.found is not None
            assert c.difference.value == pytest.approx(e.found.value)
            # Both tasks of a scene count in the floor for unanimous rollouts; else p is the same.
            assert c.p_holm == pytest.approx(d.p_holm, abs=1e-3)
        words.add(outcome.word)
    assert len(words) > 1 or CANNOT_TELL not in words


def test_several_arms_are_corrected_together() -> None:
    arms = (Truth(),) * 4
    one = Scenario(arms=arms, seeds=4, criteria=replace(ANY, endpoints=(SUCCESS,)))
    assert len(judged(one, next(pilots(one, 1, 1)))) == 6
    assert measure(one, 40, 9).false_better.count <= 4


def test_looking_again_is_paid_for() -> None:
    """Every extension raises the chance of a false word; the stricter level takes most of it."""
    cases = {case.name: case for case in extended()}
    once, ladder, unpaid = (
        measure_looks(replace(cases[name], scenario=null), 150, 11)[0]
        for null in (replace(cases["no difference: 3 seeds"].scenario, rollouts=60),)
        for name in (
            "no difference: 3 seeds",
            "no difference: 3, 5, 7, then 9 seeds",
            "no difference: 3, 5, 7, then 9 seeds, every look at 5 % (not the rule)",
        )
    )
    assert once.count <= ladder.count < unpaid.count
    assert ladder.value <= 0.1
    right = measure_looks(cases["a difference: 3, 5, 7, then 9 seeds"], 20, 12)[1]
    assert right.value > 0.5


def test_totals_cover_and_false_words_about_costs_are_rare() -> None:
    cases = {case.name: case for case in bills()}
    null = measure_bill(cases["equal arms, equal prices"], 150, 13)
    assert null.covered.trials > 100 and null.covered.value >= 0.92
    assert null.false.value <= 0.06 and null.right.count == 0
    dear = measure_bill(cases["equal arms, 5 times the price"], 60, 14)
    assert dear.false.count == 0 and dear.right.value > 0.08


def test_the_page_is_made_from_measurements(monkeypatch: pytest.MonkeyPatch) -> None:
    cases = (equal_arms()[1], next(c for c in unequal_arms() if c.name == POWER_CASE))
    for name in ("equal_arms", "unequal_arms"):
        monkeypatch.setattr(f"vertebra.study.tables.{name}", lambda: cases)
    looks = (extended()[0], extended()[5])
    monkeypatch.setattr("vertebra.study.tables.extended", lambda: looks)
    monkeypatch.setattr("vertebra.study.tables.bills", lambda: ())
    text = page(5, 4, 1, 1)
    found = re.findall(r"^\| success \|(.+)$", text, flags=re.MULTILINE)
    assert len(found) == 2
    assert "of 5" in found[0]
    assert "of 4" in found[1]
    short = text[text.index("## In short") : text.index("## No true difference")]
    rate = found[0].split("|")[0].strip()
    assert f"in at most {rate} of\n  5 pilots" in short and "of\n  4 pilots" in short
    told = text[text.index("## Extended") :]
    assert "second look is judged at 1 %" in told and "chance below 6.25 %" in told
    assert all(f"| {look.name} |" in told for look in looks)
    assert f"({looks[0].name})" in short


def wish(**changes: object) -> Wish:
    plain = {"criteria": Criteria(), "gpu_hours": 30.0, "operator_hours": 40.0, "pilots": 6}
    return Wish(**{**plain, **changes})


def test_designs_stay_inside_the_budget_and_the_best_comes_first() -> None:
    asked = wish()
    found = proposals(asked)
    assert found
    for one in found:
        assert one.design.gpu_hours <= 30
        assert one.design.operator_hours <= 40
        assert one.design.seeds >= 3
    assert [f.power.value for f in found] == sorted((f.power.value for f in found), reverse=True)
    rich = wish(gpu_hours=60.0, operator_hours=60.0, difference=0.4)
    most = max(affordable(rich), key=lambda design: design.seeds)
    assert most.seeds > found[0].design.seeds
    assert forecast(rich, most).power.value > found[0].power.value


def test_a_budget_below_three_seeds_is_refused_with_what_would_do() -> None:
    with pytest.raises(ValueError, match=r"three training seeds.*12\.0 GPU-hours"):
        proposals(wish(gpu_hours=2.0))
    with pytest.raises(ValueError, match="cannot be that small"):
        wish(pilots=0, gpu_hours=0.0)


def test_numbers_of_demonstrations_are_planned_where_they_decide() -> None:
    assert {len(design.counts) for design in affordable(wish())} == {1}
    burden = wish(criteria=Criteria(endpoints=(DEMONSTRATIONS,)), pilots=4)
    designs = affordable(burden)
    assert min(len(design.counts) for design in designs) >= 3
    assert scenario(burden, designs[0]).difference(DEMONSTRATIONS, 0, 1) == pytest.approx(
        math.log(2), abs=1e-6
    )
    assert forecast(burden, designs[0]).power.trials == 4


def test_the_wished_rates_are_the_true_ones() -> None:
    asked = wish(success=0.8, difference=0.3)
    truth = scenario(asked, affordable(asked)[0])
    assert truth.rate(0, 800) == pytest.approx(0.8, abs=1e-6)
    assert truth.rate(1, 800) == pytest.approx(0.5, abs=1e-6)


def test_prices_make_a_total() -> None:
    priced = Criteria(demonstration_cost=2.0, gpu_hour_cost=3.0, operator_hour_cost=30.0)
    design = affordable(wish(criteria=priced))[0]
    assert design.total == pytest.approx(1600 + 3 * design.gpu_hours + 30 * design.operator_hours)
    assert affordable(wish())[0].total is None


def test_a_share_says_how_sure_it_is() -> None:
    assert Share(count=100, trials=2000).upper == pytest.approx(0.0605, abs=1e-3)
    assert math.isnan(Share(count=0, trials=0).value)


def test_the_page_of_the_study_is_current() -> None:
    """Every case of the code has its row in the page, in order; the numbers are `make study`'s."""
    text = (repository.ROOT / "docs" / "study.md").read_text()
    rows = re.findall(
        r"^\| (?!what decides|truth and looks|arms and prices|---)(.+?) \|",
        text,
        flags=re.MULTILINE,
    )
    assert rows == [
        case.name for case in (*equal_arms(), *unequal_arms(), *extended(), *bills())
    ], "run `make study`"
