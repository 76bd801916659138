"""Joint attention between experts, run from the table.

A stream's queries meet exactly the keys of the streams it sees, so what the table forbids is not
masked out but never computed; only reaches in chunk time, padding and copies become masks. Keys and
values are kept as values and passed in again.

Shape letters: B batch, L tokens, H heads, K head width, D width.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

import torch
from torch import Tensor, nn

from vertebra.coupling.table import Embed, Joint
from vertebra.coupling.visibility import pair_mask
from vertebra.nn.attention import attend, turned
from vertebra.nn.blocks import ExpertLayer, Norm
from vertebra.spec.streams import Reach

HIDDEN = -1e9


@dataclass(frozen=True, kw_only=True)
class ExpertSize:
    """Widths of one expert.

    Attributes:
        width: Token width.
        hidden: Hidden width of the MLP.
    """

    width: int
    hidden: int


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


@dataclass(frozen=True, kw_only=True, eq=False)
class Read:
    """What one pass gives.

    Attributes:
        last: For each stream with a complete last layer its normalised output [B, L, D].
        hidden: For each stream its tokens [B, L, D] before each layer, and its normalised output
            where the last layer is complete.
        cache: For each stream its keys and values in every layer.
    """

    last: Mapping[str, Tensor]
    hidden: Mapping[str, tuple[Tensor, ...]]
    cache: Cache

    def merged(self, later: "Read") -> "Read":
        """This pass and a later one as one."""
        return Read(
            last={**self.last, **later.last},
            hidden={**self.hidden, **later.hidden},
            cache=join_caches(self.cache, later.cache),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Seen:
    """What is known of the tokens of a pass beside their content.

    Attributes:
        padding: For each stream with padding a mask [B, L], True where a token is real.
        times: For each stream in chunk time the chunk time of each token [L].
        copies: For each stream the number of independent copies that lie behind one another; a
            token sees only its own copy.
        conditions: For each stream of an adaptive expert the condition [B, L, D] of its tokens.
        window: How many chunk times back a token may look, its own included; ``None`` for all.
        partial: Whether streams that are neither in the pass nor cached are left out.
    """

    padding: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])
    times: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])
    copies: Mapping[str, int] = field(default_factory=dict[str, int])
    conditions: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])
    window: int | None = None
    partial: bool = False


class JointAttention(nn.Module):
    """Experts that share attention under a table.

    Args:
        joint: The table.
        sizes: Widths of each expert.
        depth: Layers.
        heads: Heads, the same in all experts.
        head_width: Width of a head, the same in all experts.
        finishing: Streams whose output after the last layer is needed; the others stop at the keys
            and values of the last layer.
        context_width: Width of the context's tokens, where the table has a context.
    """

    def __init__(
        self,
        joint: Joint,
        *,
        sizes: Mapping[str, ExpertSize],
        depth: int,
        heads: int,
        head_width: int,
        finishing: tuple[str, ...],
        context_width: int = 0,
    ) -> None:
        super().__init__()
        self.joint = joint
        self.finishing = finishing
        self.depth = depth
        needed = {joint.experts[name] for name in finishing}
        self.adaptive = frozenset(
            joint.experts[name] for name, embed in joint.embed.items() if embed is Embed.ADAPTIVE
        )
        self.experts = nn.ModuleDict()
        self.norms = nn.ModuleDict()
        for name in sorted(set(joint.experts.values())):
            size = sizes[name]
            self.experts[name] = nn.ModuleList(
                ExpertLayer(
                    width=size.width,
                    heads=heads,
                    head_width=head_width,
                    hidden=size.hidden,
                    context_width=context_width if joint.context else 0,
                    final=layer == depth - 1 and name not in needed,
                    adaptive=name in self.adaptive,
                )
                for layer in range(depth)
            )
            if name in needed:
                self.norms[name] = Norm(size.width)

    def forward(
        self,
        tokens: Mapping[str, Tensor],
        *,
        seen: Seen,
        cache: Cache | None = None,
        context: Tensor | None = None,
        context_bias: Tensor | None = None,
    ) -> Read:
        """One pass over the streams in ``tokens``; what they see beside them comes from ``cache``.

        Args:
            tokens: Stream name to tokens [B, L, D of its expert].
            seen: Padding, chunk times, copies and conditions.
            cache: Keys and values that were read before.
            context: Context tokens [B, S, context_width], where the table has a context.
            context_bias: Bias [B, 1, 1, S] of the context's padding.
        """
        cache = cache or {}
        state = dict(tokens)
        kept: dict[str, list[tuple[Tensor, Tensor]]] = {name: [] for name in tokens}
        hidden: dict[str, tuple[Tensor, ...]] = dict.fromkeys(tokens, ())
        biases = {name: self._bias(name, state, cache, seen) for name in tokens}
        for layer in range(self.depth):
            hidden = {name: (*found, state[name]) for name, found in hidden.items()}
            modulations: dict[str, tuple[Tensor, ...]] = {}
            queries: dict[str, Tensor] = {}
            going_on = [n for n in state if layer < self.depth - 1 or n in self.finishing]
            for name, x in state.items():
                block = self._layer(name, layer)
                modulations[name] = block.modulation(seen.conditions.get(name))
                normed = block.normed(x, modulations[name])
                key, value = block.keys_values(normed)
                if name in going_on:
                    queries[name] = block.queries(normed)
                if name in seen.times:
                    key = turned(key, seen.times[name])
                    if name in queries:
                        queries[name] = turned(queries[name], seen.times[name])
                kept[name].append((key, value))
            state = {
                name: self._layer(name, layer).absorb(
                    state[name],
                    self._attended(name, layer, queries[name], kept, cache, biases[name]),
                    context,
                    context_bias,
                    modulations[name],
                )
                for name in going_on
            }
        last = {name: self.norms[self.joint.experts[name]](x) for name, x in state.items()}
        hidden |= {name: (*hidden[name], x) for name, x in last.items()}
        slots = {
            name: Slot(
                pairs=tuple(pairs), times=seen.times.get(name), padding=seen.padding.get(name)
            )
            for name, pairs in kept.items()
        }
        return Read(last=last, hidden=hidden, cache=slots)

    def _attended(
        self,
        name: str,
        layer: int,
        query: Tensor,
        kept: Mapping[str, list[tuple[Tensor, Tensor]]],
        cache: Cache,
        bias: Tensor | None,
    ) -> Tensor:
        pairs: list[tuple[Tensor, Tensor]] = []
        for key in self.joint.sees[name]:
            if key in cache:
                pairs.append(cache[key].pairs[layer])
            if key in kept:
                pairs.append(kept[key][layer])
        keys = torch.cat([k for k, _ in pairs], dim=2)
        values = torch.cat([v for _, v in pairs], dim=2)
        return attend(query, keys, values, bias)

    def _layer(self, name: str, layer: int) -> ExpertLayer:
        layers = cast("nn.ModuleList", self.experts[self.joint.experts[name]])
        return cast("ExpertLayer", layers[layer])

    def _bias(
        self, query: str, tokens: Mapping[str, Tensor], cache: Cache, seen: Seen
    ) -> Tensor | None:
        """What is added to the scores of a stream's queries; ``None`` when all is visible."""
        parts: list[Tensor] = []
        hidden = False
        length, device = tokens[query].shape[1], tokens[query].device
        for key, reach in self.joint.sees[query].items():
            sources: list[tuple[int, Tensor | None, Tensor | None, bool]] = []
            if key in cache:
                slot = cache[key]
                sources.append((slot.length, slot.times, slot.padding, False))
            if key in tokens:
                known = seen.times.get(key), seen.padding.get(key)
                sources.append((tokens[key].shape[1], *known, key == query))
            if not sources and not seen.partial and reach is not Reach.PAST:
                raise ValueError(
                    f"Stream '{query}' sees '{key}', which is neither in this pass nor cached: "
                    "read it first."
                )
            for size, times, padding, own in sources:
                visible = self._in_reach(reach, seen, query, length, times, size, device)
                if own and (copies := seen.copies.get(query, 1)) > 1:
                    of = torch.arange(copies, device=device).repeat_interleave(length // copies)
                    same = (of[:, None] == of[None, :])[None, None]
                    visible = same if visible is None else visible & same
                if padding is not None:
                    real = padding[:, None, None, :]
                    visible = real if visible is None else visible & real
                hidden = hidden or visible is not None
                full = torch.ones(1, 1, 1, size, dtype=torch.bool, device=device)
                parts.append(full if visible is None else visible)
        if not hidden:
            return None
        batch = max(part.shape[0] for part in parts)
        rows = max(part.shape[2] for part in parts)
        visible = torch.cat([part.expand(batch, 1, rows, -1) for part in parts], dim=-1)
        return torch.zeros(visible.shape, device=device).masked_fill(~visible, HIDDEN)

    @staticmethod
    def _in_reach(
        reach: Reach,
        seen: Seen,
        query: str,
        length: int,
        key_times: Tensor | None,
        size: int,
        device: torch.device,
    ) -> Tensor | None:
        """Which keys lie within reach in chunk time [1, 1, L, S]; ``None`` when all do."""
        asked, found = seen.times.get(query), key_times
        if reach is Reach.ALL and seen.window is None:
            return None
        asked = torch.zeros(length) if asked is None else asked
        found = torch.zeros(size) if found is None else found
        mask = pair_mask(reach, asked.cpu().numpy(), found.cpu().numpy())
        if seen.window is not None:
            mask &= (found[None, :] > asked[:, None] - seen.window).cpu().numpy()
        if mask.all():
            return None
        return torch.as_tensor(mask, device=device)[None, None]
