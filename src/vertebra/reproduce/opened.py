"""Released weights as policies: padded vectors, released statistics, actions relative to states."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vertebra.backbones.sizes import TINY
from vertebra.data.statistics import Normaliser, Scaling
from vertebra.policy.acting import Session, TrainedPolicy
from vertebra.policy.adapt_pi0 import pi0_sizes
from vertebra.policy.protocol import Act
from vertebra.policy.released import load_pi0
from vertebra.policy.shape import Shape
from vertebra.recipes import by_name
from vertebra.reproduce.targets import Target
from vertebra.spec.action import ActionSpec
from vertebra.spec.observation import Dim, Observation, ObservationSpec

STATISTICS = "norm_stats.json"
SMALL = 1e-6
"""Added to every standard deviation (openpi@15a9616 src/openpi/transforms.py, Normalize)."""


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


Open = Callable[[Path, ObservationSpec, ActionSpec, Target], Released]
"""From a directory of weights, both specs of the environment and the target to a policy."""


def open_pi0(weights: Path, offers: ObservationSpec, takes: ActionSpec, target: Target) -> Released:
    """A pi0 in the format of transformers, with openpi's statistics beside it.

    Source: openpi@15a9616 src/openpi/transforms.py (Normalize, Unnormalize, AbsoluteActions).

    Raises:
        MissingExtra: Without transformers.
        ValueError: When a file is missing, or the statistics are not those of this robot.
        SpecMismatch: Naming every weight that is missing, left over or of another shape.
    """
    path = weights / "config.json"
    if not path.is_file():
        raise ValueError(f"{weights} holds no config.json: it is not a released model.")
    config: dict[str, Any] = json.loads(path.read_text())
    numbers = pi0_sizes(config).actions
    statistics = _statistics(weights)
    state = _scaling(statistics, "state", [dim.name for dim in offers.state])
    names = [dim.name for dim in takes.dims]
    padding = [f"unused_{index}" for index in range(numbers - len(names))]
    action = _scaling(statistics, "actions", names, padding)
    shape = Shape(
        recipe=by_name(target.recipe),
        size=replace(TINY, action_steps=None, horizon=config["chunk_size"], execute=target.execute),
        needs=offers,
        makes=replace(takes, dims=(*takes.dims, *(Dim(name=name, unit="1") for name in padding))),
        vocabulary=(),
        pointing=False,
    )
    network = load_pi0(shape, weights).eval()
    inner = TrainedPolicy(network=network, state_normaliser=state, action_normaliser=action)
    return Released(inner=inner, makes=takes, execute=target.execute, relative=target.relative)


def on_device(policy: Released, device: str = "") -> Released:
    """The policy on a device; on the first GPU where there is one and none is named."""
    where = device or ("cuda" if torch.cuda.is_available() else "cpu")
    policy.inner.network.to(where)
    return policy


READERS: Mapping[str, Open] = {"pi0": open_pi0}
"""Recipe to what opens its released weights."""


def reader_of(recipe: str) -> Open:
    """What opens the released weights of a recipe.

    Raises:
        ValueError: When nothing does, or reads what normalises them.
    """
    if recipe not in READERS:
        raise ValueError(
            f"No reader of released weights and their statistics is here for '{recipe}'; there is "
            f"one for: {', '.join(READERS)}."
        )
    return READERS[recipe]


def _statistics(weights: Path) -> Mapping[str, Any]:
    found = sorted({*weights.glob(STATISTICS), *weights.glob(f"assets/**/{STATISTICS}")})
    if len(found) != 1:
        what = ", ".join(map(str, found)) or "none"
        raise ValueError(
            f"{weights} must hold one {STATISTICS} (of openpi, at its top or under assets), found "
            f"{what}. Without it states and actions would have other units."
        )
    plain = json.loads(found[0].read_text())
    return plain.get("norm_stats", plain)


def _scaling(
    statistics: Mapping[str, Any], key: str, names: Sequence[str], padding: Sequence[str] = ()
) -> Normaliser:
    own = statistics.get(key)
    if own is None:
        raise ValueError(f"The statistics hold no '{key}', only {sorted(statistics)}.")
    mean, std = (_numbers(own, what, len(names), key) for what in ("mean", "std"))
    rest = len(padding)
    return Normaliser(
        scaling=Scaling.MEAN_STD,
        names=(*names, *padding),
        offset=(*mean.tolist(), *[0.0] * rest),
        scale=(*(std + SMALL).tolist(), *[1.0] * rest),
        rows=1,
    )


def _numbers(own: Mapping[str, Any], what: str, count: int, key: str) -> NDArray[np.float64]:
    found = np.asarray(own[what], np.float64)
    if found.ndim != 1 or len(found) < count or np.any(found[count:]):
        raise ValueError(
            f"The statistics of '{key}' have {what} of {found.tolist()}, this robot has {count} "
            "numbers: they are of another data set."
        )
    return found[:count]
