"""What can be said on the command line about planning: designs, trainings, changed criteria."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from vertebra.spec.criteria import Criteria

Flag = tyro.conf.FlagCreatePairsOff


@dataclass(frozen=True, kw_only=True)
class PlanPilotCommand:
    """Propose a pilot for a budget: numbers of demonstrations, seeds, rollouts.

    Every design is simulated with the rule that will judge it: how often a difference of the size
    you state would be found, and how often the pilot would end in "cannot tell".
    """

    gpu_hours: float
    """Hours of training that may be spent."""
    operator_hours: float
    """Hours that an operator may spend on evaluations."""
    training_hours: float = 1.0
    """Hours of one training (`vertebra pilot --dry-run` measures it)."""
    rollout_minutes: float = 1.0
    """Minutes of an operator for one rollout; 0 in a simulator."""
    arms: int = 2
    """Recipes to compare; the first is ahead of all others by the stated difference."""
    no_twins: Flag[bool] = False
    """Plan without blind twins."""
    demos: int = 800
    """Demonstrations that can be had."""
    difference: float = 0.2
    """True difference of rates that should be found."""
    ratio: float = 2.0
    """True ratio of demonstrations that should be found, when demonstrations decide."""
    success: float = 0.7
    """Success rate expected of the better recipe."""
    seed_sd: float = 0.4
    """How much trainings of one recipe are expected to differ, in logits."""
    pilots: int = 300
    """Synthetic pilots a design."""
    criteria: Criteria = field(default_factory=Criteria)
    """What the verdict will be judged by."""
    json: Flag[bool] = False
    """Print JSON."""


@dataclass(frozen=True, kw_only=True)
class PlanTrainCommand:
    """Count on paper what a training at published size needs: memory, hours, latency, cost.

    Nothing is built, downloaded or run. What is counted, and how that compares with published
    figures, stands in docs/planner.md.
    """

    recipe: str
    """Recipe of published size, such as pi0, fast-wam or dreamzero."""
    gpus: str
    """How many of which GPU, such as 8xH100."""
    demos: int
    """Demonstrations."""
    backbone: str = ""
    """Backbone of published size, such as wan2.1-14b; that of the paper when left out."""
    demo_seconds: float = 20.0
    """Seconds of one demonstration."""
    samples: int = 0
    """Samples to train on; as many as were published when neither this nor --epochs is given."""
    epochs: float = 0.0
    """Times that every window of the demonstrations is seen, instead of --samples."""
    batch: int = 0
    """Samples a step of the optimizer; as many as were published when left out."""
    tune: Literal["full", "lora", "action"] = "full"
    """What is trained: everything, adapters, or the action expert alone."""
    utilisation: float = 0.3
    """Share of the peak rate that the training reaches."""
    pixels: Flag[bool] = False
    """Encode pictures in every step instead of caching their latents."""
    price: float = 0.0
    """Price of one GPU for one hour, in any currency."""
    json: Flag[bool] = False
    """Print JSON."""


@dataclass(frozen=True, kw_only=True)
class PlanChangeCommand:
    """Judge a pilot by other criteria than those that were locked; the report will say so.

    Takes all criteria: what is not given goes back to what was locked.
    """

    run: Annotated[Path, tyro.conf.Positional]
    """Directory of the pilot."""
    why: str
    """The reason, for the report."""
    set: Annotated[dict[str, str], tyro.conf.arg(metavar="NAME VALUE")]
    """Criteria to change, as named by `vertebra plan pilot --help`, values as JSON."""
    json: Flag[bool] = False
    """Print JSON."""


PlanCommand = Annotated[
    Annotated[PlanPilotCommand, tyro.conf.subcommand("pilot")]
    | Annotated[PlanTrainCommand, tyro.conf.subcommand("train")]
    | Annotated[PlanChangeCommand, tyro.conf.subcommand("change")],
    tyro.conf.subcommand("plan"),
]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Plan a pilot for a budget, a training on paper, or change what a pilot is judged by."""

    command: PlanCommand
