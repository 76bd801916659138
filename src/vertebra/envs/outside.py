"""Opens a world of a simulator that was set up, and refuses one that is known to drift."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vertebra.envs.places import clone_of, how_to_set_up, python_of, ready, where
from vertebra.envs.remote import Remote
from vertebra.envs.simulator import Simulator
from vertebra.envs.simulators import simulator_by_name
from vertebra.spec.storage import to_plain

OUTSIDE = "outside"


@dataclass(frozen=True, kw_only=True)
class OutsideSettings:
    """A world of a simulator in its own environment.

    Attributes:
        simulator: Name of the simulator.
        world: Suite or set of tasks.
        protocol: Name of the protocol that decides everything else.

    Raises:
        ValueError: Naming everything that is unknown.
    """

    simulator: str
    world: str
    protocol: str

    def __post_init__(self) -> None:
        known = simulator_by_name(self.simulator)
        found = [
            f"{self.simulator} has no {what} {value!r}; choose from {list(choice)}"
            for what, value, choice in (
                ("world", self.world, known.worlds),
                ("protocol", self.protocol, known.protocols),
            )
            if value not in choice
        ]
        if found:
            raise ValueError("; ".join(found) + ".")

    def to_plain(self) -> dict[str, Any]:
        """As it stands in a plan."""
        return {"kind": OUTSIDE, **to_plain(self)}

    @property
    def lanes(self) -> int:
        """Environments that are stepped together."""
        return simulator_by_name(self.simulator).lanes


def outside_from_words(words: str) -> OutsideSettings:
    """Settings from ``SIMULATOR[:WORLD[:PROTOCOL]]``; the first of each by default.

    Raises:
        ValueError: Naming everything that is unknown.
    """
    name, _, rest = words.partition(":")
    world, _, protocol = rest.partition(":")
    known = simulator_by_name(name)
    return OutsideSettings(
        simulator=name,
        world=world or known.worlds[0],
        protocol=protocol or known.protocols[0],
    )


def open_world(
    settings: OutsideSettings,
    root: Path | None = None,
    *,
    shift: Mapping[str, Any] | None = None,
) -> Remote:
    """Start a world's process.

    Args:
        settings: Which world.
        root: Where simulators are set up; the user's cache by default.
        shift: What is other than the protocol says (see `Factor`).

    Raises:
        ValueError: When the simulator is not set up, or a version of it is known to drift.
        WorldError: When its process fails.
    """
    simulator = simulator_by_name(settings.simulator)
    directory = where(simulator, root)
    if not ready(simulator, root):
        raise ValueError(
            f"{simulator.name} is not set up in {directory}. Run: {how_to_set_up(simulator)}"
        )
    made_with: dict[str, Any] = {"world": settings.world, "protocol": settings.protocol}
    if shift:
        made_with["shift"] = dict(shift)
    path: list[str] = []
    if simulator.clone and (clone := clone_of(simulator, root)):
        made_with["clone"] = str(clone)
        path = [str(clone / name) for name in simulator.clone.imports]
    remote = Remote(
        simulator.serves,
        made_with,
        python=str(python_of(directory)),
        packages=simulator.packages,
        variables=simulator.variables,
        path=path,
    )
    try:
        require_faithful(simulator, remote)
    except ValueError:
        remote.close()
        raise
    return remote


def require_faithful(simulator: Simulator, remote: Remote) -> None:
    """Refuse versions that are known to drift.

    Raises:
        ValueError: Naming them.
    """
    found = simulator.drifting(remote.packages)
    if found:
        raise ValueError(
            "This simulator would not give what others measured: " + "; ".join(found) + ". Set it "
            f"up anew: vertebra env setup {simulator.name} --again"
        )
