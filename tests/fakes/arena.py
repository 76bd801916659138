"""An arena in a thread, its evaluator over HTTP, and a robot that only knows the relay."""

import asyncio
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from fakes.serving import Robot, openpi_message
from fakes.worlds import Plane, make_state
from vertebra.serve.arena.app import ArenaConfig, ArenaServer
from vertebra.serve.arena.referee import Referee


class Desk:
    """An evaluator: every answer that ever came is in ``heard``."""

    def __init__(self, page: str, robot: str, key: str = "") -> None:
        self.page, self.robot, self.key = page.partition("#")[0], robot, key
        self.heard: list[str] = []
        self.status = 0

    def get(self, path: str) -> Any:
        return self._fetch(urllib.request.Request(self.page + path))  # noqa: S310

    def do(self, action: str, **fields: Any) -> Any:
        """Act on the present step, unless another one is given."""
        body = {"step": self.get("api/state").get("step", 0), **fields}
        request = urllib.request.Request(  # noqa: S310
            f"{self.page}api/{action}", json.dumps(body).encode(), method="POST"
        )
        request.add_header("Content-Type", "application/json")
        return self._fetch(request)

    def _fetch(self, request: urllib.request.Request) -> Any:
        if self.key:
            request.add_header("Authorization", f"Api-Key {self.key}")
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
                self.status, headers, text = answer.status, answer.headers, answer.read().decode()
        except urllib.error.HTTPError as error:
            self.status, headers, text = error.code, error.headers, error.read().decode()
        self.heard.append(f"{headers}\n{text}")
        return json.loads(text) if "json" in headers.get("Content-Type", "") else text


@contextmanager
def arena(
    directory: Path, policies: Mapping[str, str], *, seed: int | None = 0, **config: Any
) -> Iterator[Desk]:
    """Run an arena on free ports of this machine."""
    referee = Referee(directory, policies, seed)
    settings = ArenaConfig(**{"page_port": 0, "robot_port": 0, **config})
    server = ArenaServer(referee, settings)
    found: list[Desk] = []
    ready = threading.Event()

    def tell(page: str, robot: str) -> None:
        found.append(Desk(page, robot, settings.key))
        ready.set()

    thread = threading.Thread(
        target=lambda: asyncio.run(server.run(tell, signals=False)), daemon=True
    )
    thread.start()
    try:
        assert ready.wait(60)
        yield found[0]
    finally:
        server.end()
        thread.join(60)
        referee.close()
        assert not thread.is_alive()


def drive(
    relay: str, index: int = 0, colour: str = "red", chunks: int = 6
) -> tuple[float, list[Any]]:
    """Let the robot act through the relay; its own words are ignored there.

    Returns:
        The largest progress towards the place of a colour, and all that the robot heard.
    """
    plane, state = Plane(), make_state("arena", index)
    seen = plane.begin(state, state.tasks[0], 0)
    robot = Robot(relay)
    heard: list[Any] = [robot.greeting]
    best = 0.0
    for _ in range(chunks):
        answer = robot.send({**openpi_message(seen), "prompt": "what the robot's program says"})
        heard.append(answer)
        if isinstance(answer, str):
            break
        for action in np.array(answer["actions"])[: robot.greeting["execute"]]:
            plane.apply(action)
            best = max(best, plane.judge().progress[f"reach/{colour}"])
        seen = plane.observe()
    robot.close()
    return best, heard
