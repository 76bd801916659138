"""Joint attention between experts, run from the table.

A stream's queries meet exactly the keys of the streams it sees, so what the table forbids is not
masked out but never computed; only reaches in chunk time, padding and copies become masks. Keys and
values are kept as values and passed in again. What an expert is made of is its own affair: it gives
layers that can do what ``Layer`` says.

Shape letters: B batch, L tokens, H heads, K head width, D width.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, cast, runtime_checkable

import torch
from torch import Tensor, nn
from torch.utils import checkpoint

from vertebra.coupling.cache import Cache, Slot, join_caches
from vertebra.coupling.table import Joint
from vertebra.coupling.visibility import pair_mask
from vertebra.nn.attention import HeadShape, attend
from vertebra.spec.streams import Reach

HIDDEN = -1e9


@runtime_checkable
class Layer(Protocol):
    """One layer of one expert: everything but the attention that it shares with the others."""

    @property
    def head_shape(self) -> HeadShape:
        """Heads, the same in all experts that attend to one another."""
        ...

    def modulation(self, condition: Tensor | None) -> tuple[Tensor, ...]:
        """What a condition of the tokens [B, L or 1, C] does to this layer."""
        ...

    def normed(self, tokens: Tensor, modulation: tuple[Tensor, ...]) -> Tensor:
        """Tokens as the attention sees them."""
        ...

    def keys_values(self, normed: Tensor, places: Tensor | None) -> tuple[Tensor, Tensor]:
        """Keys and values [B, H of keys, L, K]; keys turned by their places, if they have any."""
        ...

    def queries(self, normed: Tensor, places: Tensor | None) -> Tensor:
        """Queries [B, H, L, K], turned by their places, if they have any."""
        ...

    def absorb(
        self,
        tokens: Tensor,
        attended_BHLK: Tensor,
        context: Tensor | None,
        bias: Tensor | None,
        modulation: tuple[Tensor, ...],
    ) -> Tensor:
        """Tokens after what was attended to, a context and the MLP."""
        ...


@runtime_checkable
class Closing(Protocol):
    """What follows the last layer of an expert."""

    def __call__(self, tokens: Tensor, condition: Tensor | None) -> Tensor:
        """Normalised tokens [B, L, D]."""
        ...


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
        places: For each stream with places of its own what its queries and keys are turned by:
            [L] or [B, L], or with several axes [L, A] or [B, L, A]. A stream in chunk time that has
            none is turned by its chunk time.
        conditions: For each stream of an adaptive expert its tokens' condition [B, L or 1, C].
        window: How many chunk times back a token may look, its own included; ``None`` for all.
        partial: Whether streams that are neither in the pass nor cached are left out.
    """

    padding: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])
    times: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])
    copies: Mapping[str, int] = field(default_factory=dict[str, int])
    places: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])
    conditions: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])
    window: int | None = None
    partial: bool = False


Recompute = Callable[..., "Stepped"]
Stepped = tuple[dict[str, Tensor], dict[str, tuple[Tensor, Tensor]]]
"""For each stream that goes on its tokens after a layer, for each stream its keys and values."""


