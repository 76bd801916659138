"""A policy server: who is let in, what is answered, and how it ends."""

import asyncio
import threading
import time
import urllib.error
import urllib.request
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from fakes.policies import Seeker
from fakes.serving import (
    DROID_MAKES,
    DROID_NEEDS,
    Gated,
    Robot,
    droid_policy,
    openpi_message,
    renamed,
    roboarena_message,
    serving,
    until,
)
from fakes.worlds import Plane, make_state
from vertebra.recipes.pi0 import PI0
from vertebra.serve.dialect import (
    Keys,
    keys_from_plain,
    openpi_dialect,
    roboarena_dialect,
)
from vertebra.serve.inference import Inference
from vertebra.serve.metrics import Metrics
from vertebra.serve.server import ServerConfig
from vertebra.spec.action import Frame, Gripper, Rotation
from vertebra.spec.errors import SpecMismatch
from vertebra.spec.observation import Camera, Dim, Observation


def look(colour: str = "red", index: int = 0) -> Observation:
    """What the small plane shows before anything happened."""
    plane, state = Plane(), make_state("test", index)
    seen = plane.begin(state, state.tasks[0], 0)
    return replace(seen, instruction=f"go to {colour}")


def get(url: str, key: str = "") -> tuple[int, str]:
    request = urllib.request.Request(url)  # noqa: S310
    if key:
        request.add_header("Authorization", f"Api-Key {key}")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_a_batch_answers_several_and_shares_a_failure_with_none() -> None:
    seeker = Seeker(fails=("green",))
    words = ("red", "blue", "green", "red", "blue", "red")
    with serving(seeker, most=len(words), wait_s=60.0) as served:
        robots = [Robot(served.url) for _ in words]
        answers: list[Any] = [None] * len(words)

        def talk(number: int) -> None:
            answers[number] = robots[number].send(openpi_message(look(words[number])))

        threads = [threading.Thread(target=talk, args=(n,)) for n in range(len(words))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        counts = served.server.metrics
        assert counts.value("vertebra_requests_total", outcome="answered") == 5
        assert counts.value("vertebra_batches_split_total") == 1
        for robot in robots:
            robot.close()
    assert len(words) in seeker.batches
    for word, answer in zip(words, answers, strict=True):
        if word == "green":
            assert "the policy failed (RuntimeError)" in answer
            continue
        alone = Seeker()
        assert (answer["actions"] == alone.act(alone.start(0), look(word))[1].chunk).all()


def test_a_failing_policy_ends_its_connection_and_no_other() -> None:
    with serving(Seeker(fails=("green",))) as served:
        one, other = Robot(served.url), Robot(served.url)
        before = other.send(openpi_message(look()))["actions"]
        answer = one.send(openpi_message(look("green")))
        assert answer.startswith("error: the policy failed (RuntimeError)")
        assert "Traceback" not in answer
        with pytest.raises(ConnectionClosed) as closed:
            one.socket.recv(timeout=30)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1011
        assert (other.send(openpi_message(look()))["actions"] == before).all()
        other.close()


def test_the_event_loop_answers_while_the_policy_thinks() -> None:
    policy = Gated()
    with serving(policy) as served:
        robot = Robot(served.url)
        policy.gate.clear()
        robot.post(openpi_message(look()))
        assert get(served.http + "/healthz") == (200, "OK\n")
        assert served.server.metrics.value("vertebra_requests_total", outcome="answered") == 0
        policy.gate.set()
        assert isinstance(robot.socket.recv(timeout=30), bytes)
        robot.close()


def test_what_was_executed_is_taken_as_said_or_as_the_contract_says() -> None:
    seeker = Seeker()
    with serving(seeker) as served:
        seeker.executed.clear()
        robot = Robot(served.url)
        message = openpi_message(look())
        robot.send(message)
        robot.send(message)
        robot.send({**message, "observation/executed": np.zeros((3, 2), np.float32)})
        assert robot.send({"endpoint": "reset", "seed": 9}) == "reset successful"
        robot.send(message)
        robot.close()
    assert seeker.executed == [0, seeker.execute, 3, 0]


def test_a_reset_with_a_seed_gives_the_session_of_that_seed() -> None:
    with serving(Seeker(noise=0.01)) as served:
        robot = Robot(served.url)
        robot.send({"endpoint": "reset", "seed": 7})
        said = robot.send(openpi_message(look()))["actions"]
        default = Robot(served.url).send(openpi_message(look()))["actions"]
        again = Robot(served.url).send(openpi_message(look()))["actions"]
        bad = robot.send({"endpoint": "reset", "seed": -1})
        robot.close()
    alone = Seeker(noise=0.01)
    assert (said == alone.act(alone.start(7), look())[1].chunk).all()
    assert (default == again).all()
    assert not (default == said).all()
    assert "'seed' is -1" in bad


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"observation/image/top": np.zeros((8, 8, 3), np.uint8)}, "found uint8[8, 8, 3]"),
        ({"observation/image/top": np.zeros((16, 16, 3))}, "found float64"),
        ({"observation/state": np.zeros(3)}, "hold 3 numbers, needed are 2: x, y"),
        ({"observation/state": np.array([np.nan, 0])}, "finite numbers"),
        ({"observation/state": "here"}, "finite numbers"),
        ({"prompt": 3}, "'prompt' is missing or not text"),
        ({"observation/executed": np.zeros(2)}, "'observation/executed' is not an array [n, 2]"),
        ({"endpoint": "jump"}, "'endpoint' is 'jump'"),
        ({"session_id": 3}, "'session_id' is a int"),
    ],
)
def test_a_wrong_request_is_named_and_changes_nothing(change: dict[str, Any], words: str) -> None:
    with serving(Seeker(noise=0.01)) as served:
        robot, other = Robot(served.url), Robot(served.url)
        answer = robot.send({**openpi_message(look()), **change})
        assert answer.startswith("error: ")
        assert words in answer
        message = {**openpi_message(look()), "observation/state": [0.3, 0.3]}
        assert (robot.send(message)["actions"] == other.send(message)["actions"]).all()
        robot.close()
        other.close()


