"""A new skill added to trained policies: what is taught, what is said of it, what is refused."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fakes.pilots import make_setting
from fakes.run import fake_record
from fakes.training import PARTS
from fakes.worlds import Plane, record
from vertebra import recipes
from vertebra.audit.report import audit_run
from vertebra.cli.entry import run as command
from vertebra.data.cache import build_cache
from vertebra.pilot.adapt import ADAPT, Lesson, Teacher, lesson_settings, require_new
from vertebra.pilot.again import evaluate_again, finished_cells, locked_plan
from vertebra.pilot.layout import RunDirectory
from vertebra.pilot.plan import Question, training_of
from vertebra.pilot.run import run_pilot
from vertebra.report.render import write_report
from vertebra.spec.criteria import Criteria
from vertebra.spec.storage import read_json, read_jsonl, write_jsonl
from vertebra.spec.task import Outcome
from vertebra.stats.distributions import sigmoid
from vertebra.train.prepare import going_on, prepare
from vertebra.verdict.adapt import adaptations, lesson_ratios
from vertebra.verdict.again_read import CANNOT_TELL, FORGETS, KEEPS, AgainJob
from vertebra.verdict.run import read_run
from vertebra.verdict.summarise import summarise


class Hopping(Plane):
    """The plane, whose tasks are of another skill."""

    def initial_states(self, split, count, seed):
        states = super().initial_states(split, count, seed + 1)
        return tuple(
            replace(s, tasks=tuple(replace(t, skill="hop") for t in s.tasks)) for s in states
        )


def make_environment(settings):
    return (Hopping if "skills" in settings else Plane)(max_steps=settings["max_steps"])


HERE = replace(PARTS, make_environment=make_environment)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    base = tmp_path_factory.mktemp("adapt")
    setting = make_setting(base, twins="none")
    question = replace(setting.question, counts=(4,), seeds=2)
    assert run_pilot(replace(setting, question=question), base / "out") == []
    return base / "out"


@pytest.fixture
def out(finished, tmp_path):
    return Path(shutil.copytree(finished, tmp_path / "out"))


def taught(out, tmp_path, **changes):
    """Teach the plane's policies to hop; returns the teacher and the cells."""
    lesson = Lesson(skill="hop", counts=(2, 4), samples=20, scenes=2, **changes)
    run = RunDirectory(root=out)
    plan = locked_plan(run)
    cells = finished_cells(run, plan)
    new = build_cache((record(n) for n in range(20, 32)), tmp_path / "new", source="new")
    material = replace(
        make_setting(tmp_path / "again").material,
        cache=str(new.directory),
        data_hash=new.content_hash,
        pool=tuple(range(8)),
        validation=tuple(range(8, 12)),
    )
    teacher = Teacher(run=run, plan=plan, lesson=lesson, new=material, new_cache=new, parts=HERE)
    for setting in lesson_settings(plan, lesson, new.content_hash):
        evaluate_again(
            run, plan, cells, setting, HERE, teacher.evaluate(setting), lambda *what: None
        )
    return teacher, cells


def test_every_training_goes_on_and_stands_beside_itself(out, tmp_path):
    taught(out, tmp_path)
    summary = summarise(read_run(out))
    assert summary.again == ()
    assert [(one.arm, one.replay) for one in summary.adaptations] == [
        ("fast-wam", 0.0),
        ("pi0", 0.0),
    ]
    for one in summary.adaptations:
        assert [lesson.demonstrations for lesson in one.lessons] == [0, 2, 4]
        before, *after = one.lessons
        assert before.new is not None and before.new.n == 2 * 6 and before.forgotten is None
        for lesson in after:
            assert lesson.old is not None and lesson.old_before is not None
            assert lesson.forgotten is not None and lesson.forgotten.n == 2 * 6
            assert lesson.forgotten.value == 0
        assert one.memory == CANNOT_TELL  # two seeds
    (ratio,) = summary.lesson_ratios
    assert ratio.ratio is None and ratio.missing
    write_report(out)
    page = (out / "report.html").read_text()
    assert "What does a new skill take, and what is forgotten?" in page
    assert audit_run(out).findings == ()


