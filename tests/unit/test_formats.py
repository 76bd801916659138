"""Every format that lies on disk is versioned and survives its own way there and back."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from fakes.worlds import ACTION, OBSERVATION
from vertebra import recipes
from vertebra.evaluate.plan import Draw
from vertebra.pilot.jobs import (
    ArmJob,
    Evaluation,
    LatencyJob,
    Ledger,
    ReferenceJob,
    RehearsalJob,
    job_from_plain,
    job_to_plain,
)
from vertebra.pilot.layout import JobDirectory
from vertebra.pilot.ledger import collect, ledger_from_plain
from vertebra.pilot.plan import Question, question_from_plain
from vertebra.policy.saved import recipe_from_plain, recipe_to_plain
from vertebra.spec.record import EpisodeRecord, Timing, record_from_plain
from vertebra.spec.seeds import SeedTree, policy_noise, seed_at
from vertebra.spec.storage import (
    canonical_json,
    digest,
    read_json,
    read_jsonl,
    to_plain,
    write_bytes,
    write_json,
    write_jsonl,
)
from vertebra.spec.task import Outcome
from vertebra.train.spec import TrainSpec, train_spec_from_plain, train_spec_to_plain

GOLDEN = Path(__file__).parents[1] / "golden"
RECORD = EpisodeRecord(
    pilot="p",
    arm="pi0",
    family="vla",
    demonstrations=3,
    seed=1,
    environment="plane-v1",
    split="layout",
    condition="asked",
    initial_state="s",
    initial_hash="h",
    scene_seed=2**62,
    task="t",
    skill="k",
    instruction="“do” it",
    outcome=Outcome.TIMEOUT,
    achieved=("a", "b"),
    first_touched=None,
    first_grasped="x",
    target="y",
    progress=0.1 + 0.2,
    steps=7,
    model_evaluations={"action": 10},
    spec_hash="s",
    software={"commit": "c", "dirty": None},
    timing=Timing(latency_s=(0.1,), wall_s=2.0),
)
SPEC = TrainSpec(
    recipe=recipes.by_name("fast-wam-idm").blinded(),
    size="tiny",
    needs=OBSERVATION,
    makes=ACTION,
    privileged="none",
    samples=64,
    batch_size=8,
    data="frames",
    data_hash="d",
    episodes=(1, 2),
    validation_episodes=(3,),
    seeds=SeedTree(root=0).training(1),
)
EVALUATION = Evaluation(
    environment={"kind": "tabletop", "skills": ["put"]},
    draws=(Draw(split="pair", scenes=2, conditions=("asked", "blank"), seed=5),),
    seed=7,
    held_out=(4, 5),
)
JOBS = (
    ArmJob(
        id="j",
        plan="p",
        arm="a",
        recipe="r",
        family="wam",
        blind=True,
        demonstrations=2,
        seed=1,
        training=SPEC,
        evaluation=EVALUATION,
    ),
    ReferenceJob(id="reference", plan="p", evaluation=EVALUATION),
    RehearsalJob(id="r", recipe="pi0", training=SPEC, evaluation=replace(EVALUATION, draws=())),
    LatencyJob(
        id="timing",
        policies={"pi0": "jobs/x/checkpoint"},
        environment=None,
        split="",
        seed=1,
        data="frames",
        held_out=(1,),
    ),
)


def _again(value):
    return json.loads(canonical_json(value))


@pytest.mark.parametrize("recipe", [*recipes.ALL, *(r.blinded() for r in recipes.ALL)], ids=str)
def test_recipes(recipe):
    again = recipe_from_plain(_again(recipe_to_plain(recipe)))
    assert again == recipe and recipe_to_plain(again) == recipe_to_plain(recipe)


def test_recipes_of_another_version_are_refused():
    with pytest.raises(ValueError, match="version"):
        recipe_from_plain({**recipe_to_plain(recipes.ALL[0]), "version": 99})


def test_training_specs():
    assert train_spec_from_plain(_again(train_spec_to_plain(SPEC))) == SPEC
    with pytest.raises(ValueError, match="version"):
        train_spec_from_plain({**train_spec_to_plain(SPEC), "version": 99})


@pytest.mark.parametrize("job", JOBS, ids=lambda job: type(job).__name__)
def test_jobs(job):
    plain = job_to_plain(job)
    assert job_from_plain(_again(plain)) == job
    with pytest.raises(ValueError, match="version 99"):
        job_from_plain({**plain, "version": 99})
    with pytest.raises(ValueError, match="soup"):
        job_from_plain({**plain, "kind": "soup"})
    with pytest.raises(ValueError, match="does not fit"):
        job_from_plain({**plain, "spice": 1})
    with pytest.raises(ValueError, match="does not fit"):
        job_from_plain({name: value for name, value in plain.items() if name != "id"})


def test_questions():
    question = Question(
        recipes=recipes.ALL, counts=(2, 3), samples=64, draws=EVALUATION.draws, environment={"a": 1}
    )
    assert question_from_plain(_again(question.to_plain())) == question


def test_records_and_what_their_hash_covers():
    assert record_from_plain(_again(RECORD)) == RECORD
    slower = replace(RECORD, timing=Timing(latency_s=(9.0,), wall_s=9.0))
    assert slower.content_hash() == RECORD.content_hash()
    changes = {
        "outcome": Outcome.SUCCESS,
        "achieved": ("a",),
        "instruction": "other",
        "steps": 8,
        "software": {"commit": "d", "dirty": None},
        "progress": 0.3,
    }
    hashes = {replace(RECORD, **{name: new}).content_hash() for name, new in changes.items()}
    assert len(hashes | {RECORD.content_hash()}) == len(changes) + 1
    for broken in ({"version": 2}, {"spice": 1}):
        with pytest.raises(ValueError, match=r"version|unknown"):
            record_from_plain({**_again(RECORD), **broken})


def test_ledgers(tmp_path):
    ledger = Ledger(
        demonstrations=2,
        language_labels=2,
        privileged_targets=0,
        video_frames=5,
        samples=64,
        flops=1e9,
        train_seconds=1.5,
        evaluation_seconds=0.5,
    )
    assert ledger_from_plain(_again(ledger)) == ledger
    with pytest.raises(ValueError, match=r"lacks \['flops'\].*unknown fields \['flop'\]"):
        plain = _again(ledger)
        ledger_from_plain({**{k: v for k, v in plain.items() if k != "flops"}, "flop": 1})
    jobs = [JobDirectory(root=tmp_path / name) for name in ("a", "b", "c")]
    for job in jobs[:2]:
        write_json(job.result, {"version": 1, "ledger": ledger})
    write_json(jobs[2].failed, {"why": "x", "log": "log.txt"})
    found = collect("p", jobs)
    assert found["total"] == {
        "samples": 128,
        "flops": 2e9,
        "train_seconds": 3.0,
        "evaluation_seconds": 1.0,
    }
    assert (found["finished"], found["planned"], found["failed"]) == (2, 3, ["c"])


def test_the_seed_tree_is_the_same_everywhere_and_names_no_arm():
    tree = SeedTree(root=0)
    drawn = [
        *(tree.subset(s) for s in range(3)),
        *(seed for s in range(3) for seed in tree.training(s).values()),
        tree.split(),
        tree.scenes(),
        tree.demonstrations(),
        policy_noise(tree.scenes()),
    ]
    assert len(set(drawn)) == len(drawn)
    assert all(0 <= seed < 2**63 for seed in drawn)
    assert SeedTree(root=1).subset(0) != tree.subset(0)
    assert seed_at(0, "subset", 1) == tree.subset(1) == 6333070488021740243
    assert seed_at(0, "a", 1) != seed_at(0, "a", "1")


def test_files_are_whole_or_absent(tmp_path, monkeypatch):
    path = tmp_path / "deep" / "file.json"
    write_json(path, {"b": (1, 2), "a": Outcome.ERROR})
    assert read_json(path) == {"a": "error", "b": [1, 2]}

    def crash(self, target):
        raise OSError("power is out")

    with monkeypatch.context() as patched:
        patched.setattr("pathlib.Path.replace", crash)
        with pytest.raises(OSError, match="power"):
            write_bytes(path, b"half")
    assert read_json(path)["a"] == "error"
    path.write_text("{")
    with pytest.raises(ValueError, match=r"file\.json is not valid JSON"):
        read_json(path)
    rows = tmp_path / "rows.jsonl"
    write_jsonl(rows, [{"x": 1}, {"x": "ü"}])
    assert list(read_jsonl(rows)) == [{"x": 1}, {"x": "ü"}]


def test_equal_values_have_equal_text_and_numbers_stay_exact():
    assert canonical_json({"b": 1, "a": (1,)}) == canonical_json({"a": [1], "b": 1})
    assert digest({"a": 1}) != digest({"a": 1.5})
    assert to_plain({"x": {3, 1, 2}}) == {"x": [1, 2, 3]}
    assert json.loads(canonical_json(0.1 + 0.2)) == 0.1 + 0.2
    with pytest.raises(ValueError, match="JSON"):
        canonical_json(float("nan"))


def test_recipes_of_the_first_version_are_still_read():
    written = json.loads((GOLDEN / "recipes_version_1.json").read_text())
    assert {plain["version"] for plain in written} == {1}
    fast_wam = recipes.by_name("fast-wam").pointed().blinded()
    wanted = (recipes.by_name("pi0"), recipes.by_name("fast-wam-idm"), fast_wam)
    assert tuple(recipe_from_plain(plain) for plain in written) == wanted
