"""A policy server: one session per connection, inference off the event loop, an end without harm.

The state of an episode is a value that belongs to its connection, so sessions cannot mix. A frame
that is no request is answered by a text and changes nothing.
"""

import asyncio
import hmac
import http
import logging
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode
from websockets.http11 import Request as HttpRequest
from websockets.http11 import Response

from vertebra.policy.protocol import Policy
from vertebra.serve.dialect import Dialect
from vertebra.serve.inference import Answer, Inference, require_chunk
from vertebra.serve.metrics import CONTENT_TYPE, Metrics
from vertebra.serve.reading import RESET_DONE, Request, read_request, reply
from vertebra.spec.seeds import seed_at
from vertebra.spec.wire import pack, unpack

LOG = logging.getLogger("vertebra.serve")
SLACK_BYTES = 256 * 1024
"""What a frame may hold beside twice its pictures (a robot may send more than is needed)."""


@dataclass(frozen=True, kw_only=True)
class ServerConfig:
    """How a policy is served.

    Attributes:
        host: Address to listen on; this machine only by default.
        port: Port; 0 takes a free one.
        api_key: What clients must send as ``Authorization: Api-Key <key>``; empty asks for nothing.
        seed: Root of the seeds of sessions whose client gives none. The first session of every
            connection gets the same one, so that the same observations give the same chunks.
        most: Requests that may share a batch; 1 makes every answer independent of the others.
        wait_s: Seconds that a batch waits for more requests.
        connections: Most open connections.
        message_bytes: Largest frame of a client; 0 derives it from the policy's cameras.
        drain_s: Seconds that open sessions get to finish once the server is told to end.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    api_key: str = ""
    seed: int = 0
    most: int = 1
    wait_s: float = 0.0
    connections: int = 64
    message_bytes: int = 0
    drain_s: float = 30.0

    def __post_init__(self) -> None:
        found: list[str] = []
        if not 0 <= self.port < 65536:
            found.append(f"port {self.port} is not between 0 and 65535")
        if self.connections < 1:
            found.append(f"{self.connections} connections; at least 1 is needed")
        if self.message_bytes < 0 or self.drain_s < 0 or self.seed < 0:
            found.append("message_bytes, drain_s and seed must not be negative")
        if found:
            raise ValueError("The server cannot run so:\n  - " + "\n  - ".join(found))


@dataclass(kw_only=True, eq=False)
class _Conversation:
    """What one connection has come to."""

    session: Any
    session_id: str | None = None
    last: NDArray[np.float32] | None = None
    begun: int = 1
    asked: int = 0
    total_s: float | None = None


class PolicyServer:
    """Serves one policy.

    Args:
        policy: What acts.
        dialect: How robots speak with it.
        config: How it is served.
    """

    def __init__(self, policy: Policy, dialect: Dialect, config: ServerConfig) -> None:
        self.config, self.metrics = config, Metrics()
        self._policy, self._dialect = policy, dialect
        self._inference = Inference(policy, self.metrics, most=config.most, wait_s=config.wait_s)
        self._open: set[ServerConnection] = set()
        self._end = asyncio.Event()
        pictures = sum(3 * camera.height * camera.width for camera in dialect.needs.cameras)
        self._limit = config.message_bytes or 2 * pictures + SLACK_BYTES

    async def run(self, ready: Callable[[str, float], None], *, signals: bool = True) -> None:
        """Warm up, accept, and serve until told to end; then drain.

        Args:
            ready: Called with the address and the seconds of warming up, once clients are accepted.
            signals: Whether SIGTERM and SIGINT end it.

        Raises:
            ValueError: Before anyone is accepted, when the policy does not act as it says.
            OSError: When the address cannot be had.
        """
        warm_up_s = await self._inference.warm_up()
        self.metrics.set("vertebra_warm_up_seconds", warm_up_s)
        loop = asyncio.get_running_loop()
        caught = (signal.SIGTERM, signal.SIGINT) if signals else ()
        for number in caught:
            loop.add_signal_handler(number, self._end.set)
        try:
            async with serve(
                self._converse,
                self.config.host,
                self.config.port,
                compression=None,
                max_size=self._limit,
                process_request=self._http,
                server_header=None,
            ) as server:
                port = server.sockets[0].getsockname()[1]
                ready(f"ws://{self.config.host}:{port}", warm_up_s)
                await self._end.wait()
                await self._drain(server)
        finally:
            for number in caught:
                loop.remove_signal_handler(number)
            await self._inference.close()

    def end(self) -> None:
        """Begin to drain; call it on the server's event loop."""
        self._end.set()

    async def _drain(self, server: Server) -> None:
        """Refuse new sessions, let the open ones finish, then close what is left."""
        self.metrics.set("vertebra_draining", 1)
        LOG.info("draining: %d open session(s)", len(self._open))
        end = time.monotonic() + self.config.drain_s
        while self._open and time.monotonic() < end:
            await asyncio.sleep(0.02)
        server.close(code=CloseCode.GOING_AWAY, reason="the server ends")
        await server.wait_closed()

    def _http(self, connection: ServerConnection, request: HttpRequest) -> Response | None:
        """Answer health checks, metrics and strangers before they become connections."""
        if request.path == "/healthz":
            if self._end.is_set():
                return connection.respond(http.HTTPStatus.SERVICE_UNAVAILABLE, "draining\n")
            return connection.respond(http.HTTPStatus.OK, "OK\n")
        key = self.config.api_key
        given = request.headers.get("Authorization", "")
        if key and not hmac.compare_digest(given.encode(), f"Api-Key {key}".encode()):
            return self._refuse(connection, http.HTTPStatus.UNAUTHORIZED, "key")
        if request.path == "/metrics":
            about = self._dialect.greeting.get("about", {})
            facts = {name: str(value) for name, value in about.items()}
            text = self.metrics.text({**facts, "protocol": self._dialect.name})
            response = connection.respond(http.HTTPStatus.OK, text)
            del response.headers["Content-Type"]
            response.headers["Content-Type"] = CONTENT_TYPE
            return response
        if self._end.is_set():
            return self._refuse(connection, http.HTTPStatus.SERVICE_UNAVAILABLE, "draining")
        if len(self._open) >= self.config.connections:
            return self._refuse(connection, http.HTTPStatus.SERVICE_UNAVAILABLE, "full")
        return None

    def _refuse(
        self, connection: ServerConnection, status: http.HTTPStatus, reason: str
    ) -> Response:
        words = {
            "key": "Send the header 'Authorization: Api-Key <key>' with the key of this server.\n",
            "draining": "The server is about to end; connect to another one.\n",
            "full": f"All {self.config.connections} connections are taken; close one.\n",
        }
        self.metrics.add("vertebra_refused_total", reason=reason)
        return connection.respond(status, words[reason])

    async def _converse(self, connection: ServerConnection) -> None:
        self._open.add(connection)
        self.metrics.add("vertebra_connections")
        try:
            await connection.send(pack(dict(self._dialect.greeting)))
            conversation = _Conversation(session=self._start(None, 0))
            async for frame in connection:
                if not await self._turn(connection, conversation, frame):
                    break
        except ConnectionClosed:
            pass
        finally:
            self._open.discard(connection)
            self.metrics.add("vertebra_connections", -1)

    def _start(self, seed: int | None, begun: int) -> Any:
        self.metrics.add("vertebra_sessions_total")
        root = seed_at(self.config.seed, "served", begun) if seed is None else seed
        return self._policy.start(root)

    async def _turn(
        self, connection: ServerConnection, conversation: _Conversation, frame: str | bytes
    ) -> bool:
        """Answer one frame; ``False`` when the connection was closed over it."""
        began = time.perf_counter()
        try:
            request = self._read(frame, conversation.last)
        except ValueError as error:
            self.metrics.add("vertebra_requests_total", outcome="refused")
            await connection.send(f"error: {error}")
            return True
        self._enter(conversation, request)
        if request.observation is None:
            self.metrics.add("vertebra_requests_total", outcome="reset")
            await connection.send(RESET_DONE)
            return True
        try:
            answer = await self._inference.act(conversation.session, request.observation)
            require_chunk(self._policy, answer.act)
        except Exception as error:
            LOG.exception("inference failed")
            self.metrics.add("vertebra_requests_total", outcome="failed")
            await connection.send(
                f"error: the policy failed ({type(error).__name__}); see the server's log"
            )
            await connection.close(CloseCode.INTERNAL_ERROR, "the policy failed")
            return False
        conversation.session, conversation.last = answer.session, answer.act.chunk
        conversation.asked += 1
        # Counted before it leaves: whoever holds an answer finds it in the metrics.
        self.metrics.add("vertebra_requests_total", outcome="answered")
        await connection.send(pack(self._message(answer, request, conversation.total_s)))
        conversation.total_s = time.perf_counter() - began
        return True

    def _read(self, frame: str | bytes, last: NDArray[np.float32] | None) -> Request:
        """A frame as a request; whatever a stranger sends is at most a ValueError."""
        if isinstance(frame, str):
            raise ValueError("A request is a binary frame (msgpack), found text.")
        try:
            return read_request(self._dialect, unpack(frame), last)
        except ValueError:
            raise
        except Exception as error:
            raise ValueError(f"{len(frame)} bytes are not a message ({error!r}).") from error

    def _enter(self, conversation: _Conversation, request: Request) -> None:
        """Begin a new session on a reset, or when the client names another episode."""
        other = request.session_id
        changed = other is not None and other != conversation.session_id
        if changed:
            conversation.session_id = other
        if request.observation is None or (changed and conversation.asked):
            conversation.session = self._start(request.seed, conversation.begun)
            conversation.begun += 1
            conversation.asked, conversation.last = 0, None

    def _message(self, answer: Answer, request: Request, total_s: float | None) -> dict[str, Any]:
        message = reply(self._dialect, answer.act, request.imagined)
        if self._dialect.whole:
            message["server_timing"] = {
                "infer_ms": answer.inference_s * 1000,
                "waiting_ms": answer.waiting_s * 1000,
                **({} if total_s is None else {"prev_total_ms": total_s * 1000}),
            }
        return message
