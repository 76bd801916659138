"""Headless Chromium driven over the DevTools protocol: open a file, ask it, take its picture."""

import base64
import itertools
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from websockets.sync.client import ClientConnection, connect

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
)


def find_chromium() -> str | None:
    """Path of an installed browser, or ``None``."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Tab:
    """One tab. Every event since it was opened is in ``events``."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self.events: list[dict[str, Any]] = []
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method and wait for its answer."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv(timeout=60))
            if message.get("id") == number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                return message["result"]
            self.events.append(message)

    def evaluate(self, expression: str) -> Any:
        """Value of a JavaScript expression (promises are awaited)."""
        answer = self.send(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(str(answer["exceptionDetails"]))
        return answer["result"].get("value")

    def open(self, page: Path, width: int, height: int = 800, dark: bool = False) -> None:
        """Show a file at a width in CSS pixels and wait until its charts are drawn."""
        self.resize(width, height)
        value = "dark" if dark else "light"
        self.send(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-color-scheme", "value": value}],
        )
        self.events.clear()
        self.send("Page.navigate", url=page.resolve().as_uri())
        self.wait_for(
            "document.readyState === 'complete' && "
            "[...document.querySelectorAll('.chart')].every(c => c.dataset.drawn)"
        )

    def resize(self, width: int, height: int = 800) -> None:
        """Set the size of the window in CSS pixels."""
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )

    def wait_for(self, expression: str, seconds: float = 30.0) -> None:
        """Wait until an expression is true."""
        end = time.monotonic() + seconds
        while not self.evaluate(expression):
            if time.monotonic() > end:
                raise TimeoutError(f"never became true: {expression}")
            time.sleep(0.1)

    def picture(self, target: Path, clip: tuple[int, int, int, int] | None = None) -> None:
        """Save a PNG of the whole page or of a part (x, y, width, height)."""
        size = self.send("Page.getLayoutMetrics")["cssContentSize"]
        x, y, width, height = clip or (0, 0, int(size["width"]), int(size["height"]))
        answer = self.send(
            "Page.captureScreenshot",
            format="png",
            captureBeyondViewport=True,
            clip={"x": x, "y": y, "width": width, "height": height, "scale": 1},
        )
        target.write_bytes(base64.b64decode(answer["data"]))

    def requests(self) -> list[str]:
        """Addresses of everything that was requested since the page was opened."""
        return [
            event["params"]["request"]["url"]
            for event in self.events
            if event.get("method") == "Network.requestWillBeSent"
        ]

    def complaints(self) -> list[str]:
        """Console errors and warnings, log entries and uncaught exceptions."""
        found: list[str] = []
        for event in self.events:
            method, parameters = event.get("method"), event.get("params", {})
            bad = (
                (method == "Runtime.consoleAPICalled" and parameters["type"] != "log")
                or method == "Runtime.exceptionThrown"
                or method == "Log.entryAdded"
            )
            if bad:
                found.append(json.dumps(parameters)[:400])
        return found


@contextmanager
def chromium(profile: Path) -> Iterator[Tab]:
    """Start a browser with a fresh profile folder and yield its first tab."""
    program = find_chromium()
    if program is None:
        raise RuntimeError("No Chromium is installed.")
    process = subprocess.Popen(
        [program, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        port = _wait_for_port(profile / "DevToolsActivePort", process)
        with urlopen(f"http://127.0.0.1:{port}/json/list", timeout=30) as answer:
            pages = [page for page in json.load(answer) if page["type"] == "page"]
        with connect(pages[0]["webSocketDebuggerUrl"], max_size=None, proxy=None) as socket:
            yield Tab(socket)
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait_for_port(path: Path, process: subprocess.Popen[bytes]) -> int:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"Chromium ended at once with status {process.returncode}.")
        if path.is_file() and (text := path.read_text().split()):
            return int(text[0])
        time.sleep(0.05)
    raise TimeoutError("Chromium did not open its debugging port within 60 s.")
