"""What can be said on the command line about reproducing published numbers."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

Flag = tyro.conf.FlagCreatePairsOff


@dataclass(frozen=True, kw_only=True)
class ReproduceCommand:
    """Run a published protocol with released weights: is the published number in our interval?

    Goes on where it was interrupted. What it writes last earns a recipe its status, when the whole
    protocol was run (docs/reproductions/README.md).
    """

    recipe: Annotated[str, tyro.conf.Positional]
    """Recipe, such as pi0."""
    benchmark: Annotated[str, tyro.conf.Positional]
    """Benchmark, such as libero."""
    weights: Path
    """Directory of the released weights; nothing is downloaded."""
    out: Path = Path("reproduction")
    """Directory for records and result."""
    episodes: int = 0
    """Episodes of each part, to try it out; all when left out. Fewer earn nothing."""
    device: str = ""
    """Where the policy runs, such as cuda; the first GPU when there is one."""
    json: Flag[bool] = False
    """Print JSON."""
