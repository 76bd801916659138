"""Grid, subsets, budget and lock: what is decided before anything is trained."""

import json
from dataclasses import replace

import numpy as np
import pytest

from fakes.worlds import ACTION, OBSERVATION, record
from vertebra import recipes
from vertebra.data.cache import build_cache
from vertebra.evaluate.plan import Draw
from vertebra.pilot.budget import (
    Cost,
    forecast,
    lock_samples,
    makespan,
    parse_duration,
    reference_s,
    words_of,
)
from vertebra.pilot.execute import Happened
from vertebra.pilot.grid import arms_of, cells_of
from vertebra.pilot.jobs import Stage
from vertebra.pilot.material import divide, split_manifest
from vertebra.pilot.plan import (
    PilotPlan,
    Question,
    differences,
    jobs_of,
    plan_from_plain,
    require_same,
)
from vertebra.pilot.prepare import tabletop_draws
from vertebra.pilot.remaining import Remaining
from vertebra.spec.seeds import SeedTree
from vertebra.spec.storage import to_plain

RECIPES = (recipes.by_name("pi0"), recipes.by_name("fast-wam"))
QUESTION = Question(
    recipes=RECIPES,
    counts=(4, 12),
    seeds=3,
    size="tiny",
    privileged="none",
    samples=640,
    environment={"kind": "plane", "max_steps": 20},
    draws=(Draw(split="layout", scenes=5), Draw(split="pair", scenes=2)),
    fewer_draws=(Draw(split="layout", scenes=5),),
)
COST = Cost(
    seconds_per_sample={"fp32": 0.002, "bf16": 0.001},
    flops_per_sample=1e9,
    episode_s=0.05,
    overhead_s=3.0,
    memory_bytes=10**9,
    checkpoint_bytes=10**6,
)
COSTS = {"pi0": COST, "fast-wam": replace(COST, seconds_per_sample={"fp32": 0.003, "bf16": 0.0015})}
TREE = SeedTree(root=0)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    episodes = [record(index) for index in range(20)]
    return build_cache(episodes, tmp_path_factory.mktemp("frames") / "cache")


def _material(cache, *, simulator=True, tree=TREE):
    return divide(
        cache, source="here", needs=OBSERVATION, makes=ACTION, tree=tree, simulator=simulator
    )


def _plan(**more):
    question = replace(QUESTION, **more)
    return PilotPlan(
        question=question,
        environment="plane-v1",
        data_hash="d",
        samples=640,
        precision="fp32",
        checkpoint_every=10,
        calibration={"pi0": vars(COST)},
    )


def test_default_grid_of_the_product_has_18_trainings():
    arms = arms_of(RECIPES)
    assert [arm.name for arm in arms] == ["pi0", "fast-wam", "pi0+blind", "fast-wam+blind"]
    assert [arm.blind for arm in arms] == [False, False, True, True]
    cells = cells_of(arms, (300, 2000), 3)
    assert len(cells) == 18 and len({cell.id for cell in cells}) == 18
    assert {c.demonstrations for c in cells if c.arm.blind} == {2000}
    assert [cell.id for cell in cells[:6]] == [
        "pi0-n2000-s0",
        "fast-wam-n2000-s0",
        "pi0+blind-n2000-s0",
        "fast-wam+blind-n2000-s0",
        "pi0-n300-s0",
        "fast-wam-n300-s0",
    ]
    assert len(cells_of(arms, (300, 2000), 3, twins="all")) == 24


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"recipes": (RECIPES[0], RECIPES[0])}, "pi0 is given twice"),
        ({"recipes": (RECIPES[0].blinded(),)}, "its twin is added"),
        ({"recipes": ()}, "no recipe"),
        ({"counts": (3, 3)}, "give each once"),
        ({"seeds": 0}, "0 seeds"),
        ({"samples": None}, "either a budget or a number of samples"),
        ({"budget_s": 60.0}, "either a budget or a number of samples"),
        ({"samples": 10}, "less than one batch"),
        ({"draws": ()}, "no scenes"),
        ({"twins": "some"}, "twins is 'some'"),
        ({"precision": "fp8"}, "precision is 'fp8'"),
        ({"size": "huge", "seeds": 0}, r"No size is named 'huge'[\s\S]*0 seeds"),
    ],
)
def test_impossible_questions_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        replace(QUESTION, **change)