def test_lessons_are_nested_and_replay_is_part_of_the_same_training(out, tmp_path):
    teacher, cells = taught(out, tmp_path, replay=0.5)
    before = read_json(out / "jobs" / cells[0].id / "job.json")["training"]
    specs = {count: teacher.spec(cells[0], count) for count in (2, 4)}
    for count, spec in specs.items():
        assert len(spec.episodes) == count + count // 2
        assert not set(spec.episodes) & set(spec.validation_episodes)
        assert spec.samples == 20 and spec.seeds != before["seeds"]
    plain = replace(teacher, lesson=replace(teacher.lesson, replay=0.0))
    few, many = (plain.spec(cells[0], count).episodes for count in (2, 4))
    assert set(few) < set(many) <= set(teacher.new.pool)
    other = next(cell for cell in cells if cell.seed != cells[0].seed)
    assert plain.spec(other, 4).episodes != many
    with pytest.raises(ValueError, match="the training had 4"):
        replace(teacher, lesson=replace(teacher.lesson, replay=3.0)).spec(cells[0], 4)
    result = read_json(out / "again" / ADAPT / "hop-n4-replay0.5" / cells[0].id / "result.json")
    assert (result["new_demonstrations"], result["replayed"]) == (4, 2)


def test_an_episode_dropped_after_a_lesson_is_found(out, tmp_path):
    _, cells = taught(out, tmp_path)
    path = out / "again" / ADAPT / "hop-n4-replay0" / cells[0].id / "records.jsonl"
    write_jsonl(path, list(read_jsonl(path))[1:])
    assert "dropped episode" in {finding.kind for finding in audit_run(out).findings}


def test_what_was_trained_on_is_no_new_skill(out):
    run = RunDirectory(root=out)
    plan = locked_plan(run)
    cells = finished_cells(run, plan)
    with pytest.raises(ValueError, match="on the table-top only"):
        require_new(run, plan, cells, "lift")
    world = {"kind": "tabletop", "skills": ("put", "push")}
    plan = replace(plan, question=replace(plan.question, environment=world))
    require_new(run, plan, cells, "lift")
    with pytest.raises(ValueError, match=r"'push' is no new skill: .*\['push', 'put'\]"):
        require_new(run, plan, cells, "push")


def test_a_lesson_that_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match=r"give each once(.|\n)*replay is -1(.|\n)*0 scenes"):
        Lesson(skill="lift", counts=(5, 5), replay=-1.0, scenes=0)


@pytest.fixture
def spec(tmp_path):
    cache = build_cache((record(n) for n in range(8)), tmp_path / "old", source="old")
    setting = make_setting(tmp_path / "pilot")
    material = replace(
        setting.material,
        cache=str(cache.directory),
        data_hash=cache.content_hash,
        pool=(0, 1, 2, 3),
        validation=(4, 5),
    )
    question = Question(
        recipes=(recipes.by_name("pi0"),),
        counts=(4,),
        seeds=1,
        size="tiny",
        privileged="none",
        samples=8,
        batch_size=4,
    )
    return training_of(
        question,
        material,
        question.cells[0],
        samples=8,
        precision="fp32",
        checkpoint_every=10,
    )


def test_going_on_keeps_all_weights_and_gives_new_words_rows_of_their_own(spec, tmp_path):
    words = ("hop to red", "hop over blue")
    episodes = (record(n, instruction=words[n % 2]) for n in range(8))
    new = build_cache(episodes, tmp_path / "new", source="new")
    before = prepare(spec).policy
    fresh = prepare(replace(spec, data=str(new.directory), data_hash=new.content_hash))
    after = going_on(fresh, before).policy
    old, grown = before.network.shape.vocabulary, after.network.shape.vocabulary
    assert grown[: len(old)] == old and set(grown) - set(old) == {"hop", "over"}
    assert after.state_normaliser is before.state_normaliser
    for name, value in before.network.state_dict().items():
        assert torch.equal(after.network.state_dict()[name][: len(value)], value)
    other = replace(spec, recipe=recipes.by_name("fast-wam"))
    with pytest.raises(ValueError, match="go on from is fast-wam"):
        going_on(fresh, prepare(other).policy)


