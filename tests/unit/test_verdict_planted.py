"""Planted arms: one too slow, one deaf that knows its scenes by heart; many arms; parts."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fakes.run import ARMS, FakeArm, write_run
from vertebra.policy.saved import recipe_to_plain
from vertebra.recipes import by_name
from vertebra.recipes.crossing import crossed
from vertebra.spec.criteria import Criteria
from vertebra.spec.record import EpisodeRecord
from vertebra.spec.storage import read_json, to_plain, write_json
from vertebra.spec.task import Outcome
from vertebra.verdict.run import Run, read_run
from vertebra.verdict.summarise import summarise
from vertebra.verdict.summary import (
    BETTER_FIRST,
    BETTER_SECOND,
    CANNOT_TELL,
    DEAF,
    EQUIVALENT,
    LISTENS,
    Summary,
)

QUICK: dict[str, Any] = {
    "seed_sd": 0.1,
    "pictures": False,
    "counts": (800,),
    "scenes": (16, 4, 4),
}


def judged(out: Path, criteria: Criteria, **more: Any) -> Summary:
    write_run(out, **{**QUICK, **more})
    plan = read_json(out / "plan.json")
    write_json(out / "plan.json", {**plan, "criteria": to_plain(criteria)})
    return summarise(read_run(out))


SLOW = replace(ARMS[0], act=0.95, hear=0.98, latency_s=(0.11, 0.26))
FAST = replace(ARMS[1], latency_s=(0.011, 0.026))


def test_a_slow_arm_loses_under_a_limit_and_wins_without(tmp_path: Path) -> None:
    arms = (SLOW, FAST, *ARMS[2:])
    free = judged(tmp_path, Criteria(), arms=arms)
    assert free.verdict.word == BETTER_FIRST
    assert free.verdict.headline.startswith("pi0 is better than fast-wam")
    assert any("No latency limit was locked" in s and "pi0" in s for s in free.verdict.sentences)
    limited = judged(tmp_path, Criteria(control_rate_hz=10.0), arms=arms)
    assert limited.verdict.word == BETTER_SECOND
    assert limited.verdict.undefeated == ("fast-wam",)
    assert "fast-wam is the better choice" in limited.verdict.headline
    assert "pi0 takes longer for a chunk than the limit allows" in limited.verdict.headline
    assert "Otherwise: pi0 is better than fast-wam" in limited.verdict.headline
    assert any("pi0 breaks the limit of 100 ms at 10 Hz" in s for s in limited.verdict.sentences)
    assert {s.arm: s.keeps for s in limited.speeds} == {"pi0": False, "fast-wam": True}
    assert "faster machine" in limited.verdict.next_step


def test_without_timing_a_limit_leaves_nothing_to_say(tmp_path: Path) -> None:
    criteria = Criteria(control_rate_hz=10.0)
    summary = judged(tmp_path, criteria, arms=(SLOW, FAST), latency=False)
    assert summary.verdict.word == CANNOT_TELL
    assert "not shown to keep the latency limit" in summary.verdict.headline
    assert "Time the policies" in summary.verdict.next_step


def test_a_slow_arm_does_not_lose_against_one_that_cannot_act(tmp_path: Path) -> None:
    useless = replace(FAST, act=0.02)
    summary = judged(tmp_path, Criteria(control_rate_hz=10.0), arms=(SLOW, useless))
    assert summary.verdict.word == CANNOT_TELL


def by_heart(run: Run, arm: str) -> Run:
    """The arm does the first task of every scene, whatever it is told, and does it well."""
    rng = np.random.default_rng(5)
    first: dict[str, str] = {}
    for job in run.jobs:
        for r in job.records:
            first.setdefault(r.initial_state, r.task)

    def remembered(r: EpisodeRecord) -> EpisodeRecord:
        done = rng.random() < 0.95
        task = first[r.initial_state]
        asked = done and r.task == task
        return replace(
            r,
            achieved=(task,) if done else (),
            outcome=Outcome.SUCCESS if asked else Outcome.TIMEOUT,
        )

    jobs = tuple(
        replace(job, records=tuple(map(remembered, job.records))) if job.arm == arm else job
        for job in run.jobs
    )
    return replace(run, jobs=jobs)


@pytest.mark.parametrize("twin", [True, False])
def test_an_arm_that_knows_its_scenes_by_heart_does_not_follow_language(
    tmp_path: Path, twin: bool
) -> None:
    arms = ARMS if twin else ARMS[:2]
    run = by_heart(read_run(write_run(tmp_path, arms=arms, **QUICK)), "pi0")
    jobs = [job for job in run.jobs if job.arm == "pi0"]
    defaults = [r for job in jobs for r in job.records if r.condition == "asked"]
    trained = [r for r in defaults if r.achieved == (r.task,)]
    assert len(trained) > 0.9 * len(defaults) / 3, "on its own task of a scene it succeeds"
    summary = summarise(run)
    heard = {one.arm: one for one in summary.listening}
    assert heard["pi0"].word == DEAF
    assert heard["pi0"].score is not None and heard["pi0"].score.value == pytest.approx(0, abs=0.05)
    assert heard["pi0"].acts is not None and heard["pi0"].acts.value > 0.9
    assert any(s.startswith("pi0 does not follow language") for s in summary.verdict.sentences)
    assert heard["fast-wam"].word == (LISTENS if twin else CANNOT_TELL)
    assert summary.verdict.word == (BETTER_SECOND if twin else CANNOT_TELL)
    assert "pi0 does not follow language" in summary.verdict.headline


def test_a_deaf_arm_does_not_win_by_success(tmp_path: Path) -> None:
    """It does the asked task of scenes that have one; judged by success alone it would win."""
    write_run(tmp_path, arms=ARMS[:2], **QUICK)
    plan = read_json(tmp_path / "plan.json")
    criteria = to_plain(Criteria(endpoints=("success",), minimum_difference=0.0))
    write_json(tmp_path / "plan.json", {**plan, "criteria": criteria})
    run = by_heart(read_run(tmp_path), "pi0")
    failing = tuple(
        replace(job, records=tuple(replace(r, outcome=Outcome.TIMEOUT) for r in job.records))
        if job.arm == "fast-wam"
        else job
        for job in run.jobs
    )
    summary = summarise(replace(run, jobs=failing))
    sides = [c for c in summary.comparisons if c.kind == "sides"]
    assert [c.word for c in sides] == [BETTER_FIRST]
    assert summary.verdict.word == CANNOT_TELL
    assert "pi0 does not follow language" in summary.verdict.headline


def test_several_arms_give_a_set_and_not_a_ranking(tmp_path: Path) -> None:
    arms = (
        replace(ARMS[0], act=0.95, hear=0.98),
        FakeArm(name="other", recipe="other", family="vla", act=0.95, hear=0.98),
        replace(ARMS[1], act=0.35, hear=0.5),
    )
    summary = judged(tmp_path, Criteria(), arms=arms)
    assert summary.verdict.undefeated == ("pi0", "other")
    assert any(
        "No other policy was shown to beat pi0 or other" in s for s in summary.verdict.sentences
    )


def test_equal_arms_with_many_seeds_are_equivalent(tmp_path: Path) -> None:
    twin = FakeArm(name="other", recipe="other", family="wam")
    criteria = Criteria(minimum_difference=0.15)
    more = {"arms": (ARMS[0], twin), "seeds": tuple(range(6)), "seed_sd": 0.05}
    summary = judged(tmp_path, criteria, **more, scenes=(30, 4, 4))
    assert summary.verdict.word == EQUIVALENT
    assert "are equivalent here" in summary.verdict.headline
    assert "less than 15 points apart" in summary.verdict.headline


def test_demonstrations_can_decide(tmp_path: Path) -> None:
    arms = (replace(ARMS[0], hear=1.0, act=0.9), replace(ARMS[1], hear=1.0, act=0.72))
    criteria = Criteria(endpoints=("demonstrations",), target_success=0.6, minimum_ratio=1.0)
    counts = {"counts": (100, 200, 400, 800), "seed_sd": 0.05, "scenes": (40, 1, 1)}
    summary = judged(tmp_path, criteria, arms=arms, **counts)
    found = next(c for c in summary.comparisons if c.kind == "sides")
    assert found.measure == "demonstrations"
    assert found.difference is not None
    assert found.difference.value > 1.5
    assert summary.verdict.word == BETTER_FIRST
    assert "times fewer demonstrations" in summary.verdict.headline


def defined(out: Path, *names: str) -> Summary:
    """A run whose arms carry the definitions of real recipes."""
    recipes = [by_name(name) for name in names]
    arms = tuple(
        FakeArm(name=one.name, recipe=one.name, family=one.family, act=0.9 - 0.2 * k)
        for k, one in enumerate(recipes)
    )
    write_run(out, arms=arms, **QUICK)
    plan = read_json(out / "plan.json")
    for plain, one in zip(plan["arms"], recipes, strict=True):
        plain["definition"] = recipe_to_plain(one)
    write_json(out / "plan.json", plan)
    return summarise(read_run(out))


def test_a_part_is_separated_where_the_rest_is_equal(tmp_path: Path) -> None:
    summary = defined(tmp_path, "pi0", "fast-wam")
    found = [e for e in summary.effects if e.part == "backbone"]
    assert [e.measure for e in found] == ["following", "success"]
    pair = next(c for c in summary.comparisons if c.kind == "sides" and c.measure == "success")
    success = found[1].estimate
    assert success is not None and pair.difference is not None
    assert abs(success.value) == pytest.approx(abs(pair.difference.value))
    assert found[1].words in ("shown", "not shown")


def test_parts_that_change_together_are_not_separated(tmp_path: Path) -> None:
    """fast-wam-joint differs from pi0 in backbone, coupling and schedule."""
    summary = defined(tmp_path, "pi0", "fast-wam-joint")
    assert summary.effects
    assert all(e.estimate is None for e in summary.effects)
    backbone = next(e for e in summary.effects if e.part == "backbone")
    assert "cannot be separated: coupling and schedule changes with it" in backbone.words


def test_a_complete_layout_shows_main_effects_and_interaction(tmp_path: Path) -> None:
    """Two backbones x two couplings, planted: the backbone matters with one coupling only."""
    recipes = crossed(("vlm", "video"), ("joint", "head"))
    acts = {"vlm-joint": 0.9, "video-joint": 0.4}
    arms = tuple(
        FakeArm(
            name=one.name, recipe=one.name, family=one.family, act=acts.get(one.name, 0.6), hear=1.0
        )
        for one in recipes
    )
    write_run(tmp_path, arms=arms, **{**QUICK, "seed_sd": 0.03, "scenes": (40, 2, 2)})
    plan = read_json(tmp_path / "plan.json")
    for plain, one in zip(plan["arms"], recipes, strict=True):
        plain["definition"] = recipe_to_plain(one)
    write_json(tmp_path / "plan.json", plan)
    found = {e.part: e for e in summarise(read_run(tmp_path)).effects if e.measure == "success"}
    main, both = found["backbone"].estimate, found["backbone x coupling"].estimate
    assert main is not None and both is not None
    assert main.value == pytest.approx(-0.25, abs=0.1)
    assert abs(both.value) == pytest.approx(0.5, abs=0.15)
    assert both.excludes_zero
    assert len(found["backbone"].over) == 4
    assert not found.keys() & {"schedule"}
