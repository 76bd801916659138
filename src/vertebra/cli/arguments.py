"""What can be said on the command line. Every class is one command."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from vertebra.cli.arguments_again import (
    AdaptCommand,
    ProfileCommand,
    RealtimeCommand,
    RobustnessCommand,
)
from vertebra.cli.arguments_doctor import DoctorCommand
from vertebra.cli.arguments_env import Env
from vertebra.cli.arguments_plan import Plan
from vertebra.cli.arguments_pretrain import PretrainCommand
from vertebra.cli.arguments_reproduce import ReproduceCommand
from vertebra.cli.arguments_robot import Arena, Client, ServeCommand
from vertebra.spec.criteria import Criteria

Flag = tyro.conf.FlagCreatePairsOff


@dataclass(frozen=True, kw_only=True)
class PilotCommand:
    """Train and compare recipes on demonstrations, under one budget, up to a verdict.

    Makes demonstrations in the environment when no data are given. Can be interrupted at any
    moment; the same command continues. The last line printed is the path of the report.
    """

    data: Path | None = None
    """LeRobot data set (v3.0 or v2.1); a scripted demonstrator makes one by default."""
    mapping: Path | None = None
    """What the columns of the data mean (JSON); proposed and printed by default."""
    env: str = "auto"
    """Where policies are evaluated: tabletop, SIMULATOR[:WORLD[:PROTOCOL]] as `vertebra env list`
    shows them, or none; auto: where the data were made, the table-top without data."""
    recipes: tuple[str, ...] = ("pi0", "fast-wam")
    """What is compared, as listed by `vertebra recipes`; all-four: pi0, fast-wam, vlm-wam and
    features-only; or all."""
    backbone: Literal["auto", "prior", "scratch", "shuffled"] = "auto"
    """What backbones start from: shipped priors, nothing, or priors of the same size that were
    trained on shuffled pairs, all three with frames imagined in the codes of the shipped
    autoencoder; auto: nothing, in pixels."""
    vlm: str | None = None
    """Vision-language model to stand on instead of the shipped one: a directory that transformers
    saved, or a name on the hub (families: docs/backbones.md)."""
    video: str | None = None
    """Video model to stand on: a directory that diffusers saved, or a name on the hub."""
    tune: Literal["full", "lora", "frozen"] = "full"
    """How weights of --vlm and --video are trained; new ones are always trained in full."""
    vlm_layers: int | None = None
    """How many layers of --vlm are used, from the first one; all by default."""
    recompute: Flag[bool] = False
    """Compute layers again in the backward pass instead of keeping them (less memory)."""
    download: Flag[bool] = False
    """Fetch --vlm and --video from the hub where they are not on this machine."""
    factor: tuple[str, ...] = ()
    """Parts to vary, all else equal, instead of --recipes: backbone=vlm,video or
    coupling=joint,head; with both, every combination is an arm."""
    coupling: Literal["joint", "head"] | None = None
    """Coupling of all arms of --factor, where it is not varied itself; joint by default."""
    demos: tuple[int, ...] = ()
    """Numbers of demonstrations; 300 and 2000 on the table-top, 20 elsewhere by default."""
    unlabelled: tuple[int, ...] = (0,)
    """Further demonstrations without their instruction; more than one number makes more arms."""
    video_only: tuple[int, ...] = (0,)
    """Captioned videos without actions and state, for recipes that imagine; as --unlabelled."""
    seeds: int = 3
    """Training seeds of each arm."""
    budget: str | None = None
    """Wall-clock time for all trainings and evaluations, like 90s or 2h, instead of samples."""
    samples: int | None = None
    """Training windows of every arm; 32000 when no budget is given."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """Numbers in training; auto: the faster on this machine."""
    size: Literal["tiny", "mini", "mini-x4"] = "mini"
    """How large the networks are."""
    scenes: int | None = None
    """New layouts that each policy is evaluated in, under three instructions each; 50 on the
    table-top, a few elsewhere by default."""
    privileged: Literal["auto", "points", "none"] = "auto"
    """Whether training uses pointing targets; auto: if the data have them."""
    twins: Literal["largest", "all", "none"] = "largest"
    """At which numbers of demonstrations a language-blind twin is trained."""
    workers: int | None = None
    """Processes side by side; one a core by default."""
    out: Path = Path("runs/pilot")
    """Directory of the pilot; data and frames that pilots share lie beside it."""
    criteria: Criteria = field(default_factory=Criteria)
    """What the verdict is judged by; locked before anything runs."""
    dry_run: Flag[bool] = False
    """Print the grid, samples, seconds, memory and disk, and stop."""
    json: Flag[bool] = False
    """Print JSON."""


@dataclass(frozen=True, kw_only=True)
class ExtendCommand:
    """Extend a finished pilot by recipes, training seeds or numbers of demonstrations.

    Criteria, scenes, data and budget stay as they were locked. The extension is recorded, and the
    verdict counts it as another look. The same command continues where it was interrupted.
    """

    run: Annotated[Path, tyro.conf.Positional]
    """Directory of the pilot."""
    recipes: tuple[str, ...] = ()
    """Recipes to add, as listed by `vertebra recipes`."""
    seeds: int | None = None
    """Training seeds that each arm shall have in all."""
    demos: tuple[int, ...] = ()
    """Numbers of demonstrations to add."""
    data: Path | None = None
    """The recordings of the pilot, where they have moved."""
    mapping: Path | None = None
    """What their columns mean (JSON), when the pilot was given one."""
    workers: int | None = None
    """Processes side by side; one a core by default."""
    json: Flag[bool] = False
    """Print JSON."""


@dataclass(frozen=True, kw_only=True)
class JobCommand:
    """Carry out one job of a pilot; does nothing when it is finished."""

    spec: Annotated[Path, tyro.conf.Positional]
    """Its job.json."""
    attached: Flag[bool] = False
    """End when standard input closes, and print progress as JSON lines (used by the pilot)."""


@dataclass(frozen=True, kw_only=True)
class DataMakeCommand:
    """Make demonstrations with the scripted demonstrator; continues where it was interrupted."""

    root: Annotated[Path, tyro.conf.Positional]
    """Directory of the data set."""
    env: str = "tabletop"
    """Where: tabletop, or SIMULATOR[:WORLD[:PROTOCOL]] as `vertebra env list` shows them."""
    count: int = 10_000
    """Demonstrations to train on."""
    validation: int = 200
    """Demonstrations for picking checkpoints."""
    seed: int = 0
    """Root of scenes and disturbances."""
    size: int = 64
    """Image width and height in pixels (table-top)."""
    skills: tuple[Literal["put", "push", "lift", "stack", "chain"], ...] = ("put", "push", "lift")
    """Which tasks are asked (table-top)."""
    segmentation: Flag[bool] = False
    """Record segmentation images too (table-top)."""
    workers: int | None = None
    """Processes; one a core by default."""
    json: Flag[bool] = False
    """Print JSON."""


@dataclass(frozen=True, kw_only=True)
class DataCalvinCommand:
    """Write CALVIN's own recordings as a LeRobot v3 data set; may be interrupted."""

    source: Annotated[Path, tyro.conf.Positional]
    """CALVIN's directory: it holds training/ and validation/."""
    root: Annotated[Path, tyro.conf.Positional]
    """Directory of the data set."""
    env: str = "calvin"
    """What it is for: calvin[:WORLD[:PROTOCOL]]; the protocol says how large pictures are."""
    limit: int | None = None
    """At most so many episodes of each split."""
    json: Flag[bool] = False
    """Print JSON."""


