"""Asking a served policy shows whether it listens, looks and keeps its word."""

import json
import threading
from contextlib import contextmanager

import msgpack
import numpy as np
import pytest
from websockets.sync.server import serve

from fakes.serving import of_robot, serving, to_robot
from vertebra.audit.served import audit_served
from vertebra.audit.served_asking import Server, made_up_observation, read_observation
from vertebra.cli.entry import run
from vertebra.policy.protocol import Act
from vertebra.serve.client import ServerError
from vertebra.spec.action import ActionSpec, Frame, Gripper, Rotation
from vertebra.spec.observation import Camera, Dim, ObservationSpec

TEXTS = ("lift the box", "push the cup")
NEEDS = ObservationSpec(
    cameras=(Camera(name="front", height=8, width=8), Camera(name="wrist", height=8, width=8)),
    state=(Dim(name="x", unit="m"), Dim(name="y", unit="m")),
    rate_hz=10.0,
)
MAKES = ActionSpec(
    dims=(Dim(name="x", unit="1", low=-1.0, high=1.0), Dim(name="grip", unit="1")),
    frame=Frame.DELTA,
    rotation=Rotation.NONE,
    gripper=Gripper.OPEN_POSITIVE,
    rate_hz=10.0,
)


class Toy:
    """A policy whose action is a sum of what it attends to, and noise."""

    needs, makes, execute = NEEDS, MAKES, 2

    def __init__(self, *, text=1.0, front=1.0, wrist=1.0, state=1.0, noise=0.01, size=0.1):
        self.weights = {"text": text, "front": front, "wrist": wrist, "state": state}
        self.noise, self.size = noise, size

    def start(self, seed):
        return np.random.default_rng(seed)

    def act(self, session, observation, deadline_s=None):
        seen = {
            "text": sum(observation.instruction.encode()) % 97 / 97,
            "front": observation.images["front"].mean() / 255,
            "wrist": observation.images["wrist"].std() / 255,
            "state": observation.state.sum(),
        }
        draw = np.random.default_rng(session.bit_generator.seed_seq.entropy)
        value = self.size * sum(w * float(seen[k]) for k, w in self.weights.items())
        chunk = np.full((4, 2), value) + self.noise * draw.standard_normal((4, 2))
        return session, Act(chunk=chunk.astype(np.float32))

    def act_batch(self, sessions, observations):
        return [self.act(*pair) for pair in zip(sessions, observations, strict=True)]


def asked(policy, instructions=TEXTS, **changes):
    with serving(policy) as served:
        server = Server(served.url)
        return audit_served(server, made_up_observation(server.greeting), instructions, **changes)


def changed(audit):
    return {probe.name: probe.changed for probe in audit.probes}


def test_a_policy_that_attends_to_everything_has_no_finding():
    found = asked(Toy())
    assert found.seeded
    assert found.deterministic
    assert all(changed(found).values())
    assert found.findings == ()
    assert (found.horizon, found.dims) == (4, 2)
    assert found.noise > 0


def test_a_deaf_policy_is_found():
    found = asked(Toy(text=0.0))
    assert any("does not listen" in words for words in found.findings)
    assert {p.changed for p in found.probes if p.kind == "language"} == {False}


@pytest.mark.parametrize(
    ("blind", "words"),
    [
        ({"front": 0.0}, "'observation/image/front' made black changed nothing"),
        ({"wrist": 0.0}, "'observation/image/wrist' made black changed nothing"),
        ({"state": 0.0}, "'observation/state' moved by 0.25 changed nothing"),
    ],
)
def test_what_is_not_looked_at_is_named(blind, words):
    found = asked(Toy(**blind))
    assert [finding for finding in found.findings if words in finding]
    assert len(found.findings) == 1


def test_actions_outside_their_claimed_range_are_named():
    found = asked(Toy(size=5.0))
    assert "'x' leaves its claimed range [-1.0, 1.0]." in found.findings


