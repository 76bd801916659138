"""What a policy stands on: what embeds, what attends, what reads out."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor, nn

from vertebra.backbones.trunk import Standing
from vertebra.coupling.cache import Cache
from vertebra.coupling.joint import JointAttention
from vertebra.policy.senses import Context, Given


class Senses(Protocol):
    """What embeds the given streams (a module)."""

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        ...

    @property
    def has_state(self) -> bool:
        """Whether it embeds the state."""
        ...

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of tokens of the first camera, whose tokens are the first."""
        ...

    @property
    def camera_tokens(self) -> int:
        """Tokens of all cameras of one observation."""
        ...

    def streams(
        self, given: Given, names: Sequence[str], silent: bool
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Tokens [B, L, D] and padding masks [B, L] of some given streams."""
        ...

    def contexts(self, given: Given, names: Sequence[str], silent: bool) -> Context | None:
        """The given inputs that are read by cross-attention, ``None`` when there are none."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Laid:
    """Tokens of one pass: stream name to content [B, L, D], chunk times [L] and padding [B, L]."""

    tokens: Mapping[str, Tensor]
    times: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])
    padding: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])

    def only(self, names: Collection[str]) -> "Laid":
        """Some of the streams."""
        parts = (self.tokens, self.times, self.padding)
        kept = [{name: value for name, value in part.items() if name in names} for part in parts]
        return Laid(tokens=kept[0], times=kept[1], padding=kept[2])

    def beside(self, other: "Laid") -> "Laid":
        """These streams and others."""
        return Laid(
            tokens={**self.tokens, **other.tokens},
            times={**self.times, **other.times},
            padding={**self.padding, **other.padding},
        )


class Told(Protocol):
    """What makes conditions and a context for one expert (a module in ``Body.conditions``)."""

    def words(self, states: Tensor) -> Tensor:
        """States of an encoder [B, S, C] as the context of this expert [B, S, D]."""
        ...


Places = Callable[[Laid, Mapping[str, int], Cache], Mapping[str, Tensor]]
"""From the tokens of a pass, copies of a stream that lie behind one another, and what was read
before, to the places by which queries and keys are turned (``Seen.places``)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Body:
    """The parts of a network that depend on its backbone.

    Attributes:
        attention: The experts.
        senses: What embeds the given streams: a module that does what ``Senses`` says.
        inputs: For each noisy stream or teacher a module from vectors [B, L, C] and flow times
            [B, L] to tokens.
        positions: Learned positions [L, D] of such streams, where there are any.
        outputs: For each denoised stream a module from tokens to what its process predicts.
        conditions: For each expert under the flow time a module from times [B, L] to conditions,
            and for each stream that is told its time in its own way; ``None`` for new ones of the
            shipped kind.
        widths: Token width of each expert.
        told_as: Given streams that are told the time of a noisy one; they are read again whenever
            that one is.
        tells_each: Whether each expert reads the context through ``words`` of its own module in
            ``conditions``.
        sees: From pictures [B, F, H, W, 3], uint8, to clean vectors [B, L, C] of frames as latents;
            ``None`` where frames are patches of pixels.
        paints: From present pictures [B, H, W, 3], uint8, and vectors of imagined latents to
            pictures [B, F, H, W, 3], uint8; ``None`` where latents are not made pictures.
        canvas: Whether all cameras lie side by side in one picture that is imagined; else the first
            camera alone is imagined.
        places: How places are found, ``None`` where chunk times are all there is.
        speaks: Streams whose read-out was released: what it predicts is the velocity, whatever the
            recipe says.
        loaded: Beginnings of the names of released weights.
        head_words: What makes a context of the head of states of the text encoder; ``None`` where
            they are one already.
        mixing: What makes the context of the head of hidden states [B, S, D] and a mask [B, S] of
            real ones; ``None`` for new weights of the shipped kind.
        head: The head, where it is not of the shipped kind: from tokens, conditions of those of the
            action, copies, a context and its mask to what the output of the action reads.
        standing: The released models that it stands on, ``None`` where weights are new.
    """

    attention: JointAttention
    senses: Senses
    inputs: nn.ModuleDict
    positions: nn.ParameterDict
    outputs: nn.ModuleDict
    widths: Mapping[str, int]
    conditions: nn.ModuleDict | None = None
    told_as: Mapping[str, str] = field(default_factory=dict[str, str])
    tells_each: bool = False
    sees: Callable[[Tensor], Tensor] | None = None
    paints: Callable[[Tensor, Tensor], Tensor] | None = None
    canvas: bool = False
    places: Places | None = None
    speaks: frozenset[str] = frozenset()
    loaded: tuple[str, ...] = ()
    head_words: nn.Module | None = None
    mixing: nn.Module | None = None
    head: nn.Module | None = None
    standing: Standing | None = None


def running_places(
    order: Sequence[str],
    laid: Laid,
    copies: Mapping[str, int],
    cache: Cache,
    own: Mapping[str, Tensor] | None = None,
) -> dict[str, Tensor]:
    """Positions in one text through all streams: real tokens are counted from 0, padding is not.

    Args:
        order: Streams in the order of the text.
        laid: Tokens of a pass.
        copies: Streams of which several copies lie behind one another; all start at one position.
        cache: What was read before.
        own: Streams whose tokens lie along several axes: their places counted from the first token
            [L, A]. All others then have the same place on every axis, and what follows a stream
            begins behind the largest of its places.

    Returns:
        For each stream of the pass the position of its tokens [B, L], or [B, L, A] with axes.
    """
    found: dict[str, Tensor] = {}
    start: Tensor | None = None
    for name in order:
        if name in laid.tokens:
            tokens = laid.tokens[name]
            shape, real = tokens.shape[:2], laid.padding.get(name)
        elif name in cache:
            tokens = cache[name].pairs[0][0]
            shape, real = (tokens.shape[0], cache[name].length), cache[name].padding
        else:
            continue
        each = shape[1] // copies.get(name, 1)
        if real is None:
            real = torch.ones(shape, dtype=torch.bool, device=tokens.device)
        place = real[:, :each].long().cumsum(-1) - 1
        if own:
            axes = next(iter(own.values())).shape[-1]
            place = place[..., None].expand(-1, -1, axes)
            if name in own:
                place = own[name].to(place.device).expand(shape[0], -1, -1)
        if start is not None:
            place = place + start
        start = place.flatten(1).amax(-1).view(-1, *[1] * (place.ndim - 1)) + 1
        if name in laid.tokens:
            found[name] = torch.cat([place] * copies.get(name, 1), dim=1)
    return found