@dataclass(frozen=True, kw_only=True)
class DataInfoCommand:
    """Say what a data set holds, and propose what its columns mean."""

    root: Annotated[Path, tyro.conf.Positional]
    """Directory of the data set."""
    write_mapping: Path | None = None
    """File for the proposed input mapping, to be corrected and passed to `vertebra pilot`."""
    json: Flag[bool] = False
    """Print JSON."""


@dataclass(frozen=True, kw_only=True)
class DataCheckCommand:
    """Look for faults in a data set; exit code 1 when there are some."""

    root: Annotated[Path, tyro.conf.Positional]
    """Directory of the data set."""
    decode_all: Flag[bool] = False
    """Decode every frame of every video (slow)."""
    json: Flag[bool] = False
    """Print JSON."""


@dataclass(frozen=True, kw_only=True)
class DataShowCommand:
    """Draw one episode: filmstrip, instruction, actions."""

    root: Annotated[Path, tyro.conf.Positional]
    """Directory of the data set."""
    episode: int = 0
    """Which episode."""
    out: Path | None = None
    """PNG file to write; episode_N.png here by default."""


@dataclass(frozen=True, kw_only=True)
class DataFitCommand:
    """Say whether a data set can show that a policy follows language; exit code 1 when it cannot.

    A policy that never reads can succeed wherever the picture gives the instruction away. What is
    missing is listed as recordings to make.
    """

    root: Annotated[Path, tyro.conf.Positional]
    """Directory of the data set."""
    mapping: Path | None = None
    """What its columns mean (JSON); proposed by default."""
    json: Flag[bool] = False
    """Print JSON."""


