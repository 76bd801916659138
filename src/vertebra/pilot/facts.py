"""What software and machine a number came from."""

import os
import platform
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import vertebra

PACKAGES = ("numpy", "torch", "mujoco")
"""Packages that can change a record."""


@cache
def software() -> dict[str, Any]:
    """Version, commit and dirty flag of vertebra, and of the packages that can change a record.

    ``commit`` is empty and ``dirty`` is ``None`` when it was not run from a git work tree.
    """
    commit, dirty = _commit(Path(vertebra.__file__).parent)
    return {
        "vertebra": vertebra.__version__,
        "commit": commit,
        "dirty": dirty,
        "python": platform.python_version(),
        **{name: version for name in PACKAGES if (version := _version(name))},
    }


def machine() -> dict[str, Any]:
    """Processor, cores and memory."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "system": platform.platform(),
        "processor": _processor(),
        "cores": cores(),
        "memory_bytes": pages,
    }


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    if path.exists():
        for line in path.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _commit(inside: Path) -> tuple[str, bool | None]:
    """Commit and dirty flag of the work tree that holds this package, if it is tracked there."""
    try:
        tracked = _git(inside, "ls-files", "--error-unmatch", "__init__.py")
        commit = _git(inside, "rev-parse", "HEAD").strip()
        dirty = bool(
            _git(inside, "status", "--porcelain", "--untracked-files=no", "--", ".").strip()
        )
    except (OSError, subprocess.CalledProcessError):
        return "", None
    return (commit, dirty) if tracked else ("", None)


def _git(inside: Path, *words: str) -> str:
    command = ["git", "-C", str(inside), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    return done.stdout
