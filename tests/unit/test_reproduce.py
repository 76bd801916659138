"""Reproductions: whole protocols earn a status; partial ones and changed records earn nothing."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from fakes.policies import Seeker
from fakes.worlds import ACTION, OBSERVATION, Plane
from vertebra.cli.entry import run
from vertebra.pilot.worlds import settings_from_words
from vertebra.policy.protocol import Act
from vertebra.reproduce import opened, record
from vertebra.reproduce.record import rung_of
from vertebra.reproduce.run import protocol_plan, reproduce, robot_of
from vertebra.reproduce.targets import TARGETS, Part, Target, target_by_name
from vertebra.spec.errors import SpecMismatch
from vertebra.spec.observation import Observation
from vertebra.spec.storage import digest, read_json

WORKS = Target(
    recipe="pi0",
    benchmark="plane",
    parts=(
        Part(name="near", world="near", episodes=6, rate=1.0),
        Part(name="far", world="far", episodes=4, rate=0.9),
    ),
    split="official",
    execute=4,
    relative=0,
    cameras={"top": ("base_0_rgb",)},
    source="nowhere",
)
FAILS = replace(WORKS, parts=(*WORKS.parts[:1], replace(WORKS.parts[1], rate=0.01)))


@pytest.fixture
def weights(tmp_path):
    directory = tmp_path / "weights"
    directory.mkdir()
    (directory / "model.safetensors").write_bytes(b"weights")
    return directory


def reproduced(weights, out, target=WORKS, policy=None, **how):
    return reproduce(
        target,
        weights,
        out,
        open_policy=lambda environment: policy or Seeker(),
        make=lambda world: Plane(),
        lanes=2,
        software={},
        machine={},
        **how,
    )


def known(monkeypatch, target):
    """As if the target was one of those that are written down."""
    monkeypatch.setattr(record, "target_by_name", lambda recipe, benchmark: target)


def resealed(plain, **changes):
    body = {**{name: value for name, value in plain.items() if name != "seal"}, **changes}
    return {**body, "seal": digest(body)}


def test_a_whole_protocol_with_the_published_number_inside_reproduces(
    weights, tmp_path, monkeypatch
):
    done = reproduced(weights, tmp_path / "out")
    assert [(one.episodes, one.successes, one.errors) for one in done.parts] == [
        (6, 6, 0),
        (4, 4, 0),
    ]
    assert done.earned == "reproduces"
    known(monkeypatch, WORKS)
    assert rung_of(read_json(tmp_path / "out" / "reproduction.json")) == "reproduces"


def test_a_published_number_outside_of_the_interval_only_loads(weights, tmp_path, monkeypatch):
    done = reproduced(weights, tmp_path / "out", FAILS)
    assert (done.inside("near"), done.inside("far")) == (True, False)
    assert done.earned == "loads"
    known(monkeypatch, FAILS)
    assert rung_of(read_json(tmp_path / "out" / "reproduction.json")) == "loads"


def test_a_partial_run_earns_nothing(weights, tmp_path, monkeypatch):
    done = reproduced(weights, tmp_path / "out", episodes=5)
    assert [one.episodes for one in done.parts] == [5, 4]
    assert not done.complete
    assert done.earned == ""
    known(monkeypatch, WORKS)
    plain = read_json(tmp_path / "out" / "reproduction.json")
    assert rung_of(plain) == ""
    assert rung_of(resealed(plain, earned="reproduces", complete=True)) == ""


def test_an_episode_that_crashed_counts_and_earns_nothing(weights, tmp_path):
    done = reproduced(weights, tmp_path / "out", policy=Seeker(fails=("red",)))
    assert [(one.successes, one.errors) for one in done.parts] == [(0, 6), (0, 4)]
    assert done.earned == ""


def test_a_record_that_was_changed_is_refused(weights, tmp_path, monkeypatch):
    reproduced(weights, tmp_path / "out", FAILS)
    known(monkeypatch, FAILS)
    plain = read_json(tmp_path / "out" / "reproduction.json")
    with pytest.raises(ValueError, match="seal is broken"):
        rung_of({**plain, "weights": {}})
    better = [plain["parts"][0], {**plain["parts"][1], "low": 0.0}]
    with pytest.raises(ValueError, match="does not follow from its counts"):
        rung_of(resealed(plain, parts=better))
    assert rung_of(resealed(plain, weights={})) == ""
    known(monkeypatch, WORKS)
    with pytest.raises(ValueError, match="published numbers"):
        rung_of(plain)
    with pytest.raises(ValueError, match="version"):
        rung_of({**plain, "version": 0})


def test_a_benchmark_that_nobody_published_earns_nothing(weights, tmp_path):
    reproduced(weights, tmp_path / "out")
    with pytest.raises(ValueError, match="No published result"):
        rung_of(read_json(tmp_path / "out" / "reproduction.json"))


def test_an_interrupted_run_goes_on_and_ends_as_if_it_was_not(weights, tmp_path):
    whole = reproduced(weights, tmp_path / "whole")

    def stop(part, done, all_of_them):
        if (part, done) == ("near", 4):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reproduced(weights, tmp_path / "parts", told=stop)
    seen = []
    again = reproduced(
        weights, tmp_path / "parts", told=lambda part, done, rest: seen.append((part, done))
    )
    assert seen == [("near", 6), ("far", 2), ("far", 4)]
    assert [one.records for one in again.parts] == [one.records for one in whole.parts]


def test_other_weights_need_a_fresh_directory(weights, tmp_path):
    reproduced(weights, tmp_path / "out")
    (weights / "model.safetensors").write_bytes(b"others")
    with pytest.raises(ValueError, match="fresh directory"):
        reproduced(weights, tmp_path / "out")
    (weights / "model.safetensors").unlink()
    with pytest.raises(ValueError, match="holds no"):
        reproduced(weights, tmp_path / "other")


def test_a_policy_that_does_not_fit_is_refused_before_anything_runs(weights, tmp_path):
    policy = Seeker()
    policy.makes = replace(ACTION, rate_hz=5.0)
    with pytest.raises(SpecMismatch, match="rate"):
        reproduced(weights, tmp_path / "out", policy=policy)
    assert not list((tmp_path / "out").glob("*.jsonl"))


def test_each_episode_asks_for_the_task_of_its_initial_state():
    plan = protocol_plan(Plane(), "official", 3)
    assert [one.instruction for one in plan] == ["go to red"] * 3
    assert len({one.scene_seed for one in plan}) == 3


def test_published_numbers_are_of_known_worlds_and_lie_inside_an_interval():
    assert len({one.name for one in TARGETS}) == len(TARGETS)
    for target in TARGETS:
        for part in target.parts:
            assert 0 < part.rate <= 1
            settings_from_words(part.world)
        assert target.source
        assert target.level == pytest.approx(1 - 0.05 / len(target.parts))
    assert target_by_name("pi0", "libero").execute == 5
    with pytest.raises(ValueError, match="pi0 on libero"):
        target_by_name("pi0", "kitchen")


def test_actions_relative_to_the_state_are_added_to_it():
    chunk = np.ones((3, 4), np.float32)
    inner = SimpleNamespace(
        needs=OBSERVATION,
        act_batch=lambda sessions, seen: [(session, Act(chunk=chunk)) for session in sessions],
    )
    policy = opened.Released(inner=inner, makes=ACTION, execute=2, relative=1)  # type: ignore[arg-type]
    seen = Observation(
        images={},
        state=np.array([5.0, 7.0], np.float32),
        instruction="",
        executed=np.zeros((0, 2), np.float32),
    )
    ((_, act),) = policy.act_batch([0], [seen])  # type: ignore[list-item]
    assert act.chunk.tolist() == [[6.0, 1.0]] * 3
    assert chunk[0, 0] == 1.0


def test_the_robot_of_an_environment_is_seen_as_it_starts():
    robot = robot_of(Plane(), WORKS)
    assert robot.states is not None
    np.testing.assert_allclose(robot.states, [[0.3, 0.3]])
    assert (robot.needs, robot.makes, robot.cameras) == (OBSERVATION, ACTION, WORKS.cameras)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["unipi", "libero"], "No published result"),
        (["cosmos-policy", "libero"], "No reader"),
        (["pi0", "libero"], "config.json"),
        (["pi0", "libero", "--episodes", "-1"], "give 0 or more"),
    ],
)
def test_the_command_refuses(words, told, weights, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("vertebra.cli.reproduce.make_environment", lambda settings: Plane())
    out = str(tmp_path / "out")
    assert run(["reproduce", *words, "--weights", str(weights), "--out", out]) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "out" / "reproduction.json").exists()


@pytest.mark.parametrize(("target", "code"), [(WORKS, 0), (FAILS, 1)])
def test_the_command_tells_what_was_earned(target, code, weights, tmp_path, capsys, monkeypatch):
    name = "vertebra.cli.reproduce."
    monkeypatch.setattr(name + "target_by_name", lambda recipe, benchmark: target)
    monkeypatch.setattr(name + "make_environment", lambda settings: Plane())
    monkeypatch.setattr(name + "settings_from_words", lambda words: settings_from_words("libero"))
    monkeypatch.setattr(
        "vertebra.reproduce.readers.reader_of", lambda recipe: lambda *how: Seeker()
    )
    monkeypatch.setattr("vertebra.reproduce.opened.on_device", lambda policy, device: policy)
    out = str(tmp_path / "out")
    assert run(["reproduce", "pi0", "plane", "--weights", str(weights), "--out", out]) == code
    printed = capsys.readouterr().out
    assert ("OUTSIDE" in printed) == (code == 1)
    assert f"status: {'loads' if code else 'reproduces'}" in printed
