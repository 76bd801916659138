"""Foreign data are read as their mapping says, and a mapping that does not fit is refused."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fakes.lerobot_sets import BRIDGE, FORM, toy_episodes
from vertebra.data import lerobot_layout as layout
from vertebra.data.episode import EpisodeData
from vertebra.data.lerobot_layout import DatasetFormat
from vertebra.data.lerobot_open import Dataset, open_dataset
from vertebra.data.lerobot_read import read_episodes
from vertebra.data.lerobot_write import write_dataset
from vertebra.data.mapped import read_mapped
from vertebra.data.mapping import (
    CameraMapping,
    Control,
    InputMapping,
    Number,
    Reference,
    mapping_from_json,
    require_mapping,
)
from vertebra.data.propose import propose_mapping, specs_of
from vertebra.spec.action import ActionSpec, Frame, Gripper, Rotation
from vertebra.spec.observation import Camera, Dim, ObservationSpec
from vertebra.spec.rotation import to_matrix

POSE = ("x", "y", "z", "roll", "pitch", "yaw", "gripper")
JOINTS = ("shoulder.pos", "elbow.pos", "wrist.pos", "gripper.pos")


def foreign(root: Path, names: tuple[str, ...], state: np.ndarray, actions: np.ndarray) -> Dataset:
    """A set of episodes [E, T, D] with one 24x40 camera and no word of ours beside it."""
    dims = tuple(Dim(name=name, unit="1") for name in names)
    form = DatasetFormat(
        observation=ObservationSpec(
            cameras=(Camera(name="scene", height=24, width=40),), state=dims, rate_hz=10.0
        ),
        action=ActionSpec(
            dims=dims,
            frame=Frame.ABSOLUTE,
            rotation=Rotation.NONE,
            gripper=Gripper.NONE,
            rate_hz=10.0,
        ),
        robot_type="arm",
    )
    image = np.zeros((state.shape[1], 24, 40, 3), np.uint8)
    image[:, :, 8:32] = (200, 40, 40)
    image[:, :, 20:32] = (40, 40, 200)
    episodes = [
        EpisodeData(
            images={"scene": image},
            state=one.astype(np.float32),
            actions=other.astype(np.float32),
            instruction="move",
        )
        for one, other in zip(state, actions, strict=True)
    ]
    write_dataset(root, episodes, form)
    (root / layout.SIDECAR).unlink()
    (root / layout.SIDECAR_EPISODES).unlink()
    return open_dataset(root)


def walk(episodes: int, frames: int, dims: int, step: float) -> np.ndarray:
    rng = np.random.default_rng(0)
    steps = rng.normal(0, step, (episodes, frames, dims)) + rng.normal(0, step, (episodes, 1, dims))
    return rng.normal(0, 0.5, (episodes, 1, dims)) + np.cumsum(steps, axis=1)


def with_gripper(values: np.ndarray, opens: float) -> np.ndarray:
    values = values.copy()
    values[..., -1] = np.where(np.arange(values.shape[1]) < values.shape[1] / 2, opens, 1 - opens)
    return values


def mapping(**changes: Any) -> InputMapping:
    made = InputMapping(
        cameras=(
            CameraMapping(
                key="observation.images.scene",
                name="front",
                height=12,
                width=12,
                crop=(0, 8, 24, 24),
            ),
        ),
        state_key="observation.state",
        state=tuple(Number(index=i, name=name, unit="m") for i, name in enumerate(POSE)),
        action_key="action",
        action=tuple(Number(index=i, name=name, unit="m") for i, name in enumerate(POSE)),
        control=Control.END_EFFECTOR,
        reference=Reference.DELTA,
        rotation=Rotation.RPY_XYZ,
        gripper=Gripper.OPEN_POSITIVE,
        rate_hz=10.0,
    )
    return replace(made, **changes)


@pytest.fixture(scope="module")
def arm(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    state = with_gripper(walk(3, 12, 7, 0.01), 1.0)
    return foreign(tmp_path_factory.mktemp("arm") / "set", POSE, state, state * 0.1)


def test_a_mapping_survives_json(arm: Dataset) -> None:
    for made in (mapping(), propose_mapping(arm).mapping):
        assert mapping_from_json(json.loads(json.dumps(made.to_json()))) == made
    with pytest.raises(ValueError, match="has version 9"):
        mapping_from_json({**mapping().to_json(), "version": 9})
    with pytest.raises(ValueError, match="missing, unknown or wrong"):
        mapping_from_json({**mapping().to_json(), "colour": "red"})
    with pytest.raises(ValueError, match="missing, unknown or wrong"):
        mapping_from_json({**mapping().to_json(), "gripper": "maybe"})


def test_pictures_are_cropped_then_resized_and_numbers_chosen(arm: Dataset) -> None:
    wanted = mapping(
        state=(Number(index=2, name="z", unit="m"), Number(index=0, name="x", unit="m"))
    )
    raw = list(read_episodes(arm))
    read = list(read_mapped(arm, wanted, [2, 0]))
    for back, source in zip(read, (raw[2], raw[0]), strict=True):
        assert list(back.images) == ["front"]
        assert back.images["front"].shape == (12, 12, 12, 3)
        left, right = back.images["front"][0, 6, 1], back.images["front"][0, 6, 10]
        assert left.astype(int) == pytest.approx([200, 40, 40], abs=12)
        assert right.astype(int) == pytest.approx([40, 40, 200], abs=12)
        np.testing.assert_array_equal(back.state, source.state[:, [2, 0]])
        np.testing.assert_array_equal(back.actions, source.actions)
        assert back.instruction == "move"
    silent = next(read_mapped(arm, mapping(language=False)))
    assert silent.instruction == ""


def test_specs_say_what_was_mapped() -> None:
    made = mapping()
    assert made.observation_spec().cameras == (Camera(name="front", height=12, width=12),)
    assert [dim.name for dim in made.action_spec().dims] == list(POSE)
    assert made.action_spec().frame is Frame.DELTA
    assert made.action_spec().gripper is Gripper.OPEN_POSITIVE
    absolute = replace(made, reference=Reference.RELATIVE_TO_STATE)
    assert absolute.action_spec().frame is Frame.ABSOLUTE
    joints = replace(absolute, control=Control.JOINT)
    assert joints.action_spec().frame is Frame.JOINT


def test_everything_that_does_not_fit_is_named_at_once(arm: Dataset) -> None:
    wrong = mapping(
        cameras=(
            CameraMapping(key="observation.images.top", name="a", height=12, width=12),
            CameraMapping(key="observation.images.scene", name="a", height=12, width=12),
            CameraMapping(
                key="observation.images.scene", name="b", height=12, width=12, crop=(0, 30, 24, 24)
            ),
        ),
        state=(Number(index=7, name="x", unit="m"), Number(index=7, name="x", unit="m")),
        rotation=Rotation.QUAT_XYZW,
        rate_hz=30.0,
    )
    with pytest.raises(ValueError, match="does not fit") as caught:
        require_mapping(wrong, arm)
    for words in (
        "no camera 'observation.images.top'",
        "each once",
        "stretched from 24x40 to 12x12",
        "leaves its picture",
        "indices [7, 7] do not exist",
        "names are ['x', 'x']",
        "expected 8: 3 of position, 4 of rotation",
        "set rate_hz to 10",
    ):
        assert words in str(caught.value)
    with pytest.raises(ValueError, match="does not fit"):
        read_mapped(arm, wrong)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"control": Control.JOINT}, "joints have no rotation layout"),
        ({"control": Control.JOINT, "rotation": Rotation.NONE}, "joint deltas to the previous"),
        ({"reference": Reference.RELATIVE_TO_STATE}, "give from_state for every number"),
        ({"action_key": "motion"}, "action_key is 'motion'"),
        ({"action": ()}, "action has no numbers"),
        ({"gripper": Gripper.NONE}, "expected 6"),
        (
            {"action": (*mapping().action[:-1], Number(index=6, name="g", unit="1", from_state=6))},
            None,
        ),
        (
            {"action": (Number(index=0, name="g", unit="1", from_state=6), *mapping().action[1:])},
            "leave it out",
        ),
    ],
)
def test_contradictions_are_refused(arm: Dataset, changes: dict, words: str | None) -> None:
    if words is None:
        require_mapping(mapping(**changes), arm)
        return
    with pytest.raises(ValueError, match=words):
        require_mapping(mapping(**changes), arm)


def test_actions_relative_to_the_state_become_targets(tmp_path: Path) -> None:
    state = with_gripper(walk(2, 6, 7, 0.05), 1.0)
    actions = with_gripper(walk(2, 6, 7, 0.02) * 0.1, 1.0)
    dataset = foreign(tmp_path / "set", POSE, state, actions)
    relative = mapping(
        reference=Reference.RELATIVE_TO_STATE,
        action=tuple(
            Number(index=i, name=name, unit="m", from_state=i if i < 6 else None)
            for i, name in enumerate(POSE)
        ),
    )
    back = next(read_mapped(dataset, relative))
    assert back.actions[:, :3] == pytest.approx(state[0, :, :3] + actions[0, :, :3], abs=1e-5)
    turned = to_matrix(back.actions[:, 3:6], Rotation.RPY_XYZ)
    expected = to_matrix(actions[0, :, 3:6], Rotation.RPY_XYZ) @ to_matrix(
        state[0, :, 3:6], Rotation.RPY_XYZ
    )
    assert turned == pytest.approx(expected, abs=1e-5)
    assert back.actions[:, 6] == pytest.approx(actions[0, :, 6])


def test_numbers_that_are_no_quaternion_are_refused(tmp_path: Path) -> None:
    names = ("x", "y", "z", "qx", "qy", "qz", "qw")
    state = walk(1, 5, 7, 0.05)
    dataset = foreign(tmp_path / "set", names, state, state)
    wanted = mapping(
        rotation=Rotation.QUAT_XYZW, gripper=Gripper.NONE, reference=Reference.ABSOLUTE
    )
    with pytest.raises(ValueError, match="'quat_xyzw', whose vectors have length 1"):
        list(read_mapped(dataset, wanted))


def chosen(dataset: Dataset) -> InputMapping:
    proposal = propose_mapping(dataset, height=12, width=12)
    require_mapping(proposal.mapping, dataset)
    assert all(guess.because for guess in proposal.guesses)
    return proposal.mapping


def test_the_proposal_reads_conventions_off_the_data(tmp_path: Path) -> None:
    state = with_gripper(walk(4, 20, 7, 0.02), 1.0)
    ahead = np.concatenate([state[:, 1:], state[:, -1:]], axis=1)
    delta = foreign(tmp_path / "delta", POSE, state, with_gripper(ahead - state, 1.0))
    found = chosen(delta)
    assert (found.control, found.reference) == (Control.END_EFFECTOR, Reference.DELTA)
    assert (found.rotation, found.gripper) == (Rotation.RPY_XYZ, Gripper.OPEN_POSITIVE)
    assert found.cameras[0].crop == (0, 8, 24, 24)
    absolute = foreign(tmp_path / "absolute", POSE, state, with_gripper(ahead, 0.0))
    found = chosen(absolute)
    assert (found.reference, found.gripper) == (Reference.ABSOLUTE, Gripper.CLOSE_POSITIVE)
    joints = state[..., 3:]
    targets = foreign(tmp_path / "joints", JOINTS, joints, with_gripper(ahead[..., 3:], 1.0))
    found = chosen(targets)
    assert (found.control, found.reference) == (Control.JOINT, Reference.ABSOLUTE)
    moved = foreign(tmp_path / "moved", JOINTS, joints, with_gripper((ahead - state)[..., 3:], 1.0))
    found = chosen(moved)
    assert (found.control, found.reference) == (Control.JOINT, Reference.RELATIVE_TO_STATE)
    back = next(read_mapped(moved, found))
    assert back.actions[:, :3] == pytest.approx(ahead[0, :, 3:6], abs=1e-5)


def test_what_we_wrote_ourselves_needs_no_guess(tmp_path: Path) -> None:
    write_dataset(tmp_path / "set", toy_episodes(2), FORM)
    dataset = open_dataset(tmp_path / "set")
    assert specs_of(dataset) == (FORM.observation, FORM.action)
    proposal = propose_mapping(dataset, height=32, width=32)
    require_mapping(proposal.mapping, dataset)
    assert proposal.guesses[0].sure
    assert proposal.mapping.action_spec() == FORM.action


@pytest.mark.skipif(not BRIDGE.exists(), reason="the real sample is not here")
def test_real_robot_data_are_proposed_as_they_are_documented() -> None:
    dataset = open_dataset(BRIDGE)
    found = propose_mapping(dataset).mapping
    require_mapping(found, dataset)
    assert (found.control, found.reference) == (Control.END_EFFECTOR, Reference.DELTA)
    assert (found.rotation, found.gripper) == (Rotation.RPY_XYZ, Gripper.OPEN_POSITIVE)
    assert found.rate_hz == 5.0
    assert [number.unit for number in found.action] == ["m"] * 3 + ["rad"] * 3 + ["1"]
    one = replace(found, cameras=(replace(found.cameras[1], height=32, width=32, name="side"),))
    episode = next(read_mapped(dataset, one))
    assert episode.images["side"].shape == (10, 32, 32, 3)
    assert specs_of(dataset) is None
