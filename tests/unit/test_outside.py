"""Worlds in processes of their own: the same as inside, and what goes wrong is told."""

import json
import shutil
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import make_dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fakes.outside import HERE, PLANE, PlaneWorld
from fakes.worlds import make_state
from vertebra.cli.entry import run
from vertebra.envs import places, simulators
from vertebra.envs.fitness import check_environment
from vertebra.envs.outside import OutsideSettings, open_world, outside_from_words
from vertebra.envs.remote import Remote, WorldError
from vertebra.envs.simulator import Clone
from vertebra.evaluate.actor import DemonstratorActor
from vertebra.evaluate.plan import plan_episodes
from vertebra.evaluate.run import Identity, run_episodes
from vertebra.pilot import work
from vertebra.pilot.jobs import LatencyJob
from vertebra.pilot.prepare import draws_of, make_material
from vertebra.pilot.worlds import demonstrator_of, lanes_of, make_environment
from vertebra.serve.recorded import Recorded, Tape
from vertebra.spec.seeds import SeedTree
from vertebra.spec.storage import write_json
from vertebra.spec.task import Outcome

IDENTITY = Identity(pilot="p", arm="demonstrator", family="control", demonstrations=0, seed=0)
Lazy = make_dataclass("Lazy", ["images", "state", "instruction", "executed"])
"""An observation that the type checker of the tests does not look into."""
SETTINGS = {"world": "flat", "protocol": "plain"}


def remote(settings=SETTINGS, **more) -> Remote:
    return Remote(PLANE.serves, settings, packages=PLANE.packages, path=(HERE,), **more)


@pytest.fixture(scope="module")
def world():
    one = remote()
    yield one
    one.close()


@pytest.fixture
def known(monkeypatch, tmp_path):
    """The plane as a simulator that is set up here."""
    monkeypatch.setattr(simulators, "SIMULATORS", (PLANE,))
    monkeypatch.setenv(places.ROOT_VARIABLE, str(tmp_path / "envs"))
    directory = places.where(PLANE)
    (directory / "bin").mkdir(parents=True)
    python = directory / "bin/python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH={HERE}:$PYTHONPATH exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    write_json(directory / places.READY, {"requirements": [*places.SERVES]})
    return PLANE


def test_a_world_in_another_process_gives_the_same_episode_as_one_in_this(world):
    here = PlaneWorld(**SETTINGS)
    assert (world.offers, world.takes, world.max_steps) == (here.offers, here.takes, 40)
    state = make_state("layout", 3)
    assert world.initial_states("layout", 4, 0)[3].id == state.id
    seen = [one.begin(state, state.tasks[1], 5) for one in (world, here)]
    for _ in range(4):
        actions = [one.demonstrate(state.tasks[1]) for one in (world, here)]
        np.testing.assert_array_equal(*actions)
        for one, action in zip((world, here), actions, strict=True):
            one.apply(action)
        assert world.judge() == here.judge()
        seen = [one.observe() for one in (world, here)]
        np.testing.assert_array_equal(seen[0].state, seen[1].state)
        np.testing.assert_array_equal(seen[0].images["top"], seen[1].images["top"])
        np.testing.assert_array_equal(seen[0].executed, seen[1].executed)
        assert seen[0].executed.shape == (1, 2)
    assert world.state_hash() == here.state_hash()
    assert world.target_of(state.tasks[0]) == "red"
    assert not world.hold(np.ones(2, np.float32)).any()


def test_pictures_are_rendered_only_when_asked_for_and_never_of_another_moment(monkeypatch):
    # The type checker of the tests looks into every observation that is made.
    monkeypatch.setattr("vertebra.envs.remote.Observation", SimpleNamespace)
    world = remote({"world": "flat", "protocol": "counting"})
    state = make_state("layout", 0)
    before = world.labels()["rendered"]
    seen = world.begin(state, state.tasks[0], 0)
    world.apply(np.zeros(2, np.float32))
    world.judge()
    assert world.labels()["rendered"] == before
    with pytest.raises(ValueError, match="has moved on"):
        seen.images["top"]
    fresh = world.observe()
    assert fresh.images["top"].shape == (16, 16, 3) and list(fresh.images) == ["top"]
    fresh.images["top"]
    assert world.labels()["rendered"] == before + 1
    world.close()


def test_the_name_says_the_protocol_and_the_versions(world):
    other = remote({"world": "flat", "protocol": "shifted"})
    other.close()
    assert world.name.startswith("plane-v1@") and other.name != world.name
    assert world.facts == {"protocol": "plain", "packages": world.packages}
    assert world.packages == {"numpy": np.__version__, "no-such-package": None}


