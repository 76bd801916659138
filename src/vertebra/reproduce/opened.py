"""Released weights as policies: padded vectors, actions relative to states, on a device."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from vertebra.policy.acting import Session, TrainedPolicy
from vertebra.policy.protocol import Act
from vertebra.spec.action import ActionSpec
from vertebra.spec.observation import Observation, ObservationSpec


@dataclass(frozen=True, kw_only=True)
class Released:
    """A policy with released weights in an environment of fewer numbers than it was built for.

    Attributes:
        inner: The policy; its action vectors are filled up behind those of the environment.
        makes: What an action of the environment means.
        execute: Actions of a chunk that are executed.
        relative: How many numbers of an action are relative to those of the state.
    """

    inner: TrainedPolicy
    makes: ActionSpec
    execute: int
    relative: int

    @property
    def needs(self) -> ObservationSpec:
        """What an observation must hold."""
        return self.inner.needs

    def start(self, seed: int) -> Session:
        """A new session."""
        return self.inner.start(seed)

    def act(
        self, session: Session, observation: Observation, deadline_s: float | None = None
    ) -> tuple[Session, Act]:
        """The next chunk."""
        after, act = self.inner.act(session, observation, deadline_s)
        return after, self._meant(act, observation)

    def act_batch(
        self, sessions: Sequence[Session], observations: Sequence[Observation]
    ) -> list[tuple[Session, Act]]:
        """Chunks for many sessions at once."""
        answers = self.inner.act_batch(sessions, observations)
        return [
            (session, self._meant(act, seen))
            for (session, act), seen in zip(answers, observations, strict=True)
        ]

    def _meant(self, act: Act, seen: Observation) -> Act:
        chunk = act.chunk[:, : len(self.makes.dims)].copy()
        chunk[:, : self.relative] += seen.state[: self.relative]
        return replace(act, chunk=chunk)


def on_device(policy: Released, device: str = "") -> Released:
    """The policy on a device; on the first GPU where there is one and none is named."""
    where = device or ("cuda" if torch.cuda.is_available() else "cpu")
    policy.inner.network.to(where)
    return policy