def test_strangers_are_not_let_in() -> None:
    with serving(Seeker(), api_key="secret", connections=2) as served:
        for key in ("", "wrong"):
            with pytest.raises(InvalidStatus) as refused:
                Robot(served.url, key)
            assert refused.value.response.status_code == 401
            assert get(served.http + "/metrics", key)[0] == 401
        assert get(served.http + "/healthz") == (200, "OK\n")
        robots = [Robot(served.url, "secret") for _ in range(2)]
        with pytest.raises(InvalidStatus) as full:
            Robot(served.url, "secret")
        assert full.value.response.status_code == 503
        robots[0].close()
        until(lambda: served.server.metrics.value("vertebra_connections") == 1)
        Robot(served.url, "secret").close()
        status, text = get(served.http + "/metrics", "secret")
        assert status == 200
        assert 'vertebra_refused_total{reason="key"} 4' in text
        assert 'vertebra_refused_total{reason="full"} 1' in text
        robots[1].close()


def test_frames_that_are_too_large_close_their_connection() -> None:
    with serving(Seeker(), message_bytes=10_000) as served:
        robot = Robot(served.url)
        robot.socket.send(bytes(20_000))
        with pytest.raises(ConnectionClosed) as closed:
            robot.socket.recv(timeout=30)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009
        other = Robot(served.url)
        assert other.send(openpi_message(look()))["actions"].shape == (8, 2)
        other.close()


def test_metrics_count_what_happened() -> None:
    policy = Seeker()
    with serving(policy, openpi_dialect(policy, about={"recipe": 'a"b'})) as served:
        robot = Robot(served.url)
        for _ in range(3):
            robot.send(openpi_message(look()))
        robot.send({})
        text = get(served.http + "/metrics")[1]
        robot.close()
    assert 'vertebra_info{protocol="openpi",recipe="a\\"b"} 1' in text
    assert 'vertebra_requests_total{outcome="answered"} 3' in text
    assert 'vertebra_requests_total{outcome="refused"} 1' in text
    assert 'vertebra_evaluations_total{stage="action"} 30' in text
    assert 'vertebra_inference_seconds_bucket{le="+Inf"} 3' in text
    assert "vertebra_connections 1" in text


def test_an_end_lets_open_sessions_finish_and_refuses_new_ones() -> None:
    policy = Gated()
    with serving(policy, drain_s=60.0) as served:
        robot = Robot(served.url)
        policy.gate.clear()
        robot.post(openpi_message(look()))
        served.end()
        until(lambda: get(served.http + "/healthz") == (503, "draining\n"))
        with pytest.raises(InvalidStatus) as refused:
            Robot(served.url)
        assert refused.value.response.status_code == 503
        policy.gate.set()
        assert isinstance(robot.socket.recv(timeout=30), bytes)
        assert robot.send(openpi_message(look()))["actions"].shape == (8, 2)
        robot.close()


def test_an_end_does_not_wait_for_ever() -> None:
    began = time.monotonic()
    with serving(Seeker(), drain_s=0.2) as served:
        robot = Robot(served.url)
        served.end()
        with pytest.raises(ConnectionClosed) as closed:
            robot.socket.recv(timeout=30)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1001
    assert time.monotonic() - began < 10


class Wide(Seeker):
    """Makes one number too many."""

    def act(self, session: Any, observation: Observation, deadline_s: float | None = None) -> Any:
        after, act = super().act(session, observation, deadline_s)
        return after, replace(act, chunk=np.zeros((8, 3), np.float32))


