"""What is sent is what arrives, in the byte format of openpi's servers."""

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from vertebra.policy.protocol import Act
from vertebra.spec.action import ActionSpec, Frame, Gripper, Rotation
from vertebra.spec.observation import Camera, Dim, Observation, ObservationSpec
from vertebra.spec.wire import (
    act_from_wire,
    act_to_wire,
    action_spec_from_plain,
    action_spec_to_plain,
    observation_from_wire,
    observation_spec_from_plain,
    observation_spec_to_plain,
    observation_to_wire,
    pack,
    unpack,
)

NUMBERS = hnp.arrays(
    st.sampled_from(["<f4", "<f8", "|u1", "<i8", "|b1", ">i2", "<f2"]),
    hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
)


def plain_bytes(value: object) -> bytes:
    content = msgpack.packb({"a": value})
    assert content is not None
    return content


@settings(max_examples=100, deadline=None)
@given(array=NUMBERS)
def test_an_array_arrives_bit_for_bit_and_may_be_written_to(array: np.ndarray) -> None:
    back = unpack(pack({"a": [array, "text", 3, None, b"raw"]}))["a"]
    assert back[0].dtype == array.dtype
    assert back[0].shape == array.shape
    assert back[0].tobytes() == array.tobytes()
    assert back[0].flags.writeable
    assert back[1:] == ["text", 3, None, b"raw"]


def test_the_bytes_are_those_of_openpi() -> None:
    array = np.array([[1.0, 2.0]], np.float32)
    plain = msgpack.unpackb(pack({"state": array, "n": np.int32(7)}))
    assert plain == {
        "state": {
            b"__ndarray__": True,
            b"data": array.tobytes(),
            b"dtype": "<f4",
            b"shape": [1, 2],
        },
        "n": {b"__npgeneric__": True, b"data": 7, b"dtype": "<i4"},
    }
    scalar = unpack(pack(np.float32(1.5)))
    assert type(scalar) is np.float32
    assert scalar == 1.5


def test_a_strided_view_arrives_as_it_looks() -> None:
    view = np.arange(12, dtype=np.uint8).reshape(3, 4)[::-1, ::2]
    assert (unpack(pack(view)) == view).all()


@pytest.mark.parametrize(
    "array", [np.array([object()]), np.array(["a"]), np.array([1j]), np.zeros(1, "M8[s]")]
)
def test_arrays_of_other_things_are_refused(array: np.ndarray) -> None:
    with pytest.raises(ValueError, match="cannot travel"):
        pack({"a": array})
    with pytest.raises(TypeError, match="set"):
        pack({"a": {1}})


def test_damaged_and_dangerous_messages_are_refused() -> None:
    good = pack({"a": np.zeros(3, np.float32)})
    for bad in (good[:-2], good + b"\x00", b"\xc1"):
        with pytest.raises(ValueError, match="are not a message"):
            unpack(bad)
    short = {b"__ndarray__": True, b"data": b"1234", b"dtype": "<f4", b"shape": [2]}
    with pytest.raises(ValueError, match="has 4 bytes, not 8"):
        unpack(plain_bytes(short))
    objects = {b"__ndarray__": True, b"data": b"12345678", b"dtype": "|O", b"shape": [1]}
    with pytest.raises(ValueError, match="not accepted"):
        unpack(plain_bytes(objects))


def test_an_observation_travels() -> None:
    rng = np.random.default_rng(0)
    observation = Observation(
        images={
            name: rng.integers(0, 256, (4, 6, 3), dtype=np.uint8) for name in ("front", "wrist/2")
        },
        state=rng.normal(size=5).astype(np.float32),
        instruction="put the red box on the plate – now",
        executed=np.zeros((0, 4), np.float32),
    )
    back = observation_from_wire(unpack(pack(observation_to_wire(observation))))
    assert list(back.images) == ["front", "wrist/2"]
    assert all((back.images[name] == observation.images[name]).all() for name in back.images)
    assert (back.state == observation.state).all()
    assert back.executed.shape == (0, 4)
    assert back.instruction == observation.instruction


def test_everything_wrong_with_an_observation_is_named() -> None:
    message = {
        "observation/image/front": np.zeros((4, 6, 3), np.float32),
        "observation/state": [1.0, 2.0],
        "prompt": 3,
    }
    with pytest.raises(ValueError, match="not an observation") as caught:
        observation_from_wire(message)
    for words in ("executed' is missing", "'front' is not a uint8", "state' is not", "'prompt'"):
        assert words in str(caught.value)
    with pytest.raises(ValueError, match="no key starts with"):
        observation_from_wire({})


def test_an_act_travels() -> None:
    act = Act(
        chunk=np.arange(8, dtype=np.float32).reshape(2, 4),
        imagined={"front": np.full((1, 2, 2, 3), 9, np.uint8)},
        imagined_at_s=(0.6,),
        stage_s={"prefix": 0.01},
        evaluations={"action": 10},
    )
    message = act_to_wire(
        chunk=act.chunk,
        imagined=act.imagined,
        imagined_at_s=act.imagined_at_s,
        stage_s=act.stage_s,
        evaluations=act.evaluations,
    )
    back = Act(**act_from_wire(unpack(pack(message))))
    assert (back.chunk == act.chunk).all()
    assert (back.imagined["front"] == 9).all()
    assert (back.imagined_at_s, back.stage_s, back.evaluations) == (
        (0.6,),
        {"prefix": 0.01},
        {"action": 10},
    )
    assert Act(**act_from_wire({"actions": np.zeros((3, 7))})).chunk.dtype == np.float32
    with pytest.raises(ValueError, match="'actions' must be an array"):
        act_from_wire({"action": np.zeros((3, 7))})


def test_specs_travel_with_open_ranges() -> None:
    dims = (Dim(name="x", unit="m"), Dim(name="g", unit="1", low=-1.0, high=1.0))
    offers = ObservationSpec(
        cameras=(Camera(name="front", height=4, width=6),), state=dims, rate_hz=10.0, language=False
    )
    takes = ActionSpec(
        dims=dims,
        frame=Frame.DELTA,
        rotation=Rotation.QUAT_XYZW,
        gripper=Gripper.CLOSE_POSITIVE,
        rate_hz=10.0,
    )
    assert observation_spec_from_plain(unpack(pack(observation_spec_to_plain(offers)))) == offers
    assert action_spec_from_plain(unpack(pack(action_spec_to_plain(takes)))) == takes
    with pytest.raises(ValueError, match="an action spec has exactly"):
        action_spec_from_plain({"dims": []})
