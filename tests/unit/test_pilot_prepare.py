"""Recordings for a pilot: made on the table-top, and read from foreign data."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from vertebra.data.cache import FrameCache
from vertebra.evaluate.plan import plan_draws
from vertebra.pilot.prepare import Ready, make_material, read_material, tabletop_draws
from vertebra.pilot.worlds import TabletopSettings, demonstrator_of, make_environment
from vertebra.spec.errors import BrokenDataset, SpecMismatch
from vertebra.spec.seeds import SeedTree

BRIDGE = Path(__file__).parents[2] / "../shared/data/bridge_sample"
TREE = SeedTree(root=0)
on_bridge = pytest.mark.skipif(not BRIDGE.exists(), reason="the sample of real data is absent")


def _silent(what, done, total, left):
    del what, done, total, left


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Path, Ready, list[str]]:
    store, told = tmp_path_factory.mktemp("store"), []
    ready = make_material(
        store,
        TabletopSettings(size=32),
        count=24,
        tree=TREE,
        workers=1,
        tell=lambda what, done, total, left: told.append(what),
    )
    return store, ready, told


def test_demonstrations_are_made_split_and_reused(made):
    store, ready, told = made
    assert set(told) == {"demonstrations", "frames"}
    material = ready.material
    assert len(material.pool) == 24 and len(material.validation) == 8 and not material.held_out
    splits = [ready.cache.episodes[number].split for number in material.validation]
    assert set(splits) == {"validation"} and material.pointed
    assert ready.settings == TabletopSettings(size=32) and ready.notes == ()
    again = make_material(
        store, TabletopSettings(size=32), count=24, tree=TREE, workers=1, tell=_silent
    )
    assert again.material == material and again.shown_seed == ready.shown_seed
    other = read_material(
        store, Path(material.source), mapping=None, env="auto", tree=TREE, tell=_silent
    )
    assert other.settings == ready.settings and other.material.data_hash == material.data_hash


def test_new_things_are_asked_in_scenes_that_training_showed(made):
    _, ready, _ = made
    environment = make_environment(ready.settings.to_plain())
    draws, _ = tabletop_draws(3, ready.shown_seed)
    plan = plan_draws(environment, draws, TREE.scenes())
    shown = {row.initial_state: row for row in ready.cache.episodes if row.split == "train"}
    asked: dict[str, set[str]] = {}
    for name, row in shown.items():
        asked.setdefault(name.removeprefix("train"), set()).add(row.task_id)
    pair = [one for one in plan if one.initial_state.split == "pair"]
    places = {one.initial_state.id.removeprefix("pair") for one in pair}
    assert places <= set(asked)
    for one in pair:
        assert one.task.id not in asked[one.initial_state.id.removeprefix("pair")]
    elsewhere = {one.initial_state.id for one in plan if one.initial_state.split != "pair"}
    assert not elsewhere & set(shown)
    assert {one.initial_state.split for one in plan} == {"layout", "pair", "composition"}


def test_the_demonstrator_of_a_saved_environment_acts_in_it(made):
    _, ready, _ = made
    settings = ready.settings.to_plain()
    environment = make_environment(settings)
    state = environment.initial_states("layout", 1, 0)[0]
    environment.begin(state, state.tasks[0], 0)
    act = demonstrator_of(settings)(environment)
    for _ in range(environment.max_steps):
        environment.apply(act(state.tasks[0]))
        if state.tasks[0].id in environment.judge().achieved:
            break
    assert state.tasks[0].id in environment.judge().achieved
    for make in (make_environment, demonstrator_of):
        with pytest.raises(ValueError, match="'moon'"):
            make({"kind": "moon"})


@on_bridge
def test_real_data_are_read_through_a_proposed_mapping_with_its_doubts(tmp_path):
    ready = read_material(tmp_path, BRIDGE, mapping=None, env="auto", tree=TREE, tell=_silent)
    material = ready.material
    assert ready.settings is None and not material.pointed
    assert len(material.pool) + len(material.validation) + len(material.held_out) == 25
    assert len(material.held_out) == 4
    assert any("NOT SURE" in note and note.startswith("gripper") for note in ready.notes)
    assert isinstance(ready.cache, FrameCache) and len(material.needs.cameras) == 3
    assert ready.guessed and ready.mapping is not None
    path = tmp_path / "mapping.json"
    path.write_text(json.dumps({**ready.mapping, "cameras": ready.mapping["cameras"][:1]}))
    mine = read_material(tmp_path, BRIDGE, mapping=path, env="none", tree=TREE, tell=_silent)
    assert len(mine.material.needs.cameras) == 1 and mine.notes == () and not mine.guessed
    assert mine.material.cache != material.cache


@on_bridge
def test_real_data_do_not_fit_the_table_top(tmp_path):
    with pytest.raises(SpecMismatch, match="action has dimensions"):
        read_material(tmp_path, BRIDGE, mapping=None, env="tabletop", tree=TREE, tell=_silent)


@on_bridge
def test_grave_faults_are_refused_and_harmless_ones_told(tmp_path):
    root = tmp_path / "bridge"
    shutil.copytree(BRIDGE, root, copy_function=shutil.copyfile)
    for path in (root, *root.rglob("*")):
        path.chmod(0o755)
    info = json.loads((root / "meta/info.json").read_text())
    (root / "meta/info.json").write_text(json.dumps({**info, "total_frames": 7}))
    ready = read_material(tmp_path, root, mapping=None, env="none", tree=TREE, tell=_silent)
    assert "totals-wrong" in ready.notes[0]
    (root / "meta/info.json").write_text(json.dumps({**info, "fps": 9}))
    with pytest.raises(BrokenDataset, match=r"timestamp-off|fps-wrong"):
        read_material(tmp_path, root, mapping=None, env="none", tree=TREE, tell=_silent)


def test_settings_of_the_table_top_survive_json():
    settings = replace(TabletopSettings(), skills=("lift",), shadows=True)
    environment = make_environment(json.loads(json.dumps(settings.to_plain())))
    states = environment.initial_states("layout", 1, 0)
    assert {task.skill for task in states[0].tasks} == {"lift"}
