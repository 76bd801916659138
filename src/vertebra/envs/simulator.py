"""What is known of a simulator that lives outside: what it needs, and which class serves it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Factor:
    """One thing that is changed after a pilot, and by how much.

    Attributes:
        name: Its name.
        words: How much, for people.
        shift: What the environment is given as ``shift``; empty when it stays as it is.
        condition: What is said.
    """

    name: str
    words: str
    shift: Mapping[str, Any] = field(default_factory=dict[str, Any])
    condition: str = "asked"


@dataclass(frozen=True, kw_only=True)
class Clone:
    """A repository that a simulator needs beside what pip installs; the user clones it.

    Attributes:
        bring: The command that clones it.
        needs: File or directory in it to what brings it, where the clone lacks it.
        imports: Directories in it from which the world's process imports.
    """

    bring: str
    needs: Mapping[str, str]
    imports: tuple[str, ...] = ()

    def missing(self, clone: Path) -> dict[str, str]:
        """What a clone lacks, each with what brings it."""
        return {name: how for name, how in self.needs.items() if not (clone / name).exists()}


@dataclass(frozen=True, kw_only=True)
class Simulator:
    """A simulator in a virtual environment of its own.

    Attributes:
        name: Its name on the command line and in plans.
        summary: What it is, in a few words.
        serves: Its `Adapter`, as ``module:Class``; made with ``world`` and ``protocol``, and with
            ``shift`` where one of ``factors`` is asked for.
        worlds: What may follow the name: suites or sets of tasks.
        protocols: What may follow the world; the first one is the default.
        requirements: What pip installs.
        clone: What it needs that is not on PyPI; its world is then made with ``clone`` too.
        python: Version of Python (``3.11``) that its packages are made for; any by default.
        newest: Package to the newest version that is faithful; later ones are refused.
        why_newest: What later versions do, in words.
        packages: Packages whose versions decide what an episode is.
        variables: Environment variables of its process.
        libraries: Shared library that is needed to Debian's package that brings it.
        lanes: Environments that are stepped together; each is a process.
        scenes: New layouts that a pilot evaluates by default.
        demonstrations: Demonstrations that a pilot makes by default.
        factors: What can be changed after a pilot, one thing at a time.
    """

    name: str
    summary: str
    serves: str
    worlds: tuple[str, ...]
    protocols: tuple[str, ...]
    requirements: tuple[str, ...]
    clone: Clone | None = None
    python: str = ""
    newest: Mapping[str, str] = field(default_factory=dict[str, str])
    why_newest: str = ""
    packages: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict[str, str])
    libraries: Mapping[str, str] = field(default_factory=dict[str, str])
    lanes: int = 2
    scenes: int = 4
    demonstrations: tuple[int, ...] = (20,)
    factors: tuple[Factor, ...] = ()

    def drifting(self, versions: Mapping[str, str | None]) -> list[str]:
        """Every installed version that is newer than the newest faithful one, in words."""
        return [
            f"{package} is {found}; the newest faithful version is {newest}: {self.why_newest}"
            for package, newest in self.newest.items()
            if (found := versions.get(package)) is not None and _numbers(found) > _numbers(newest)
        ]


def _numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version: ``3.3.2.post1`` is (3, 3, 2)."""
    found: list[int] = []
    for part in version.split("."):
        if not part.isdigit():
            break
        found.append(int(part))
    return tuple(found)
