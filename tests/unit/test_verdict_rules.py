"""When a difference may be put into words, and what is said when it may not."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from fakes.run import ARMS, FakeArm, write_run
from vertebra.spec.storage import write_json
from vertebra.stats.paired import holm
from vertebra.verdict.measure import imagination
from vertebra.verdict.run import Job, Run, read_run
from vertebra.verdict.summarise import summarise
from vertebra.verdict.summary import (
    BETTER_FIRST,
    CANNOT_TELL,
    DEAF,
    Comparison,
    Summary,
    summary_from_plain,
)

CLEAR = (replace(ARMS[0], act=0.95, hear=0.98), *ARMS[1:])
"""pi0 far ahead of fast-wam."""


def run_of(tmp_path: Path, **more: object) -> Run:
    quick = {"seed_sd": 0.1, "scenes": (8, 4, 4), "pictures": False, "counts": (800,)}
    return read_run(write_run(tmp_path, **{**quick, **more}))


def pick(summary: Summary, kind: str, first: str, measure: str = "following") -> Comparison:
    return next(
        c for c in summary.comparisons if (c.kind, c.first, c.measure) == (kind, first, measure)
    )


@pytest.fixture(scope="module")
def clear(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run_of(tmp_path_factory.mktemp("clear"), arms=CLEAR)


def test_a_clear_difference_is_worded(clear: Run) -> None:
    summary = summarise(clear)
    assert pick(summary, "sides", "pi0").word == BETTER_FIRST
    assert summary.verdict.word == BETTER_FIRST
    assert (summary.verdict.first, summary.verdict.second) == ("pi0", "fast-wam")
    assert summary.verdict.headline.startswith("pi0 is better than fast-wam here: it follows")
    assert any(s.startswith("pi0 listens") for s in summary.verdict.sentences)


def test_the_winner_is_named_on_whichever_side_it_stands(clear: Run) -> None:
    order = (1, 0, 2, 3)
    plan = replace(clear.plan, arms=tuple(clear.plan.arms[i] for i in order))
    summary = summarise(replace(clear, plan=plan))
    assert summary.verdict.first == "fast-wam"
    assert summary.verdict.headline.startswith("pi0 is better than fast-wam here: it follows")
    ends = re.findall(r"95 % interval (-?\d+) to (-?\d+)", summary.verdict.headline)
    assert ends
    assert all(0 <= int(low) < int(high) for low, high in ends)


def test_only_comparisons_of_sides_are_corrected(clear: Run) -> None:
    compared = summarise(clear).comparisons
    sides = [c for c in compared if c.kind == "sides"]
    assert [c.p_holm for c in sides] == pytest.approx(holm([c.p for c in sides if c.p is not None]))
    assert any(c.p_holm != c.p for c in sides)
    assert all(c.p_holm == c.p for c in compared if c.kind == "twin")


@pytest.mark.parametrize("seeds", [1, 2])
def test_no_comparison_is_worded_on_fewer_than_three_seeds(clear: Run, seeds: int) -> None:
    jobs = tuple(job for job in clear.jobs if job.seed < seeds)
    summary = summarise(replace(clear, jobs=jobs))
    assert {c.word for c in summary.comparisons} == {CANNOT_TELL}
    assert summary.verdict.word == CANNOT_TELL
    assert f"so far {seeds}" in summary.verdict.headline
    assert not any("listens:" in s and "Cannot" not in s for s in summary.verdict.sentences)


def test_three_seeds_on_one_side_only_are_not_enough(clear: Run) -> None:
    jobs = tuple(job for job in clear.jobs if job.arm != "fast-wam" or job.seed == 0)
    comparison = pick(summarise(replace(clear, jobs=jobs)), "sides", "pi0")
    assert comparison.word == CANNOT_TELL
    assert comparison.difference is not None
    assert comparison.difference.seeds == 1


def test_equal_arms_are_not_told_apart(tmp_path: Path) -> None:
    twin = FakeArm(name="other", recipe="other", family="wam")
    summary = summarise(run_of(tmp_path, arms=(ARMS[0], twin), seed_sd=0.4))
    assert summary.verdict.word == CANNOT_TELL
    comparison = pick(summary, "sides", "pi0")
    assert comparison.missing
    assert comparison.p_holm is not None
    assert comparison.p is not None
    assert comparison.p_holm >= comparison.p


def test_an_arm_that_ignores_words_does_not_listen(tmp_path: Path) -> None:
    deaf = replace(ARMS[0], hear=1 / 3, act=0.95)
    summary = summarise(run_of(tmp_path, arms=(deaf, *ARMS[1:])))
    assert pick(summary, "twin", "pi0").word == CANNOT_TELL
    heard = next(one for one in summary.listening if one.arm == "pi0")
    assert heard.word == DEAF
    assert any(s.startswith("pi0 does not follow language") for s in summary.verdict.sentences)


def test_an_arm_that_cannot_act_is_not_judged_deaf(tmp_path: Path) -> None:
    weak = replace(ARMS[1], act=0.02)
    summary = summarise(run_of(tmp_path, arms=(ARMS[0], weak, *ARMS[2:])))
    assert any("fast-wam has not learnt to act" in s for s in summary.verdict.sentences)


def test_both_measures_must_hold_before_an_arm_listens(clear: Run) -> None:
    """Success of the blind twin lifted to that of the sighted arm: following alone is left."""
    records = {j.seed: j.records for j in clear.jobs if j.arm == "pi0" and j.demonstrations == 800}

    def lifted(job: Job) -> Job:
        if job.arm != "pi0+blind":
            return job
        best = {(r.initial_state, r.task, r.condition): r.outcome for r in records[job.seed]}
        return replace(
            job,
            records=tuple(
                replace(r, outcome=best[r.initial_state, r.task, r.condition]) for r in job.records
            ),
        )

    summary = summarise(replace(clear, jobs=tuple(lifted(job) for job in clear.jobs)))
    assert pick(summary, "twin", "pi0", "following").word == BETTER_FIRST
    assert pick(summary, "twin", "pi0", "success").word == CANNOT_TELL
    assert not any(s.startswith("pi0 listens") for s in summary.verdict.sentences)


def test_pairs_share_state_and_task(clear: Run) -> None:
    """Half of the states missing on one side: only the shared half is compared."""
    jobs = tuple(
        replace(job, records=tuple(r for r in job.records if r.scene_seed % 2))
        if job.arm == "fast-wam"
        else job
        for job in clear.jobs
    )
    whole = pick(summarise(clear), "sides", "pi0").difference
    half = pick(summarise(replace(clear, jobs=jobs)), "sides", "pi0").difference
    assert whole is not None and half is not None
    assert 0 < half.n < whole.n


def test_nothing_finished(tmp_path: Path) -> None:
    summary = summarise(run_of(tmp_path, finished=0, latency=False))
    assert summary.verdict.word == "nothing finished yet"
    assert summary.points == ()
    assert (summary.jobs_finished, summary.jobs_planned) == (0, 12)
    assert len(summary.running) == 4


def test_a_partial_pilot_says_what_is_to_come(tmp_path: Path) -> None:
    summary = summarise(run_of(tmp_path, finished=5))
    assert summary.verdict.word == CANNOT_TELL
    assert "pi0 at 800 demonstrations (1 of 3 seeds)" in summary.running
    assert "fast-wam at 800 demonstrations (2 of 3 seeds)" in summary.running
    assert any(s.startswith("Still to come") for s in summary.verdict.sentences)


def test_one_arm_alone_has_nothing_to_compare(tmp_path: Path) -> None:
    summary = summarise(run_of(tmp_path, arms=(ARMS[0], ARMS[2])))
    assert "nothing to compare" in summary.verdict.headline
    assert any(s.startswith("pi0 listens") for s in summary.verdict.sentences)


def test_without_a_simulator_nothing_is_concluded(tmp_path: Path) -> None:
    summary = summarise(run_of(tmp_path, simulator=False))
    assert summary.verdict.word == CANNOT_TELL
    assert "no simulator" in summary.verdict.headline
    assert summary.comparisons[0].difference is None
    figures = {f.name: f for f in summary.points[0].offline}
    assert list(figures) == [
        "action_error",
        "error_of_mean_action",
        "error_of_repeated_action",
        "sensitivity",
        "sensitivity_to_silence",
        "directional",
    ]
    assert figures["directional"].estimate is None
    assert figures["directional"].note.startswith("not measurable")
    own = figures["action_error"].estimate
    assert own is not None
    assert (own.seeds, own.n) == (3, 600)
    assert any("smaller than those of guesses" in s for s in summary.verdict.sentences)


def test_still_improving_trainings_are_flagged(clear: Run) -> None:
    jobs = tuple(
        replace(job, training={**job.training, "still_improving": job.seed == 0})
        for job in clear.jobs
    )
    summary = summarise(replace(clear, jobs=jobs))
    assert {p.still_improving for p in summary.points} == {1}
    assert any("1 of its 3 trainings still improved" in s for s in summary.verdict.sentences)


def test_imagination_beats_copying_only_when_the_interval_says_so(clear: Run) -> None:
    def told(ratios: tuple[float, ...]) -> str:
        jobs = [job for job in clear.jobs if job.arm == "fast-wam" and job.seed < len(ratios)]
        found = imagination(
            [
                replace(
                    job,
                    imagined={
                        "model_error_moving": ratio * 0.1,
                        "copy_error_moving": 0.1,
                        "frames": 80,
                    },
                )
                for job, ratio in zip(jobs, ratios, strict=True)
            ]
        )
        assert found is not None
        assert found.frames == 80 * len(ratios)
        return found.word

    assert told((0.70, 0.72, 0.74)) == "yes"
    assert told((1.20, 1.25, 1.22)) == "no"
    assert told((0.70, 0.95, 1.20)) == CANNOT_TELL
    assert told((0.70, 0.72)) == CANNOT_TELL


def test_undefined_errors_of_imagined_frames_are_left_out(clear: Run) -> None:
    nothing = {"model_error_moving": None, "copy_error_moving": None, "frames": 0}
    assert imagination([replace(job, imagined=nothing) for job in clear.jobs]) is None


def test_one_split_serves_the_whole_run(clear: Run) -> None:
    """Jobs that met no new layout have no headline success, not that of other splits."""
    jobs = tuple(
        replace(job, records=tuple(r for r in job.records if r.split != "layout"))
        if job.arm == "fast-wam"
        else job
        for job in clear.jobs
    )
    points = {p.arm: p for p in summarise(replace(clear, jobs=jobs)).points}
    assert points["pi0"].success_split == "layout"
    assert points["fast-wam"].success is None


def test_failed_trainings_are_named(tmp_path: Path) -> None:
    run_of(tmp_path, finished=4)
    write_json(tmp_path / "jobs" / "pi0-800-s1" / "failed.json", {"why": "out of memory"})
    write_json(tmp_path / "jobs" / "pi0-800-s0" / "failed.json", {"why": "finished since"})
    summary = summarise(read_run(tmp_path))
    assert summary.failed == ("pi0-800-s1: out of memory",)
    assert any("Failed" in s and "pi0-800-s1" in s for s in summary.verdict.sentences)


def test_the_summary_survives_json(clear: Run) -> None:
    summary = summarise(clear)
    assert summary_from_plain(json.loads(json.dumps(summary.to_plain()))) == summary


def test_another_version_or_shape_of_the_summary_is_refused(clear: Run) -> None:
    plain = summarise(clear).to_plain()
    with pytest.raises(ValueError, match="version 7"):
        summary_from_plain({**plain, "version": 7})
    with pytest.raises(ValueError, match="shape"):
        summary_from_plain({**plain, "surprise": 1})
    del plain["verdict"]
    with pytest.raises(ValueError, match="shape"):
        summary_from_plain(plain)


def test_the_same_records_give_the_same_summary(clear: Run) -> None:
    shuffled = replace(
        clear, jobs=tuple(replace(job, records=job.records[::-1]) for job in clear.jobs)
    )
    one, other = summarise(clear).to_plain(), summarise(shuffled).to_plain()
    for plain in (one, other):
        for point in plain["points"]:
            point["slices"].sort(key=lambda s: (s["split"], s["skill"]))
    assert json.dumps(one) == pytest.approx(json.dumps(other)) or _close(one, other)


def _close(one: object, other: object) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_close(one[k], other[k]) for k in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_close, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return one == pytest.approx(other, abs=1e-9)
    return one == other
