"""What can be said on the command line about robots: serving, recording, comparing."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

Flag = tyro.conf.FlagCreatePairsOff


@dataclass(frozen=True, kw_only=True)
class ServeCommand:
    """Serve a trained policy to robots, by the wire of openpi or of RoboArena.

    Prints the address once the policy is warm. SIGTERM (or Ctrl-C) lets open sessions finish.
    """

    checkpoint: Annotated[Path, tyro.conf.Positional]
    """Directory of the policy, like RUN/jobs/ID/checkpoint."""
    protocol: Literal["openpi", "roboarena"] = "openpi"
    """How robots speak; RoboArena's robots need DROID's joints, cameras and rate."""
    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 lets other machines in."""
    port: int = 8000
    """Port; 0 takes a free one."""
    keys: Path | None = None
    """JSON file: under which keys robots send cameras, state and prompt."""
    api_key_file: Path | None = None
    """File with the key that clients must send; VERTEBRA_API_KEY is read too."""
    batch: int = 1
    """Most requests that share an inference; 1 keeps answers independent of each other."""
    batch_wait_ms: float = 5.0
    """How long the first request of a batch waits for others."""
    connections: int = 64
    """Most open connections."""
    seed: int = 0
    """Root of the noise of sessions whose client names no seed."""
    drain_s: float = 30.0
    """Seconds that open sessions get to finish at the end."""
    json: Flag[bool] = False
    """Print the address as JSON."""


@dataclass(frozen=True, kw_only=True)
class ClientRecordCommand:
    """Let a served policy act on a robot, and keep its episodes as records and LeRobot data.

    Writes OUT/records.jsonl and the data set OUT/dataset (every control step).
    """

    address: Annotated[str, tyro.conf.Positional]
    """Address of the policy, like ws://gpu-machine:8000."""
    out: Path
    """Directory for records and data; must not exist."""
    robot: str = "tabletop"
    """tabletop, or FILE.py:NAME of a function that makes your robot's Environment."""
    split: str = "layout"
    """Which initial states of the robot are used."""
    scenes: int = 10
    """How many initial states."""
    instructions: int = 1
    """Instructions in each."""
    seed: int = 0
    """Root of scenes and noise."""
    arm: str | None = None
    """Name of the policy in the records; what the server says by default."""
    demonstrations: int | None = None
    """Demonstrations that it was trained on; what the server says by default."""
    training_seed: int | None = None
    """Its training seed (index); what the server says by default."""
    api_key_file: Path | None = None
    """File with the key of the server; VERTEBRA_API_KEY is read too."""
    json: Flag[bool] = False
    """Print JSON."""


ClientCommand = Annotated[
    Annotated[ClientRecordCommand, tyro.conf.subcommand("record")]
    # One command alone would not be a subcommand; this stands for those to come.
    | Annotated[None, tyro.conf.Suppress],
    tyro.conf.subcommand("client"),
]


@dataclass(frozen=True, kw_only=True)
class Client:
    """Use a served policy."""

    command: ClientCommand


@dataclass(frozen=True, kw_only=True)
class ArenaRunCommand:
    """Compare served policies blindly on your robot: a page for a tablet, an address for the robot.

    Continues an arena that was stopped, at the same place. Nothing that the page or the robot gets
    names a policy; the journal in OUT does.
    """

    out: Annotated[Path, tyro.conf.Positional]
    """Directory of the arena."""
    policies: tuple[str, ...]
    """Two or more, as NAME=ADDRESS, like a=ws://gpu-machine:8000."""
    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 lets a tablet in, and asks for a key."""
    page_port: int = 8080
    """Port of the page."""
    robot_port: int = 8001
    """Port that the robot's program connects to, in place of a policy's server."""
    seed: int | None = None
    """Root of the draws of a new arena; a random one by default."""
    api_key_file: Path | None = None
    """File with the key of the policies' servers; VERTEBRA_API_KEY is read too."""


@dataclass(frozen=True, kw_only=True)
class ArenaRankCommand:
    """Rank the policies of an arena (or of an imported dump) by its valid votes."""

    arena: Annotated[Path, tyro.conf.Positional]
    """Directory of the arena."""
    json: Flag[bool] = False
    """Print JSON."""


@dataclass(frozen=True, kw_only=True)
class ArenaRecordsCommand:
    """Write the episode records of an arena, one a scored episode of a valid comparison."""

    arena: Annotated[Path, tyro.conf.Positional]
    """Directory of the arena."""
    robot: str = "robot"
    """Name of robot and place in the records."""


@dataclass(frozen=True, kw_only=True)
class ArenaImportCommand:
    """Import a RoboArena dump: its votes and a record of every episode."""

    dump: Annotated[Path, tyro.conf.Positional]
    """Directory that holds evaluation_sessions."""
    out: Path
    """Directory for votes and records; must not exist."""
    json: Flag[bool] = False
    """Print JSON."""


ArenaCommand = Annotated[
    Annotated[ArenaRunCommand, tyro.conf.subcommand("run")]
    | Annotated[ArenaRankCommand, tyro.conf.subcommand("rank")]
    | Annotated[ArenaRecordsCommand, tyro.conf.subcommand("records")]
    | Annotated[ArenaImportCommand, tyro.conf.subcommand("import")],
    tyro.conf.subcommand("arena"),
]


@dataclass(frozen=True, kw_only=True)
class Arena:
    """Compare served policies blindly on a robot, and rank them."""

    command: ArenaCommand
