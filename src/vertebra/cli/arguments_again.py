"""What can be said about running finished policies again. Every class is one command."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

Flag = tyro.conf.FlagCreatePairsOff


@dataclass(frozen=True, kw_only=True)
class ProfileCommand:
    """Time a policy on this machine: seconds, memory and bandwidth, as a file to take along.

    Run it on the board that will carry the policy, and put the file into RUN/profiles (one a
    policy): verdict, report and `vertebra realtime` then charge the latency of that board.
    """

    checkpoint: Annotated[Path, tyro.conf.Positional]
    """Directory of the checkpoint."""
    out: Path | None = None
    """File to write."""
    repeats: int = 200
    """Timed inferences."""
    slowdown: float = 1.0
    """Factor on all seconds, to emulate a slower machine; the file says so."""
    json: Flag[bool] = False
    """Print JSON."""


@dataclass(frozen=True, kw_only=True)
class RealtimeCommand:
    """Evaluate a pilot's policies in a world that does not wait while they compute.

    The robot holds when no action is ready. Success, stale actions and latency go into the report.
    """

    run: Annotated[Path, tyro.conf.Positional]
    """Directory of the pilot."""
    rate: float = 10.0
    """Control rate in Hz; the one that the actions are meant for."""
    profile: tuple[Path, ...] = ()
    """Files of `vertebra profile`, one a policy; by default those in RUN/profiles."""
    slowdown: float = 1.0
    """Factor on all seconds, to emulate a slower machine."""
    ahead: int = 0
    """Begin the next inference when so many actions are left; 0: when none is."""
    scenes: int | None = None
    """Scenes of the plan to run; all by default."""
    json: Flag[bool] = False
    """Print JSON."""


@dataclass(frozen=True, kw_only=True)
class RobustnessCommand:
    """Evaluate a pilot's policies with one thing changed at a time, on the table-top or in LIBERO.

    Factors: camera, light, texture, layout, initial-pose, language; distractors (table-top) and
    sensor (LIBERO).
    """

    run: Annotated[Path, tyro.conf.Positional]
    """Directory of the pilot."""
    factors: tuple[str, ...] = ()
    """Which factors; all by default."""
    scenes: int | None = None
    """Scenes of the plan to run; all by default."""
    json: Flag[bool] = False
    """Print JSON."""


@dataclass(frozen=True, kw_only=True)
class AdaptCommand:
    """Teach a pilot's policies a skill that they were never shown, and see what they forget.

    Every finished training at the largest number of demonstrations goes on from its own weights,
    with the same budget and seeds for all. On the table-top only.
    """

    run: Annotated[Path, tyro.conf.Positional]
    """Directory of the pilot."""
    skill: Literal["put", "push", "lift", "stack", "chain"]
    """The new skill; refused when it was in the training data."""
    demos: tuple[int, ...] = (25, 100)
    """Numbers of demonstrations of it."""
    replay: float = 0.0
    """Old demonstrations, of the same training, that are mixed in for each new one."""
    samples: int = 6_400
    """Training windows of every arm."""
    learning_rate: float = 1e-3
    """Peak learning rate, half of that of the first training."""
    scenes: int = 20
    """Scenes of the new skill, and scenes of the plan, that are evaluated."""
    workers: int | None = None
    """Processes that make demonstrations; one a core by default."""
    json: Flag[bool] = False
    """Print JSON."""
