"""What releases of world-action models say of their robots: in their code, or beside their weights.

Source: lingbot-va wan_va/configs/va_libero_cfg.py @ 6855c47, va_robotwin_cfg.py and
    va_franka_cfg.py @ 6f092cb; dreamzero @ ab790c1 groot/vla/model/n1_5/sim_policy.py (statistics),
    groot/vla/configs/data/dreamzero/base_48_wan_fine_aug_relative.yaml (cameras and parts);
    cosmos-policy @ 18a2acc cosmos_policy/experiments/robot/cosmos_utils.py (load_dataset_stats,
    order of the cameras).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vertebra.data.statistics import Normaliser, Scaling
from vertebra.policy.released_conventions import Stated, VectorStatistics, vector_statistics
from vertebra.policy.released_statistics import one_file, part_of
from vertebra.spec.action import ActionSpec
from vertebra.spec.observation import Dim

SMALL = 1e-6
"""Added to every range (wan_va_server.py, preprocess_action)."""


@dataclass(frozen=True, kw_only=True)
class LingBotVaSetting:
    """One robot of LingBot-VA; no file beside the weights says any of it.

    Attributes:
        name: Whose robot it is.
        cameras: In the order in which they are laid out.
        height: Pixels from top to bottom of a camera.
        width: Pixels from left to right.
        above: Whether all but the first camera lie above it at half the size; else side by side.
        used: Channels of the action vector that the robot has, in the order of its own vector.
        low: 1 % quantiles of the robot's vector.
        high: 99 % quantiles.
        actions: Actions to a latent frame.
    """

    name: str
    cameras: tuple[str, ...]
    height: int
    width: int
    above: bool = False
    used: tuple[int, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    actions: int

    @property
    def stated(self) -> Stated:
        """What a robot must agree with."""
        return Stated(
            source=f"LingBot-VA, its configuration for {self.name}",
            cameras=self.cameras,
            state=None,
            action=VectorStatistics(of="actions", tables={"q01": self.low, "q99": self.high}),
        )

    def spread(self, makes: ActionSpec, channels: int) -> ActionSpec:
        """A robot's action as the whole vector, in which most channels are empty."""
        dims = [Dim(name=f"unused_{i}", unit="1") for i in range(channels)]
        for own, dim in zip(self.used, makes.dims, strict=True):
            dims[own] = dim
        return replace(makes, dims=tuple(dims))

    def normaliser(self, makes: ActionSpec) -> Normaliser:
        """Of the whole vector; empty channels are left as they are."""
        count = len(makes.dims)
        offset, scale = [0.0] * count, [1.0] * count
        for own, low, high in zip(self.used, self.low, self.high, strict=True):
            scale[own] = (high - low + SMALL) / 2
            offset[own] = low + scale[own]
        return Normaliser(
            scaling=Scaling.QUANTILES,
            names=tuple(dim.name for dim in makes.dims),
            offset=tuple(offset),
            scale=tuple(scale),
            rows=1,
        )


TWO_ARMS = (*range(7), 28, *range(7, 14), 29)
LINGBOT_VA_LIBERO = LingBotVaSetting(
    name="LIBERO",
    cameras=("agentview_rgb", "eye_in_hand_rgb"),
    height=128,
    width=128,
    used=(*range(6), 28),
    low=(-0.65892857, -0.84375, -0.9375, -0.12107143, -0.15964286, -0.26571429, -1.0),
    high=(0.9, 0.85446429, 0.9375, 0.17142858, 0.1842857, 0.34392858, 1.0),
    actions=4,
)
LINGBOT_VA_ROBOTWIN = LingBotVaSetting(
    name="RoboTwin",
    cameras=("cam_high", "cam_left_wrist", "cam_right_wrist"),
    height=256,
    width=320,
    above=True,
    used=TWO_ARMS,
    low=(
        *(-0.06172713, -3.671646e-05, -0.08783501, -1.0, -1.0, -1.0, -1.0, 0.0),
        *(-0.3547105, -1.311302e-06, -0.11975436, -1.0, -1.0, -1.0, -1.0, 0.0),
    ),
    high=(
        *(0.346260006, 0.39966785, 0.14745532, 1.0, 1.0, 1.0, 1.0, 1.0),
        *(0.034201727, 0.39142737, 0.179227986, 1.0, 1.0, 1.0, 1.0, 1.0),
    ),
    actions=16,
)
LINGBOT_VA_FRANKA = LingBotVaSetting(
    name="Franka",
    cameras=("cam_high", "cam_left_wrist", "cam_right_wrist"),
    height=224,
    width=320,
    used=TWO_ARMS,
    low=(
        *(
            0.30512959,
            -0.22647984,
            0.19957,
            -0.02268053,
            -0.05553058,
            -0.26938498,
            -0.29341774,
            0.0,
        ),
        *(0.29354423, -0.44313321, 0.21256474, -0.79624408, -0.40816227, -0.28359392, -0.4450777),
        0.0,
    ),
    high=(
        *(0.75721502, 0.47736290, 0.64280808, 0.98356789, 0.99272032, 0.28041139, 0.47529349, 1.0),
        *(0.75648663, 0.04082797, 0.53555936, 0.99763757, 0.89731745, 0.60169157, 0.50275986, 1.0),
    ),
    actions=20,
)