def test_subsets_are_nested_redrawn_per_seed_and_the_same_for_all_arms(cache):
    material = _material(cache)
    jobs = jobs_of(_plan(), material)
    by = {(job.arm, job.demonstrations, job.seed): set(job.training.episodes) for job in jobs}
    for seed in range(3):
        assert by["pi0", 4, seed] < by["pi0", 12, seed]
        same = {frozenset(by[arm, 12, seed]) for arm in ("pi0", "fast-wam", "pi0+blind")}
        assert len(same) == 1
    assert by["pi0", 4, 0] != by["pi0", 4, 1] and by["pi0", 12, 0] != by["pi0", 12, 1]
    assert all(len(job.training.episodes) == job.demonstrations for job in jobs)
    assert all(not set(job.training.episodes) & set(material.validation) for job in jobs)


def test_all_arms_share_samples_seeds_scenes_and_noise(cache):
    jobs = jobs_of(_plan(), _material(cache))
    for seed in range(3):
        trainings = [job.training for job in jobs if job.seed == seed]
        assert len({tuple(sorted(t.seeds.items())) for t in trainings}) == 1
        assert (
            len({(t.samples, t.batch_size, t.precision, t.checkpoint_every) for t in trainings})
            == 1
        )
    assert len({tuple(sorted(job.training.seeds.items())) for job in jobs}) == 3
    assert len({job.evaluation.seed for job in jobs}) == 1
    draws = {job.demonstrations: job.evaluation.draws for job in jobs}
    assert draws == {12: QUESTION.draws, 4: QUESTION.fewer_draws}


def test_splits_named_in_the_data_are_kept_and_others_are_drawn(cache, tmp_path):
    material = _material(cache, simulator=False)
    parts = [set(material.pool), set(material.validation), set(material.held_out)]
    assert [len(part) for part in parts] == [15, 2, 3]
    assert set.union(*parts) == set(range(20)) and sum(map(len, parts)) == 20
    assert _material(cache, simulator=False) == material
    assert _material(cache, simulator=False, tree=SeedTree(root=1)) != material
    assert _material(cache).held_out == ()
    named = [record(i, split="validation" if i % 4 == 0 else "train") for i in range(8)]
    named += [record(9, split="layout")]
    split = _material(build_cache(named, tmp_path / "cache"), simulator=False)
    assert split.validation == (0, 4) and split.held_out == (8,)
    assert split.pool == (1, 2, 3, 5, 6, 7)


def test_episodes_without_actions_never_train_and_too_few_are_refused(tmp_path):
    mute = [replace(e, actions=np.full_like(e.actions, np.nan)) for e in map(record, range(3))]
    cache = build_cache([*map(record, range(5)), *mute], tmp_path / "a")
    material = _material(cache)
    assert set(material.pool) | set(material.validation) == set(range(5))
    with pytest.raises(ValueError, match=r"12 demonstrations are asked for, here has 3"):
        material.subset(TREE, 12, 0)
    with pytest.raises(ValueError, match="left to train on"):
        _material(build_cache(mute, tmp_path / "b"))


def test_the_split_manifest_names_and_hashes_every_part(cache):
    material = _material(cache)
    scenes = {"layout": ("a", "b")}
    manifest = split_manifest(material, cache, TREE, (4, 12), 2, scenes)
    assert json.loads(json.dumps(manifest)) == manifest
    assert len(manifest["subsets"]) == 4
    hashes = {row["hash"] for row in manifest["subsets"]} | {manifest["validation"]["hash"]}
    assert len(hashes) == 5
    again = split_manifest(material, cache, TREE, (4, 12), 2, {"layout": ("a", "c")})
    assert again["scenes"]["layout"]["hash"] != manifest["scenes"]["layout"]["hash"]