class Foreign:
    """A server of somebody else: says nothing, takes no seed, draws new noise every time."""

    def __init__(self, *, text, noise):
        self.text, self.noise = text, noise
        self.draw = np.random.default_rng(0)

    def __call__(self, connection):
        connection.send(msgpack.packb({}))
        for frame in connection:
            message = msgpack.unpackb(frame, object_hook=to_robot)
            if "prompt" not in message:
                connection.send("KeyError: prompt")
                return
            value = self.text * (sum(message["prompt"].encode()) % 97 / 97)
            value += message["image"].mean() / 255 + message["state"][3:7].sum()
            chunk = value + self.noise * self.draw.standard_normal((5, 9))
            connection.send(msgpack.packb({"actions": chunk}, default=of_robot))


@contextmanager
def foreign(**settings):
    with serve(Foreign(**settings), "127.0.0.1", 0, compression=None) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
        server.shutdown()
        thread.join(10)


@pytest.fixture
def recorded(tmp_path):
    path = tmp_path / "observation.npz"
    state = np.array([0.1, 0.2, 0.3, 0.5, 0.5, 0.5, 0.5, 0.0, 0.04], np.float32)
    image = np.full((8, 8, 3), 200, np.uint8)
    np.savez(path, image=image, state=state, prompt=np.array("lift the box"))
    return path


@pytest.mark.parametrize(("text", "listens"), [(1.0, True), (0.0, False)])
def test_noise_without_seeds_is_told_from_change_by_a_test(text, listens, recorded):
    with foreign(text=text, noise=0.05) as url:
        found = audit_served(Server(url), read_observation(recorded), TEXTS)
    assert not found.seeded
    assert not found.deterministic
    assert changed(found)["instruction: push the cup"] == listens
    assert changed(found)["black: image"]
    assert all(probe.p is not None for probe in found.probes)
    assert any("does not listen" in words for words in found.findings) != listens
    assert any("sign of a quaternion" in words for words in found.findings)


def test_a_server_without_noise_is_exact(recorded):
    with foreign(text=1.0, noise=0.0) as url:
        found = audit_served(Server(url), read_observation(recorded), TEXTS)
    assert found.deterministic
    assert {probe.p for probe in found.probes} == {None}
    assert {probe.ratio for probe in found.probes} == {None}


def test_false_alarms_are_rare():
    def same(seed):
        with foreign(text=0.0, noise=0.05) as url:
            message = {"image": np.zeros((4, 4, 3), np.uint8), "state": np.zeros(9, np.float32)}
            return audit_served(Server(url), {**message, "prompt": str(seed)}, ())

    assert not [
        p.name for s in range(3) for p in same(s).probes if p.kind == "language" and p.changed
    ]


def test_observations_that_do_not_fit_are_refused(tmp_path, recorded):
    with foreign(text=1.0, noise=0.0) as url:
        server = Server(url)
        with pytest.raises(ValueError, match="--observation FILE"):
            made_up_observation(server.greeting)
        with pytest.raises(ServerError, match="refused"):
            server.ask({"image": np.zeros(3)}, 0)
        with pytest.raises(ValueError, match="repeats"):
            audit_served(server, read_observation(recorded), TEXTS, repeats=2)
        with pytest.raises(ValueError, match="one text"):
            audit_served(server, {"image": np.zeros(3)}, TEXTS)
    np.savez(tmp_path / "pickled.npz", a=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="is no observation"):
        read_observation(tmp_path / "pickled.npz")
    with pytest.raises(ServerError, match="does not let us in"):
        Server("ws://127.0.0.1:1")


def test_command(capsys):
    with serving(Toy(text=0.0)) as served:
        words = ["audit", "policy", "--server", served.url, "--instructions", *TEXTS]
        assert run(words) == 1
        assert "does not listen" in capsys.readouterr().out
        assert run([*words, "--json"]) == 1
        assert json.loads(capsys.readouterr().out)["deterministic"]
    assert run(["audit", "policy", "--server", "ws://127.0.0.1:1"]) == 2
