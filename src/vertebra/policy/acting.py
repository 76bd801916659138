"""A trained network as a policy. Sessions are values; the module remembers nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

import numpy as np
import torch
from torch import Tensor

from vertebra.data.statistics import Normaliser
from vertebra.policy.network import Network
from vertebra.policy.passes import Passes
from vertebra.policy.protocol import Act
from vertebra.policy.rolling import History, RollingPasses
from vertebra.policy.senses import Given
from vertebra.schedules.generate import Generated, candidates_of, generate, redraws_of
from vertebra.schedules.kinds import ActionOnly
from vertebra.spec.action import ActionSpec
from vertebra.spec.observation import Observation, ObservationSpec
from vertebra.spec.seeds import seed_at


@dataclass(frozen=True, kw_only=True)
class Session:
    """What one episode remembers.

    Attributes:
        seed: Root of its randomness.
        chunks: How many chunks were made so far.
        history: Caches of a rolling recipe, ``None`` before the first chunk and for others.
        last: The chunk made last, normalised [1, horizon, A], where the next one goes on from it.
    """

    seed: int
    chunks: int = 0
    history: History | None = field(default=None, compare=False)
    last: Tensor | None = field(default=None, compare=False)


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
        return self.network.shape.execute

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
        """Chunks for many sessions at once; those with equally long histories share passes."""
        groups: dict[tuple[int, ...], list[int]] = {}
        for place, (session, observation) in enumerate(zip(sessions, observations, strict=True)):
            groups.setdefault(self._kind(session, observation), []).append(place)
        answers: dict[int, tuple[Session, Act]] = {}
        for places in groups.values():
            some = [sessions[i] for i in places], [observations[i] for i in places]
            answers |= dict(zip(places, self._act(*some), strict=True))
        return [answers[place] for place in range(len(sessions))]

    def _kind(self, session: Session, observation: Observation) -> tuple[int, ...]:
        """What sessions must share to be run as one batch."""
        if session.history is not None:
            return session.history.kind
        chunking = self._continues and session.last is not None
        return (len(observation.executed),) if chunking else (-1,)

    @property
    def _continues(self) -> bool:
        plain = self.network.shape.recipe.plain_schedule
        return isinstance(plain, ActionOnly) and plain.chunking is not None

    def _act(
        self, sessions: Sequence[Session], observations: Sequence[Observation]
    ) -> list[tuple[Session, Act]]:
        given = self.given(observations)
        if not self.network.shape.recipe.rolling:
            passes = Passes(self.network, given)
            before = self._before(sessions, observations)
            done = self._generate(sessions, passes, before=before)
            keep = done.values["action"] if self._continues else None
            return self._answers(sessions, given, passes, done, keep=keep)
        history = History.joined([session.history for session in sessions])
        return self._roll(sessions, given, history, self._executed(observations))

    def _roll(
        self,
        sessions: Sequence[Session],
        given: Given,
        history: History,
        executed: Tensor | None,
    ) -> list[tuple[Session, Act]]:
        leaps = self.network.shape.recipe.leapfrogs
        if leaps and history.pending is None:
            # Before the first chunk nothing is under way, and the present counts as past.
            passes = RollingPasses(self.network, given, history, None)
            first = self._generate(sessions, passes, passes.at)
            history = replace(passes.history, pending=first.values["action"])
            executed = None
        passes = RollingPasses(self.network, given, history, executed)
        done = self._generate(sessions, passes, passes.at)
        history = passes.history
        if leaps:
            made, executing = done.values, {"action": history.pending}
            history = replace(history, pending=made["action"])
            done = replace(done, values={**made, **cast("dict[str, Tensor]", executing)})
        return self._answers(sessions, given, passes, done, history=history)

    def _generate(
        self,
        sessions: Sequence[Session],
        passes: Passes,
        at: int | None = None,
        before: Tensor | None = None,
    ) -> Generated:
        schedule = self.network.shape.schedule
        count, redraws = candidates_of(schedule), redraws_of(schedule)
        noise = self._noise(sessions, at, range(count))
        again = self._noise(sessions, at, range(count, count * (1 + redraws))) if redraws else None
        return generate(schedule, passes, noise, again=again, before=before)

    def _noise(
        self, sessions: Sequence[Session], at: int | None, draws: Sequence[int]
    ) -> dict[str, Tensor]:
        """Noise [B * draws, L, C] for one chunk; the draws of a session lie together."""
        shape, device = self.network.shape, self.network.device
        drawn: dict[str, list[Tensor]] = {name: [] for name in shape.recipe.draws}
        for session in sessions:
            chunk = session.chunks if at is None else at
            for name, rows in drawn.items():
                for draw in draws:
                    place = (name, chunk, draw) if draw else (name, chunk)
                    seed = seed_at(session.seed, "policy-noise", *place)
                    generator = torch.Generator().manual_seed(seed)
                    rows.append(torch.randn(shape.vectors(name), generator=generator))
        return {name: torch.stack(rows).to(device) for name, rows in drawn.items()}

    def _answers(
        self,
        sessions: Sequence[Session],
        given: Given,
        passes: Passes,
        done: Generated,
        *,
        history: History | None = None,
        keep: Tensor | None = None,
    ) -> list[tuple[Session, Act]]:
        shape = self.network.shape
        actions = passes.plain_vectors("action", done.values["action"])
        chunks = self.action_normaliser.denormalise(actions.float().cpu().numpy())
        imagined = self._imagined(given, done)
        share = {name: seconds / len(sessions) for name, seconds in done.stage_s.items()}
        rate_hz = self.needs.rate_hz
        answers: list[tuple[Session, Act]] = []
        for row, session in enumerate(sessions):
            act = Act(
                chunk=np.ascontiguousarray(chunks[row], dtype=np.float32),
                imagined={name: frames[row] for name, frames in imagined.items()},
                imagined_at_s=tuple(s / rate_hz for s in shape.future_steps) if imagined else (),
                stage_s=share,
                evaluations=dict(done.evaluations),
            )
            after = replace(
                session,
                chunks=session.chunks + 1,
                history=None if history is None else history.row(row),
                last=None if keep is None else keep[row : row + 1],
            )
            answers.append((after, act))
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

    def _before(
        self, sessions: Sequence[Session], observations: Sequence[Observation]
    ) -> Tensor | None:
        """What remains of the chunks before [B, L, A], where the next ones go on from them."""
        if not self._continues:
            return None
        rests = [
            session.last[:, len(observation.executed) :]
            for session, observation in zip(sessions, observations, strict=True)
            if session.last is not None
        ]
        return torch.cat(rests) if rests and rests[0].shape[1] else None

    def _executed(self, observations: Sequence[Observation]) -> Tensor | None:
        """The last actions that were executed, normalised [B, horizon, A]; ``None`` at the start.

        Where fewer than a chunk were executed the first of them is repeated in front.
        """
        if not all(len(o.executed) for o in observations):
            return None
        horizon = self.network.shape.horizon
        rows: list[np.ndarray] = []
        for observation in observations:
            actions = observation.executed[-horizon:]
            missing = horizon - len(actions)
            rows.append(np.concatenate([np.repeat(actions[:1], missing, axis=0), actions]))
        normalised = self.action_normaliser.normalise(np.stack(rows))
        return torch.from_numpy(normalised).to(self.network.device)

    def _imagined(self, given: Given, done: Generated) -> Mapping[str, np.ndarray]:
        if "future" not in done.values or self.network.sees is not None:
            return {}  # latents are not made pictures while acting
        camera, now = next(iter(given.images.items()))
        frames = self.network.imagined(now, done.values["future"])
        return {camera: frames.cpu().numpy()}
