"""The simulators that `vertebra env` knows. A new one is a line here and a package beside this."""

from vertebra.envs.calvin.simulator import CALVIN
from vertebra.envs.libero.simulator import LIBERO
from vertebra.envs.metaworld.simulator import METAWORLD
from vertebra.envs.simulator import Simulator
from vertebra.spec.named import one_named

SIMULATORS: tuple[Simulator, ...] = (LIBERO, METAWORLD, CALVIN)


def simulator_by_name(name: str) -> Simulator:
    """The simulator of that name.

    Raises:
        ValueError: Listing the known names.
    """
    return one_named(SIMULATORS, name, f"No simulator is named {name!r}")
