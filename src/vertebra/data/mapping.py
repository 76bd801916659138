"""What the columns of a foreign data set mean: said once, in full, and checked.

A mapping never guesses. It names the cameras with crop and size, the numbers of state and action
with their units, and the conventions of the action; what does not fit the data is refused.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from vertebra.data.lerobot_open import Dataset
from vertebra.spec.action import ActionSpec, Frame, Gripper, Rotation
from vertebra.spec.observation import Camera, Dim, ObservationSpec
from vertebra.spec.rotation import WIDTH
from vertebra.spec.storage import to_plain

MAPPING_VERSION = 1
STRETCH = 0.02
"""How far the aspect ratio of a crop may differ from that of the picture made of it."""


class Control(StrEnum):
    """What an action moves."""

    END_EFFECTOR = "end_effector"
    """Position (fewer than three numbers only without rotation), rotation, gripper."""
    JOINT = "joint"
    """Joints, then gripper."""


class Reference(StrEnum):
    """What an action counts from (the gripper is always absolute)."""

    ABSOLUTE = "absolute"
    """The target itself."""
    DELTA = "delta"
    """Added to the target of the previous step. End effector only."""
    RELATIVE_TO_STATE = "relative_to_state"
    """Added to the state measured at the same frame; it is converted to ABSOLUTE when read."""


@dataclass(frozen=True, kw_only=True)
class CameraMapping:
    """One camera.

    Attributes:
        key: Feature of the data set.
        name: Name in observations.
        height: Pixels of the picture made.
        width: Pixels of the picture made.
        crop: Top, left, height, width in pixels of the source; the whole picture when ``None``.
    """

    key: str
    name: str
    height: int
    width: int
    crop: tuple[int, int, int, int] | None = None


@dataclass(frozen=True, kw_only=True)
class Number:
    """One number of a vector.

    Attributes:
        index: Its place in the source vector.
        name: What it is.
        unit: ``m``, ``rad``, ``1`` ...
        from_state: For actions relative to the state: place in the source *state* it is added to.
    """

    index: int
    name: str
    unit: str
    from_state: int | None = None


@dataclass(frozen=True, kw_only=True)
class InputMapping:
    """What a policy gets out of a data set.

    Attributes:
        cameras: In the order in which a policy stacks them.
        state_key: Feature of the state; empty when there is none.
        state: Which of its numbers, in order.
        action_key: Feature of the action.
        action: Which of its numbers, in order; the gripper last.
        control: What an action moves.
        reference: What an action counts from.
        rotation: Layout of the rotational part, ``NONE`` without one and for joints.
        gripper: Which sign opens, ``NONE`` without a gripper.
        rate_hz: Frames and actions a second; that of the data set.
        language: Whether instructions are used.
    """

    cameras: tuple[CameraMapping, ...]
    state_key: str
    state: tuple[Number, ...]
    action_key: str
    action: tuple[Number, ...]
    control: Control
    reference: Reference
    rotation: Rotation
    gripper: Gripper
    rate_hz: float
    language: bool = True

    def observation_spec(self) -> ObservationSpec:
        """What observations of this data set hold."""
        return ObservationSpec(
            cameras=tuple(
                Camera(name=camera.name, height=camera.height, width=camera.width)
                for camera in self.cameras
            ),
            state=tuple(Dim(name=number.name, unit=number.unit) for number in self.state),
            rate_hz=self.rate_hz,
            language=self.language,
        )

    def action_spec(self) -> ActionSpec:
        """What actions mean after reading."""
        frame = Frame.DELTA if self.reference is Reference.DELTA else Frame.ABSOLUTE
        return ActionSpec(
            dims=tuple(Dim(name=number.name, unit=number.unit) for number in self.action),
            frame=Frame.JOINT if self.control is Control.JOINT else frame,
            rotation=self.rotation,
            gripper=self.gripper,
            rate_hz=self.rate_hz,
        )

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {"version": MAPPING_VERSION, **to_plain(self)}


def mapping_from_json(plain: Mapping[str, Any]) -> InputMapping:
    """Read what ``InputMapping.to_json`` wrote.

    Raises:
        ValueError: On another version, missing or unknown fields, or unknown words.
    """
    if plain.get("version") != MAPPING_VERSION:
        raise ValueError(
            f"An input mapping has version {plain.get('version')!r}, this program reads version "
            f"{MAPPING_VERSION}. Propose it again with `vertebra data info`."
        )
    fields = {name: value for name, value in plain.items() if name != "version"}
    try:
        return InputMapping(
            **{
                **fields,
                "cameras": tuple(_camera_from_plain(camera) for camera in fields["cameras"]),
                "state": tuple(Number(**number) for number in fields["state"]),
                "action": tuple(Number(**number) for number in fields["action"]),
                "control": Control(fields["control"]),
                "reference": Reference(fields["reference"]),
                "rotation": Rotation(fields["rotation"]),
                "gripper": Gripper(fields["gripper"]),
                "rate_hz": float(fields["rate_hz"]),
            }
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"An input mapping has missing, unknown or wrong entries ({error!r}); its entries are "
            f"{sorted(fields)}."
        ) from error


def _camera_from_plain(plain: Mapping[str, Any]) -> CameraMapping:
    crop = plain.get("crop")
    return CameraMapping(**{**plain, "crop": None if crop is None else tuple(crop)})


def require_mapping(mapping: InputMapping, dataset: Dataset) -> None:
    """Refuse a mapping that does not fit a data set.

    Raises:
        ValueError: Naming every problem with what was found, what was expected and what to do.
    """
    found = _camera_problems(mapping, dataset)
    found += _vector_problems("state", mapping.state_key, mapping.state, dataset)
    found += _vector_problems("action", mapping.action_key, mapping.action, dataset)
    found += _convention_problems(mapping)
    if mapping.rate_hz != dataset.fps:
        found.append(
            f"rate_hz is {mapping.rate_hz:g}, the data set has {dataset.fps:g} frames a second: "
            f"set rate_hz to {dataset.fps:g} (resampling is not offered)"
        )
    if mapping.language and not any(dataset.tasks.values()):
        found.append("language is on, but no episode has an instruction: set language to false")
    if found:
        raise ValueError(
            f"The input mapping does not fit {dataset.root}:\n  - " + "\n  - ".join(found)
        )


def _camera_problems(mapping: InputMapping, dataset: Dataset) -> list[str]:
    found: list[str] = []
    names = [camera.name for camera in mapping.cameras]
    if not names or len(set(names)) < len(names):
        found.append(f"camera names are {names}: give at least one, each once")
    known = {key: name for name, key in dataset.cameras.items()}
    for camera in mapping.cameras:
        if camera.key not in known:
            found.append(f"there is no camera '{camera.key}'; there are {sorted(known)}")
            continue
        if min(camera.height, camera.width) < 8:
            found.append(f"camera '{camera.name}' has {camera.height}x{camera.width} pixels: >= 8")
            continue
        height, width = dataset.camera_size(known[camera.key])
        top, left, tall, wide = camera.crop or (0, 0, height, width)
        if min(top, left) < 0 or min(tall, wide) < 1 or top + tall > height or left + wide > width:
            found.append(
                f"crop {camera.crop} of '{camera.key}' leaves its picture of {height}x{width}"
            )
        elif abs(np.log((wide / tall) / (camera.width / camera.height))) > STRETCH:
            found.append(
                f"'{camera.key}' would be stretched from {tall}x{wide} to "
                f"{camera.height}x{camera.width}: choose a crop of the same aspect ratio"
            )
    return found


def _vector_problems(
    what: str, key: str, numbers: tuple[Number, ...], dataset: Dataset
) -> list[str]:
    if what == "state" and not key and not numbers:
        return []
    feature = dataset.features.get(key)
    if feature is None or feature["dtype"] not in {"float32", "float64"}:
        floats = [
            name for name, f in dataset.features.items() if f["dtype"] in {"float32", "float64"}
        ]
        return [f"{what}_key is '{key}'; features of numbers are {sorted(floats)}"]
    width = int(np.prod(feature["shape"]))
    found: list[str] = []
    if not numbers:
        found.append(f"{what} has no numbers: name at least one of the {width} of '{key}'")
    outside = [number.index for number in numbers if not 0 <= number.index < width]
    if outside:
        found.append(f"{what} indices {outside} do not exist; '{key}' has {width} numbers")
    for each, values in (
        ("names", [n.name for n in numbers]),
        ("indices", [n.index for n in numbers]),
    ):
        if len(set(values)) < len(values):
            found.append(f"{what} {each} are {values}: use each once")
    return found


def _convention_problems(mapping: InputMapping) -> list[str]:
    found: list[str] = []
    gripper = mapping.gripper is not Gripper.NONE
    if mapping.control is Control.JOINT:
        if mapping.rotation is not Rotation.NONE:
            found.append(f"joints have no rotation layout, found '{mapping.rotation}': use 'none'")
        if mapping.reference is Reference.DELTA:
            found.append(
                "joint deltas to the previous target cannot be expressed: if they count from the "
                "measured joints use 'relative_to_state', else add them up into absolute targets"
            )
    else:
        expected = 3 + WIDTH[mapping.rotation] + gripper
        least = expected if mapping.rotation is not Rotation.NONE else 1 + gripper
        if not least <= len(mapping.action) <= expected:
            found.append(
                f"action has {len(mapping.action)} numbers, expected {expected}: 3 of position, "
                f"{WIDTH[mapping.rotation]} of rotation ({mapping.rotation}), {int(gripper)} of "
                "gripper"
            )
    pairs = [number.from_state for number in mapping.action[: len(mapping.action) - gripper]]
    if mapping.reference is Reference.RELATIVE_TO_STATE:
        if any(pair is None for pair in pairs):
            found.append("reference is 'relative_to_state': give from_state for every number")
        elif not set(pairs) <= {number.index for number in mapping.state}:
            found.append(f"from_state is {pairs}; every one must be among the state's indices")
    elif any(pair is not None for pair in pairs):
        found.append(f"from_state is given, but reference is '{mapping.reference}': leave it out")
    return found