@dataclass(frozen=True, kw_only=True)
class DreamZeroSetting:
    """One robot of DreamZero, as the statistics beside the weights call its parts.

    Attributes:
        name: Its tag in the file of statistics.
        cameras: In the order in which they are laid out.
        state: Parts of the state, in their order.
        action: Parts of the action; joints are relative to those of the state.
        views: What the picture of all cameras is called to the text encoder.
    """

    name: str
    cameras: tuple[str, ...]
    state: tuple[str, ...]
    action: tuple[str, ...]
    views: str

    def words(self, instruction: str) -> str:
        """What the text encoder is told of an instruction."""
        said = instruction.lower()
        return f"A multi-view video shows that a robot {said} {self.views} The robot {said}"


DREAMZERO_DROID = DreamZeroSetting(
    name="oxe_droid",
    cameras=("exterior_image_1_left", "exterior_image_2_left", "wrist_image_left"),
    state=("joint_position", "gripper_position"),
    action=("joint_position", "gripper_position"),
    views="The video is split into three views: The top view shows the camera view from the "
    "robot's wrist, the bottom-left view shows the camera view from the left exterior camera, and "
    "the bottom-right view shows the camera view from the right exterior camera. During training, "
    "one of the two bottom exterior views may be a black screen (dropped view).",
)
DREAMZERO_STATISTICS = "experiment_cfg/metadata.json"


def dreamzero_stated(directory: Path, setting: DreamZeroSetting) -> Stated:
    """What stands beside weights of a DreamZero of one robot.

    Raises:
        ValueError: When there is no such file, or nothing of that robot in it.
    """
    path = directory / DREAMZERO_STATISTICS
    if not path.is_file():
        raise ValueError(
            f"{directory} holds no {DREAMZERO_STATISTICS}. Without it states and actions would "
            "have other units."
        )
    plain = part_of(json.loads(path.read_text()), setting.name, path)
    found = part_of(plain, "statistics", path)
    return Stated(
        source=f"DreamZero, {path.name} for {setting.name}",
        cameras=setting.cameras,
        state=_joined("state", part_of(found, "state", path), setting.state, path),
        action=_joined("action", part_of(found, "action", path), setting.action, path),
    )


def _joined(
    of: str, parts: Mapping[str, Any], names: Sequence[str], path: Path
) -> VectorStatistics:
    """Tables of all parts behind one another."""
    own = [part_of(parts, name, path) for name in names]
    kinds = [kind for kind in ("q01", "q99") if all(kind in part for part in own)]
    return vector_statistics(of, {kind: [x for part in own for x in part[kind]] for kind in kinds})


COSMOS_POLICY_STATISTICS = "*dataset_statistics.json"
COSMOS_POLICY_LIBERO = ("wrist_image", "primary_image")
"""Cameras in the order of the clip."""


def cosmos_policy_stated(directory: Path, cameras: tuple[str, ...]) -> Stated:
    """What stands beside weights of a Cosmos Policy; numbers are brought to their ends.

    Raises:
        ValueError: When there is no such file, or no smallest and largest numbers in it.
    """
    path = one_file(directory, COSMOS_POLICY_STATISTICS, "Cosmos Policy")
    plain: Mapping[str, Any] = json.loads(path.read_text())

    def ends(of: str) -> VectorStatistics:
        own = {kind: plain[f"{of}_{kind}"] for kind in ("min", "max") if f"{of}_{kind}" in plain}
        return vector_statistics(of, own)

    return Stated(
        source=f"Cosmos Policy, {path.name}",
        cameras=cameras,
        state=ends("proprio"),
        action=ends("actions"),
    )
