"""A served policy as a policy: what a robot (or an evaluation) needs, without torch.

Needs numpy, msgpack and websockets. Every session is a connection of its own; the state of the
episode stays on the server, and a session here only says how far it has come.
"""

import weakref
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import ClientConnection, connect

from vertebra.policy.protocol import Act
from vertebra.spec.action import ActionSpec
from vertebra.spec.observation import Observation, ObservationSpec
from vertebra.spec.wire import (
    act_from_wire,
    action_spec_from_plain,
    observation_spec_from_plain,
    observation_to_wire,
    pack,
    unpack,
)

WAIT_S = 60.0
"""Longest wait for an answer."""


class ServerError(RuntimeError):
    """The server answered with an error, or not at all."""


class _Link:
    """One connection and how far its session has come. Lives as long as a session refers to it."""

    def __init__(self, connection: ClientConnection, wait_s: float) -> None:
        self.connection, self._wait_s = connection, wait_s
        self.turn, self._asked = 0, b""
        self._waiting = False
        self._answer: Act | ServerError | None = None

    def ask(self, turn: int, frame: bytes) -> None:
        """Send a request; the last one once more is answered (or refused) from memory."""
        failed = isinstance(self._answer, ServerError)
        if turn == self.turn - (not failed) and frame == self._asked and self._answer:
            return
        if turn != self.turn:
            raise ValueError(
                f"The session is at chunk {self.turn}, asked was chunk {turn}: a served session "
                "cannot go back. Start a new one."
            )
        self._asked, self._answer = frame, None
        send(self.connection, frame)
        self._waiting = True

    def answer(self) -> Act:
        """The answer to what was asked."""
        if self._waiting:
            self._waiting = False
            answer = receive(self.connection, self._wait_s)
            if isinstance(answer, str):
                self._answer = ServerError(answer)
            else:
                self._answer = Act(**act_from_wire(unpack(answer)))
                self.turn += 1
        if isinstance(self._answer, Act):
            return self._answer
        raise self._answer or ServerError("the server gave no answer to this request")


@dataclass(frozen=True, eq=False)
class ServedSession:
    """A session that lives on a server.

    Attributes:
        link: Its connection.
        turn: Chunks that it has asked for.
    """

    link: _Link
    turn: int = 0


def open_connection(
    address: str, api_key: str | None, wait_s: float
) -> tuple[ClientConnection, Any]:
    """A connection to a policy server, and what it said of itself (empty when nothing).

    Raises:
        ServerError: When the server does not let us in.
    """
    headers = {"Authorization": f"Api-Key {api_key}"} if api_key else None
    try:
        # Newer versions of websockets want a context to be entered; closing needs none.
        connection = ExitStack().enter_context(
            connect(
                address,
                compression=None,
                max_size=None,
                additional_headers=headers,
                open_timeout=wait_s,
            )
        )
    except (OSError, InvalidHandshake, TimeoutError) as error:
        raise ServerError(f"{address} does not let us in: {error}") from error
    greeting = receive(connection, wait_s)
    return connection, unpack(greeting) if isinstance(greeting, bytes) else {}