def test_a_plan_survives_json_and_is_refused_when_it_was_changed():
    plan = _plan()
    plain = json.loads(json.dumps(plan.to_plain()))
    again = plan_from_plain(plain)
    assert again.hash == plan.hash and again.to_plain() == plain
    for change in ({"samples": 1280}, {"precision": "bf16"}, {"data_hash": "e"}):
        with pytest.raises(ValueError, match="changed after locking"):
            plan_from_plain({**plain, **change})
    with pytest.raises(ValueError, match="version 99"):
        plan_from_plain({**plain, "version": 99})


def test_the_hash_ignores_what_was_measured_and_nothing_that_decides_results():
    plan = _plan()
    assert replace(plan, calibration={"pi0": {"x": 1}}, data={"source": "there"}).hash == plan.hash
    changed = [
        replace(plan, samples=1280),
        replace(plan, data_hash="e"),
        _plan(seed=1),
        _plan(counts=(4, 13)),
        _plan(recipes=(recipes.by_name("pi0"), recipes.by_name("fast-wam-joint"))),
        _plan(draws=(Draw(split="layout", scenes=6),)),
        _plan(privileged="points"),
        _plan(environment={"kind": "plane", "max_steps": 21}),
    ]
    assert len({plan.hash, *(other.hash for other in changed)}) == 9


def test_a_plan_locks_what_backbones_start_from(cache):
    scratch, prior = _plan(), _plan(backbone="prior", priors={"vlm-tiny": "a", "video-tiny": "b"})
    assert "backbone" not in scratch.to_plain() and prior.hash != scratch.hash
    assert plan_from_plain(json.loads(json.dumps(prior.to_plain()))).hash == prior.hash
    other = _plan(backbone="prior", priors={"vlm-tiny": "a", "video-tiny": "c"})
    assert other.hash != prior.hash
    starts = {job.arm: dict(job.training.priors) for job in jobs_of(prior, _material(cache))}
    assert starts["pi0"] == starts["pi0+blind"] == {"vlm-tiny": "a"}
    assert starts["fast-wam"] == {"video-tiny": "b"}
    assert not any(job.training.priors for job in jobs_of(scratch, _material(cache)))
    assert "backbone: locked is prior, asked is scratch" in " ".join(
        differences(prior.question, scratch.question)
    )


def test_another_question_names_its_differences():
    other = replace(QUESTION, seeds=2, recipes=RECIPES[:1])
    found = differences(QUESTION, other)
    assert len(found) == 2
    assert "recipes: locked is ['pi0', 'fast-wam'], asked is ['pi0']" in found
    changed = replace(RECIPES[0], weights={"action": 2.0})
    assert (
        "changed definitions"
        in differences(QUESTION, replace(QUESTION, recipes=(changed, RECIPES[1])))[0]
    )
    with pytest.raises(ValueError, match=r"seeds: locked is 3, asked is 2[\s\S]*content d, found"):
        require_same(_plan(), replace(QUESTION, seeds=2), "e", "out")
    require_same(_plan(), QUESTION, "d", "out")


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("45m", 2700), ("2h", 7200), ("1h30m", 5400), ("0.5h", 1800)]
)
def test_durations_are_read(text, seconds):
    assert parse_duration(text) == seconds
    assert parse_duration(words_of(seconds)) == seconds


@pytest.mark.parametrize("text", ["", "90", "h", "2 hours", "-3m", "0s", "1m junk"])
def test_other_durations_are_refused(text):
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


def test_makespan_is_that_of_the_first_free_worker():
    assert makespan([3, 1, 1, 1], 2) == 3
    assert makespan([1, 1, 3], 2) == 4
    assert makespan([2.0, 2.0], 1) == 4
    assert makespan([], 2) == 0


@pytest.mark.parametrize("budget_s", [120.0, 900.0, 7200.0])
def test_locked_samples_fill_the_budget_and_stay_inside(budget_s):
    question = replace(QUESTION, samples=None, budget_s=budget_s)

    def wall(samples):
        return forecast(question, COSTS, samples=samples, workers=2, extra_s=5.0).wall_s

    samples = lock_samples(question, COSTS, workers=2, extra_s=5.0)
    assert samples % 64 == 0
    assert wall(samples) <= 0.95 * budget_s < wall(samples + 64)
    more = lock_samples(question, COSTS, workers=4, extra_s=5.0)
    assert more > 1.5 * samples


