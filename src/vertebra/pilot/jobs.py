"""What one job is, as JSON: everything that its process needs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vertebra.evaluate.plan import Draw, draw_from_plain
from vertebra.evaluate.run import LANES
from vertebra.spec.storage import to_plain
from vertebra.train.spec import TrainSpec, train_spec_from_plain, train_spec_to_plain

JOB_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """How a policy is evaluated; the same for all arms of a grid.

    Attributes:
        environment: Settings of the environment (``worlds.py``), ``None`` without a simulator.
        draws: Which scenes are run and what is said in them.
        seed: Seed of scenes, sentences and policy noise.
        lanes: Environments that are stepped together.
        held_out: Episodes for offline figures, empty with a simulator.
        films: How many of the first episodes are candidates for a filmstrip.
    """

    environment: Mapping[str, Any] | None
    draws: tuple[Draw, ...]
    seed: int
    lanes: int = LANES
    held_out: tuple[int, ...] = ()
    films: int = 12


@dataclass(frozen=True, kw_only=True)
class ArmJob:
    """Train one arm and evaluate it.

    Attributes:
        id: Name of its directory.
        plan: Hash of the locked plan.
        arm: Name of the arm.
        recipe: Name of the recipe that the user named.
        family: Family of the recipe.
        blind: Whether the arm is a trained-blind twin.
        demonstrations: Action-labelled demonstrations.
        seed: Training seed (index).
        training: The training.
        evaluation: The evaluation.
    """

    id: str
    plan: str
    arm: str
    recipe: str
    family: str
    blind: bool
    demonstrations: int
    seed: int
    training: TrainSpec
    evaluation: Evaluation


@dataclass(frozen=True, kw_only=True)
class ReferenceJob:
    """Evaluate the demonstrator and chance in the same episodes."""

    id: str
    plan: str
    evaluation: Evaluation


@dataclass(frozen=True, kw_only=True)
class RehearsalJob:
    """Try an arm before the plan is locked: time its steps, train two of them, save, load, act.

    Attributes:
        id: Name of its directory.
        recipe: Name of the recipe.
        training: The arm as it would be trained, with the fewest possible samples.
        evaluation: A few episodes.
        seconds: How long to time training steps.
    """

    id: str
    recipe: str
    training: TrainSpec
    evaluation: Evaluation
    seconds: float = 5.0


@dataclass(frozen=True, kw_only=True)
class LatencyJob:
    """Time every arm's inference, one at a time, when nothing else runs.

    Attributes:
        id: Name of its directory.
        policies: Arm to checkpoint directory, relative to the directory of the pilot.
        environment: Settings of the environment whose first scenes are shown, or ``None``.
        split: Split of these scenes.
        seed: Seed of these scenes.
        data: Frame cache whose held-out frames are shown without a simulator.
        held_out: Its episodes.
        repeats: Timed inferences of each arm.
    """

    id: str
    policies: Mapping[str, str]
    environment: Mapping[str, Any] | None
    split: str
    seed: int
    data: str
    held_out: tuple[int, ...]
    repeats: int = 200


Job = ArmJob | ReferenceJob | RehearsalJob | LatencyJob

_KINDS: dict[str, type[Any]] = {
    "arm": ArmJob,
    "reference": ReferenceJob,
    "rehearsal": RehearsalJob,
    "latency": LatencyJob,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}


def job_to_plain(job: Job) -> dict[str, Any]:
    """A job as JSON values."""
    plain = {name: to_plain(value) for name, value in vars(job).items() if name != "training"}
    if isinstance(job, ArmJob | RehearsalJob):
        plain["training"] = train_spec_to_plain(job.training)
    return {"version": JOB_VERSION, "kind": _NAMES[type(job)], **plain}


def job_from_plain(plain: Mapping[str, Any]) -> Job:
    """Read a job.

    Raises:
        ValueError: On another version, an unknown kind, or missing or unknown fields.
    """
    if plain.get("version") != JOB_VERSION or plain.get("kind") not in _KINDS:
        raise ValueError(
            f"The job has version {plain.get('version')!r} and kind {plain.get('kind')!r}; this "
            f"program reads version {JOB_VERSION} and kinds {sorted(_KINDS)}."
        )
    kind = _KINDS[plain["kind"]]
    values = {name: value for name, value in plain.items() if name not in ("version", "kind")}
    if "training" in values:
        values["training"] = train_spec_from_plain(values["training"])
    if "evaluation" in values:
        values["evaluation"] = evaluation_from_plain(values["evaluation"])
    if "held_out" in values:
        values["held_out"] = tuple(values["held_out"])
    try:
        return kind(**values)
    except TypeError as error:
        raise ValueError(f"A job of kind {plain['kind']!r} does not fit: {error}.") from error


def evaluation_from_plain(plain: Mapping[str, Any]) -> Evaluation:
    """Read an evaluation."""
    return Evaluation(
        **{
            **plain,
            "draws": tuple(draw_from_plain(draw) for draw in plain["draws"]),
            "held_out": tuple(plain["held_out"]),
        }
    )


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """What one job used.

    Attributes:
        demonstrations: Action-labelled demonstrations.
        language_labels: Instructions used in training.
        privileged_targets: Targets that only a simulator can give.
        video_frames: Future frames used as targets.
        unlabelled: Demonstrations that were used without their words.
        video_only: Videos that were used without actions.
        extra_labels: Captions among the labels that came with videos.
        extra_frames: Frames among the targets that did not come with whole demonstrations.
        samples: Training windows seen.
        flops: Floating-point operations of training.
        train_seconds: Wall-clock seconds in training.
        evaluation_seconds: Wall-clock seconds in evaluation.
    """

    demonstrations: int
    language_labels: int
    privileged_targets: int
    video_frames: int
    samples: int
    flops: float
    train_seconds: float
    evaluation_seconds: float
    unlabelled: int = 0
    video_only: int = 0
    extra_labels: int = 0
    extra_frames: int = 0


@dataclass(frozen=True, kw_only=True)
class Stage:
    """How far a job is; its process prints one a line.

    Attributes:
        name: ``training`` or ``evaluation``.
        done: Steps or episodes done.
        total: Steps or episodes in all.
        facts: Numbers worth showing (losses).
    """

    name: str
    done: int
    total: int
    facts: Mapping[str, float] = field(default_factory=dict[str, float])
