"""What Meta-World needs, and how it is served."""

from vertebra.envs.metaworld.tasks import WORLDS
from vertebra.envs.simulator import Simulator

METAWORLD = Simulator(
    name="metaworld",
    summary="Meta-World v3 with its scripted policies; one instruction a scene, so weak language",
    serves="vertebra.envs.metaworld.world:MetaWorld",
    worlds=tuple(WORLDS),
    protocols=("pilot",),
    requirements=("metaworld==3.1.1", "packaging"),
    packages=("metaworld", "mujoco", "gymnasium", "numpy"),
    variables={"MUJOCO_GL": "egl", "OMP_NUM_THREADS": "1", "LP_NUM_THREADS": "1"},
    libraries={"libEGL.so.1": "libegl1", "libEGL_mesa.so.0": "libegl-mesa0"},
    lanes=5,
    scenes=5,
)