def test_a_budget_that_is_too_small_says_what_would_do():
    question = replace(QUESTION, samples=None, budget_s=20.0)
    with pytest.raises(ValueError, match="too small") as caught:
        lock_samples(question, COSTS, workers=2, extra_s=5.0)
    needed = parse_duration(str(caught.value).split("take ")[1].split(",")[0])
    assert lock_samples(replace(question, budget_s=needed + 1), COSTS, workers=2, extra_s=5.0)


def test_a_forecast_adds_up():
    found = forecast(QUESTION, COSTS, samples=640, workers=2, extra_s=0.0)
    assert found.precision == "bf16" and len(found.job_s) == 18
    cell = dict(zip([cell.id for cell in QUESTION.cells], found.job_s, strict=True))
    assert cell["pi0-n12-s0"] == pytest.approx(3 + (640 + 2000) * 0.001 + 21 * 0.05)
    assert cell["pi0-n12-s0"] == cell["pi0+blind-n12-s0"] < cell["fast-wam-n12-s0"]
    assert cell["pi0-n12-s0"] - cell["pi0-n4-s0"] == pytest.approx(6 * 0.05)
    assert found.flops == 18 * 640e9
    assert found.memory_bytes == 2 * 10**9
    assert sum(found.job_s) / 2 <= found.wall_s <= sum(found.job_s) / 2 + max(found.job_s)


def test_an_asked_precision_is_kept():
    question = replace(QUESTION, precision="fp32")
    found = forecast(question, COSTS, samples=640, workers=2, extra_s=0.0)
    assert found.precision == "fp32"
    assert found.wall_s > forecast(QUESTION, COSTS, samples=640, workers=2, extra_s=0.0).wall_s


def test_references_take_their_scenes_twice_and_half_as_long():
    slow = {name: replace(cost, episode_s=20.0) for name, cost in COSTS.items()}
    draws = (Draw(split="layout", scenes=3), Draw(split="pair", scenes=9))
    assert reference_s(replace(QUESTION, draws=draws), slow) == 9 * 20.0
    assert reference_s(replace(QUESTION, draws=(), environment=None), slow) == 0.0


def test_default_scenes_of_the_table_top_share_layouts_and_reach_every_split():
    draws, fewer = tabletop_draws(50, 7)
    assert [(d.split, d.scenes, d.conditions) for d in draws] == [
        ("layout", 50, ("asked",)),
        ("layout", 16, ("paraphrase",)),
        ("layout", 16, ("blank", "nonsense")),
        ("pair", 16, ("asked",)),
        ("composition", 16, ("asked",)),
    ]
    assert [draw.seed for draw in draws] == [None, None, None, 7, None]
    assert sum(draw.episodes for draw in draws) == 326 and fewer == draws[:1]


def test_remaining_time_follows_what_happens():
    jobs = {f"j{i}": 100.0 for i in range(4)}
    clock = Remaining(jobs, dict.fromkeys(jobs, 80.0), workers=2, after_s=10.0)
    assert clock.seconds(0.0) == 210
    for job in ("j0", "j1"):
        clock.happened(Happened(kind="started", job=job), 0.0)
    assert clock.seconds(50.0) == 160
    half = Stage(name="training", done=50, total=100)
    clock.happened(Happened(kind="stage", job="j0", stage=half), 80.0)
    assert clock.seconds(80.0) == pytest.approx(10 + 100 + 100)
    for job in ("j0", "j1"):
        clock.happened(Happened(kind="finished", job=job, seconds=200.0), 200.0)
    assert clock.seconds(200.0) == 210
    clock.happened(Happened(kind="started", job="j2"), 200.0)
    clock.happened(Happened(kind="failed", job="j3"), 200.0)
    late = Stage(name="evaluation", done=3, total=4)
    clock.happened(Happened(kind="stage", job="j2", stage=late), 300.0)
    assert clock.seconds(300.0) == pytest.approx(10 + 0.25 * 40)
    clock.happened(Happened(kind="crashed", job="j2"), 301.0)
    assert clock.seconds(301.0) == 210
    assert to_plain(late)["facts"] == {}
