"""A first input mapping for a data set: guesses with their reasons, for a human to confirm."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vertebra.data import lerobot_layout as layout
from vertebra.data.lerobot_open import Dataset
from vertebra.data.lerobot_read import read_episodes
from vertebra.data.mapping import CameraMapping, Control, InputMapping, Number, Reference
from vertebra.spec.action import ActionSpec, Frame, Gripper, Rotation
from vertebra.spec.observation import Dim, ObservationSpec
from vertebra.spec.wire import action_spec_from_plain, observation_spec_from_plain

LOOKED_AT = 20
"""Episodes that are looked at, evenly drawn."""
JOINT_WORDS = ("joint", "shoulder", "elbow", "waist", "wrist_", "motor", ".pos", "finger_joint")
POSE_WORDS = ("roll", "pitch", "yaw", "eef", "ee_", "tcp", "delta_x")


@dataclass(frozen=True, kw_only=True)
class Guess:
    """One decision of a proposal.

    Attributes:
        field: Which field of the mapping.
        chosen: What was chosen, in words.
        because: Why.
        sure: False when the data leave another reading open; look at these first.
    """

    field: str
    chosen: str
    because: str
    sure: bool


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A mapping that fits the data set, and why it is as it is."""

    mapping: InputMapping
    guesses: tuple[Guess, ...]


@dataclass(frozen=True, kw_only=True)
class _Rows:
    """States [n, S] and actions [n, A] of frames that have a successor, with its state."""

    state: NDArray[np.float64]
    next_state: NDArray[np.float64]
    action: NDArray[np.float64]
    first_action: NDArray[np.float64]


def propose_mapping(dataset: Dataset, *, height: int = 64, width: int = 64) -> Proposal:
    """Guess what the columns mean.

    Args:
        dataset: A data set with a feature ``action``.
        height: Pixels of the pictures wanted.
        width: Pixels of the pictures wanted.

    Raises:
        ValueError: Without a camera or an action.
    """
    problems = [] if dataset.cameras else ["it has no colour camera"]
    if layout.ACTION not in dataset.features:
        problems.append(f"it has no feature 'action', but {sorted(dataset.features)}")
    if problems:
        raise ValueError(
            f"No mapping can be proposed for {dataset.root}: {'; '.join(problems)}. "
            "Write one by hand."
        )
    specs = specs_of(dataset)
    if specs is not None:
        return _from_sidecar(dataset, *specs, height, width)
    guesses: list[Guess] = []
    state_key = layout.STATE if layout.STATE in dataset.features else ""
    rows = _look(dataset, state_key)
    names = _names(dataset, layout.ACTION, rows.action.shape[1])
    gripper = _guess_gripper(rows, names, guesses)
    control = _guess_control(dataset, rows, names, gripper, guesses)
    reference = _guess_reference(rows, control, gripper, guesses)
    rotation = _guess_rotation(rows, names, control, gripper, guesses)
    moving = rows.action.shape[1] - (gripper is not Gripper.NONE)
    paired = reference is Reference.RELATIVE_TO_STATE
    units = _units(rows.action.shape[1], control, gripper, rotation)
    action = tuple(
        Number(index=i, name=name, unit=units[i], from_state=i if paired and i < moving else None)
        for i, name in enumerate(names)
    )
    state_names = _names(dataset, state_key, rows.state.shape[1]) if state_key else []
    same = rows.state.shape[1] == rows.action.shape[1]
    state = tuple(
        Number(index=i, name=name, unit=units[i] if same else "1")
        for i, name in enumerate(state_names)
    )
    if state and not same:
        guesses.append(
            Guess(
                field="state",
                chosen="units '1'",
                because="the state has another width than the action; write the true units",
                sure=False,
            )
        )
    mapping = InputMapping(
        cameras=_cameras(dataset, height, width, guesses),
        state_key=state_key,
        state=state,
        action_key=layout.ACTION,
        action=action,
        control=control,
        reference=reference,
        rotation=rotation,
        gripper=gripper,
        rate_hz=dataset.fps,
        language=any(dataset.tasks.values()),
    )
    return Proposal(mapping=mapping, guesses=tuple(guesses))


def specs_of(dataset: Dataset) -> tuple[ObservationSpec, ActionSpec] | None:
    """The specs that vertebra wrote beside its own data; ``None`` for foreign data."""
    if not dataset.sidecar:
        return None
    return (
        observation_spec_from_plain(dataset.sidecar["observation"]),
        action_spec_from_plain(dataset.sidecar["action"]),
    )