def test_a_policy_that_breaks_its_word_is_found_before_anyone_is_let_in() -> None:
    with (
        pytest.raises(ValueError, match=r"shape \(8, 3\), expected \[n >= 4, 2\]"),
        serving(Wide()),
    ):
        pass


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="port 70000") as caught:
        ServerConfig(port=70000, connections=0)
    assert "0 connections" in str(caught.value)

    async def make() -> None:
        Inference(Seeker(), Metrics(), most=1, wait_s=0.1)

    with pytest.raises(ValueError, match=r"at most 1 with a wait of 0\.1 s"):
        asyncio.run(make())


def test_keys_say_where_a_robot_puts_things() -> None:
    plain = {
        "images": {"top": "observation/exterior_image_1_left"},
        "state": ["x", "y"],
        "prompt": "task",
    }
    keys = keys_from_plain(plain)
    assert keys == Keys(images=plain["images"], state=("x", "y"), prompt="task")
    policy = Seeker()
    seen = look("blue")
    with serving(policy, openpi_dialect(policy, keys)) as served:
        robot = Robot(served.url)
        assert robot.greeting["keys"] == plain
        answer = robot.send(
            {
                "observation/exterior_image_1_left": seen.images["top"],
                "x": float(seen.state[0]) * np.ones(1),
                "y": seen.state[1:].astype(np.float64),
                "task": seen.instruction,
            }
        )
        robot.close()
    assert (answer["actions"] == policy.act(policy.start(0), seen)[1].chunk).all()
    with pytest.raises(SpecMismatch, match=r"\['side'\], the policy needs exactly \['top'\]"):
        openpi_dialect(policy, Keys(images={"side": "a"}))
    with pytest.raises(ValueError, match="unknown fields") as caught:
        keys_from_plain({"pictures": {}, "state": "x", "prompt": 1})
    for words in ("'images' must say", "'state' must be", "'prompt' must be"):
        assert words in str(caught.value)


def test_roboarena_reads_cameras_from_one_and_from_zero_and_begins_sessions_by_id() -> None:
    policy = droid_policy(PI0)
    with serving(policy, roboarena_dialect(policy)) as served:
        robot = Robot(served.url)
        assert robot.greeting == {
            "image_resolution": [32, 32],
            "needs_wrist_camera": True,
            "n_external_cameras": 1,
            "needs_stereo_camera": False,
            "needs_session_id": True,
            "action_space": "joint_position",
        }
        first = robot.send(roboarena_message(1))["actions"]
        second = robot.send(roboarena_message(1))["actions"]
        assert not (first == second).all()
        sessions = served.server.metrics.value("vertebra_sessions_total")
        robot.send(roboarena_message(1, session="t-A"))
        assert served.server.metrics.value("vertebra_sessions_total") == sessions + 1
        other = Robot(served.url)
        assert (other.send(roboarena_message(1, first=0))["actions"] == first).all()
        missing = roboarena_message(1)
        del missing["observation/wrist_image_left"]
        assert "camera 'wrist'" in other.send(missing)
        for one in (robot, other):
            one.close()


def test_what_roboarena_cannot_do_is_named_at_once() -> None:
    policy = renamed(
        droid_policy(PI0),
        needs=replace(
            DROID_NEEDS,
            cameras=tuple(Camera(name=f"c{i}", height=32 + i, width=32) for i in range(3)),
            state=DROID_NEEDS.state[:5],
        ),
        makes=replace(
            DROID_MAKES,
            dims=(*(Dim(name=f"d{i}", unit="m") for i in range(3)), DROID_MAKES.dims[0]),
            frame=Frame.DELTA,
            gripper=Gripper.OPEN_POSITIVE,
            rate_hz=10.0,
        ),
    )
    with pytest.raises(SpecMismatch) as caught:
        roboarena_dialect(policy)
    for words in (
        "3 outside cameras",
        "have the sizes",
        "7 numbers named joint*",
        "its action is delta",
        "its rotation layout is none",
        "its action has 4 numbers, expected 7",
        "its gripper is open_positive",
        "its rate is 10.0 Hz",
    ):
        assert words in str(caught.value), words


@pytest.mark.parametrize(
    ("frame", "unit", "count", "space"),
    [
        (Frame.JOINT, "rad", 7, "joint_position"),
        (Frame.JOINT, "rad/s", 7, "joint_velocity"),
        (Frame.ABSOLUTE, "m", 6, "cartesian_position"),
        (Frame.DELTA, "m/s", 6, "cartesian_velocity"),
    ],
)
def test_action_spaces_are_told_by_frame_and_unit(
    frame: Frame, unit: str, count: int, space: str
) -> None:
    rotation = Rotation.NONE if frame == Frame.JOINT else Rotation.RPY_XYZ
    dims = tuple(Dim(name=f"d{i}", unit=unit) for i in range(count))
    makes = replace(DROID_MAKES, dims=(*dims, DROID_MAKES.dims[-1]), frame=frame, rotation=rotation)
    dialect = roboarena_dialect(renamed(droid_policy(PI0), makes=makes))
    assert dialect.greeting["action_space"] == space
