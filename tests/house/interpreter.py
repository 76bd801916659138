"""A fresh interpreter in which chosen packages are not installed."""

import functools
import importlib.metadata
import subprocess
import sys
from collections.abc import Iterable

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

BLOCK = """
import sys

class Absent:
    def __init__(self, names):
        self.names = frozenset(names)

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {name!r} (not installed here)", name=name)
        return None

sys.meta_path.insert(0, Absent(%r))
"""


@functools.cache
def not_in_base() -> frozenset[str]:
    """Import names of all that is installed and that ``pip install vertebra`` would not bring."""
    base = _closure("vertebra")
    by_import = importlib.metadata.packages_distributions()
    return frozenset(
        name
        for name, owners in by_import.items()
        if not base & {canonicalize_name(owner) for owner in owners}
    )


def run_without(absent: Iterable[str], code: str) -> subprocess.CompletedProcess[str]:
    """Run code in an interpreter that cannot import the packages named."""
    return subprocess.run(
        [sys.executable, "-c", BLOCK % sorted(absent) + code],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def _closure(distribution: str) -> frozenset[str]:
    """The distribution and all that it requires without extras of its own."""
    reached: set[str] = set()
    frontier = [(distribution, frozenset[str]())]
    while frontier:
        name, extras = frontier.pop()
        name = canonicalize_name(name)
        try:
            required = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        reached.add(name)
        for line in required:
            requirement = Requirement(line)
            marker = requirement.marker
            wanted = marker is None or any(
                marker.evaluate({"extra": extra}) for extra in extras | {""}
            )
            if wanted and canonicalize_name(requirement.name) not in reached:
                frontier.append((requirement.name, frozenset(requirement.extras)))
    return frozenset(reached)
