"""Joint attention between experts, run from the table.

A stream's queries meet exactly the keys of the streams it sees, so what the table forbids is not
masked out but never computed. Keys and values are cached as values and passed in again.

Shape letters: B batch, L tokens, H heads, K head width, D width.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

import torch
from torch import Tensor, nn

from vertebra.coupling.table import Joint
from vertebra.coupling.visibility import pair_mask
from vertebra.nn.attention import attend
from vertebra.nn.blocks import ExpertLayer, Norm
from vertebra.spec.streams import Reach

HIDDEN = -1e9

Cache = Mapping[str, tuple[tuple[Tensor, Tensor], ...]]


@dataclass(frozen=True, kw_only=True)
class ExpertSize:
    """Widths of one expert.

    Attributes:
        width: Token width.
        hidden: Hidden width of the MLP.
    """

    width: int
    hidden: int


@dataclass(frozen=True, kw_only=True)
class Read:
    """What one pass gives.

    Attributes:
        last: For each stream with a complete last layer its normalised output [B, L, D].
        tapped: For each stream its tokens before the last layer [B, L, D].
        cache: For each stream its keys and values in every layer.
    """

    last: Mapping[str, Tensor]
    tapped: Mapping[str, Tensor]
    cache: Cache


@dataclass(frozen=True, kw_only=True)
class Seen:
    """Which tokens exist, and where in chunk time they stand.

    Attributes:
        padding: For each stream with padding a mask [B, L], True where a token is real.
        times: For each stream with more than one chunk time the chunk time of each token [L].
        copies: For each stream the number of independent copies that lie behind one another; a
            token sees only its own copy.
    """

    padding: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])
    times: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])
    copies: Mapping[str, int] = field(default_factory=dict[str, int])


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
            seen: Padding, chunk times and copies.
            cache: Keys and values of streams that were read before.
            context: Context tokens [B, S, context_width], where the table has a context.
            context_bias: Bias [B, 1, 1, S] of the context's padding.
        """
        cache = cache or {}
        state = dict(tokens)
        kept: dict[str, list[tuple[Tensor, Tensor]]] = {name: [] for name in tokens}
        biases = {name: self._bias(name, state, cache, seen) for name in tokens}
        tapped: dict[str, Tensor] = {}
        for layer in range(self.depth):
            final = layer == self.depth - 1
            if final:
                tapped = dict(state)
            normed = {name: self._layer(name, layer).norm(x) for name, x in state.items()}
            for name, x in normed.items():
                kept[name].append(self._layer(name, layer).keys_values(x))
            going_on = [name for name in state if not final or name in self.finishing]
            state = {
                name: self._step(
                    name,
                    layer,
                    state[name],
                    normed[name],
                    kept,
                    cache,
                    biases[name],
                    context,
                    context_bias,
                )
                for name in going_on
            }
        last = {name: self.norms[self.joint.experts[name]](x) for name, x in state.items()}
        return Read(last=last, tapped=tapped, cache={n: tuple(pairs) for n, pairs in kept.items()})

    def _step(
        self,
        name: str,
        layer: int,
        tokens: Tensor,
        normed: Tensor,
        kept: Mapping[str, list[tuple[Tensor, Tensor]]],
        cache: Cache,
        bias: Tensor | None,
        context: Tensor | None,
        context_bias: Tensor | None,
    ) -> Tensor:
        block = self._layer(name, layer)
        pairs = [
            kept[key][layer] if key in kept else cache[key][layer] for key in self.joint.sees[name]
        ]
        key = torch.cat([k for k, _ in pairs], dim=2)
        value = torch.cat([v for _, v in pairs], dim=2)
        attended = attend(block.queries(normed), key, value, bias)
        return block.absorb(tokens, attended, context, context_bias)

    def _layer(self, name: str, layer: int) -> ExpertLayer:
        layers = cast("nn.ModuleList", self.experts[self.joint.experts[name]])
        return cast("ExpertLayer", layers[layer])

    def _bias(
        self, query: str, tokens: Mapping[str, Tensor], cache: Cache, seen: Seen
    ) -> Tensor | None:
        parts: list[Tensor] = []
        hidden = False
        length = tokens[query].shape[1]
        for key, reach in self.joint.sees[query].items():
            if key not in tokens and key not in cache:
                raise ValueError(
                    f"Stream '{query}' sees '{key}', which is neither in this pass nor cached: "
                    "read it first."
                )
            size = tokens[key].shape[1] if key in tokens else cache[key][0][0].shape[2]
            visible = self._pair(query, key, reach, length, size, seen, tokens[query].device)
            if key in seen.padding:
                padding = seen.padding[key][:, None, None, :]
                visible = padding if visible is None else visible & padding
            hidden = hidden or visible is not None
            full = torch.ones(1, 1, 1, size, dtype=torch.bool, device=tokens[query].device)
            parts.append(full if visible is None else visible)
        if not hidden:
            return None
        batch = max(part.shape[0] for part in parts)
        rows = max(part.shape[2] for part in parts)
        visible = torch.cat([part.expand(batch, 1, rows, -1) for part in parts], dim=-1)
        return torch.zeros(visible.shape, device=visible.device).masked_fill(~visible, HIDDEN)

    @staticmethod
    def _pair(
        query: str, key: str, reach: Reach, length: int, size: int, seen: Seen, device: torch.device
    ) -> Tensor | None:
        visible: Tensor | None = None
        if reach is not Reach.ALL:
            times = [
                (seen.times[name] if name in seen.times else torch.zeros(n, dtype=torch.long))
                for name, n in ((query, length), (key, size))
            ]
            mask = pair_mask(reach, times[0].numpy(), times[1].numpy())
            visible = torch.as_tensor(mask, device=device)[None, None]
        copies = seen.copies.get(query, 1)
        if copies > 1 and key == query:
            own = torch.arange(copies, device=device).repeat_interleave(length // copies)
            same = (own[:, None] == own[None, :])[None, None]
            visible = same if visible is None else visible & same
        return visible
