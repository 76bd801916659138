"""What a rolling policy remembers from chunk to chunk: what really happened, as it was read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from vertebra.coupling.cache import Cache, Slot, batched, join_caches
from vertebra.policy.frames import changes
from vertebra.policy.latent_senses import canvas
from vertebra.policy.network import Network, Scene
from vertebra.policy.passes import Kept, Passes
from vertebra.policy.senses import Given

EMPTY: Cache = {}


@dataclass(frozen=True, kw_only=True, eq=False)
class History:
    """The past of one batch of sessions.

    Attributes:
        now: Chunk time of the newest frame; -1 before the first one.
        heard: Real frames and executed actions, as they were read.
        unheard: The same read without words, where guidance needs it.
        planned: Actions that are being executed, as they were read (``heard`` and ``unheard``);
            replaced by what was really executed.
        view: What is imagined of, at ``now``: the first camera, or all of them side by side, uint8
            [B, H, W, 3].
        pending: The chunk under way, normalised [B, horizon, A], while leapfrogging.
    """

    now: int = -1
    heard: Cache = field(default_factory=dict[str, Slot])
    unheard: Cache = field(default_factory=dict[str, Slot])
    planned: tuple[Cache, Cache] = (EMPTY, EMPTY)
    view: Tensor | None = None
    pending: Tensor | None = None

    @property
    def kind(self) -> tuple[int, ...]:
        """What histories must share to be one batch."""
        lengths = [slot.length for _, slot in sorted(self.heard.items())]
        return (self.now, self.pending is not None, *lengths)

    @staticmethod
    def joined(histories: "Sequence[History | None]") -> "History":
        """Histories of one kind as a batch; none at all before the first chunk."""
        found = [history for history in histories if history is not None]
        if not found:
            return History()
        first = found[0]
        return History(
            now=first.now,
            heard=batched([one.heard for one in found]),
            unheard=batched([one.unheard for one in found]),
            planned=(EMPTY, EMPTY),
            view=_stacked([one.view for one in found]),
            pending=_stacked([one.pending for one in found]),
        )

    def row(self, index: int) -> "History":
        """One session's part of a batch. What was only planned is not carried on."""
        place = torch.tensor([index])
        return History(
            now=self.now,
            heard={name: slot.rows(place) for name, slot in self.heard.items()},
            unheard={name: slot.rows(place) for name, slot in self.unheard.items()},
            view=None if self.view is None else self.view[index : index + 1],
            pending=None if self.pending is None else self.pending[index : index + 1],
        )


def _stacked(parts: Sequence[Tensor | None]) -> Tensor | None:
    found = [part for part in parts if part is not None]
    return torch.cat(found) if found else None


class RollingPasses(Passes):
    """Passes for one more chunk after a history.

    Args:
        network: The weights.
        given: The observations.
        history: What was read before.
        executed: What was executed since then, normalised [B, horizon, A]; ``None`` when nothing
            was, as before the first chunk.
    """

    def __init__(
        self, network: Network, given: Given, history: History, executed: Tensor | None
    ) -> None:
        super().__init__(network, given)
        self.history = history
        self.executed = executed
        self.at = history.now + 1 + self.recipe.leapfrogs

    @property
    def opening(self) -> int:
        """Network passes of ``begin``."""
        return self._opening * (1 + bool(self.guided))

    def begin(self, noise: Mapping[str, Tensor]) -> Kept:
        """Write down what really happened, look at what is given now."""
        before, self._opening = self.history, 1
        scenes = [self.network.scene(self.given)]
        caches = [before.heard]
        if self.guided:
            scenes.append(self.network.scene(self.given, silent=True))
            caches.append(before.unheard)
        truth = self._truth()
        planned: list[Cache] = []
        for index, scene in enumerate(scenes):
            cache = self._written(caches[index], truth, scene, before.now)
            read = self.network.look([scene], {}, cache=cache, start=before.now + 1)
            caches[index] = self._recent(join_caches(cache, read.cache))
            planned.append(self._planned(scene, caches[index], before))
        self._opening += bool(truth) + bool(planned[0])
        self.history = replace(
            before,
            now=before.now + 1,
            heard=caches[0],
            unheard=caches[1] if self.guided else EMPTY,
            planned=(planned[0], planned[1] if self.guided else EMPTY),
            view=self._present,
        )
        kept = [
            Kept(scene=scene, cache=join_caches(cache, plan), hidden={})
            for scene, cache, plan in zip(scenes, caches, planned, strict=True)
        ]
        return replace(kept[0], silent=kept[1]) if self.guided else kept[0]

    @property
    def _present(self) -> Tensor:
        """What is imagined of, as it is now."""
        images = self.given.images
        return canvas(images, list(images)) if self.network.canvas else next(iter(images.values()))

    def _truth(self) -> dict[str, Tensor]:
        """What the chunk that has just ended was in truth, for those who look back at it."""
        view, executed = self.history.view, self.executed
        if view is None or executed is None:
            return {}
        shape, size = self.network.shape, self.network.shape.size
        table = self.network.trunk
        present = self._present
        seen = [view, present] if self.recipe.leapfrogs else [present]
        found: dict[str, Tensor] = {}
        for name in self.recipe.kept_teachers:
            if table.stream(name).of == "action":
                found[name] = executed
            elif self.network.sees is not None:
                whole = self.network.sees(torch.stack([view, present], dim=1))
                found[name] = whole[:, shape.frame_tokens :]
            else:
                found[name] = changes(
                    view,
                    torch.stack(seen, dim=1),
                    size.future_px,
                    size.future_patch,
                    absolute=shape.recipe.leapfrogs,
                )
        return found

    def _written(self, cache: Cache, truth: Mapping[str, Tensor], scene: Scene, at: int) -> Cache:
        if not truth:
            return cache
        clean = {name: (value, self._time(value, 1.0)) for name, value in truth.items()}
        read = self.network.again(scene, clean, cache, at=at)
        return join_caches(cache, {name: read.cache[name] for name in clean})

    def _planned(self, scene: Scene, cache: Cache, before: History) -> Cache:
        """The chunk that is executed from now on, as if it had been executed already."""
        if not self.recipe.leapfrogs or before.pending is None:
            return EMPTY
        table = self.network.trunk
        names = [n for n in self.recipe.kept_teachers if table.stream(n).of == "action"]
        clean = {n: (before.pending, self._time(before.pending, 1.0)) for n in names}
        read = self.network.again(scene, clean, cache, at=before.now + 1)
        return {name: read.cache[name] for name in names}

    def _recent(self, cache: Cache) -> Cache:
        """What may still be looked at: by this chunk, a later one, or the truth of this one."""
        oldest = self.history.now + 2 - self.network.shape.chunks
        return {name: slot.since(oldest) for name, slot in cache.items()}
