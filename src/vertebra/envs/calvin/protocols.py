"""How CALVIN is run, as data; every item is hashed into the name of the environment."""

from collections.abc import Mapping
from dataclasses import dataclass

from vertebra.spec.named import one_named

TRAINED_IN: Mapping[str, tuple[str, ...]] = {
    "ABC_D": ("A", "B", "C"),
    "ABCD_D": ("A", "B", "C", "D"),
    "D_D": ("D",),
}
"""World to the scenes of its demonstrations."""
EVALUATED_IN = "D"


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """One way to run CALVIN.

    Attributes:
        name: Its name on the command line.
        source: Where it is written down.
        cameras: Camera to the side of its picture in pixels. It is rendered with CALVIN's own (200,
            84) and then made smaller as data are.
        renderer: ``tiny`` (pybullet's own, on the processor) or ``egl``. Textures differ a little.
        layout_links: What the split ``layout`` asks: 1, single tasks; 5, chains.
        link_steps: Steps after which a task times out.
        robot: CALVIN's configuration of the robot.
        fresh: A new simulator for each episode; what was done before a reset changes what follows.
        rate_hz: Control rate.
    """

    name: str
    source: str
    cameras: Mapping[str, int]
    renderer: str = "tiny"
    layout_links: int = 1
    link_steps: int = 360
    robot: str = "panda_longer_finger"
    fresh: bool = True
    rate_hz: float = 30.0


_SOURCE = "mees/calvin calvin_models/calvin_agent/evaluation/evaluate_policy.py"
PILOT = Protocol(
    name="pilot",
    source=f"{_SOURCE}; single tasks, small pictures",
    cameras={"rgb_static": 64, "rgb_gripper": 64},
)
CPU = Protocol(
    name="cpu",
    source=f"{_SOURCE}; rendered on the processor",
    cameras={"rgb_static": 200, "rgb_gripper": 84},
    layout_links=5,
)
ORIGINAL = Protocol(
    name="original",
    source=_SOURCE,
    cameras={"rgb_static": 200, "rgb_gripper": 84},
    renderer="egl",
    layout_links=5,
)
PROTOCOLS: tuple[Protocol, ...] = (PILOT, CPU, ORIGINAL)


def protocol_by_name(name: str) -> Protocol:
    """The protocol of that name.

    Raises:
        ValueError: Listing the known names.
    """
    return one_named(PROTOCOLS, name, f"CALVIN has no protocol {name!r}")