@dataclass(frozen=True, kw_only=True)
class RecipesShowCommand:
    """Draw one recipe: who sees whom, what makes a chunk, and what follows from both."""

    name: Annotated[str, tyro.conf.Positional]
    """Recipe, as listed by `vertebra recipes`."""
    out: Path | None = None
    """File to write, .html or .svg; by default it is drawn in text, here."""
    json: Flag[bool] = False
    """Print JSON."""


@dataclass(frozen=True, kw_only=True)
class RecipesListCommand:
    """List all of them."""


@dataclass(frozen=True, kw_only=True)
class Recipes:
    """List the recipes, or draw one of them."""

    json: Flag[bool] = False
    """Print JSON."""
    command: (
        Annotated[RecipesShowCommand, tyro.conf.subcommand("show")]
        | Annotated[RecipesListCommand, tyro.conf.subcommand("list")]
    ) = RecipesListCommand()


@dataclass(frozen=True, kw_only=True)
class CiteCommand:
    """Print what to cite for recipes, as BibTeX."""

    names: Annotated[tuple[str, ...], tyro.conf.Positional]
    """Recipes, as listed by `vertebra recipes`; variants share the entry of their paper."""
    json: Flag[bool] = False
    """Print JSON."""


@dataclass(frozen=True, kw_only=True)
class ReportCommand:
    """Write the report of a pilot, finished or not, and print its path."""

    run: Annotated[Path, tyro.conf.Positional]
    """Directory of the pilot."""
    tables: Path | None = None
    """Directory for all numbers as tables, and one table for LaTeX; none by default."""
    tables_as: Literal["csv", "parquet"] = "csv"
    """Kind of these tables."""
    png: Path | None = None
    """File for a picture of the first screen; drawn by an installed Chromium."""
    pdf: Path | None = None
    """File for the first screen as PDF."""
    json: Flag[bool] = False
    """Print JSON."""


@dataclass(frozen=True, kw_only=True)
class CompareCommand:
    """Lay two pilots side by side: what changed in question, data, criteria and numbers.

    A difference is put into words only where the same was measured.
    """

    first: Annotated[Path, tyro.conf.Positional]
    """Directory of the one pilot."""
    second: Annotated[Path, tyro.conf.Positional]
    """Directory of the other."""
    html: Path | None = None
    """File for a page."""
    json: Flag[bool] = False
    """Print JSON."""


@dataclass(frozen=True, kw_only=True)
class VerdictCommand:
    """Read the verdict of a pilot; writes nothing."""

    run: Annotated[Path, tyro.conf.Positional]
    """Directory of the pilot."""
    records: tuple[Path, ...] = ()
    """Episodes from elsewhere (robot, arena) to judge by, in place of the pilot's own."""
    protocol: int | None = None
    """Print a protocol for an operator, over so many scenes, instead of a verdict."""
    json: Flag[bool] = False
    """Print JSON: every number of the report."""


DataCommand = Annotated[
    Annotated[DataMakeCommand, tyro.conf.subcommand("make")]
    | Annotated[DataCalvinCommand, tyro.conf.subcommand("calvin")]
    | Annotated[DataInfoCommand, tyro.conf.subcommand("info")]
    | Annotated[DataCheckCommand, tyro.conf.subcommand("check")]
    | Annotated[DataShowCommand, tyro.conf.subcommand("show")]
    | Annotated[DataFitCommand, tyro.conf.subcommand("fit")],
    tyro.conf.subcommand("data"),
]


@dataclass(frozen=True, kw_only=True)
class Data:
    """Make, describe, check and show data sets, and say what they allow."""

    command: DataCommand


@dataclass(frozen=True, kw_only=True)
class AuditReportCommand:
    """Recompute every number of a pilot from its records and its locked plan.

    Finds what was edited, dropped, exchanged or left over; exit code 1 when there is something.
    """

    run: Annotated[Path, tyro.conf.Positional]
    """Directory of the pilot."""
    json: Flag[bool] = False
    """Print JSON."""


