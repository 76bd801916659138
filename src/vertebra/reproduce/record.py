"""What a reproduction leaves behind, and which rung of the status ladder that earns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vertebra.reproduce.targets import Part, Target, target_by_name
from vertebra.spec.record import EpisodeRecord
from vertebra.spec.storage import digest, to_plain
from vertebra.spec.task import Outcome
from vertebra.stats.proportion import exact_bounds

VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What came of one part.

    Attributes:
        name: Which part.
        environment: Name and version of the environment, its protocol in it.
        episodes: Episodes that were run; errors stay in.
        successes: Those that succeeded.
        errors: Those that crashed.
        low: Lower end of the exact interval of the rate.
        high: Its upper end.
        records: Hash of the episode records.
    """

    name: str
    environment: str
    episodes: int
    successes: int
    errors: int
    low: float
    high: float
    records: str


@dataclass(frozen=True, kw_only=True)
class Reproduction:
    """One reproduction.

    Attributes:
        target: What was to be reproduced.
        weights: File name to SHA-256 of the weights.
        parts: What was measured.
        software: What ran it.
        machine: On what.
    """

    target: Target
    weights: Mapping[str, str]
    parts: tuple[Measured, ...]
    software: Mapping[str, Any] = field(default_factory=dict[str, Any])
    machine: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def complete(self) -> bool:
        """Whether all episodes of the protocol were run, and none crashed."""
        wanted = [(part.name, part.episodes, 0) for part in self.target.parts]
        return [(one.name, one.episodes, one.errors) for one in self.parts] == wanted

    def inside(self, name: str) -> bool:
        """Whether the published rate of a part lies inside our interval."""
        (part,) = [one for one in self.target.parts if one.name == name]
        (found,) = [one for one in self.parts if one.name == name]
        return found.low <= part.rate <= found.high

    @property
    def earned(self) -> str:
        """``reproduces``, ``loads``, or nothing: a partial run earns nothing."""
        if not (self.complete and self.weights):
            return ""
        return "reproduces" if all(self.inside(one.name) for one in self.parts) else "loads"

    def to_plain(self) -> dict[str, Any]:
        """As JSON values, sealed."""
        plain = {
            "version": VERSION,
            **to_plain(self),
            "complete": self.complete,
            "earned": self.earned,
        }
        return {**plain, "seal": digest(plain)}


def measured(
    part: Part, records: Sequence[EpisodeRecord], level: float, environment: str
) -> Measured:
    """Count the records of a part.

    Raises:
        ValueError: When there are none.
    """
    if not records:
        raise ValueError(f"No episode of '{part.name}' was run.")
    outcomes = [record.outcome for record in records]
    successes = outcomes.count(Outcome.SUCCESS)
    low, high = exact_bounds(successes, len(records), level)
    return Measured(
        name=part.name,
        environment=environment,
        episodes=len(records),
        successes=successes,
        errors=outcomes.count(Outcome.ERROR),
        low=low,
        high=high,
        records=digest([record.content_hash() for record in records]),
    )


def rung_of(plain: Mapping[str, Any]) -> str:
    """Which rung a written reproduction earns, everything in it computed anew.

    Raises:
        ValueError: When it was changed, is of another version, or is of no known target.
    """
    if plain.get("version") != VERSION:
        raise ValueError(f"A reproduction of version {plain.get('version')!r}, expected {VERSION}.")
    body = {name: value for name, value in plain.items() if name != "seal"}
    if digest(body) != plain.get("seal"):
        raise ValueError("This reproduction was changed after it was written: its seal is broken.")
    target = target_by_name(plain["target"]["recipe"], plain["target"]["benchmark"])
    if to_plain(target) != plain["target"]:
        raise ValueError(f"The published numbers of '{target.name}' are others than those here.")
    parts = tuple(Measured(**one) for one in plain["parts"])
    for one in parts:
        bounds = exact_bounds(one.successes, one.episodes, target.level)
        if (one.low, one.high) != bounds:
            raise ValueError(f"The interval of '{one.name}' does not follow from its counts.")
    found = Reproduction(target=target, weights=plain["weights"], parts=parts)
    return found.earned
