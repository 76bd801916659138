"""What a policy can do. Evaluation and serving speak to this protocol only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vertebra.spec.action import ActionSpec
from vertebra.spec.observation import Observation, ObservationSpec


@dataclass(frozen=True, kw_only=True)
class Act:
    """One answer of a policy.

    Attributes:
        chunk: float32 [horizon, action dims], in the units of ``Policy.makes``.
        imagined: Camera name to uint8 [frames, height, width, 3] that the policy imagined, or
            empty.
        imagined_at_s: Seconds from now at which each imagined frame would be seen.
        stage_s: Stage name (``prefix``, ``video``, ``action``) to seconds.
        evaluations: Stage name to the number of network evaluations.
    """

    chunk: NDArray[np.float32]
    imagined: Mapping[str, NDArray[np.uint8]] = field(default_factory=dict)
    imagined_at_s: tuple[float, ...] = ()
    stage_s: Mapping[str, float] = field(default_factory=dict)
    evaluations: Mapping[str, int] = field(default_factory=dict)


class Policy(Protocol):
    """Something that acts. It holds no state: whatever it remembers is in the session.

    Attributes:
        needs: What an observation must hold.
        makes: What an action means.
        execute: How many actions of a chunk are meant to be executed before the next one.
    """

    @property
    def needs(self) -> ObservationSpec: ...  # noqa: D102 - described above

    @property
    def makes(self) -> ActionSpec: ...  # noqa: D102 - described above

    @property
    def execute(self) -> int: ...  # noqa: D102 - described above

    def start(self, seed: int) -> Any:
        """A new session; all its randomness comes from the seed."""
        ...

    def act(
        self, session: Any, observation: Observation, deadline_s: float | None = None
    ) -> tuple[Any, Act]:
        """The next chunk and the session after it. The session passed in is not changed."""
        ...

    def act_batch(
        self, sessions: Sequence[Any], observations: Sequence[Observation]
    ) -> list[tuple[Any, Act]]:
        """The same for many sessions at once (equal to ``act`` up to floating-point order)."""
        ...