def lessons(rng, *, drop, needed, seeds=3, scenes=30, arm="pi0", replay=0.0):
    """Jobs and planned episodes of a known truth: old skills lose ``drop`` logits at once."""
    jobs, planned = [], []
    for seed in range(seeds):
        effect, memory = rng.normal(0, 0.3, 2)
        ease = rng.normal(0, 0.8, scenes)
        common = {"arm": arm, "demonstrations": 800, "seed": seed}

        def episodes(logits, skill, common=common):
            return tuple(
                fake_record(
                    **common,
                    initial_state=f"{skill}-{n}",
                    scene_seed=n,
                    task=f"{skill}/{n}",
                    skill=skill,
                    outcome=Outcome.SUCCESS if hit else Outcome.TIMEOUT,
                    achieved=(f"{skill}/{n}",) if hit else (),
                )
                for n, hit in enumerate(rng.random(scenes) < sigmoid(logits))
            )

        planned += episodes(0.8 + effect + ease, "put")
        for count in (0, 25, 50, 100, 200):
            gained = -6.0 if not count else 1.2 * np.log(count / needed) + effect
            old = episodes(0.8 + effect - drop + 0.5 * memory + ease, "put") if count else ()
            jobs.append(
                AgainJob(
                    kind=ADAPT,
                    label=f"lift-n{count}",
                    words="",
                    facts={"skill": "lift", "demonstrations": count, "replay": replay},
                    arm=arm,
                    demonstrations=800,
                    seed=seed,
                    result={},
                    records=(*episodes(gained + ease, "lift"), *old),
                )
            )
    return jobs, planned


def mean_rate(logit, variance):
    nodes, weights = np.polynomial.hermite_e.hermegauss(41)
    return float(weights @ sigmoid(logit + np.sqrt(variance) * nodes)) / np.sqrt(2 * np.pi)


@pytest.mark.parametrize("drop", [0.0, 1.5])
def test_what_is_forgotten_is_covered_and_named(drop):
    """Known truth: the interval of the drop covers, and words are right or careful."""
    rng = np.random.default_rng(11)
    truth = mean_rate(0.8 - drop, 0.64 + 0.09 + 0.0225 * 2.78) - mean_rate(0.8, 0.64 + 0.09)
    held, said = 0, []
    for _ in range(30):
        jobs, planned = lessons(rng, drop=drop, needed=60, scenes=40)
        (one,) = adaptations(jobs, planned, Criteria(minimum_difference=0.1))
        forgotten = one.lessons[-1].forgotten
        assert forgotten is not None and forgotten.low is not None and forgotten.high is not None
        held += forgotten.low <= truth <= forgotten.high
        said.append(one.memory)
    assert held >= 0.92 * 30
    assert (FORGETS not in said) if drop == 0 else (KEEPS not in said)
    if drop:
        assert said.count(FORGETS) >= 6


def test_demonstrations_of_the_new_skill_and_the_ratio_of_two_arms():
    rng = np.random.default_rng(12)
    criteria = Criteria(target_success=0.5)
    first, planned = lessons(rng, drop=0.0, needed=40, seeds=5, scenes=60)
    second, more = lessons(rng, drop=0.0, needed=120, seeds=5, scenes=60, arm="fast-wam")
    found = adaptations([*first, *second], [*planned, *more], criteria)
    assert [one.arm for one in found] == ["pi0", "fast-wam"]
    assert 25 < float(found[0].burden.split()[0]) < 70 < float(found[1].burden.split()[0]) < 200
    (ratio,) = lesson_ratios([*first, *second], criteria)
    assert ratio.ratio is not None
    assert (ratio.ratio.low or 0.0) < 3.0 < (ratio.ratio.high or np.inf)
    few = [job for job in first if job.facts["demonstrations"] in (0, 25)]
    assert "taught at 1" in adaptations(few, planned, criteria)[0].burden


@pytest.mark.slow
def test_policies_of_the_table_top_are_taught_to_lift(tmp_path, capsys):
    data, out = tmp_path / "data", tmp_path / "out"
    small = ["--count", "8", "--validation", "8", "--size", "32", "--workers", "1"]
    command(["data", "make", str(data), *small, "--skills", "put", "push"])
    pilot = ["pilot", "--data", str(data), "--recipes", "pi0", "--demos", "6", "--seeds", "1"]
    pilot += ["--samples", "64", "--size", "tiny", "--twins", "none", "--scenes", "2"]
    assert command([*pilot, "--out", str(out), "--workers", "1"]) == 0
    lesson = ["adapt", str(out), "--skill", "lift", "--demos", "4", "8", "--samples", "64"]
    lesson += ["--scenes", "2", "--replay", "0.5", "--workers", "1"]
    assert command(lesson) == 0
    said = capsys.readouterr().out
    assert "pi0, lift, 0.5 old demonstrations for each new one" in said
    assert "old skills" in said and "after     8 demonstrations" in said
    assert command(lesson) == 0  # nothing is done twice
    write_report(out)
    assert audit_run(out).findings == ()
    assert command(["adapt", str(out), "--skill", "push"]) == 2
    assert "'push' is no new skill" in capsys.readouterr().err
