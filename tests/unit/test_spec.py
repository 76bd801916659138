"""Words of the corridor: what differs is refused by name, and records survive."""

import json
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from fakes.episodes import MAKES, NEEDS
from vertebra.spec.action import ActionSpec, Frame, Gripper, Rotation
from vertebra.spec.errors import BrokenDataset, MissingExtra, SpecMismatch
from vertebra.spec.mismatch import require_match
from vertebra.spec.observation import Camera, Dim, ObservationSpec
from vertebra.spec.record import EpisodeRecord, Timing, record_from_plain
from vertebra.spec.storage import canonical_json, to_plain
from vertebra.spec.streams import ALL, PAST, SAME, UPTO, Role, denoised, given, teacher
from vertebra.spec.task import Outcome
from vertebra.spec.wire import action_spec_from_plain, observation_spec_from_plain

FRONT, WRIST = NEEDS.cameras


def test_equal_specs_match_and_extra_cameras_do_no_harm() -> None:
    require_match(NEEDS, NEEDS, MAKES, MAKES)
    more = replace(NEEDS, cameras=(*NEEDS.cameras, Camera(name="side", height=8, width=8)))
    require_match(NEEDS, more, MAKES, MAKES)
    require_match(replace(NEEDS, language=False), NEEDS, MAKES, MAKES)


@pytest.mark.parametrize(
    ("observation", "action", "message"),
    [
        ({}, {"gripper": Gripper.CLOSE_POSITIVE},
         "gripper sign: made is open_positive, taken is close_positive: convert"),
        ({}, {"rotation": Rotation.QUAT_WXYZ}, "rotation layout: made is none, taken is quat_wxyz"),
        ({}, {"frame": Frame.ABSOLUTE}, "frame: made is delta, taken is absolute"),
        ({}, {"rate_hz": 5.0}, "action rate_hz: made is 10.0, taken is 5.0"),
        ({}, {"dims": MAKES.dims[:3]}, r"action has dimensions .*'gripper'\], the other side has"),
        ({}, {"dims": (replace(MAKES.dims[0], unit="m"), *MAKES.dims[1:])},
         "action 'delta_x' is in 4 cm, the other side in m"),
        ({"rate_hz": 20.0}, {}, "observations must come at 10.0 Hz, offered are 20.0 Hz"),
        ({"language": False}, {}, "an instruction is needed and none is offered"),
        ({"cameras": (FRONT,)}, {}, r"camera 'wrist' is needed, offered are \['front'\]: map"),
        ({"cameras": ()}, {}, "camera 'front' is needed, offered are none"),
        ({"cameras": (FRONT, replace(WRIST, height=64))}, {},
         "camera 'wrist' must be 32x32 pixels, offered is 64x32: set the image size"),
        ({"state": NEEDS.state[::-1]}, {}, "state has dimensions"),
        ({"state": tuple(replace(dim, unit="cm") for dim in NEEDS.state)}, {},
         "state 'tool_x' is in m, the other side in cm"),
    ],
)  # fmt: skip
def test_a_difference_is_refused_with_its_fix(
    observation: dict[str, Any], action: dict[str, Any], message: str
) -> None:
    offers, takes = replace(NEEDS, **observation), replace(MAKES, **action)
    with pytest.raises(SpecMismatch, match=message):
        require_match(NEEDS, offers, MAKES, takes)


def test_all_differences_are_named_at_once() -> None:
    offers = replace(NEEDS, cameras=(FRONT,), rate_hz=5.0, language=False)
    takes = replace(MAKES, gripper=Gripper.NONE, frame=Frame.JOINT, rate_hz=5.0)
    with pytest.raises(SpecMismatch) as caught:
        require_match(NEEDS, offers, MAKES, takes)
    assert str(caught.value).count("\n  - ") == 6


def record(**changes: Any) -> EpisodeRecord:
    values: dict[str, Any] = {
        "pilot": "p", "arm": "pi0+blind", "family": "vla", "demonstrations": 5, "seed": 1,
        "environment": "e", "split": "layout", "condition": "asked", "initial_state": "s",
        "initial_hash": "h", "scene_seed": 3, "task": "t", "skill": "put", "instruction": "do it",
        "outcome": Outcome.TIMEOUT, "achieved": ("u", "v"), "first_touched": None,
        "first_grasped": "box", "target": "box", "progress": 0.25, "steps": 9,
        "model_evaluations": {"prefix": 1, "action": 10}, "spec_hash": "x",
        "software": {"commit": "c", "dirty": True},
        "timing": Timing(latency_s=(0.1, 0.2), wall_s=3.0),
    }  # fmt: skip
    return EpisodeRecord(**{**values, **changes})


def test_a_record_survives_json() -> None:
    one = record()
    again = record_from_plain(json.loads(canonical_json(one)))
    assert again == one and again.content_hash() == one.content_hash()
    assert isinstance(again.outcome, Outcome) and isinstance(again.timing.latency_s, tuple)


def test_the_hash_of_a_record_ignores_timing_and_nothing_else() -> None:
    one = record()
    assert replace(one, timing=Timing()).content_hash() == one.content_hash()
    others = {
        field.name: replace(one, **{field.name: _another(getattr(one, field.name))})
        for field in fields(one)
        if field.name != "timing"
    }
    hashes = {name: other.content_hash() for name, other in others.items()}
    assert len({one.content_hash(), *hashes.values()}) == len(hashes) + 1, hashes


def _another(value: Any) -> Any:
    match value:
        case Outcome():
            return Outcome.ERROR
        case None:
            return "plate"
        case str():
            return value + "!"
        case tuple():
            return (*value, "w")
        case dict():
            return {**value, "more": 1}
        case _:
            return value + 1


def test_records_of_another_version_or_with_other_fields_are_refused() -> None:
    plain = to_plain(record())
    with pytest.raises(ValueError, match=r"schema version 7, this program reads version 1"):
        record_from_plain({**plain, "version": 7})
    del plain["task"]
    with pytest.raises(ValueError, match=r"lacks \['task'\] and has unknown fields \['mood'\]"):
        record_from_plain({**plain, "mood": "good"})


def test_specs_survive_json() -> None:
    observation = replace(NEEDS, state=(Dim(name="w", unit="1", low=None, high=2.0),))
    read = observation_spec_from_plain(json.loads(canonical_json(observation)))
    assert read == observation and isinstance(read, ObservationSpec)
    action = replace(MAKES, rotation=Rotation.QUAT_XYZW, frame=Frame.ABSOLUTE)
    again = action_spec_from_plain(json.loads(canonical_json(action)))
    assert again == action and isinstance(again, ActionSpec)
    assert isinstance(again.gripper, Gripper) and isinstance(again.rotation, Rotation)


def test_streams_say_what_they_are_for() -> None:
    assert (given("a").role, denoised("b").role) == (Role.GIVEN, Role.DENOISED)
    clean = teacher("c", of="b")
    assert (clean.role, clean.of) == (Role.TEACHER, "b")
    assert [reach.value for reach in (ALL, UPTO, PAST, SAME)] == ["all", "upto", "past", "same"]


def test_errors_say_what_to_do() -> None:
    broken = BrokenDataset("data/x", ["one", "two"])
    assert broken.problems == ["one", "two"] and isinstance(broken, ValueError)
    assert str(broken) == "data/x has 2 problem(s):\n  - one\n  - two"
    assert "pip install 'vertebra[report]'" in str(MissingExtra("the page", "report"))


def test_numpy_scalars_become_numbers() -> None:
    assert canonical_json({"a": np.float32(0.5), "b": (np.int64(2),)}) == '{"a":0.5,"b":[2]}'
