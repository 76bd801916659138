"""Latency of the board that will carry the policies, in place of the training machine's."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vertebra.spec.storage import read_json

HERE = "this machine"
PROFILE_VERSION = 1
Stages = Mapping[str, tuple[float, ...]]


def read_profiles(directory: Path) -> tuple[dict[str, Stages], str]:
    """Seconds by arm and stage from ``OUT/profiles/*.json``, and the machine they are of.

    Returns:
        Nothing and :data:`HERE` when there is no profile.

    Raises:
        ValueError: When a file is no profile, two are of one arm, or they are of different machines
            (all problems named).
    """
    found: dict[str, Stages] = {}
    machines: dict[str, str] = {}
    files: dict[str, str] = {}
    problems: list[str] = []
    for path in sorted((directory / "profiles").glob("*.json")):
        plain: Mapping[str, Any] = read_json(path)
        if plain.get("version") != PROFILE_VERSION or not plain.get("seconds", {}).get("chunk"):
            problems.append(f"{path.name} is no latency profile of version {PROFILE_VERSION}")
            continue
        arm = str(plain["arm"])
        machines[path.name] = _named(plain)
        if arm in found:
            problems.append(f"{files[arm]} and {path.name} are both of {arm}")
        files[arm] = path.name
        found[arm] = {
            stage: tuple(float(value) for value in row) for stage, row in plain["seconds"].items()
        }
    if len(set(machines.values())) > 1:
        problems.append(f"they are of different machines: {sorted(set(machines.values()))}")
    if problems:
        raise ValueError(
            f"{directory / 'profiles'} cannot be used:\n  - "
            + "\n  - ".join(problems)
            + "\nKeep one file of `vertebra profile` an arm, all of one machine."
        )
    return found, next(iter(machines.values()), HERE)


def _named(plain: Mapping[str, Any]) -> str:
    machine = str(plain["machine"].get("processor", "an unknown processor"))
    return f"{machine}, EMULATED {plain['slowdown']:g} x slower" if plain["emulated"] else machine
