"""Whatever is sent, the server goes on: a thousand damaged, dangerous and random frames."""

import random
import struct
from typing import Any

import msgpack
import numpy as np
from websockets.exceptions import ConnectionClosed

from fakes.policies import Seeker
from fakes.serving import Robot, of_robot, openpi_message, serving
from fakes.worlds import Plane, make_state
from vertebra.spec.wire import unpack

COUNT = 1000


def good() -> dict[str, Any]:
    plane, state = Plane(), make_state("test", 0)
    return openpi_message(plane.begin(state, state.tasks[0], 0))


def packed(message: Any) -> bytes:
    content = msgpack.packb(message, default=of_robot)
    assert content is not None
    return content


def array(**changes: Any) -> dict[bytes, Any]:
    """An encoded array with something wrong with it."""
    whole = {"__ndarray__": True, "data": bytes(8), "dtype": "<f4", "shape": [2], **changes}
    return {key.encode(): value for key, value in whole.items() if value is not ...}


DANGEROUS = (
    array(data=...),
    array(dtype=...),
    array(shape=...),
    array(dtype="|O"),
    array(dtype="(1,"),
    array(dtype="f4,f4"),
    array(dtype=b"\xff\xfe"),
    array(dtype=["a", 3]),
    array(dtype=None),
    array(dtype="<M8[s]", shape=[1]),
    array(shape=[-2, -1]),
    array(shape=[2**62, 0]),
    array(shape=[2**63, 2**63]),
    array(shape="xy"),
    array(shape=[[1], [2]]),
    array(data=3),
    {b"__npgeneric__": True, b"data": "x", b"dtype": "<f4"},
    {b"__npgeneric__": True, b"dtype": "<f4"},
    {b"__npgeneric__": True, b"data": 2**70 - 2**70, b"dtype": "|u1"},
    [[[[[[[[[[]]]]]]]]]],
    float("nan"),
    {"endpoint": "reset", "seed": 2**64 - 1},
    {"endpoint": ["reset"]},
    None,
)


def frames(count: int) -> list[bytes | str]:
    """Half of them damaged copies of a good message, the others strange in ways of their own."""
    rng = random.Random(0)  # noqa: S311
    whole = packed(good())
    found: list[bytes | str] = []
    while len(found) < count:
        kind = len(found) % 6
        if kind == 0:
            found.append(rng.randbytes(rng.randrange(0, 200)))
        elif kind == 1:
            found.append(whole[: rng.randrange(len(whole))])
        elif kind == 2:
            damaged = bytearray(whole)
            for _ in range(rng.randrange(1, 20)):
                damaged[rng.randrange(len(damaged))] = rng.randrange(256)
            found.append(bytes(damaged))
        elif kind == 3:
            key = rng.choice([*good(), "observation/executed", "endpoint", "session_id"])
            found.append(packed({**good(), key: rng.choice(DANGEROUS)}))
        elif kind == 4:
            found.append(packed(rng.choice(DANGEROUS)))
        else:
            deep = b"\x91" * rng.randrange(1, 5000) + b"\xc0"
            long = struct.pack(">BI", 0xDD, 2**32 - 1) + bytes(10)
            found.append(rng.choice([deep, long, "text", "", b""]))
    return found


def test_a_thousand_frames_crash_nothing() -> None:
    policy = Seeker()
    with serving(policy) as served:
        robot, witness = Robot(served.url), Robot(served.url)
        before = witness.send(good())["actions"]
        answers = texts = reopened = 0
        for frame in frames(COUNT):
            robot.socket.send(frame)
            try:
                answer = robot.socket.recv(timeout=30)
            except ConnectionClosed:
                robot, reopened = Robot(served.url), reopened + 1
                continue
            if isinstance(answer, str):
                texts += 1
                if answer.startswith("error: the policy failed"):
                    robot, reopened = Robot(served.url), reopened + 1
            else:
                answers += 1
        assert answers + texts + reopened >= COUNT
        assert texts > COUNT / 2
        assert answers > 0
        after = witness.send(good())["actions"]
        assert (after == before).all()
        counts = served.server.metrics
        assert counts.value("vertebra_requests_total", outcome="refused") > COUNT / 2
        for one in (robot, witness):
            one.close()


def test_the_codec_refuses_every_frame_that_it_cannot_read() -> None:
    for frame in frames(COUNT):
        if isinstance(frame, bytes):
            try:
                unpack(frame)
            except ValueError as error:
                assert "are not a message" in str(error)
    assert isinstance(unpack(packed(good())), dict)
    assert isinstance(unpack(packed({"a": np.zeros(2)}))["a"], np.ndarray)
