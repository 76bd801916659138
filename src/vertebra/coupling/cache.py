"""Keys and values that were read before, as values.

Shape letters: B batch, H heads (of keys), L tokens, K head width.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class Slot:
    """Tokens of one stream that were read before.

    Attributes:
        pairs: Keys and values [B, H, L, K] in every layer.
        times: Chunk time of each token [L], or ``None`` outside of chunk time.
        padding: True where a token is real [B, L], or ``None`` when all are.
    """

    pairs: tuple[tuple[Tensor, Tensor], ...]
    times: Tensor | None = None
    padding: Tensor | None = None

    @property
    def length(self) -> int:
        """Tokens."""
        return self.pairs[0][0].shape[2]

    def joined(self, later: "Slot") -> "Slot":
        """These tokens and later ones of the same stream."""
        pairs = tuple(
            (torch.cat([k, k2], dim=2), torch.cat([v, v2], dim=2))
            for (k, v), (k2, v2) in zip(self.pairs, later.pairs, strict=True)
        )
        times = None
        if self.times is not None and later.times is not None:
            times = torch.cat([self.times, later.times])
        padding = None
        if self.padding is not None or later.padding is not None:
            padding = torch.cat([_real(self), _real(later)], dim=1)
        return Slot(pairs=pairs, times=times, padding=padding)

    def since(self, oldest: int) -> "Slot":
        """The tokens whose chunk time is not below ``oldest``."""
        if self.times is None or bool((self.times >= oldest).all()):
            return self
        kept = (self.times >= oldest).nonzero()[:, 0]
        return Slot(
            pairs=tuple((k[:, :, kept], v[:, :, kept]) for k, v in self.pairs),
            times=self.times[kept],
            padding=None if self.padding is None else self.padding[:, kept],
        )

    def rows(self, index: Tensor) -> "Slot":
        """The same for some samples of the batch, in the order of ``index``."""
        return replace(
            self,
            pairs=tuple((k[index], v[index]) for k, v in self.pairs),
            padding=None if self.padding is None else self.padding[index],
        )


def _real(slot: Slot) -> Tensor:
    if slot.padding is not None:
        return slot.padding
    key = slot.pairs[0][0]
    return torch.ones(key.shape[0], key.shape[2], dtype=torch.bool, device=key.device)


Cache = Mapping[str, Slot]


def batched(caches: Sequence[Cache]) -> dict[str, Slot]:
    """Caches of equal lengths as one batch."""
    if len(caches) == 1:
        return dict(caches[0])
    found: dict[str, Slot] = {}
    for name, first in caches[0].items():
        slots = [cache[name] for cache in caches]
        pairs = tuple(
            (
                torch.cat([slot.pairs[i][0] for slot in slots]),
                torch.cat([slot.pairs[i][1] for slot in slots]),
            )
            for i in range(len(first.pairs))
        )
        padded = any(slot.padding is not None for slot in slots)
        padding = torch.cat([_real(slot) for slot in slots]) if padded else None
        found[name] = Slot(pairs=pairs, times=first.times, padding=padding)
    return found


def join_caches(first: Cache, later: Cache) -> dict[str, Slot]:
    """Two caches as one; tokens of a stream that is in both stand behind one another."""
    both = {name: first[name].joined(slot) for name, slot in later.items() if name in first}
    return {**first, **later, **both}
