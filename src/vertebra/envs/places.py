"""Virtual environments of simulators: where they are, and how one is made."""

import ctypes
import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from vertebra.envs.simulator import Simulator
from vertebra.spec.storage import read_json, to_plain, write_json

ROOT_VARIABLE = "VERTEBRA_ENVS"
READY = "vertebra.json"
SERVES = ("numpy>=1.26", "msgpack>=1.0.5")
"""What the server process needs beside the simulator."""


def root_of(root: Path | None) -> Path:
    """Where simulators are set up: as given, else ``VERTEBRA_ENVS``, else the user's cache."""
    if root is not None:
        return root
    if named := os.environ.get(ROOT_VARIABLE):
        return Path(named)
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "vertebra" / "envs"


def where(simulator: Simulator, root: Path | None = None) -> Path:
    """The directory of a simulator's virtual environment."""
    return root_of(root) / simulator.name


def python_of(directory: Path) -> Path:
    """The interpreter of a virtual environment."""
    return directory / "bin" / "python"


def ready(simulator: Simulator, root: Path | None = None) -> bool:
    """Whether it was set up, whole, for these very requirements."""
    path = where(simulator, root) / READY
    return path.exists() and read_json(path)["requirements"] == _wanted(simulator)


def missing_libraries(
    simulator: Simulator, load: Callable[[str], Any] = ctypes.CDLL
) -> dict[str, str]:
    """Shared libraries that cannot be loaded here, with Debian's packages that bring them."""
    found: dict[str, str] = {}
    for library, package in simulator.libraries.items():
        try:
            load(library)
        except OSError:
            found[library] = package
    return found


def set_up(
    simulator: Simulator,
    root: Path | None = None,
    *,
    again: bool = False,
    run: Callable[[Sequence[str]], None] | None = None,
    tell: Callable[[str], None] = lambda words: None,
) -> Path:
    """Make a simulator's virtual environment; nothing is done when it is there.

    Args:
        simulator: What to set up.
        root: Where; see `root_of`.
        again: Make it anew.
        run: Runs a command and raises when it fails.
        tell: Told what is done.

    Returns:
        The directory.

    Raises:
        ValueError: When libraries of the system are missing and cannot be installed from here, or
            a command fails.
    """
    directory = where(simulator, root)
    directory.parent.mkdir(parents=True, exist_ok=True)
    with directory.with_name(f".{simulator.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # whoever comes second finds it done
        if ready(simulator, root) and not again:
            tell(f"{simulator.name} is set up in {directory}")
        else:
            _make(simulator, directory, run or _run, tell)
    return directory


def _make(
    simulator: Simulator,
    directory: Path,
    run: Callable[[Sequence[str]], None],
    tell: Callable[[str], None],
) -> None:
    _bring_libraries(simulator, run, tell)
    if directory.exists():
        shutil.rmtree(directory)
    tell(f"making the virtual environment {directory}")
    run([sys.executable, "-m", "venv", str(directory)])
    tell(f"installing {', '.join(simulator.requirements)} from PyPI")
    python = str(python_of(directory))
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run([*pip, *_wanted(simulator)])
    write_json(directory / READY, {"name": simulator.name, "requirements": _wanted(simulator)})


def states(simulators: Sequence[Simulator], root: Path | None = None) -> list[Mapping[str, Any]]:
    """What `vertebra env list` shows: each simulator, whether it is set up, and where."""
    return [
        to_plain(
            {
                "name": one.name,
                "summary": one.summary,
                "ready": ready(one, root),
                "directory": where(one, root),
                "worlds": one.worlds,
                "protocols": one.protocols,
            }
        )
        for one in simulators
    ]


def _wanted(simulator: Simulator) -> list[str]:
    return [*simulator.requirements, *SERVES]


def _bring_libraries(
    simulator: Simulator, run: Callable[[Sequence[str]], None], tell: Callable[[str], None]
) -> None:
    packages = sorted(set(missing_libraries(simulator).values()))
    if not packages:
        return
    command = ["apt-get", "install", "--yes", "--no-install-recommends", *packages]
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise ValueError(
            f"{simulator.name} needs libraries of the system: "
            f"{sorted(missing_libraries(simulator))}. On Debian or Ubuntu: sudo "
            + " ".join(command)
        )
    tell(f"installing {', '.join(packages)} with apt-get")
    run(["apt-get", "update", "--quiet"])
    run(command)


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(  # noqa: S603 - our own commands
        list(command), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ValueError(
            f"`{' '.join(command)}` ended with exit code {done.returncode}:\n"
            + (done.stderr or done.stdout)[-2000:]
        )
