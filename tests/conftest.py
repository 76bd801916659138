"""Makes ``fakes`` and ``house`` importable from every test, and golden files writable on demand."""

import sys
from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="write golden files anew (make golden)"
    )


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Same seed, same bytes holds for one thread; tests without torch do not load it for this."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


@pytest.fixture
def golden(request: pytest.FixtureRequest):
    """Compare a text with a golden file beside the test, or write it anew with --update-golden."""

    def compare(name: str, text: str) -> None:
        path = Path(request.path).parent / name
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        assert path.exists(), f"{path} is missing: write it with `make golden`"
        assert text == path.read_text(), f"{path} differs: `make golden` if this was meant"

    return compare
