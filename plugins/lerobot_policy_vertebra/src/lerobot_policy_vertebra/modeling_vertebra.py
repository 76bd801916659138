"""A policy of vertebra as LeRobot's trainer, evaluator and robots call it."""

from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lerobot.policies.pretrained import PreTrainedPolicy
from lerobot.utils.constants import ACTION, OBS_STATE
from torch import Tensor
from torch.nn import functional as F

from lerobot_policy_vertebra.configuration_vertebra import VertebraConfig
from vertebra.policy.acting import Session, TrainedPolicy
from vertebra.policy.checkpoint import load_policy
from vertebra.policy.losses import losses, weighted_total
from vertebra.policy.senses import Given
from vertebra.policy.targets import Examples
from vertebra.spec.observation import Camera, Observation


class VertebraPolicy(PreTrainedPolicy):
    """Wraps a trained policy; what it remembers of episodes is held here, as LeRobot expects.

    Args:
        config: With the manifest of a checkpoint.
        dataset_stats: Not used: the checkpoint normalises.
        dataset_meta: The data set of a training, whose rate and names are held against those of
            the checkpoint.

    Raises:
        ValueError: Naming everything in the data set that has another meaning.
    """

    config_class = VertebraConfig
    name = "vertebra"

    def __init__(
        self,
        config: VertebraConfig,
        dataset_stats: dict[str, Any] | None = None,
        dataset_meta: Any = None,
        **_: Any,
    ) -> None:
        super().__init__(config)
        config.validate_features()
        if dataset_meta is not None:
            _require_same_meaning(config, dataset_meta)
        fresh = bool(config.checkpoint)  # else LeRobot fills in the weights that it saved
        self._policy = load_policy(Path(config.checkpoint)) if fresh else config.described
        self.network = self._policy.network
        self.draw = torch.Generator().manual_seed(config.seed)
        self.episodes = 0
        self.reset()

    @property
    def policy(self) -> TrainedPolicy:
        """The policy of vertebra."""
        return self._policy

    def get_optim_params(self) -> Any:
        """All parameters."""
        return [value for value in self.parameters() if value.requires_grad]

    def reset(self) -> None:
        """Begin a new episode."""
        self.sessions: list[Session] = []
        self.waiting: deque[Tensor] = deque()
        self.executed: list[Tensor] = []
        self.episodes += 1

    @torch.no_grad()
    def select_action(self, batch: dict[str, Any], **_: Any) -> Tensor:
        """The next action [B, A]; a new chunk is made when the one before it was executed."""
        if not self.waiting:
            chunk = self.predict_action_chunk(batch)
            self.waiting.extend(chunk[:, : self._policy.execute].unbind(1))
            self.executed = []
        action = self.waiting.popleft()
        self.executed.append(action)
        return action

    @torch.no_grad()
    def predict_action_chunk(self, batch: dict[str, Any], **_: Any) -> Tensor:
        """The next chunk [B, horizon, A], in the units of the data set."""
        self.eval()
        observations = self._observations(batch)
        if not self.sessions:
            first = self.config.seed + 1000 * self.episodes
            self.sessions = [self._policy.start(first + row) for row in range(len(observations))]
        answers = self._policy.act_batch(self.sessions, observations)
        self.sessions = [session for session, _ in answers]
        chunks = np.stack([act.chunk for _, act in answers])
        return torch.from_numpy(chunks).to(batch[OBS_STATE].device)

    def forward(
        self, batch: dict[str, Any], reduction: str = "mean"
    ) -> tuple[Tensor, dict[str, float]]:
        """The loss of the recipe on a batch of LeRobot's data set, and its named terms.

        Raises:
            ValueError: For recipes that need what such batches do not hold; vertebra trains those.
        """
        shape = self.network.shape
        lacking = [("chunks before the present one", shape.recipe.rolling)]
        lacking.append(("what remains of an episode", bool(shape.recipe.values)))
        lacking.append(("pointing targets", shape.pointing))
        lacks = [what for what, wanted in lacking if wanted]
        if lacks:
            raise ValueError(
                f"'{shape.recipe.name}' is trained on {' and '.join(lacks)}, which LeRobot's "
                "batches do not hold. Train it with vertebra, and use it here afterwards."
            )
        terms = losses(self.network, (self._examples(batch),), self.draw)
        told = {name: float(term.detach().mean()) for name, term in terms.items()}
        if reduction == "none":
            weights = shape.recipe.weights
            rows = [weights.get(name, 1.0) * term for name, term in terms.items()]
            return torch.stack(rows).sum(0), told
        return weighted_total(terms, shape.recipe.weights), told

    def _observations(self, batch: dict[str, Any]) -> list[Observation]:
        """Rows of a batch as observations."""
        shape = self.network.shape
        images = {c.name: self._pictures(batch, c)[:, 0] for c in shape.needs.cameras}
        states, words = self._states(batch)[:, 0], self._words(batch)
        executed = torch.stack(self.executed, 1) if self.executed else None
        width = shape.action_dims
        return [
            Observation(
                images={name: image[row].cpu().numpy() for name, image in images.items()},
                state=states[row].float().cpu().numpy(),
                instruction=words[row],
                executed=np.zeros((0, width), np.float32)
                if executed is None
                else executed[row].float().cpu().numpy(),
            )
            for row in range(len(words))
        ]

    def _examples(self, batch: dict[str, Any]) -> Examples:
        shape, device = self.network.shape, self.network.device
        pictures = {c.name: self._pictures(batch, c).to(device) for c in shape.needs.cameras}
        states = self._states(batch)
        first = pictures[shape.needs.cameras[0].name]
        count = first.shape[0]
        normal = self._policy.state_normaliser.normalise(states.float().cpu().numpy())
        state = torch.from_numpy(normal).to(device)
        plain = batch[ACTION].float().cpu().numpy()
        actions = torch.from_numpy(self._policy.action_normaliser.normalise(plain)).to(device)
        padded = batch.get(f"{ACTION}_is_pad")
        mask = torch.ones(actions.shape[:2], dtype=torch.bool, device=device)
        beyond = batch.get(f"{self.config.camera_key(shape.needs.cameras[0].name)}_is_pad")
        inside = torch.ones(first.shape[:2], dtype=torch.bool, device=device)
        return Examples(
            given=Given(
                images={name: value[:, 0].contiguous() for name, value in pictures.items()},
                state=state[:, 0],
                instructions=self._words(batch),
            ),
            actions=actions,
            action_mask=mask if padded is None else ~padded.to(device),
            future=first[:, 1:].contiguous(),
            future_mask=(inside if beyond is None else ~beyond.to(device))[:, 1:],
            future_state=state[:, 1:],
            points=torch.full((count, 2, 2), torch.nan, device=device),
            frame=_frames(batch, count, device),
            length=torch.full((count,), -1, device=device),  # no recipe trained here looks at it
            real=torch.ones(count, dtype=torch.bool, device=device),
        )

    def _pictures(self, batch: dict[str, Any], camera: Camera) -> Tensor:
        """Pictures of one camera, uint8 [B, T, H, W, 3], at the size of the checkpoint."""
        found = batch[self.config.camera_key(camera.name)]
        found = found[:, None] if found.ndim == 4 else found
        height, width = found.shape[-2:]
        if height * camera.width != width * camera.height:
            raise ValueError(
                f"Pictures of '{camera.name}' are {height} x {width}, the policy sees "
                f"{camera.height} x {camera.width}: crop them to that ratio first."
            )
        if (height, width) != (camera.height, camera.width):
            flat = found.flatten(0, 1).float()
            size = (camera.height, camera.width)
            small = F.interpolate(flat, size, mode="bicubic", antialias=True).clamp(0.0, 1.0)
            found = small.unflatten(0, found.shape[:2])
        return (found * 255.0).round().to(torch.uint8).movedim(2, -1).contiguous()

    def _states(self, batch: dict[str, Any]) -> Tensor:
        """States [B, T, S]."""
        found: Tensor = batch[OBS_STATE]
        return found[:, None] if found.ndim == 2 else found

    def _words(self, batch: dict[str, Any]) -> tuple[str, ...]:
        count = batch[OBS_STATE].shape[0]
        task = batch.get("task")
        if task is None:
            raise ValueError("The batch holds no 'task': this policy follows instructions.")
        return (task,) * count if isinstance(task, str) else tuple(task)


def _frames(batch: dict[str, Any], count: int, device: torch.device) -> Tensor:
    """Places of the frames in their episodes [B]."""
    found = batch.get("frame_index")
    if found is None:
        raise ValueError("The batch holds no 'frame_index', which every LeRobot data set has.")
    return found.reshape(count).to(device)


def _require_same_meaning(config: VertebraConfig, meta: Any) -> None:
    """Hold rate and names of a data set against those of the checkpoint.

    Raises:
        ValueError: Naming every difference.
    """
    needs, makes = config.shape.needs, config.shape.makes
    found: list[str] = []
    if float(meta.fps) != needs.rate_hz:
        found.append(f"its rate is {meta.fps} Hz, the policy's {needs.rate_hz:g} Hz")
    for key, dims in ((OBS_STATE, needs.state), (ACTION, makes.dims)):
        names, wanted = meta.features.get(key, {}).get("names"), [dim.name for dim in dims]
        if isinstance(names, list) and names != wanted:
            found.append(f"'{key}' is {names}, the policy has {wanted}")
    if found:
        raise ValueError("This data set does not fit the policy:\n  - " + "\n  - ".join(found))
