"""The episode record: the only thing that leaves an evaluation, and all that statistics read."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from vertebra.spec.storage import digest, to_plain
from vertebra.spec.task import Outcome, links_done

RECORD_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Wall-clock facts; never part of the hash, because they differ from run to run.

    Attributes:
        latency_s: Seconds of each chunk inference, in order.
        wall_s: Seconds of the whole episode.
    """

    latency_s: tuple[float, ...] = ()
    wall_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class EpisodeRecord:
    """One episode of one trained policy.

    Attributes:
        version: Schema version.
        pilot: Hash of the locked plan.
        arm: Recipe name, with ``+blind`` for the trained-blind twin.
        family: ``vla``, ``wam``, ``hybrid`` or ``control``.
        demonstrations: Action-labelled demonstrations in training.
        seed: Training seed (index).
        environment: Name and version.
        split: Split of the initial state.
        condition: ``asked``, ``paraphrase``, ``blank`` or ``nonsense`` (what was said).
        initial_state: Id of the initial state.
        initial_hash: Hash of the physical state before the first action.
        scene_seed: Seed of simulator and policy noise, shared by all arms.
        task: Id of the task that was meant (for ``blank``/``nonsense`` the task whose place it
            took).
        skill: Its skill.
        instruction: The sentence the policy got.
        outcome: How it ended.
        achieved: All tasks that held at the end or at any judged step.
        first_touched: Object touched first.
        first_grasped: Object grasped first.
        target: Object that the task is about.
        progress: Largest progress of the asked task, in [0, 1].
        links: Tasks that were asked for one after the other; 1 but for chains.
        steps: Control steps.
        model_evaluations: Network evaluations by stage, summed over the episode.
        held_ticks: Steps on which the robot had to hold because no action was ready.
        error: Traceback of an ``error`` outcome, else empty.
        spec_hash: Hash of the observation and action specs.
        software: Commit, dirty flag and package versions.
        timing: Seconds; not hashed.
    """

    version: int = RECORD_VERSION
    pilot: str
    arm: str
    family: str
    demonstrations: int
    seed: int
    environment: str
    split: str
    condition: str
    initial_state: str
    initial_hash: str
    scene_seed: int
    task: str
    skill: str
    instruction: str
    outcome: Outcome
    achieved: tuple[str, ...]
    first_touched: str | None
    first_grasped: str | None
    target: str | None
    progress: float
    links: int = 1
    steps: int
    model_evaluations: Mapping[str, int]
    held_ticks: int = 0
    error: str = ""
    spec_hash: str
    software: Mapping[str, Any] = field(default_factory=dict[str, Any])
    timing: Timing = field(default_factory=Timing)

    def content_hash(self) -> str:
        """Hash of everything but the timing."""
        plain = to_plain(self)
        del plain["timing"]
        if self.links == 1:  # as in records from before chains were counted
            del plain["links"]
        return digest(plain)

    @property
    def completed(self) -> int:
        """How many of its links were completed; none in an error."""
        if self.outcome == Outcome.ERROR:
            return 0
        if self.outcome == Outcome.SUCCESS:
            return self.links
        return min(links_done(self.links, self.progress), self.links - 1)


def record_from_plain(plain: Mapping[str, Any]) -> EpisodeRecord:
    """Read a record that was written as JSON.

    Raises:
        ValueError: On another schema version, or missing or unknown fields (all named).
    """
    if plain.get("version") != RECORD_VERSION:
        raise ValueError(
            f"Episode record has schema version {plain.get('version')!r}, this program reads "
            f"version {RECORD_VERSION}. Use the version of vertebra that wrote it."
        )
    known = {f.name for f in fields(EpisodeRecord)}
    missing, unknown = known - {"links"} - set(plain), set(plain) - known
    if missing or unknown:
        raise ValueError(
            f"Episode record lacks {sorted(missing)} and has unknown fields {sorted(unknown)}."
        )
    timing = plain["timing"]
    values: dict[str, Any] = {
        **plain,
        "outcome": Outcome(plain["outcome"]),
        "achieved": tuple(plain["achieved"]),
        "timing": Timing(latency_s=tuple(timing["latency_s"]), wall_s=timing["wall_s"]),
    }
    return EpisodeRecord(**values)