def test_what_goes_wrong_there_is_told_here(world):
    with pytest.raises(ValueError, match="broken on purpose"):
        remote({"world": "broken", "protocol": "plain"})
    with pytest.raises(WorldError, match=r"(?s)No module named 'nowhere'.*Traceback"):
        Remote("nowhere:World", {})
    state = make_state("layout", 0)
    with pytest.raises(ValueError, match="cannot be asked"):
        world.begin(state, replace(state.tasks[0], id="reach/pink"), 0)
    world.begin(state, state.tasks[0], 0)
    with pytest.raises(WorldError, match=r"(?s)no way there.*in demonstrate"):
        world.demonstrate(replace(state.tasks[0], id="reach/nowhere"))
    with pytest.raises(ValueError, match="finite"):
        world.apply(np.array([np.nan, 0], np.float32))


def test_a_process_that_dies_ends_its_episode_with_its_last_words_and_is_replaced():
    still = np.zeros(2, np.float32)
    actor = DemonstratorActor(lambda environment: lambda task: still)
    plan = plan_episodes([make_state("layout", 0)], ["asked"], 0)
    records = list(run_episodes(actor, remote, plan, IDENTITY, lanes=1))
    by_task = {record.task: record for record in records}
    assert by_task["reach/blue"].outcome == Outcome.ERROR
    assert "last words" in by_task["reach/blue"].error
    assert "exit code is 7" in by_task["reach/blue"].error
    assert {by_task[f"reach/{c}"].outcome for c in ("red", "green")} == {Outcome.TIMEOUT}


def test_several_processes_in_lock_step_give_what_one_gives():
    actor = DemonstratorActor(lambda environment: environment.demonstrate)
    plan = plan_episodes([make_state("layout", index) for index in range(2)], ["asked"], 0)
    hashes = [
        [one.content_hash() for one in run_episodes(actor, remote, plan, IDENTITY, lanes=lanes)]
        for lanes in (1, 3)
    ]
    assert hashes[0] == hashes[1] and len(set(hashes[0])) == 6


def test_views_that_are_timed_later_and_steps_on_a_tape_keep_their_pictures(known, monkeypatch):
    monkeypatch.setattr("vertebra.envs.remote.Observation", Lazy)
    settings = outside_from_words("plane").to_plain()
    job = LatencyJob(
        id="timing",
        policies={},
        environment=settings,
        split="layout",
        seed=0,
        data="",
        held_out=(),
    )
    parts: Any = SimpleNamespace(make_environment=make_environment)
    shown = work._shown(job, parts)
    assert len({one.images["top"].tobytes() for one in shown}) > 1 and len(shown) == 12
    tape = Tape()
    world = Recorded(make_environment(settings), tape)
    state = make_state("layout", 0)
    world.begin(state, state.tasks[0], 0)
    for _ in range(2):
        world.apply(np.full(2, 0.1, np.float32))
    world.close()
    assert [one.images["top"].shape for one in tape._seen] == [(16, 16, 3)] * 2


def test_a_closed_world_says_so():
    one = remote()
    one.close()
    one.close()
    with pytest.raises(WorldError, match="closed"):
        one.judge()


def test_words_for_worlds(known):
    asked = outside_from_words("plane")
    assert asked == OutsideSettings(simulator="plane", world="flat", protocol="plain")
    assert outside_from_words("plane:flat:shifted").protocol == "shifted"
    with pytest.raises(ValueError, match=r"no world 'hill'.*no protocol 'odd'"):
        outside_from_words("plane:hill:odd")
    with pytest.raises(ValueError, match="Known are: plane"):
        outside_from_words("moon")


def test_a_simulator_that_is_not_set_up_or_drifts_is_refused(known, monkeypatch):
    settings = outside_from_words("plane")
    open_world(settings).close()
    old = replace(PLANE, newest={"numpy": "1.0.2"}, why_newest="pictures get darker")
    monkeypatch.setattr(simulators, "SIMULATORS", (old,))
    with pytest.raises(ValueError, match=r"numpy is .* 1\.0\.2: pictures get darker.*--again"):
        open_world(settings)
    (places.where(PLANE) / places.READY).unlink()
    with pytest.raises(ValueError, match="vertebra env setup plane"):
        open_world(settings)


def test_what_is_changed_reaches_the_world_and_its_name(known):
    settings = outside_from_words("plane")
    plain: Any = make_environment(settings.to_plain())
    changed: Any = make_environment({**settings.to_plain(), "shift": {"tool_m": [0.1, 0.0]}})
    assert changed.facts["shift"] == {"tool_m": [0.1, 0.0]} and "shift" not in plain.facts
    assert changed.name != plain.name
    for world in (plain, changed):
        world.close()


