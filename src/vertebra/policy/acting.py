"""A trained network as a policy. Sessions are values; the module remembers nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from vertebra.coupling.joint import Cache
from vertebra.data.statistics import Normaliser
from vertebra.policy.frames import imagined_frames
from vertebra.policy.network import Given, Memory, Network
from vertebra.policy.protocol import Act
from vertebra.schedules.generate import Generated, generate
from vertebra.spec.action import ActionSpec
from vertebra.spec.observation import Observation, ObservationSpec
from vertebra.spec.seeds import seed_at
from vertebra.spec.streams import Role


@dataclass(frozen=True, kw_only=True)
class Session:
    """What one episode remembers.

    Attributes:
        seed: Root of its randomness.
        chunks: How many chunks were made so far.
    """

    seed: int
    chunks: int = 0


@dataclass(frozen=True, kw_only=True)
class Kept:
    """Caches of one observation."""

    cache: Cache
    memory: Memory


class Passes:
    """Passes of a network over one batch of observations, as a schedule wants them."""

    def __init__(self, network: Network, given: Given) -> None:
        self.network = network
        self.given = given
        self.batch = given.state.shape[0]

    def begin(self) -> Kept:
        """Read what is given."""
        read, memory = self.network.read(self.given, {})
        return Kept(cache=read.cache, memory=memory)

    def velocity(self, values: Mapping[str, Tensor], at: float, kept: Kept) -> Mapping[str, Tensor]:
        """Velocities at one flow time for the whole batch."""
        time = torch.full((self.batch, 1), at, device=self.network.device)
        noisy = {name: (value, time) for name, value in values.items()}
        read, _ = self.network.read(None, noisy, cache=kept.cache, memory=kept.memory)
        return self.network.velocities(read, noisy)

    def finish(self, name: str, value: Tensor, kept: Kept) -> Kept:
        """Read the finished stream through its clean copies."""
        joint = self.network.joint
        one = torch.ones(self.batch, 1, device=self.network.device)
        copies = [t for t in joint.named(Role.TEACHER) if joint.stream(t).of == name]
        if not copies:
            return kept
        noisy = dict.fromkeys(copies, (value, one))
        read, _ = self.network.read(None, noisy, cache=kept.cache, memory=kept.memory)
        return replace(kept, cache={**kept.cache, **read.cache})


@dataclass(frozen=True, kw_only=True)
class TrainedPolicy:
    """A policy that acts with trained weights.

    Attributes:
        network: The weights, in evaluation mode.
        state_normaliser: For the state vector.
        action_normaliser: For action vectors.
    """

    network: Network
    state_normaliser: Normaliser
    action_normaliser: Normaliser

    @property
    def needs(self) -> ObservationSpec:
        """What an observation must hold."""
        return self.network.shape.needs

    @property
    def makes(self) -> ActionSpec:
        """What an action means."""
        return self.network.shape.makes

    @property
    def execute(self) -> int:
        """Actions to execute of each chunk."""
        return self.network.shape.size.execute

    def start(self, seed: int) -> Session:
        """A new session."""
        return Session(seed=seed)

    def act(
        self, session: Session, observation: Observation, deadline_s: float | None = None
    ) -> tuple[Session, Act]:
        """The next chunk.

        Raises:
            ValueError: For a deadline: the schedule has a fixed length, so it could not be kept.
        """
        if deadline_s is not None:
            raise ValueError(
                "This policy cannot shorten its schedule to meet a deadline; pass None."
            )
        return self.act_batch([session], [observation])[0]

    @torch.no_grad()
    def act_batch(
        self, sessions: Sequence[Session], observations: Sequence[Observation]
    ) -> list[tuple[Session, Act]]:
        """Chunks for many sessions at once."""
        noise = self._noise(sessions)
        given = self.given(observations)
        done = generate(self.network.shape.schedule, Passes(self.network, given), noise)
        chunks = self.action_normaliser.denormalise(done.values["action"].float().cpu().numpy())
        imagined = self._imagined(given, done)
        size, rate_hz = self.network.shape.size, self.needs.rate_hz
        share = {name: seconds / len(sessions) for name, seconds in done.stage_s.items()}
        answers: list[tuple[Session, Act]] = []
        for row, session in enumerate(sessions):
            act = Act(
                chunk=np.ascontiguousarray(chunks[row], dtype=np.float32),
                imagined={name: frames[row] for name, frames in imagined.items()},
                imagined_at_s=tuple(s / rate_hz for s in size.future_steps) if imagined else (),
                stage_s=share,
                evaluations=dict(done.evaluations),
            )
            answers.append((replace(session, chunks=session.chunks + 1), act))
        return answers

    def given(self, observations: Sequence[Observation]) -> Given:
        """Observations as tensors."""
        device = self.network.device
        states = self.state_normaliser.normalise(np.stack([o.state for o in observations]))
        return Given(
            images={
                camera.name: torch.from_numpy(
                    np.stack([o.images[camera.name] for o in observations])
                ).to(device)
                for camera in self.needs.cameras
            },
            state=torch.from_numpy(states).to(device),
            instructions=tuple(o.instruction for o in observations),
        )

    def _noise(self, sessions: Sequence[Session]) -> dict[str, Tensor]:
        network = self.network
        drawn: dict[str, list[Tensor]] = {name: [] for name in network.shape.recipe.generates}
        for session in sessions:
            for name, rows in drawn.items():
                seed = seed_at(session.seed, "policy-noise", name, session.chunks)
                generator = torch.Generator().manual_seed(seed)
                rows.append(
                    torch.randn(network.length(name), network.channels(name), generator=generator)
                )
        return {name: torch.stack(rows).to(network.device) for name, rows in drawn.items()}

    def _imagined(self, given: Given, done: Generated) -> dict[str, np.ndarray]:
        if "future" not in done.values:
            return {}
        camera, now = next(iter(given.images.items()))
        size = self.network.shape.size
        frames = imagined_frames(
            now, done.values["future"], len(size.future_steps), size.future_px, size.future_patch
        )
        return {camera: frames.cpu().numpy()}