@dataclass(frozen=True, kw_only=True)
class AuditCheckpointCommand:
    """Say whether a policy is language-to-action or video-to-action, without running it.

    Reads names, shapes and documents; nothing is unpickled. Exit code 1 when it cannot be told.
    """

    path: Annotated[Path, tyro.conf.Positional]
    """Directory of a checkpoint, or one of its files."""
    html: Path | None = None
    """File for a page with the evidence, the parts, and the pitfalls with their checks."""
    json: Flag[bool] = False
    """Print JSON."""


@dataclass(frozen=True, kw_only=True)
class AuditPolicyCommand:
    """Ask a served policy whether it listens, looks at its cameras, and keeps its word.

    One observation is asked repeatedly, as it is and with one thing changed. Nothing is executed.
    Exit code 1 when something was found.
    """

    server: str
    """Address of any server that speaks openpi's wire, like ws://robot-host:8000."""
    observation: Path | None = None
    """Recorded observation (.npz, arrays under the keys that the robot sends); made up of noise
    by default, for servers that say what they need."""
    instructions: tuple[str, ...] = ()
    """Texts that fit the scene; the first replaces that of the observation."""
    repeats: int = 6
    """Answers to every variation."""
    api_key_file: Path | None = None
    """File with the key that the server wants; VERTEBRA_API_KEY is read too."""
    json: Flag[bool] = False
    """Print JSON."""


@dataclass(frozen=True, kw_only=True)
class AuditGroundingCommand:
    """Swap instructions on recorded first pictures: does the chunk move towards what is asked?

    Needs counterfactual pairs (one scene recorded under two instructions; `vertebra data fit` finds
    them) and refuses without. Nothing is executed. Exit code 1 when the right way is not shown.
    """

    checkpoint: Annotated[Path, tyro.conf.Positional]
    """Directory of the checkpoint."""
    data: Path
    """LeRobot data set (v3.0 or v2.1) of the same robot."""
    mapping: Path | None = None
    """What its columns mean (JSON); proposed by default."""
    scenes: int = 200
    """Scenes to try at most; those that the policy was not trained on come first."""
    json: Flag[bool] = False
    """Print JSON."""


AuditCommand = Annotated[
    Annotated[AuditReportCommand, tyro.conf.subcommand("report")]
    | Annotated[AuditCheckpointCommand, tyro.conf.subcommand("checkpoint")]
    | Annotated[AuditPolicyCommand, tyro.conf.subcommand("policy")]
    | Annotated[AuditGroundingCommand, tyro.conf.subcommand("grounding")],
    tyro.conf.subcommand("audit"),
]


@dataclass(frozen=True, kw_only=True)
class Audit:
    """Check a run's report, a checkpoint from elsewhere, a served policy, or what words do."""

    command: AuditCommand


Command = (
    Annotated[PilotCommand, tyro.conf.subcommand("pilot")]
    | Annotated[ExtendCommand, tyro.conf.subcommand("extend")]
    | Annotated[Plan, tyro.conf.subcommand("plan")]
    | Annotated[JobCommand, tyro.conf.subcommand("job")]
    | Annotated[PretrainCommand, tyro.conf.subcommand("pretrain")]
    | Annotated[Data, tyro.conf.subcommand("data")]
    | Annotated[Recipes, tyro.conf.subcommand("recipes")]
    | Annotated[CiteCommand, tyro.conf.subcommand("cite")]
    | Annotated[ReportCommand, tyro.conf.subcommand("report")]
    | Annotated[CompareCommand, tyro.conf.subcommand("compare")]
    | Annotated[VerdictCommand, tyro.conf.subcommand("verdict")]
    | Annotated[ProfileCommand, tyro.conf.subcommand("profile")]
    | Annotated[RealtimeCommand, tyro.conf.subcommand("realtime")]
    | Annotated[RobustnessCommand, tyro.conf.subcommand("robustness")]
    | Annotated[AdaptCommand, tyro.conf.subcommand("adapt")]
    | Annotated[Audit, tyro.conf.subcommand("audit")]
    | Annotated[DoctorCommand, tyro.conf.subcommand("doctor")]
    | Annotated[ReproduceCommand, tyro.conf.subcommand("reproduce")]
    | Annotated[Env, tyro.conf.subcommand("env")]
    | Annotated[ServeCommand, tyro.conf.subcommand("serve")]
    | Annotated[Client, tyro.conf.subcommand("client")]
    | Annotated[Arena, tyro.conf.subcommand("arena")]
)