@pytest.mark.parametrize(
    ("found", "drifts"),
    [("3.3.2", False), ("3.3.3", True), ("3.3.2.post1", False), ("3.10", True), (None, False)],
)
def test_versions_are_compared_as_numbers(found, drifts):
    simulator = replace(PLANE, newest={"mujoco": "3.3.2"})
    assert bool(simulator.drifting({"mujoco": found})) == drifts


def test_setting_up_makes_it_once_and_again_when_asked(tmp_path):
    commands, told = [], []

    def pretend(command):
        commands.append(list(command))
        if "venv" in command:
            Path(command[-1]).mkdir(parents=True)

    wanted = replace(PLANE, requirements=("plane-simulator==1",))
    directory = places.set_up(wanted, tmp_path, run=pretend, tell=told.append)
    assert directory == tmp_path / "plane" and places.ready(wanted, tmp_path)
    assert [command[1:3] for command in commands] == [["-m", "venv"], ["-m", "pip"]]
    assert {"plane-simulator==1", *places.SERVES} <= set(commands[1])
    places.set_up(wanted, tmp_path, run=pretend, tell=told.append)
    assert len(commands) == 2 and "is set up" in told[-1]
    assert not places.ready(replace(wanted, requirements=("plane-simulator==2",)), tmp_path)
    places.set_up(wanted, tmp_path, again=True, run=pretend)
    assert len(commands) == 4


def test_a_setup_that_fails_leaves_nothing_that_looks_whole(tmp_path):
    wanted = replace(PLANE, requirements=("a-package-that-cannot-be==0",))

    def fail(command):
        if "pip" in command:
            raise ValueError("no network")

    with pytest.raises(ValueError, match="no network"):
        places.set_up(wanted, tmp_path, run=fail)
    assert not places.ready(wanted, tmp_path)


def test_missing_libraries_are_named_with_their_packages(monkeypatch, tmp_path):
    wanted = replace(PLANE, libraries={"libNoSuchThing.so.9": "libnosuchthing9"})
    assert places.missing_libraries(wanted) == {"libNoSuchThing.so.9": "libnosuchthing9"}
    monkeypatch.setattr(places.os, "geteuid", lambda: 1000)
    with pytest.raises(ValueError, match=r"sudo apt-get install .*libnosuchthing9"):
        places.set_up(wanted, tmp_path)


def test_the_fitness_check_finds_a_sound_world_fit_and_faults_by_name(world):
    found = {one.question: one for one in check_environment(world, world.demonstrate)}
    assert all(one.fit for one in found.values()), found
    assert "3 of 3" in found["the oracle sees success"].answer

    class Faulty(PlaneWorld):
        def initial_states(self, split, count, seed):
            states = super().initial_states(split, count, seed)
            return tuple(replace(state, tasks=state.tasks[:1]) for state in states)

        def state_hash(self):
            self.rendered += 1
            return str(self.rendered)

        def images(self):
            return {"top": np.zeros((16, 16, 3), np.uint8)}

    faults = [one for one in check_environment(Faulty(**SETTINGS)) if not one.fit]
    words = " ".join(one.answer for one in faults)
    for part in ("one instruction only", "one colour only", "not restored", "another state"):
        assert part in words, words


class Here:
    """A pool of processes that works in this one, which knows the fake simulator."""

    def __init__(self, *words, **more) -> None:
        pass

    def submit(self, do, *words) -> Future:
        done = Future()
        done.set_result(do(*words))
        return done

    def shutdown(self, **more) -> None:
        pass


def test_a_pilot_can_be_prepared_in_a_world_outside(known, tmp_path, monkeypatch):
    monkeypatch.setattr("vertebra.demonstrate.record.ProcessPoolExecutor", Here)
    settings = outside_from_words("plane")
    ready = make_material(
        tmp_path / "store",
        settings,
        count=6,
        tree=SeedTree(root=0),
        workers=1,
        tell=lambda *words: None,
    )
    assert ready.settings == settings and not ready.material.pointed
    assert (len(ready.material.pool), len(ready.material.validation)) == (6, 8)
    assert {row.instruction for row in ready.cache.episodes} <= {
        f"go to {colour}" for colour in ("red", "green", "blue")
    }
    largest, fewer = draws_of(settings, None, ready.shown_seed)
    assert [(d.split, d.scenes, d.conditions) for d in largest] == [
        ("layout", 2, ("asked",)),
        ("layout", 1, ("paraphrase",)),
        ("layout", 1, ("blank", "nonsense")),
    ]
    assert fewer == largest[:1] and lanes_of(settings.to_plain()) == 2
    environment = make_environment(settings.to_plain())
    state = environment.initial_states("layout", 1, 0)[0]
    environment.begin(state, state.tasks[0], 0)
    action = demonstrator_of(settings.to_plain())(environment)(state.tasks[0])
    assert action.shape == (2,)
    environment.close()