class ServedPolicy:
    """A policy behind ``vertebra serve``.

    Connections are opened as sessions start, and used again once nothing refers to their session.

    Args:
        address: For example ``ws://robot-host:8000``.
        api_key: Sent as ``Authorization: Api-Key <key>`` when not empty.
        imagined: Whether imagined frames are asked for.
        wait_s: Longest wait for an answer.

    Attributes:
        needs: What an observation must hold.
        makes: What an action means.
        execute: How many actions of a chunk are meant to be executed.
        about: What the server says of its policy.

    Raises:
        ServerError: When nobody answers there, or the server does not let this client in.
        ValueError: When the server does not say what its policy needs and makes.
    """

    def __init__(
        self, address: str, *, api_key: str = "", imagined: bool = False, wait_s: float = WAIT_S
    ) -> None:
        self.address, self._key, self._imagined, self._wait_s = address, api_key, imagined, wait_s
        connection, greeting = self._connect()
        self._idle = [connection]
        try:
            self.needs: ObservationSpec = observation_spec_from_plain(greeting["needs"])
            self.makes: ActionSpec = action_spec_from_plain(greeting["makes"])
            self.execute: int = int(greeting["execute"])
        except (KeyError, TypeError, ValueError) as error:
            self.close()
            raise ValueError(
                f"{address} does not say what its policy needs and makes; its first message holds "
                f"{sorted(map(str, greeting))}. Serve with `vertebra serve --protocol openpi`."
            ) from error
        self.about: dict[str, Any] = dict(greeting.get("about", {}))

    def start(self, seed: int) -> ServedSession:
        """A new session on a connection that no other session uses."""
        while self._idle:
            connection = self._idle.pop()
            try:
                return self._begin(connection, seed)
            except ServerError:  # it was closed while it lay idle
                connection.close()
        return self._begin(self._connect()[0], seed)

    def act(
        self, session: ServedSession, observation: Observation, deadline_s: float | None = None
    ) -> tuple[ServedSession, Act]:
        """The next chunk.

        Raises:
            ValueError: For a deadline, or a session that has gone on since.
            ServerError: When the server reports an error or is gone.
        """
        if deadline_s is not None:
            raise ValueError("A deadline does not travel; pass None.")
        return self.act_batch([session], [observation])[0]

    def act_batch(
        self, sessions: Sequence[ServedSession], observations: Sequence[Observation]
    ) -> list[tuple[ServedSession, Act]]:
        """Chunks for many sessions: all are asked for before the first is waited for.

        What was answered stays in memory until the next chunk, so that the call may be repeated
        for each session alone when one of them failed.
        """
        first: Exception | None = None
        answers: list[tuple[ServedSession, Act]] = []
        asked: list[ServedSession] = []
        for session, observation in zip(sessions, observations, strict=True):
            frame = pack({**observation_to_wire(observation), "imagined": self._imagined})
            try:
                session.link.ask(session.turn, frame)
                asked.append(session)
            except (ServerError, ValueError) as error:
                first = first or error
        for session in asked:
            try:
                act = session.link.answer()
            except (ServerError, ValueError) as error:
                first = first or error
            else:
                answers.append((ServedSession(session.link, session.turn + 1), act))
        if first is not None:
            raise first
        return answers

    def close(self) -> None:
        """Close the connections that no session uses."""
        while self._idle:
            self._idle.pop().close()

    def _connect(self) -> tuple[ClientConnection, Any]:
        return open_connection(self.address, self._key, self._wait_s)

    def _begin(self, connection: ClientConnection, seed: int) -> ServedSession:
        send(connection, pack({"endpoint": "reset", "seed": seed}))
        answer = receive(connection, self._wait_s)
        if not isinstance(answer, str) or answer.startswith("error"):
            raise ServerError(f"{self.address} did not begin a session: {str(answer)[:500]}")
        link = _Link(connection, self._wait_s)
        weakref.finalize(link, self._idle.append, connection).atexit = False
        return ServedSession(link)


def send(connection: ClientConnection, frame: bytes) -> None:
    """Send a frame.

    Raises:
        ServerError: When the connection is closed.
    """
    try:
        connection.send(frame)
    except ConnectionClosed as error:
        raise ServerError(f"the server has closed the connection ({error})") from error


def receive(connection: ClientConnection, wait_s: float) -> str | bytes:
    """The next frame.

    Raises:
        ServerError: When the connection is closed, or nothing comes in time; it is then closed, so
            that a late answer is never taken for that to another question.
    """
    try:
        return connection.recv(timeout=wait_s)
    except ConnectionClosed as error:
        raise ServerError(f"the server has closed the connection ({error})") from error
    except BaseException as error:
        connection.close()
        if isinstance(error, TimeoutError):
            raise ServerError(f"no answer within {wait_s} s") from error
        raise
