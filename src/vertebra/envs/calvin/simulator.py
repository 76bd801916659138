"""What CALVIN needs, and how it is served."""

from vertebra.envs.calvin.protocols import PROTOCOLS, TRAINED_IN
from vertebra.envs.calvin.table import ENV, ORACLE, SENTENCES
from vertebra.envs.simulator import Clone, Simulator

_SUBMODULE = "git submodule update --init calvin_env"
CALVIN = Simulator(
    name="calvin",
    summary="CALVIN's table: chains of five tasks, and single tasks from the same initial state",
    serves="vertebra.envs.calvin.world:CalvinWorld",
    worlds=tuple(TRAINED_IN),
    protocols=tuple(protocol.name for protocol in PROTOCOLS),
    requirements=(
        "pybullet==3.2.7",
        "gym==0.26.2",
        "hydra-core>=1.3.2,<1.4",
        "hydra-colorlog>=1.2",
        "numpy-quaternion>=2023.0",
        "opencv-python-headless>=4.8",
        "scipy>=1.11",
        "gitpython>=3.1",
        "rich>=13",
        "pillow>=10",
    ),
    clone=Clone(
        bring="git clone --recurse-submodules https://github.com/mees/calvin",
        needs={
            f"{ENV}/calvin_env/envs/play_table_env.py": _SUBMODULE,
            f"{ENV}/conf/config_data_collection.yaml": _SUBMODULE,
            **{f"{ENV}/data/calvin_table_{scene}": _SUBMODULE for scene in "ABCD"},
            ORACLE: "git checkout .",
            SENTENCES: "git checkout .",
        },
        imports=(ENV,),
    ),
    python="3.11",
    packages=("pybullet", "numpy", "scipy"),
    variables={"OMP_NUM_THREADS": "1", "LP_NUM_THREADS": "1"},
    scenes=8,
    demonstrations=(200,),
)