class JointAttention(nn.Module):
    """Experts that share attention under a table.

    Args:
        joint: The table.
        layers: For each expert its layers (modules that are a ``Layer``), all of one depth.
        closings: For each expert whose output is needed what follows its last layer (a
            ``Closing``), and for each stream after which something else does.
        finishing: Streams whose output after the last layer is needed; the others stop at the keys
            and values of the last layer.
        adaptive: Experts whose tokens need a condition.
        causal: Experts whose own tokens do not look ahead, in the order of the streams; language
            models are trained so. The table still says which streams may be looked at at all.
        ahead: Streams of causal experts whose tokens do look ahead at one another, as those of
            pictures do in Gemma 3.
        layered: Streams whose tokens [B, L, (1 + n) * D] carry behind themselves what is added to
            them after each of the first n layers, and n (DeepStack, arXiv:2406.04334).

    Raises:
        ValueError: Naming every expert whose depth or heads differ from another's.
    """

    def __init__(
        self,
        joint: Joint,
        *,
        layers: Mapping[str, nn.ModuleList],
        closings: Mapping[str, nn.Module],
        finishing: tuple[str, ...],
        adaptive: frozenset[str] = frozenset(),
        causal: frozenset[str] = frozenset(),
        ahead: frozenset[str] = frozenset(),
        layered: Mapping[str, int] | None = None,
    ) -> None:
        super().__init__()
        found = {name: (len(own), cast("Layer", own[0]).head_shape) for name, own in layers.items()}
        if len(set(found.values())) > 1:
            told = "\n  - ".join(
                f"{name}: {n} layers, {heads}" for name, (n, heads) in found.items()
            )
            raise ValueError(f"Experts share attention in every layer, and differ:\n  - {told}")
        self.joint = joint
        self.finishing = finishing
        self.adaptive = adaptive
        self.causal = causal
        self.ahead = ahead
        self.layered = layered or {}
        self.recompute = False
        self.depth = next(iter(found.values()))[0]
        self.experts = nn.ModuleDict(layers)
        self.norms = nn.ModuleDict(closings)

    def forward(
        self,
        tokens: Mapping[str, Tensor],
        *,
        seen: Seen,
        cache: Cache | None = None,
        context: Tensor | Mapping[str, Tensor] | None = None,
        context_bias: Tensor | None = None,
    ) -> Read:
        """One pass over the streams in ``tokens``; what they see beside them comes from ``cache``.

        Args:
            tokens: Stream name to tokens [B, L, D of its expert].
            seen: Padding, chunk times, copies and conditions.
            cache: Keys and values that were read before.
            context: Context tokens [B, S, context_width], where the table has a context; for each
                expert its own, where they differ.
            context_bias: Bias [B, 1, 1, S] of the context's padding.
        """
        cache = cache or {}
        state, added = self._parted(tokens)
        kept: dict[str, list[tuple[Tensor, Tensor]]] = {name: [] for name in tokens}
        hidden: dict[str, tuple[Tensor, ...]] = dict.fromkeys(tokens, ())
        biases = {name: self._bias(name, state, cache, seen) for name in tokens}
        told = (added, seen, cache, context, context_bias, biases)
        for layer in range(self.depth):
            hidden = {name: (*found, state[name]) for name, found in hidden.items()}
            if self.recompute and torch.is_grad_enabled():
                again = cast("Recompute", checkpoint.checkpoint)  # pyright: ignore[reportUnknownMemberType]
                state, pairs = again(self._step, layer, state, *told, use_reentrant=False)
            else:
                state, pairs = self._step(layer, state, *told)
            for name, pair in pairs.items():
                kept[name].append(pair)
        last = {name: self._closed(name, x, seen) for name, x in state.items()}
        hidden |= {name: (*hidden[name], x) for name, x in last.items()}
        slots = {
            name: Slot(
                pairs=tuple(pairs), times=seen.times.get(name), padding=seen.padding.get(name)
            )
            for name, pairs in kept.items()
        }
        return Read(last=last, hidden=hidden, cache=slots)

    def _step(
        self,
        layer: int,
        state: Mapping[str, Tensor],
        added: Mapping[str, tuple[Tensor, ...]],
        seen: Seen,
        cache: Cache,
        context: Tensor | Mapping[str, Tensor] | None,
        context_bias: Tensor | None,
        biases: Mapping[str, Tensor | None],
    ) -> Stepped:
        """One layer of all experts: the tokens after it, and the keys and values in it."""
        modulations: dict[str, tuple[Tensor, ...]] = {}
        queries: dict[str, Tensor] = {}
        pairs: dict[str, tuple[Tensor, Tensor]] = {}
        going_on = [n for n in state if layer < self.depth - 1 or n in self.finishing]
        for name, x in state.items():
            block = self._layer(name, layer)
            modulations[name] = block.modulation(seen.conditions.get(name))
            normed = block.normed(x, modulations[name])
            places = seen.places.get(name, seen.times.get(name))
            pairs[name] = block.keys_values(normed, places)
            if name in going_on:
                queries[name] = block.queries(normed, places)
        after = {
            name: self._layer(name, layer).absorb(
                state[name],
                self._attended(name, layer, queries[name], pairs, cache, biases[name]),
                context.get(self.joint.experts[name]) if isinstance(context, Mapping) else context,
                context_bias,
                modulations[name],
            )
            for name in going_on
        }
        for name in going_on:
            if layer < len(added[name]):
                after[name] = after[name] + added[name][layer]
        return after, pairs

    def _parted(
        self, tokens: Mapping[str, Tensor]
    ) -> tuple[dict[str, Tensor], dict[str, tuple[Tensor, ...]]]:
        """Tokens, and what is added to them after each of the first layers."""
        parts = {n: x.chunk(1 + self.layered.get(n, 0), dim=-1) for n, x in tokens.items()}
        return {n: own[0] for n, own in parts.items()}, {n: own[1:] for n, own in parts.items()}

    def _attended(
        self,
        name: str,
        layer: int,
        query: Tensor,
        own: Mapping[str, tuple[Tensor, Tensor]],
        cache: Cache,
        bias: Tensor | None,
    ) -> Tensor:
        pairs: list[tuple[Tensor, Tensor]] = []
        for key in self.joint.sees[name]:
            if key in cache:
                pairs.append(cache[key].pairs[layer])
            if key in own:
                pairs.append(own[key])
        keys = torch.cat([k for k, _ in pairs], dim=2)
        values = torch.cat([v for _, v in pairs], dim=2)
        return attend(query, keys, values, bias)

    def _layer(self, name: str, layer: int) -> Layer:
        layers = cast("nn.ModuleList", self.experts[self.joint.experts[name]])
        return cast("Layer", layers[layer])

    def _closed(self, name: str, tokens: Tensor, seen: Seen) -> Tensor:
        own = name if name in self.norms else self.joint.experts[name]
        closing = cast("Closing", self.norms[own])
        return closing(tokens, seen.conditions.get(name))

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
                sources.append((tokens[key].shape[1], *known, True))
            if not sources and not seen.partial and reach is not Reach.PAST:
                raise ValueError(
                    f"Stream '{query}' sees '{key}', which is neither in this pass nor cached: "
                    "read it first."
                )
            for size, times, padding, here in sources:
                visible = self._in_reach(reach, seen, query, length, times, size, device)
                if here and key == query and (copies := seen.copies.get(query, 1)) > 1:
                    of = torch.arange(copies, device=device).repeat_interleave(length // copies)
                    same = (of[:, None] == of[None, :])[None, None]
                    visible = same if visible is None else visible & same
                if here and (behind := self._behind(query, key, length, size)) is not None:
                    behind = behind.to(device)[None, None]
                    visible = behind if visible is None else visible & behind
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

    def _behind(self, query: str, key: str, length: int, size: int) -> Tensor | None:
        """Which keys a causal expert's tokens may look at [L, S]; ``None`` when all."""
        expert = self.joint.experts[query]
        if expert not in self.causal or self.joint.experts[key] != expert:
            return None
        if query == key:
            seen = torch.ones(length, size, dtype=torch.bool)
            return None if query in self.ahead else seen.tril()
        order = [stream.name for stream in self.joint.streams]
        if order.index(key) < order.index(query):
            return None
        return torch.zeros(length, size, dtype=torch.bool)

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
