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
