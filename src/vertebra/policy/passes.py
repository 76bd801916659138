"""Passes of a network over a batch of observations, as a schedule wants them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from vertebra.coupling.cache import Cache, join_caches
from vertebra.coupling.joint import Read
from vertebra.coupling.kinds import Head
from vertebra.coupling.table import Embed
from vertebra.nn.embeddings import untiled
from vertebra.policy.network import Network, Noisy, Scene
from vertebra.policy.senses import Context, Given
from vertebra.schedules.kinds import ActionOnly, Simple
from vertebra.spec.noise import Grid
from vertebra.spec.streams import POINT, Role


@dataclass(frozen=True, kw_only=True, eq=False)
class Kept:
    """What is known of one batch of observations while a chunk is made.

    Attributes:
        scene: The observation.
        cache: Keys and values of what was read.
        hidden: Hidden states that a head will read.
        point: The pointing token of a head, ``None`` without one.
        silent: The same without words, where guidance needs it.
    """

    scene: Scene
    cache: Cache
    hidden: Mapping[str, tuple[Tensor, ...]]
    point: Tensor | None = None
    silent: "Kept | None" = None

    def rows(self, index: Tensor) -> "Kept":
        """The same for some samples of the batch."""
        scene, context = self.scene, self.scene.context
        if context is not None:
            context = Context(tokens=context.tokens[index], mask=context.mask[index])
        return Kept(
            scene=Scene(
                given=scene.given.rows(index),
                silent=scene.silent,
                context=context,
                again={name: value[index] for name, value in scene.again.items()},
                padding={name: mask[index] for name, mask in scene.padding.items()},
            ),
            cache={name: slot.rows(index) for name, slot in self.cache.items()},
            hidden={name: tuple(x[index] for x in xs) for name, xs in self.hidden.items()},
            point=None if self.point is None else self.point[index],
            silent=None if self.silent is None else self.silent.rows(index),
        )


class Passes:
    """Passes over one batch of observations that stand by themselves.

    Args:
        network: The weights.
        given: The observations.
    """

    def __init__(self, network: Network, given: Given) -> None:
        self.network = network
        self.given = given
        self.recipe = network.shape.recipe
        self.at = 0
        """Chunk time of the chunk that is made."""

    @cached_property
    def plain(self) -> Simple:
        """How one candidate of one chunk is made."""
        return self.recipe.plain_schedule

    @cached_property
    def guided(self) -> dict[str, float]:
        """Streams under guidance and its weight."""
        guidance = () if isinstance(self.plain, ActionOnly) else self.plain.guidance
        return {one.stream: one.weight for one in guidance if one.weight != 1.0}

    @property
    def grids(self) -> Mapping[str, Grid]:
        """Grids of the streams that are made from noise, in their order."""
        return {name: self.recipe.noise[name].grid for name in self.recipe.noisy}

    @property
    def opening(self) -> int:
        """Network passes of ``begin``."""
        reads = bool(self.recipe.prefix) or self.network.glances
        noisy = len(self.recipe.read_noisy) if isinstance(self.plain, ActionOnly) else 0
        return (reads + noisy) * (1 + bool(self.guided))

    def begin(self, noise: Mapping[str, Tensor]) -> Kept:
        """Read what is given, and pure noise where a head wants to see what comes of it."""
        kept = self._begin(noise, silent=False)
        return replace(kept, silent=self._begin(noise, silent=True)) if self.guided else kept

    def _begin(self, noise: Mapping[str, Tensor], *, silent: bool) -> Kept:
        network, recipe, coupling = self.network, self.recipe, self.recipe.coupling
        scene = network.scene(self.given, silent=silent)
        if network.glances:
            told = network.pointed_at(network.glance(scene), scene)
            scene = replace(scene, again={**scene.again, POINT: told})
        if not recipe.prefix:
            return Kept(scene=scene, cache={}, hidden={})
        read = network.look([scene], {})
        kept = Kept(scene=scene, cache=read.cache, hidden={})
        if isinstance(coupling, Head):
            hidden = {n: read.hidden[n] for n in coupling.reads.of if n in read.hidden}
            told = network.pointed_at(read, scene) if POINT in coupling.head.experts else None
            kept = replace(kept, hidden=hidden, point=told)
        if isinstance(self.plain, ActionOnly):
            for name in recipe.read_noisy:
                kept = self.finish(name, noise[name], 0.0, kept)
        return kept

    def velocity(
        self, values: Mapping[str, Tensor], at: Mapping[str, float], kept: Kept
    ) -> Mapping[str, Tensor]:
        """Velocities of the streams in ``values``, each at its flow time for the whole batch."""
        noisy = {name: (value, self._time(value, at[name])) for name, value in values.items()}
        found = self._velocity(noisy, kept)
        if kept.silent is None or not set(values) & set(self.guided):
            return found
        unheard = self._velocity(noisy, kept.silent)
        return {
            name: rate + (self.guided.get(name, 1.0) - 1.0) * (rate - unheard[name])
            for name, rate in found.items()
        }

    def _velocity(self, noisy: Noisy, kept: Kept) -> dict[str, Tensor]:
        if isinstance(self.recipe.coupling, Head) and "action" in noisy:
            features = self.network.features(Read(last={}, hidden=kept.hidden, cache=kept.cache))
            return self.network.decode(kept.scene, features, kept.point, noisy)
        read = self.network.again(kept.scene, noisy, kept.cache, at=self.at)
        return self.network.velocities(read, noisy)

    def finish(self, name: str, value: Tensor, at: float, kept: Kept) -> Kept:
        """Read the stream through its copies, and where a head reads it, in itself."""
        table = self.network.trunk
        names = [t for t in table.named(Role.TEACHER) if table.stream(t).of == name]
        names += [n for n in self.recipe.read_noisy if n == name]
        if not names:
            return kept
        time = self._time(value, at)
        noisy = dict.fromkeys(names, (value, time))
        read = self.network.again(kept.scene, noisy, kept.cache, at=self.at)
        silent = None if kept.silent is None else self.finish(name, value, at, kept.silent)
        hidden = {n: states for n, states in read.hidden.items() if n in names}
        return replace(
            kept,
            cache=join_caches(kept.cache, {n: read.cache[n] for n in names}),
            hidden={**kept.hidden, **hidden},
            silent=silent,
        )

    def predict(self, values: Mapping[str, Tensor], kept: Kept) -> Tensor:
        """The action, by inverse dynamics."""
        return self.network.inferred(next(iter(kept.scene.given.images.values())), values["future"])

    def passes(self, names: tuple[str, ...]) -> int:
        """Network passes of one step of these streams."""
        return 1 + bool(set(names) & set(self.guided))

    def numbers(self, value: Tensor) -> Mapping[str, Tensor]:
        """The named numbers [B] in a finished stream ``value``."""
        plain = self.plain_vectors("value", value)[:, 0]
        return dict(zip(self.recipe.values, plain.unbind(-1), strict=True))

    def plain_vectors(self, name: str, value: Tensor) -> Tensor:
        """A finished stream as the vectors it stands for."""
        if self.network.table.embed.get(name) is Embed.LATENT_FRAME:
            return untiled(value, *self.network.shape.plain_vectors(name))
        return value

    def rows(self, kept: Kept, index: Tensor) -> Kept:
        """What is kept of some samples of the batch."""
        return kept.rows(index)

    @staticmethod
    def _time(value: Tensor, at: float) -> Tensor:
        return torch.full((value.shape[0], 1), at, device=value.device)
