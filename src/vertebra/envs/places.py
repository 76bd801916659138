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
    """Whether it was set up, whole, for these very requirements, and its clone is still there."""
    path = where(simulator, root) / READY
    if not path.exists() or read_json(path)["requirements"] != _wanted(simulator):
        return False
    clone = clone_of(simulator, root)
    return simulator.clone is None or (clone is not None and not simulator.clone.missing(clone))


def clone_of(simulator: Simulator, root: Path | None = None) -> Path | None:
    """The clone that it was set up with, if any."""
    path = where(simulator, root) / READY
    found = read_json(path).get("clone") if path.exists() else None
    return Path(found) if found else None


def how_to_set_up(simulator: Simulator) -> str:
    """The command."""
    return f"vertebra env setup {simulator.name}{' --root CLONE' if simulator.clone else ''}"


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
    clone: Path | None = None,
    again: bool = False,
    run: Callable[[Sequence[str]], None] | None = None,
    tell: Callable[[str], None] = lambda words: None,
) -> Path:
    """Make a simulator's virtual environment; nothing is done when it is there.

    Args:
        simulator: What to set up.
        root: Where; see `root_of`.
        clone: The user's clone, for a simulator that needs one; the last one by default.
        again: Make it anew.
        run: Runs a command and raises when it fails.
        tell: Told what is done.

    Returns:
        The directory.

    Raises:
        ValueError: When libraries of the system are missing and cannot be installed from here, or
            a clone, or parts of it, are missing (all named, before anything is made), or a command
            fails.
    """
    directory = where(simulator, root)
    clone = (clone or clone_of(simulator, root)) if simulator.clone else clone
    _require_all(simulator, clone, tell)
    directory.parent.mkdir(parents=True, exist_ok=True)
    with directory.with_name(f".{simulator.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # whoever comes second finds it done
        if ready(simulator, root) and not again:
            tell(f"{simulator.name} is set up in {directory}")
            if clone != clone_of(simulator, root):
                _write_ready(simulator, directory, clone)
        else:
            _make(simulator, directory, clone, run or _run, tell)
    return directory


def _require_all(simulator: Simulator, clone: Path | None, tell: Callable[[str], None]) -> None:
    """Say what a clone has; refuse one that lacks something, and another version of Python."""
    found: list[str] = []
    here = ".".join(map(str, sys.version_info[:2]))
    if simulator.python not in ("", here):
        found.append(
            f"this is Python {here}, and its packages are made for {simulator.python}: run "
            f"vertebra under Python {simulator.python}"
        )
    if simulator.clone is None:
        if clone is not None:
            found.append(f"all of it is on PyPI, so it takes no clone: leave out {clone}")
    elif clone is None:
        found.append(
            f"it is not on PyPI. Clone it (`{simulator.clone.bring}`), then run "
            f"`{how_to_set_up(simulator)}`"
        )
    else:
        missing = simulator.clone.missing(clone)
        for name in simulator.clone.needs:
            tell(f"{'MISSING' if name in missing else 'found  '} {clone / name}")
        found += [
            f"{clone} lacks {', '.join(name for name, one in missing.items() if one == how)} "
            f"(`{how}` there)"
            for how in dict.fromkeys(missing.values())
        ]
    if found:
        raise ValueError(f"{simulator.name} cannot be set up: " + "; ".join(found) + ".")


def _make(
    simulator: Simulator,
    directory: Path,
    clone: Path | None,
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
    _write_ready(simulator, directory, clone)


def _write_ready(simulator: Simulator, directory: Path, clone: Path | None) -> None:
    whole = {"name": simulator.name, "requirements": _wanted(simulator)}
    also = {} if clone is None else {"clone": str(clone.resolve())}
    write_json(directory / READY, {**whole, **also})


def states(simulators: Sequence[Simulator], root: Path | None = None) -> list[Mapping[str, Any]]:
    """What `vertebra env list` shows: each simulator, whether it is set up, and where."""
    return [
        to_plain(
            {
                "name": one.name,
                "summary": one.summary,
                "ready": ready(one, root),
                "directory": where(one, root),
                "how": how_to_set_up(one),
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
