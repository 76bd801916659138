"""The one address that the robot knows: behind it acts whoever's turn it is.

The robot's program speaks openpi's or RoboArena's wire to the relay, which passes each request on
with the instruction of the running episode in it, and passes back the actions and nothing else.
"""

import asyncio
import hmac
import http
import logging
import time
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.http11 import Request, Response
from websockets.protocol import State

from vertebra.serve.arena.referee import Referee, Tally
from vertebra.spec.wire import ACTIONS_KEY, PROMPT_KEY, pack, unpack

LOG = logging.getLogger("vertebra.arena")
TOLD = (
    *("image_resolution", "needs_wrist_camera", "n_external_cameras", "needs_stereo_camera"),
    *("needs_session_id", "action_space", "protocol", "needs", "makes", "execute", "keys"),
)
"""What a robot learns of a policy: what to send and what comes back."""
FAILED = "error: the policy failed"
MESSAGE_BYTES = 64 * 2**20


class Relay:
    """Passes messages between one robot and the policies.

    Args:
        referee: Who says whose turn it is.
        robot_key: What the robot must send as its API key; empty asks for nothing.
        policy_key: What the policies' servers ask for.
    """

    def __init__(self, referee: Referee, *, robot_key: str = "", policy_key: str = "") -> None:
        self._referee, self._robot_key, self._policy_key = referee, robot_key, policy_key
        self._robot: ServerConnection | None = None

    @property
    def connected(self) -> bool:
        """Whether a robot is connected (one that is closing its connection is not)."""
        return self._robot is not None and self._robot.state is State.OPEN

    def admit(self, connection: ServerConnection, request: Request) -> Response | None:
        """Let a robot in only while an episode runs, and one at a time."""
        given = request.headers.get("Authorization", "")
        key = self._robot_key
        if key and not hmac.compare_digest(given.encode(), f"Api-Key {key}".encode()):
            return connection.respond(http.HTTPStatus.UNAUTHORIZED, "Send the arena's key.\n")
        if self._referee.running is None:
            return connection.respond(
                http.HTTPStatus.SERVICE_UNAVAILABLE, "No episode runs; press begin first.\n"
            )
        if self.connected:
            return connection.respond(http.HTTPStatus.CONFLICT, "Another robot is connected.\n")
        return None

    async def converse(self, robot: ServerConnection) -> None:
        """Carry the messages of one connection of the robot."""
        turn = self._referee.running
        if turn is None or self.connected:
            await robot.close(1013, "not now")
            return
        self._robot, tally = robot, self._referee.tally
        address, said = turn
        headers = {"Authorization": f"Api-Key {self._policy_key}"} if self._policy_key else None
        greeted = False
        try:
            async with connect(
                address, compression=None, max_size=MESSAGE_BYTES, additional_headers=headers
            ) as policy:
                greeting = unpack(await _binary(policy))
                tally.about = dict(greeting.get("about", {}))
                await robot.send(pack({key: greeting[key] for key in TOLD if key in greeting}))
                greeted, keys = True, greeting.get("keys", {})
                await self._pass(robot, policy, keys.get("prompt", PROMPT_KEY), said, tally)
        except ConnectionClosed:
            pass
        except (OSError, InvalidHandshake, TimeoutError, ValueError) as error:
            await self._fail(robot, tally, error, say=greeted)
        finally:
            if self._robot is robot:
                self._robot = None

    async def stop(self) -> None:
        """End the robot's connection: its episode is over."""
        if self._robot is not None:
            await self._robot.close(1000, "the episode has ended")

    async def _pass(
        self, robot: ServerConnection, policy: ClientConnection, key: str, said: str, tally: Tally
    ) -> None:
        async for frame in robot:
            if self._referee.tally is not tally or self._referee.running is None:
                return
            try:
                message = unpack(frame) if isinstance(frame, bytes) else None
            except ValueError:
                message = None
            if not isinstance(message, dict):
                await robot.send("error: a request is a binary frame that holds a map (msgpack)")
                continue
            if message.get("endpoint", "infer") == "infer":
                message[key] = said
            began = time.perf_counter()
            try:
                await policy.send(pack(message))
                answer = await policy.recv()
            except ConnectionClosed as error:
                await self._fail(robot, tally, error, say=True)
                return
            await robot.send(self._checked(message, answer, tally, time.perf_counter() - began))

    def _checked(
        self, message: dict[str, Any], answer: str | bytes, tally: Tally, took_s: float
    ) -> str | bytes:
        """The answer without anything that could tell who gave it."""
        if message.get("endpoint") == "reset":
            return "reset successful"
        if isinstance(answer, str):
            LOG.warning("a policy answered: %s", answer)
            tally.failures += 1
            return FAILED
        actions = unpack(answer).get(ACTIONS_KEY)
        if actions is None:
            raise ValueError("A policy's answer holds no actions.")
        tally.chunks += 1
        tally.actions += len(actions)
        tally.latency_s.append(took_s)
        return pack({ACTIONS_KEY: actions})

    async def _fail(
        self, robot: ServerConnection, tally: Tally, error: Exception, *, say: bool
    ) -> None:
        """Close the robot's connection; say why when it waits for an answer."""
        LOG.warning("a policy's server failed: %r", error)
        tally.failures += 1
        try:
            if say:
                await robot.send(FAILED)
            await robot.close(1011, "the policy failed")
        except ConnectionClosed:
            pass


async def _binary(policy: ClientConnection) -> bytes:
    """The first message of a policy's server."""
    frame = await asyncio.wait_for(policy.recv(), 60)
    if isinstance(frame, str):
        raise ValueError(f"A policy's server began with text: {frame[:200]}")
    return frame
