"""The evaluator's page and what it calls. Nothing that leaves here names a policy."""

import asyncio
import hmac
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from websockets.asyncio.server import serve

from vertebra.serve.arena.referee import Referee
from vertebra.serve.arena.relay import MESSAGE_BYTES, Relay
from vertebra.spec.errors import MissingExtra

try:
    import uvicorn
    from fastapi import Depends, FastAPI, Header, HTTPException
    from fastapi.responses import HTMLResponse, JSONResponse
    from pydantic import BaseModel
except ImportError as error:
    raise MissingExtra("The arena's page", "arena") from error

PAGE = Path(__file__).with_name("page.html")
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'self' 'unsafe-inline'; img-src data:",
}


class Step(BaseModel):
    """What every action says: after which event the evaluator saw the page."""

    step: int


class Ask(Step):
    """Begin a comparison."""

    instruction: str
    other: str = ""
    evaluator: str = ""


class Score(Step):
    """How far an episode came."""

    progress: float
    other_done: bool = False


class Ballot(Step):
    """Which one was better."""

    preference: str
    text: str = ""
    valid: bool = True


class Reason(Step):
    """Why something does not count."""

    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class ArenaConfig:
    """Where an arena listens.

    Attributes:
        host: Address of page and relay; this machine only by default.
        page_port: Port of the page; 0 takes a free one.
        robot_port: Port that the robot's program connects to; 0 takes a free one.
        key: What page and robot must send as ``Authorization: Api-Key <key>``; empty asks for
            nothing. The page takes it from its address (``#key=...``).
        policy_key: What the policies' servers ask for.
    """

    host: str = "127.0.0.1"
    page_port: int = 8080
    robot_port: int = 8001
    key: str = ""
    policy_key: str = ""


class _Desk:
    """What the page calls, method by method; each answers with what the evaluator may know."""

    def __init__(self, referee: Referee, relay: Relay) -> None:
        self._referee, self._relay = referee, relay

    async def state(self) -> dict[str, Any]:
        return {**self._referee.view(), "robot": self._relay.connected}

    async def ask(self, said: Ask) -> dict[str, Any]:
        self._require_current(said)
        self._referee.ask(said.instruction, said.other, said.evaluator)
        return await self.state()

    async def begin(self, said: Step) -> dict[str, Any]:
        self._require_current(said)
        self._referee.begin()
        return await self.state()

    async def end(self, said: Step) -> dict[str, Any]:
        self._require_current(said)
        self._referee.end()
        await self._relay.stop()
        return await self.state()

    async def repeat(self, said: Reason) -> dict[str, Any]:
        self._require_current(said)
        self._referee.repeat(said.reason)
        await self._relay.stop()
        return await self.state()

    async def score(self, said: Score) -> dict[str, Any]:
        self._require_current(said)
        self._referee.score(said.progress, said.other_done)
        return await self.state()

    async def vote(self, said: Ballot) -> dict[str, Any]:
        self._require_current(said)
        self._referee.vote(said.preference, said.text, said.valid)
        return await self.state()

    async def drop(self, said: Reason) -> dict[str, Any]:
        self._require_current(said)
        self._referee.drop(said.reason)
        await self._relay.stop()
        return await self.state()

    def _require_current(self, said: Step) -> None:
        if said.step != self._referee.state.step:
            raise HTTPException(409, "Something happened in the meantime; look again.")


def make_app(referee: Referee, relay: Relay, key: str = "") -> FastAPI:
    """The web application.

    Every action holds the step that its page had seen; one that comes late or twice (two tablets,
    a double tap) is refused with 409 and changes nothing.
    """

    def admit(authorization: Annotated[str, Header()] = "") -> None:
        if key and not hmac.compare_digest(authorization.encode(), f"Api-Key {key}".encode()):
            raise HTTPException(401, "Open the page by the address with the key in it.")

    async def refuse(_request: Any, problem: Exception) -> JSONResponse:
        return JSONResponse({"detail": str(problem)}, 400)

    async def page() -> HTMLResponse:
        return HTMLResponse(PAGE.read_text(), headers=HEADERS)

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.add_exception_handler(ValueError, refuse)
    app.get("/")(page)
    desk, locked = _Desk(referee, relay), [Depends(admit)]
    app.get("/api/state", dependencies=locked)(desk.state)
    for action in (desk.ask, desk.begin, desk.end, desk.repeat, desk.score, desk.vote, desk.drop):
        app.post(f"/api/{action.__name__}", dependencies=locked)(action)
    return app


class _Page(uvicorn.Server):
    """A web server that leaves signals to the arena."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class ArenaServer:
    """The page and the robot's relay, in one event loop.

    Args:
        referee: Who carries the comparisons through.
        config: Where to listen.
    """

    def __init__(self, referee: Referee, config: ArenaConfig) -> None:
        self._config = config
        self._relay = Relay(referee, robot_key=config.key, policy_key=config.policy_key)
        app = make_app(referee, self._relay, config.key)
        self._settings = uvicorn.Config(app, config.host, config.page_port, log_level="warning")
        self._page = _Page(self._settings)

    async def run(self, ready: Callable[[str, str], None], *, signals: bool = True) -> None:
        """Serve until told to end.

        Args:
            ready: Called with the page's and the robot's address once both are reachable.
            signals: Whether SIGTERM and SIGINT end it.

        Raises:
            OSError: When an address cannot be had.
        """
        config = self._config
        if signals:
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, self.end)
        with self._settings.bind_socket() as listening:
            async with serve(
                self._relay.converse,
                config.host,
                config.robot_port,
                process_request=self._relay.admit,
                compression=None,
                max_size=MESSAGE_BYTES,
            ) as robots:
                task = asyncio.create_task(self._page.serve(sockets=[listening]))
                while not self._page.started and not task.done():
                    await asyncio.sleep(0.01)
                fragment = f"#key={config.key}" if config.key else ""
                ready(
                    f"http://{config.host}:{listening.getsockname()[1]}/{fragment}",
                    f"ws://{config.host}:{robots.sockets[0].getsockname()[1]}",
                )
                await task

    def end(self) -> None:
        """Stop serving; the journal holds everything."""
        self._page.should_exit = True
