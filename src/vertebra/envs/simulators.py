"""The simulators that `vertebra env` knows. A new one is a line here and a package beside this."""

from vertebra.envs.libero.simulator import LIBERO
from vertebra.envs.metaworld.simulator import METAWORLD
from vertebra.envs.simulator import Simulator

SIMULATORS: tuple[Simulator, ...] = (LIBERO, METAWORLD)


def simulator_by_name(name: str) -> Simulator:
    """The simulator of that name.

    Raises:
        ValueError: Listing the known names.
    """
    for simulator in SIMULATORS:
        if simulator.name == name:
            return simulator
    known = ", ".join(simulator.name for simulator in SIMULATORS)
    raise ValueError(f"No simulator is named {name!r}. Known are: {known}.")
