"""How LIBERO is run by those who publish numbers on it, as data.

The same benchmark name hides different tests. Every item of a protocol is hashed into the name of
the environment, and so into every episode record. Each item was read in the named file of the
named commit.

Deviations: all others seed a process or an environment once and let the generator run on; here the
seed is set before every reset, so that an episode stands for itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass

SUITES = ("libero_object", "libero_spatial", "libero_goal", "libero_10", "libero_90")


def _steps(spatial: int, obj: int, goal: int, long: int, ninety: int) -> dict[str, int]:
    return {
        "libero_spatial": spatial,
        "libero_object": obj,
        "libero_goal": goal,
        "libero_10": long,
        "libero_90": ninety,
    }


_OPENPI_STEPS = _steps(220, 280, 300, 520, 400)
_CAMERAS = {"agentview": "agentview", "wrist": "robot0_eye_in_hand"}


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """One way to run LIBERO.

    Attributes:
        name: Its name on the command line.
        source: Where it is written down.
        image_px: Side of a picture; what a policy makes of it (resizing, cropping) is its own.
        rotated: Turn pictures by 180 degrees (else they stand upside down, as rendered).
        cameras: Our name of a camera to LIBERO's.
        state: ``pose``: tool position, axis-angle and finger joints; ``joints``: arm and finger
            joints.
        wait_steps: Steps without movement before an episode, so that objects come to rest.
        wait_gripper: What the gripper does meanwhile (-1 opens).
        max_steps: Suite to the steps after which an episode times out, waiting not counted.
        seed: Seed before every reset; it places fixtures, which initial states do not hold.
        seed_counts: Whether the number of the stored state is added to the seed.
        controller: robosuite's controller.
        rate_hz: Control rate.
    """

    name: str
    source: str
    image_px: int
    rotated: bool = True
    cameras: Mapping[str, str]
    state: str = "pose"
    wait_steps: int = 10
    wait_gripper: float = -1.0
    max_steps: Mapping[str, int]
    seed: int
    seed_counts: bool = False
    controller: str = "OSC_POSE"
    rate_hz: float = 20.0


PILOT = Protocol(
    name="pilot",
    source="as openpi, with small pictures",
    image_px=64,
    cameras=_CAMERAS,
    max_steps=_OPENPI_STEPS,
    seed=7,
)
OPENPI = Protocol(
    name="openpi",
    source="Physical-Intelligence/openpi examples/libero/main.py @ 15a9616",
    image_px=256,
    cameras={"image": "agentview", "wrist_image": "robot0_eye_in_hand"},
    max_steps=_OPENPI_STEPS,
    seed=7,
)
OFT = Protocol(
    name="oft",
    source="moojink/openvla-oft experiments/robot/libero/run_libero_eval.py, libero_utils.py "
    "(the seed) @ 213c5ff",
    image_px=256,
    cameras={"full_image": "agentview", "wrist_image": "robot0_eye_in_hand"},
    max_steps=_OPENPI_STEPS,
    seed=0,
)
LEROBOT = Protocol(
    name="lerobot",
    source="huggingface/lerobot src/lerobot/envs/libero.py, envs/configs.py (pixels), "
    "configs/eval.py and scripts/lerobot_eval.py (seeds), processor/env_processor.py (rotation, "
    "state) @ 7427f31",
    image_px=360,
    cameras={"image": "agentview", "image2": "robot0_eye_in_hand"},
    max_steps=_steps(280, 280, 300, 520, 400),
    seed=1000,
    seed_counts=True,
)
ORIGINAL = Protocol(
    name="original",
    source="Lifelong-Robot-Learning/LIBERO libero/lifelong/metric.py, libero/lifelong/evaluate.py "
    "and libero/configs (config.yaml, data/default.yaml, eval/default.yaml) @ 4f0dd18",
    image_px=128,
    rotated=False,
    cameras={"agentview_rgb": "agentview", "eye_in_hand_rgb": "robot0_eye_in_hand"},
    state="joints",
    wait_steps=5,
    wait_gripper=0.0,
    max_steps=_steps(600, 600, 600, 600, 600),
    seed=10000,
)
PROTOCOLS: tuple[Protocol, ...] = (PILOT, OPENPI, OFT, LEROBOT, ORIGINAL)


def protocol_by_name(name: str) -> Protocol:
    """The protocol of that name.

    Raises:
        ValueError: Listing the known names.
    """
    for protocol in PROTOCOLS:
        if protocol.name == name:
            return protocol
    raise ValueError(
        f"No protocol is named {name!r}. Known are: {[one.name for one in PROTOCOLS]}."
    )
