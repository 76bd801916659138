"""Questions to a policy server that speaks openpi's wire; every question in its own connection."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from websockets.sync.client import ClientConnection

from vertebra.serve.client import ServerError, open_connection, receive, send
from vertebra.spec.observation import ObservationSpec
from vertebra.spec.wire import (
    ACTIONS_KEY,
    EXECUTED_KEY,
    PROMPT_KEY,
    observation_spec_from_plain,
    pack,
    unpack,
)

Message = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back.

    Attributes:
        chunk: float64 [horizon, action dims].
        seconds: From sending to receiving.
    """

    chunk: NDArray[np.float64]
    seconds: float


class Server:
    """A policy server as a stranger meets it.

    Args:
        address: For example ``ws://robot-host:8000``.
        api_key: Sent as ``Authorization: Api-Key <key>`` when not empty.
        wait_s: Longest wait for an answer.

    Attributes:
        greeting: What it says to every client.
        takes_seeds: Whether noise can be fixed from outside (``vertebra serve``).

    Raises:
        ServerError: When nobody answers there.
    """

    def __init__(self, address: str, *, api_key: str = "", wait_s: float = 60.0) -> None:
        self.address, self._key, self._wait_s = address, api_key, wait_s
        connection, self.greeting = self._connect()
        connection.close()
        self.takes_seeds = "vertebra" in self.greeting

    def ask(self, message: Message, seed: int) -> Answer:
        """Ask once, in a session of its own.

        Args:
            message: An observation, under the keys that the server wants.
            seed: Fixes the noise where the server takes seeds.

        Raises:
            ServerError: When the server refuses the message or is gone.
        """
        connection, _ = self._connect()
        try:
            if self.takes_seeds:
                send(connection, pack({"endpoint": "reset", "seed": seed}))
                receive(connection, self._wait_s)
            start = time.perf_counter()
            send(connection, pack(dict(message)))
            content = receive(connection, self._wait_s)
            seconds = time.perf_counter() - start
        finally:
            connection.close()
        if isinstance(content, str):
            raise ServerError(f"{self.address} refused the observation: {content[:500]}")
        found = unpack(content)
        chunk = found.get(ACTIONS_KEY) if isinstance(found, dict) else None
        if not isinstance(chunk, np.ndarray) or chunk.ndim != 2 or not chunk.size:
            raise ServerError(f"{self.address} answered without a table under '{ACTIONS_KEY}'")
        return Answer(chunk=chunk.astype(np.float64), seconds=seconds)

    def _connect(self) -> tuple[ClientConnection, dict[str, Any]]:
        connection, found = open_connection(self.address, self._key, self._wait_s)
        return connection, found if isinstance(found, dict) else {}


def read_observation(path: Path) -> dict[str, Any]:
    """An observation from an .npz file: every array under its key, texts as arrays of one text.

    Raises:
        ValueError: When the file is none, or needs unpickling.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{path} is no observation ({error}). Write it with numpy.savez, one array under each "
            "key that the robot sends, and the text as numpy.array(text)."
        ) from error
    return {key: str(a) if a.dtype.kind == "U" and a.ndim == 0 else a for key, a in arrays.items()}


def made_up_observation(greeting: Mapping[str, Any]) -> dict[str, Any]:
    """An observation of what a server of ours says it needs: noise pictures, a state of zeros.

    Raises:
        ValueError: When the server does not say what it needs.
    """
    try:
        needs: ObservationSpec = observation_spec_from_plain(greeting["needs"])
        keys = greeting["keys"]
        dims = len(greeting["makes"]["dims"])
        images = {camera.name: keys["images"][camera.name] for camera in needs.cameras}
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            "The server does not say what it needs. Pass a recorded observation: "
            "--observation FILE.npz, with every array under the key that your robot sends."
        ) from error
    draw = np.random.default_rng(0)
    message: dict[str, Any] = {
        images[camera.name]: draw.integers(0, 256, (camera.height, camera.width, 3), np.uint8)
        for camera in needs.cameras
    }
    state = np.zeros(len(needs.state), np.float32)
    message |= dict.fromkeys(keys["state"][:1], state)
    return {
        **message,
        EXECUTED_KEY: np.zeros((0, dims), np.float32),
        keys.get("prompt", PROMPT_KEY): "",
    }