def test_the_commands(known, capsys, tmp_path):
    assert run(["env", "list"]) == 0
    assert "ready" in capsys.readouterr().out
    assert run(["env", "check", "plane", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["fit"]
    assert run(["env", "setup", "plane"]) == 0
    assert capsys.readouterr().out.strip() == str(places.where(PLANE))
    assert run(["pilot", "--env", "plane:hill", "--out", str(tmp_path / "o")]) == 2
    assert "no world 'hill'" in capsys.readouterr().err


def test_demonstrations_are_made_by_command(known, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("vertebra.demonstrate.record.ProcessPoolExecutor", Here)
    root = tmp_path / "set"
    words = ["data", "make", str(root), "--env", "plane", "--count", "5", "--validation", "1"]
    assert run([*words, "--size", "32", "--segmentation"]) == 2
    assert "--size, --segmentation: of the table-top only" in capsys.readouterr().err
    assert run([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["episodes"] == 6
    assert run(["data", "check", str(root)]) == 0


CLONED = replace(
    PLANE,
    clone=Clone(
        bring="git clone plane",
        needs={"wings/world.py": "git submodule update", "tasks.yaml": "git checkout ."},
        imports=("wings",),
    ),
)


@pytest.fixture
def clone(tmp_path):
    root = tmp_path / "clone"
    (root / "wings").mkdir(parents=True)
    (root / "wings/world.py").write_text("")
    (root / "tasks.yaml").write_text("")
    return root


def test_a_simulator_that_needs_a_clone_names_what_is_missing_before_anything_is_made(
    tmp_path, clone
):
    def never(command):
        raise AssertionError(command)

    with pytest.raises(ValueError, match=r"not on PyPI.*git clone plane.*plane --root CLONE"):
        places.set_up(CLONED, tmp_path / "e", run=never)
    with pytest.raises(ValueError, match="takes no clone"):
        places.set_up(PLANE, tmp_path / "e", clone=clone, run=never)
    with pytest.raises(ValueError, match=r"made for 2\.7: run"):
        places.set_up(replace(PLANE, python="2.7"), tmp_path / "e", run=never)
    (clone / "tasks.yaml").unlink()
    (clone / "wings/world.py").unlink()
    told = []
    with pytest.raises(
        ValueError, match=r"lacks wings/world.py \(`git submodule.*lacks tasks.yaml \(`git checkout"
    ):
        places.set_up(CLONED, tmp_path / "e", clone=clone, run=never, tell=told.append)
    assert len(told) == 2 and all("MISSING" in words for words in told)
    assert not (tmp_path / "e/plane").exists()


def test_a_clone_is_remembered_replaced_and_missed(tmp_path, clone):
    commands, told = [], []

    def pretend(command):
        commands.append(command)
        if "venv" in command:
            Path(command[-1]).mkdir(parents=True)

    places.set_up(CLONED, tmp_path, clone=clone, run=pretend, tell=told.append)
    assert told[0].startswith("found") and places.clone_of(CLONED, tmp_path) == clone
    assert places.ready(CLONED, tmp_path) and len(commands) == 2
    places.set_up(CLONED, tmp_path, run=pretend)
    other = clone.rename(tmp_path / "elsewhere")
    assert not places.ready(CLONED, tmp_path)
    shutil.copytree(other, clone)
    places.set_up(CLONED, tmp_path, clone=other, run=pretend)
    assert places.clone_of(CLONED, tmp_path) == other and len(commands) == 2


def test_a_world_is_made_with_its_clone_and_imports_from_it(known, clone, monkeypatch):
    monkeypatch.setattr(simulators, "SIMULATORS", (CLONED,))
    with pytest.raises(ValueError, match="vertebra env setup plane --root CLONE"):
        open_world(outside_from_words("plane"))
    (clone / "wings/winged.py").write_text("WINGS = 2\n")
    ready = places.where(CLONED) / places.READY
    write_json(ready, {"requirements": [*places.SERVES], "clone": str(clone)})
    world = open_world(outside_from_words("plane"))
    assert world.facts["wings"] == 2
    world.close()


def test_two_that_set_up_at_once_make_it_once(tmp_path):
    made = []

    def slowly(command):
        made.append(command)
        time.sleep(0.05)
        if "venv" in command:
            Path(command[-1]).mkdir(parents=True)

    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(places.set_up, PLANE, tmp_path, run=slowly) for _ in range(2)]
    assert both[0].result() == both[1].result() and len(made) == 2
