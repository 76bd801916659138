"""How a policy of vertebra is configured in LeRobot."""

import json
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from lerobot.configs.policies import PreTrainedConfig
from lerobot.configs.types import FeatureType, NormalizationMode, PolicyFeature
from lerobot.optim.optimizers import AdamWConfig
from lerobot.utils.constants import ACTION, OBS_IMAGES, OBS_STATE

from vertebra.policy.acting import TrainedPolicy
from vertebra.policy.checkpoint import MANIFEST, described_policy
from vertebra.policy.shape import Shape


@PreTrainedConfig.register_subclass("vertebra")
@dataclass
class VertebraConfig(PreTrainedConfig):
    """A policy of vertebra.

    Attributes:
        checkpoint: Directory of a checkpoint of vertebra; not needed where ``manifest`` is filled.
        manifest: Its manifest as JSON text, so that what LeRobot saves stands by itself.
        seed: Root of the randomness of each episode.
        cameras: Our names of cameras to LeRobot's keys; ``observation.images.NAME`` when left out.
        optimizer_lr: Learning rate, for LeRobot's trainer.
        normalization_mapping: Nothing is normalised outside: the checkpoint does it.
    """

    checkpoint: str = ""
    manifest: str = ""
    seed: int = 0
    cameras: dict[str, str] = field(default_factory=dict)
    optimizer_lr: float = 1e-4
    normalization_mapping: dict[str, NormalizationMode] = field(
        default_factory=lambda: {
            "VISUAL": NormalizationMode.IDENTITY,
            "STATE": NormalizationMode.IDENTITY,
            "ACTION": NormalizationMode.IDENTITY,
        }
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.manifest and self.checkpoint:
            path = Path(self.checkpoint) / MANIFEST
            if not path.is_file():
                raise ValueError(f"{self.checkpoint} holds no checkpoint ({MANIFEST} is missing).")
            self.manifest = path.read_text()
        if not self.manifest:
            raise ValueError(
                "A policy of vertebra needs a checkpoint: --policy.checkpoint=DIRECTORY, as a "
                "training of vertebra wrote it."
            )
        self.input_features = self.input_features or self._inputs()
        self.output_features = self.output_features or self._outputs()

    @cached_property
    def described(self) -> TrainedPolicy:
        """The policy that the manifest describes, with new weights."""
        plain: dict[str, Any] = json.loads(self.manifest)
        return described_policy(plain)

    @property
    def shape(self) -> Shape:
        """Recipe, size and robot of the policy."""
        return self.described.network.shape

    def _save_pretrained(self, save_directory: Path) -> None:
        """Write the configuration of a policy whose weights LeRobot keeps from now on."""
        if not self.checkpoint:
            super()._save_pretrained(save_directory)
            return
        replace(self, checkpoint="")._save_pretrained(save_directory)

    def camera_key(self, name: str) -> str:
        """LeRobot's key of one of our cameras."""
        return self.cameras.get(name, f"{OBS_IMAGES}.{name}")

    def _inputs(self) -> dict[str, PolicyFeature]:
        found = {
            self.camera_key(camera.name): PolicyFeature(
                type=FeatureType.VISUAL, shape=(3, camera.height, camera.width)
            )
            for camera in self.shape.needs.cameras
        }
        found[OBS_STATE] = PolicyFeature(type=FeatureType.STATE, shape=(self.shape.state_dims,))
        return found

    def _outputs(self) -> dict[str, PolicyFeature]:
        return {ACTION: PolicyFeature(type=FeatureType.ACTION, shape=(self.shape.action_dims,))}

    def get_optimizer_preset(self) -> AdamWConfig:
        """LeRobot's optimizer."""
        return AdamWConfig(lr=self.optimizer_lr, weight_decay=0.01, betas=(0.9, 0.95))

    def get_scheduler_preset(self) -> None:
        """No schedule of the learning rate."""
        return

    def validate_features(self) -> None:
        """Refuse features that are not those of the checkpoint.

        Raises:
            ValueError: Naming every difference.
        """
        inputs, outputs = self.input_features or {}, self.output_features or {}
        wanted = {**self._inputs(), **self._outputs()}
        given = {**inputs, **outputs}
        found = [
            f"'{name}' is missing, the policy needs {one.shape}"
            for name, one in wanted.items()
            if name not in given
        ]
        found += [
            f"'{name}' has shape {tuple(given[name].shape)}, the policy needs {one.shape}"
            for name, one in wanted.items()
            if name in given
            and one.type is not FeatureType.VISUAL
            and tuple(given[name].shape) != tuple(one.shape)
        ]
        if found:
            raise ValueError("These features do not fit the policy:\n  - " + "\n  - ".join(found))

    @property
    def observation_delta_indices(self) -> list[int] | None:
        """The present frame, and those that are imagined in training."""
        return [0, *self.shape.future_steps]

    @property
    def action_delta_indices(self) -> list[int]:
        """The chunk."""
        return list(range(self.shape.horizon))

    @property
    def reward_delta_indices(self) -> None:
        """No rewards."""
        return
