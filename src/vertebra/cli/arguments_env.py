"""What can be said on the command line about environments."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

Flag = tyro.conf.FlagCreatePairsOff


@dataclass(frozen=True, kw_only=True)
class EnvListCommand:
    """List the simulators, what they offer, and which are set up here."""

    place: Path | None = None
    """Where simulators are set up; VERTEBRA_ENVS, else the user's cache by default."""
    json: Flag[bool] = False
    """Print JSON."""


@dataclass(frozen=True, kw_only=True)
class EnvSetupCommand:
    """Make a simulator's own virtual environment, from PyPI; does nothing when it is there.

    CALVIN is not on PyPI: --root names your clone of it.
    """

    name: Annotated[str, tyro.conf.Positional]
    """Simulator, as listed by `vertebra env list`."""
    root: Path | None = None
    """Your clone, for a simulator that is not on PyPI; what it has and lacks is said first."""
    place: Path | None = None
    """Where; VERTEBRA_ENVS, else the user's cache by default. Later commands need the same in
    VERTEBRA_ENVS."""
    again: Flag[bool] = False
    """Make it anew."""


@dataclass(frozen=True, kw_only=True)
class EnvCheckCommand:
    """Say whether an environment is fit for a pilot, by acting in it; exit code 1 when not."""

    env: Annotated[str, tyro.conf.Positional]
    """tabletop, SIMULATOR[:WORLD[:PROTOCOL]], or FILE.py:NAME where NAME() makes an Environment."""
    json: Flag[bool] = False
    """Print JSON."""


EnvCommand = Annotated[
    Annotated[EnvListCommand, tyro.conf.subcommand("list")]
    | Annotated[EnvSetupCommand, tyro.conf.subcommand("setup")]
    | Annotated[EnvCheckCommand, tyro.conf.subcommand("check")],
    tyro.conf.subcommand("env"),
]


@dataclass(frozen=True, kw_only=True)
class Env:
    """Set up simulators in environments of their own, and check any environment."""

    command: EnvCommand