def _from_sidecar(
    dataset: Dataset, observation: ObservationSpec, action: ActionSpec, height: int, width: int
) -> Proposal:
    guesses = [
        Guess(
            field="state, action, conventions",
            chosen=f"{action.frame}, rotation {action.rotation}, gripper {action.gripper}",
            because=f"{layout.SIDECAR} says so",
            sure=True,
        )
    ]
    mapping = InputMapping(
        cameras=_cameras(dataset, height, width, guesses),
        state_key=layout.STATE,
        state=_numbers(observation.state),
        action_key=layout.ACTION,
        action=_numbers(action.dims),
        control=Control.JOINT if action.frame is Frame.JOINT else Control.END_EFFECTOR,
        reference=Reference.DELTA if action.frame is Frame.DELTA else Reference.ABSOLUTE,
        rotation=action.rotation,
        gripper=action.gripper,
        rate_hz=action.rate_hz,
        language=any(dataset.tasks.values()),
    )
    return Proposal(mapping=mapping, guesses=tuple(guesses))


def _numbers(dims: tuple[Dim, ...]) -> tuple[Number, ...]:
    return tuple(Number(index=i, name=dim.name, unit=dim.unit) for i, dim in enumerate(dims))


def _look(dataset: Dataset, state_key: str) -> _Rows:
    numbers = [span.index for span in dataset.episodes if span.length > 1]
    drawn = numbers[:: max(1, len(numbers) // LOOKED_AT)]
    parts = [
        (episode.state.astype(float), episode.actions.astype(float))
        for episode in read_episodes(dataset, drawn, cameras={}, state_key=state_key)
    ]
    if not parts:
        raise ValueError(f"{dataset.root} has no episode with two frames; nothing can be guessed.")
    return _Rows(
        state=np.concatenate([state[:-1] for state, _ in parts]),
        next_state=np.concatenate([state[1:] for state, _ in parts]),
        action=np.nan_to_num(np.concatenate([action[:-1] for _, action in parts])),
        first_action=np.nan_to_num(np.stack([action[0] for _, action in parts])),
    )


def _names(dataset: Dataset, key: str, width: int) -> list[str]:
    given = dataset.features[key].get("names")
    if isinstance(given, Mapping):
        flat: Any = [name for part in given.values() for name in part]
        given = flat
    if isinstance(given, list) and len(given) == width == len(set(given)):
        return [str(name) for name in given]
    return [f"{key.removeprefix('observation.')}_{i}" for i in range(width)]


def _guess_gripper(rows: _Rows, names: list[str], guesses: list[Guess]) -> Gripper:
    last = rows.action[:, -1]
    low, high = float(last.min()), float(last.max())
    ends = np.isclose(last, low, atol=0.1 * (high - low)) | np.isclose(
        last, high, atol=0.1 * (high - low)
    )
    named = "grip" in names[-1].lower()
    if not named and (rows.action.shape[1] < 4 or ends.mean() < 0.8):
        guesses.append(
            Guess(
                field="gripper",
                chosen=Gripper.NONE,
                because=f"the last number '{names[-1]}' is neither named gripper nor two-valued",
                sure=False,
            )
        )
        return Gripper.NONE
    starts = float(rows.first_action[:, -1].mean())
    opens = starts >= (low + high) / 2
    chosen = Gripper.OPEN_POSITIVE if opens else Gripper.CLOSE_POSITIVE
    guesses.append(
        Guess(
            field="gripper",
            chosen=chosen,
            because=f"the last number '{names[-1]}' lies in {low:.3g}..{high:.3g} and starts at "
            f"{starts:.3g} on average; episodes usually start with an open gripper",
            sure=False,
        )
    )
    return chosen


def _guess_control(
    dataset: Dataset, rows: _Rows, names: list[str], gripper: Gripper, guesses: list[Guess]
) -> Control:
    text = " ".join(names).lower()
    joint = [word for word in JOINT_WORDS if word in text]
    pose = [word for word in POSE_WORDS if word in text] + (
        ["x", "y", "z"] if {"x", "y", "z"} <= set(text.split()) else []
    )
    moving = rows.action.shape[1] - (gripper is not Gripper.NONE)
    if joint or pose:
        chosen = Control.JOINT if joint and not pose else Control.END_EFFECTOR
        because, sure = f"the names {names} hold {joint or pose}", bool(joint) != bool(pose)
    else:
        chosen = Control.END_EFFECTOR if moving in {3, 6, 9} else Control.JOINT
        because = (
            f"the names say nothing; {moving} numbers beside the gripper fit "
            f"{'a pose' if chosen is Control.END_EFFECTOR else 'joints'}"
        )
        sure = False
    guesses.append(
        Guess(
            field="control", chosen=chosen, because=f"{because} ({dataset.robot_type})", sure=sure
        )
    )
    return chosen


def _guess_reference(
    rows: _Rows, control: Control, gripper: Gripper, guesses: list[Guess]
) -> Reference:
    moving = rows.action.shape[1] - (gripper is not Gripper.NONE)
    plain = min(moving, 3) if control is Control.END_EFFECTOR else moving
    relative = Reference.DELTA if control is Control.END_EFFECTOR else Reference.RELATIVE_TO_STATE
    if rows.state.shape[1] < plain:
        chosen = Reference.DELTA if control is Control.END_EFFECTOR else Reference.ABSOLUTE
        because, sure = "there is no state to compare with", False
    else:
        action = rows.action[:, :plain]
        target, step = rows.next_state[:, :plain], (rows.next_state - rows.state)[:, :plain]
        spread = np.abs(target - target.mean(axis=0)).mean() + 1e-9
        absolute = float(np.abs(action - target).mean() / spread)
        change = float(np.abs(action - step).mean() / spread)
        chosen = Reference.ABSOLUTE if absolute < change else relative
        because = (
            f"over {len(action)} frames the action is {absolute:.2g} (in units of the state's "
            f"spread) away from the next state and {change:.2g} away from the change of state"
        )
        sure = max(absolute, change) > 3 * min(absolute, change)
    guesses.append(Guess(field="reference", chosen=chosen, because=because, sure=sure))
    return chosen


def _guess_rotation(
    rows: _Rows, names: list[str], control: Control, gripper: Gripper, guesses: list[Guess]
) -> Rotation:
    if control is Control.JOINT:
        return Rotation.NONE
    width = rows.action.shape[1] - (gripper is not Gripper.NONE) - 3
    text = " ".join(names).lower()
    named = {"roll", "pitch", "yaw"} <= set(text.replace("_", " ").split())
    choices = {
        0: (Rotation.NONE, "no numbers are left for a rotation", True),
        3: (
            Rotation.RPY_XYZ,
            "the names say roll, pitch, yaw"
            if named
            else "three numbers; axis and angle has three too",
            named,
        ),
        4: (Rotation.QUAT_XYZW, "four numbers; the order wxyz is as common as xyzw", False),
        6: (Rotation.ROT6D_COLUMNS, "six numbers; rows of the matrix are possible too", False),
    }
    chosen, because, sure = choices.get(
        width, (Rotation.NONE, f"{width} numbers fit no layout; the mapping will be refused", False)
    )
    guesses.append(Guess(field="rotation", chosen=chosen, because=because, sure=sure))
    return chosen


def _units(width: int, control: Control, gripper: Gripper, rotation: Rotation) -> list[str]:
    angle = "rad" if rotation in {Rotation.RPY_XYZ, Rotation.AXIS_ANGLE} else "1"
    units = ["rad"] * width if control is Control.JOINT else ["m"] * 3 + [angle] * (width - 3)
    if gripper is not Gripper.NONE:
        units[-1] = "1"
    return units


def _cameras(
    dataset: Dataset, height: int, width: int, guesses: list[Guess]
) -> tuple[CameraMapping, ...]:
    found: list[CameraMapping] = []
    for name, key in dataset.cameras.items():
        tall, wide = dataset.camera_size(name)
        scale = min(tall / height, wide / width)
        side = (round(scale * height), round(scale * width))
        crop = ((tall - side[0]) // 2, (wide - side[1]) // 2, *side)
        whole = side == (tall, wide)
        found.append(
            CameraMapping(
                key=key, name=name, height=height, width=width, crop=None if whole else crop
            )
        )
        guesses.append(
            Guess(
                field=f"camera {name}",
                chosen=f"{height}x{width} from {'all' if whole else crop} of {tall}x{wide}",
                because="the largest centred part of the wanted shape; nothing is stretched",
                sure=whole,
            )
        )
    return tuple(found)
