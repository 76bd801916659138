"""A policy server in a thread, robots that speak with it byte by byte, and a tiny DROID policy."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import msgpack
import numpy as np
from websockets.sync.client import connect

from fakes.networks import moved
from fakes.policies import Seeker
from vertebra.backbones.sizes import TINY
from vertebra.data.statistics import Normaliser, Scaling
from vertebra.policy.acting import TrainedPolicy
from vertebra.policy.protocol import Policy
from vertebra.policy.recipe import Recipe
from vertebra.policy.shape import Shape
from vertebra.serve.dialect import Dialect, openpi_dialect
from vertebra.serve.server import PolicyServer, ServerConfig
from vertebra.spec.action import ActionSpec, Frame, Gripper, Rotation
from vertebra.spec.observation import Camera, Dim, Observation, ObservationSpec
from vertebra.spec.streams import POINT

DROID_NEEDS = ObservationSpec(
    cameras=(
        Camera(name="exterior", height=32, width=32),
        Camera(name="wrist", height=32, width=32),
    ),
    state=(
        *(Dim(name=f"joint_{i}", unit="rad") for i in range(7)),
        Dim(name="gripper", unit="1", low=0.0, high=1.0),
    ),
    rate_hz=15.0,
)
DROID_MAKES = ActionSpec(
    dims=DROID_NEEDS.state,
    frame=Frame.JOINT,
    rotation=Rotation.NONE,
    gripper=Gripper.CLOSE_POSITIVE,
    rate_hz=15.0,
)


def robot_policy(recipe: Recipe, needs: ObservationSpec, makes: ActionSpec) -> TrainedPolicy:
    """A tiny policy for some robot; its answers depend on what it sees."""
    shape = Shape(
        recipe=recipe,
        size=TINY,
        needs=needs,
        makes=makes,
        vocabulary=("box", "red", "the"),
        pointing=POINT in recipe.table.experts,
    )

    def unscaled(names: tuple[str, ...]) -> Normaliser:
        count = len(names)
        return Normaliser(
            scaling=Scaling.MEAN_STD,
            names=names,
            offset=(0.0,) * count,
            scale=(1.0,) * count,
            rows=1,
        )

    return TrainedPolicy(
        network=moved(shape, 0),
        state_normaliser=unscaled(tuple(dim.name for dim in needs.state)),
        action_normaliser=unscaled(tuple(dim.name for dim in makes.dims)),
    )


def droid_policy(recipe: Recipe) -> TrainedPolicy:
    """A tiny policy for RoboArena's robot."""
    return robot_policy(recipe, DROID_NEEDS, DROID_MAKES)


class Gated(Seeker):
    """Thinks until it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.gate.set()

    def act(self, session: Any, observation: Observation, deadline_s: float | None = None) -> Any:
        assert self.gate.wait(60)
        return super().act(session, observation, deadline_s)


def until(true: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


class Serving:
    """A running server."""

    def __init__(self, server: PolicyServer, loop: asyncio.AbstractEventLoop, url: str) -> None:
        self.server, self.loop, self.url = server, loop, url
        self.http = url.replace("ws://", "http://")

    def end(self) -> None:
        """Tell it to drain and end."""
        self.loop.call_soon_threadsafe(self.server.end)


@contextmanager
def serving(policy: Policy, dialect: Dialect | None = None, **changes: Any) -> Iterator[Serving]:
    """Serve a policy on a free port of this machine."""
    config = ServerConfig(**{"port": 0, "drain_s": 0.0, **changes})
    ready = threading.Event()
    found: list[Serving] = []
    failed: list[BaseException] = []

    async def run() -> None:
        server = PolicyServer(policy, dialect or openpi_dialect(policy), config)
        loop = asyncio.get_running_loop()

        def tell(url: str, warm_up_s: float) -> None:
            assert warm_up_s > 0
            found.append(Serving(server, loop, url))
            ready.set()

        try:
            await server.run(tell, signals=False)
        except BaseException as error:
            failed.append(error)
            ready.set()

    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    assert ready.wait(60)
    if failed:
        thread.join(60)
        raise failed[0]
    try:
        yield found[0]
    finally:
        if thread.is_alive():
            found[0].end()
        thread.join(60)
        assert not thread.is_alive()
    if failed:
        raise failed[0]


def of_robot(value: Any) -> Any:
    """How openpi's clients encode an array, written down independently of `vertebra.spec.wire`."""
    if isinstance(value, np.ndarray):
        return {
            b"__ndarray__": True,
            b"data": value.tobytes(),
            b"dtype": value.dtype.str,
            b"shape": value.shape,
        }
    raise TypeError(type(value))


def to_robot(value: dict[Any, Any]) -> Any:
    """How openpi's clients decode an array."""
    if b"__ndarray__" in value:
        return np.ndarray(
            buffer=value[b"data"], dtype=np.dtype(value[b"dtype"]), shape=value[b"shape"]
        )
    return value


class Robot:
    """A client with the wire format of openpi's and RoboArena's, in its own words."""

    def __init__(self, url: str, key: str = "") -> None:
        headers = {"Authorization": f"Api-Key {key}"} if key else None
        self.socket = ExitStack().enter_context(
            connect(url, compression=None, max_size=None, additional_headers=headers)
        )
        self.greeting = msgpack.unpackb(self.socket.recv(timeout=60), object_hook=to_robot)

    def post(self, message: Any) -> None:
        """Ask without waiting."""
        content = msgpack.packb(message, default=of_robot)
        assert content is not None
        self.socket.send(content)

    def send(self, message: Any) -> Any:
        """Ask; bytes come back as a message, text as text."""
        self.post(message)
        answer = self.socket.recv(timeout=60)
        if isinstance(answer, str):
            return answer
        return msgpack.unpackb(answer, object_hook=to_robot)

    def close(self) -> None:
        self.socket.close()


def openpi_message(observation: Observation) -> dict[str, Any]:
    """An observation as a robot with openpi's client would send it (nothing about executing)."""
    return {
        **{f"observation/image/{name}": image for name, image in observation.images.items()},
        "observation/state": observation.state,
        "prompt": observation.instruction,
    }


def roboarena_message(seed: int, first: int = 1, session: str = "s-A") -> dict[str, Any]:
    """What RoboArena's evaluator sends: pictures, all positions as float64, text."""
    rng = np.random.default_rng(seed)

    def picture() -> np.ndarray:
        return rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)

    return {
        f"observation/exterior_image_{first}_left": picture(),
        "observation/wrist_image_left": picture(),
        "observation/joint_position": rng.normal(size=7),
        "observation/cartesian_position": rng.normal(size=6),
        "observation/gripper_position": rng.random(1),
        "prompt": "lift the red box",
        "session_id": session,
        "endpoint": "infer",
    }


def renamed(policy: TrainedPolicy, **changes: Any) -> TrainedPolicy:
    """The policy with another robot around it (its weights no longer fit; only specs matter)."""
    network = policy.network
    object.__setattr__(network, "shape", replace(network.shape, **changes))
    return policy
