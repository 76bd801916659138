"""What can be said of priors on the command line."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

Flag = tyro.conf.FlagCreatePairsOff


@dataclass(frozen=True, kw_only=True)
class PretrainCommand:
    """Make a prior of a mini backbone on clips of another hand, seen by other cameras.

    Can be interrupted at any moment; the same command continues. The last line printed is the path
    of the weights; their card lies beside them.
    """

    what: Annotated[Literal["vlm", "video", "autoencoder"], tyro.conf.Positional]
    """Questions about pictures; what happens next; or the codes in which the latter imagines."""
    out: Path | None = None
    """Directory of the run, runs/pretrain/NAME by default; corpora are shared beside it."""
    core_hours: float | None = None
    """Hours of one core; what they buy is locked when the run starts."""
    samples: int | None = None
    """Questions, or moments of clips, instead of core-hours; 320000 when nothing is given."""
    flops: float | None = None
    """Floating-point operations instead of core-hours, to match priors of different kinds."""
    size: Literal["tiny", "mini", "mini-x4"] = "mini"
    """How large the backbone is."""
    targets: Literal["auto", "points", "none"] = "auto"
    """Whether places of things are asked for; auto: in questions, not in videos."""
    shuffled: Flag[bool] = False
    """Pair pictures and words at random, as a control."""
    clips: int = 8_000
    """Clips of the corpus."""
    codec: Path | None = None
    """Weights of the autoencoder of a video prior; the shipped ones by default."""
    seed: int = 0
    """Root of all draws of the training."""
    workers: int = 1
    """Processes that stage clips."""
    json: Flag[bool] = False
    """Print JSON."""
