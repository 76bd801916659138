"""What can be said on the command line about examining a machine."""

from dataclasses import dataclass
from pathlib import Path

import tyro

Flag = tyro.conf.FlagCreatePairsOff


@dataclass(frozen=True, kw_only=True)
class DoctorCommand:
    """Examine this machine: what works, what differs and by how much, what was skipped and why.

    Every kernel path and whole recipes are held against float32 on the CPU, in bf16, compiled, in
    CUDA graphs and sharded (FSDP2); a training ends it. Nothing is called ok that did not run.
    """

    gpus: Flag[bool] = False
    """Examine the GPUs; without it the CPU alone."""
    seconds: float = 120.0
    """Seconds of the training at the end, 0 for none."""
    no_compile: Flag[bool] = False
    """Leave out torch.compile, which takes a minute or more."""
    out: Path = Path("doctor.json")
    """File to send back; written anew."""
    json: Flag[bool] = False
    """Print JSON."""
