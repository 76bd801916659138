"""A recipe's tables turned into weights: embeddings around joint attention."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

import torch
from torch import Tensor, nn

from vertebra.backbones.autoencoder import PX, VideoAutoencoder
from vertebra.coupling.cache import Cache, join_caches
from vertebra.coupling.joint import JointAttention, Read, Seen
from vertebra.coupling.kinds import Head, Inverse
from vertebra.coupling.shipped import shipped_attention
from vertebra.coupling.table import closure
from vertebra.flow.predictions import to_velocity
from vertebra.nn.blocks import Norm
from vertebra.nn.embeddings import Condition
from vertebra.policy.body import Body, Laid, Told
from vertebra.policy.frames import changes, imagined_frames, shrink
from vertebra.policy.inverse import InverseDynamics, InverseOfLatents
from vertebra.policy.pointing import Pointing, pointed_places
from vertebra.policy.process import Process
from vertebra.policy.senses import Context, Given
from vertebra.policy.shape import Shape
from vertebra.policy.shipped import expert_sizes, shipped_body
from vertebra.spec.noise import Flat, Predicts
from vertebra.spec.streams import POINT, Role

Noisy = Mapping[str, tuple[Tensor, Tensor]]
"""Stream name to (vectors [B, n * L, C], flow times [B, n]) of n chunks or n independent copies."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Scene:
    """What all passes over one observation share.

    Attributes:
        given: The observation.
        silent: Whether its words are withheld.
        context: What the trunk reads by cross-attention.
        again: Tokens of given streams that depend on noisy ones, so that every pass reads them.
        padding: True where one of those tokens is real [B, L], where some are not.
    """

    given: Given
    silent: bool
    context: Context | None
    again: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])
    padding: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])


class Network(nn.Module):
    """All weights of a policy.

    Args:
        shape: Recipe, size and robot.
        body: What the policy stands on; new weights of the shipped kind when left out.
    """

    def __init__(self, shape: Shape, body: Body | None = None) -> None:
        super().__init__()
        recipe, size, coupling = shape.recipe, shape.size, shape.recipe.coupling
        self.shape = shape
        self.table, self.trunk = recipe.table, recipe.trunk
        body = shipped_body(shape) if body is None else body
        self.widths, self.placed, self.sees = body.widths, body.places, body.sees
        self.tells_each, self.paints, self.canvas = body.tells_each, body.paints, body.canvas
        self.told_as = body.told_as
        self.speaks, self.loaded, self.standing = body.speaks, body.loaded, body.standing
        self.denoised = self.table.named(Role.DENOISED)
        self.attention, self.senses = body.attention, body.senses
        self.inputs, self.positions, self.outputs = body.inputs, body.positions, body.outputs
        if shape.coded:
            self.codec = VideoAutoencoder(size.code_width).requires_grad_(False)
        if shape.pointing:
            self.pointing = Pointing(self.widths[self.table.experts[recipe.pixels]])
        self.points = POINT in self.table.experts
        self.late = frozenset(n for n in self.trunk.sees if POINT in closure(self.trunk, n))
        if self.points:
            told = (shape.state_dims if self.senses.has_state else 0) + 6
            width = self.widths[self.table.experts[POINT]]
            self.point = nn.Sequential(
                nn.Linear(told, 2 * width), nn.SiLU(), nn.Linear(2 * width, width)
            )
        adaptive = set(self.attention.adaptive)
        match coupling:
            case Head() if body.head is not None and body.mixing is not None:
                self.head, self.mixing = body.head, body.mixing
                adaptive.add("action")
            case Head(head=head):
                self.head = shipped_attention(
                    head,
                    sizes=expert_sizes(shape),
                    depth=size.depth,
                    heads=size.heads,
                    head_width=size.head_width,
                    finishing=("action",),
                    context_width=size.trunk,
                )
                channels = size.trunk * len(coupling.reads.depths)
                self.feature_norm = Norm(channels)
                self.feature_map = nn.Linear(channels, size.trunk)
                self.head_words = body.head_words or nn.Identity()
                adaptive |= self.head.adaptive
            case Inverse(reads=read):
                made = {
                    "horizon": shape.horizon,
                    "dims": shape.action_dims,
                    "width": size.action,
                }
                if (latents := size.latents) is not None:
                    frames = shape.groups + ("frame" in read)
                    self.inverse = InverseOfLatents(frames=frames, latents=latents, **made)
                else:
                    self.inverse = InverseDynamics(
                        frames=len(shape.future_steps) + ("frame" in read),
                        px=size.future_px,
                        patch=size.future_patch,
                        **made,
                    )
            case _:
                pass
        known = body.conditions or {}
        self.conditions = nn.ModuleDict(
            {
                name: known[name] if name in known else Condition(self.widths[name])
                for name in sorted({*adaptive, *known})
            }
        )

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.senses.device

    def is_released(self, name: str) -> bool:
        """Whether a parameter holds released weights."""
        return bool(self.loaded) and name.startswith(self.loaded) and "lora_" not in name

    @property
    def slower(self) -> dict[str, float]:
        """Released weights, with the share of the learning rate that they are trained at."""
        if self.standing is None:
            return {}
        share = self.standing.tuning.share
        return {name: share for name, _ in self.named_parameters() if self.is_released(name)}

    def process(self, name: str) -> Process:
        """The noise process of a stream at this size.

        Where one vector holds more numbers than a token is wide, noise would not fit through it:
        then the data are predicted, with a flat weight, whatever the recipe says.

        Source: arXiv:2511.13720 (prediction of data where tokens are narrow).
        """
        process = self.shape.recipe.noise[name]
        if name in self.speaks:
            return replace(process, predicts=Predicts.VELOCITY)
        _, channels = self.shape.vectors(name)
        if channels > self.widths[self.table.experts[name]]:
            return replace(process, predicts=Predicts.DATA, weighting=Flat())
        return process

    def scene(self, given: Given, *, silent: bool = False) -> Scene:
        """What all passes over an observation share."""
        recipe = self.shape.recipe
        silent = silent or recipe.blind
        given_streams = [n for n in self.trunk.named(Role.GIVEN) if n != POINT]
        own = [n for n in given_streams if n not in recipe.prefix or n in self.told_as]
        again, padding = self.senses.streams(given, own, silent)
        context = self.senses.contexts(given, self.trunk.context, silent)
        return Scene(given=given, silent=silent, context=context, again=again, padding=padding)

    def look(
        self,
        scenes: Sequence[Scene],
        noisy: Noisy,
        *,
        cache: Cache | None = None,
        start: int = 0,
        real: Tensor | None = None,
    ) -> Read:
        """One pass over what is given and over noisy streams beside it.

        Args:
            scenes: One for each chunk; one where nothing rolls.
            noisy: Noisy streams and teachers with their flow times.
            cache: What was read before.
            start: Chunk time of the first scene.
            real: Which chunks lie inside the episode [B, chunks]; all when left out.
        """
        laid = self._given(scenes, start, real).beside(self._noisy(noisy, start, real))
        laid = laid.only(self._timely(laid.tokens, noisy))
        if POINT not in self.trunk.experts:
            return self._attend(laid, noisy, scenes[0], cache)
        # The pointing token is made of camera tokens, so those are read before it.
        if self.glances:
            first = self.glance(scenes[0])
            told = Laid(tokens={POINT: self.pointed_at(first, scenes[0])})
            whole = self._attend(laid.beside(told), noisy, scenes[0], cache)
            pixels = self.shape.recipe.pixels
            return replace(whole, hidden={**whole.hidden, pixels: first.hidden[pixels]})
        first = self._attend(laid.only(set(self.trunk.sees) - self.late), noisy, scenes[0], cache)
        points = [self.pointed_at(first, scene, chunk) for chunk, scene in enumerate(scenes)]
        told = Laid(tokens={POINT: torch.cat(points, dim=1)})
        told = self._timed(told, len(scenes), start, None if self._leaps else real)
        late = laid.only(self.late).beside(told)
        known = join_caches(cache or {}, first.cache)
        return first.merged(self._attend(late, noisy, scenes[0], known))

    @property
    def glances(self) -> bool:
        """Whether camera tokens look at what is noisy, so that pointing needs a look of its own."""
        return self.points and self.shape.recipe.pixels in self.late

    def glance(self, scene: Scene) -> Read:
        """One pass over the given streams alone, in which nothing noisy is looked at."""
        return self._attend(self._given([scene], 0, None), {}, scene, None, partial=True)

    def again(self, scene: Scene, noisy: Noisy, cache: Cache, *, at: int = 0) -> Read:
        """One pass over noisy streams, or teachers, of one chunk; all else is in the cache."""
        given = Laid(tokens=scene.again, padding=scene.padding)
        given = self._timed(given.only(self._timely(scene.again, noisy)), 1, at, None)
        return self._attend(given.beside(self._noisy(noisy, at, None)), noisy, scene, cache)

    def _timely(self, names: Iterable[str], noisy: Noisy) -> set[str]:
        """Those streams whose flow time is known."""
        told = self.told_as
        return {name for name in names if name not in told or told[name] in noisy}

    @property
    def _leaps(self) -> bool:
        return self.shape.recipe.leapfrogs

    def _given(self, scenes: Sequence[Scene], start: int, real: Tensor | None) -> Laid:
        names = [n for n in self.trunk.named(Role.GIVEN) if n != POINT]
        parts = [self.senses.streams(scene.given, names, scene.silent) for scene in scenes]
        tokens = {n: torch.cat([found[n] for found, _ in parts], dim=1) for n in names}
        padding = {
            n: torch.cat([masks[n] for _, masks in parts], dim=1) for n in names if n in parts[0][1]
        }
        laid = Laid(tokens=tokens, padding=padding)
        # While leapfrogging, the frame before the first one is that first one: nothing had moved.
        return self._timed(laid, len(scenes), start, None if self._leaps else real)

    def _noisy(self, noisy: Noisy, start: int, real: Tensor | None) -> Laid:
        laid = Laid(tokens={})
        for name, (value, time) in noisy.items():
            if name in self.trunk.experts:
                one = Laid(tokens={name: self._tokens(name, value, time)})
                laid = laid.beside(self._timed(one, time.shape[1], start, real))
        return laid

    def _tokens(self, name: str, value: Tensor, time: Tensor) -> Tensor:
        length, _ = self.shape.vectors(name)
        tokens = self.inputs[name](value, time.repeat_interleave(length, dim=1))
        if name not in self.positions:
            return tokens
        return tokens + self.positions[name].repeat(time.shape[1], 1)

    def _timed(self, laid: Laid, chunks: int, start: int, real: Tensor | None) -> Laid:
        """The same with chunk times, and what lies outside of the episode as padding."""
        if not self.shape.recipe.rolling:
            return laid
        times: dict[str, Tensor] = {}
        padding = dict(laid.padding)
        for name, value in laid.tokens.items():
            each = value.shape[1] // chunks
            chunk = torch.arange(chunks, device=value.device)
            times[name] = start + chunk.repeat_interleave(each)
            if real is not None:
                padding[name] = real.repeat_interleave(each, dim=1) & padding.get(
                    name, torch.ones((), dtype=torch.bool, device=value.device)
                )
        return Laid(tokens=laid.tokens, times=times, padding=padding)

    def _attend(
        self, laid: Laid, noisy: Noisy, scene: Scene, cache: Cache | None, *, partial: bool = False
    ) -> Read:
        rolling = self.shape.recipe.rolling
        copies = {} if rolling else {n: noisy[n][1].shape[1] for n in laid.tokens if n in noisy}
        seen = Seen(
            padding=laid.padding,
            times=laid.times,
            copies=copies,
            places={} if self.placed is None else self.placed(laid, copies, cache or {}),
            conditions=self._conditions(self.attention, laid.tokens, noisy),
            window=self.shape.chunks if rolling else None,
            partial=partial,
        )
        context = scene.context
        return self.attention(
            laid.tokens,
            seen=seen,
            cache=cache,
            context=None if context is None else self._told(context),
            context_bias=None if context is None else context.bias,
        )

    def _told(self, context: Context) -> Tensor | dict[str, Tensor]:
        if not self.tells_each:
            return context.tokens
        return {
            name: cast("Told", self.conditions[name]).words(context.tokens)
            for name in self.attention.experts
        }

    def _conditions(
        self, attention: JointAttention, tokens: Mapping[str, Tensor], noisy: Noisy
    ) -> dict[str, Tensor]:
        """Flow times as conditions for the tokens of adaptive experts; what is given is clean.

        A stream, or a clean copy of it, may have a module of its own in one expert.
        """
        found: dict[str, Tensor] = {}
        for name, value in tokens.items():
            expert = attention.joint.experts[name]
            if expert not in attention.adaptive:
                continue
            known = (name, attention.joint.stream(name).of, expert)
            own = next(one for one in known if one in self.conditions)
            time = torch.ones(value.shape[:2], device=value.device)
            if (told := self.told_as.get(name, name)) in noisy:
                each = value.shape[1] // noisy[told][1].shape[1]
                time = noisy[told][1].repeat_interleave(each, dim=1)
            found[name] = self.conditions[own](time)
        return found

    def velocities(self, read: Read, noisy: Noisy) -> dict[str, Tensor]:
        """Predicted velocity of every noisy stream that was read to the end, float32.

        Args:
            read: What the pass gave.
            noisy: What went in.
        """
        found: dict[str, Tensor] = {}
        for name in self.shape.recipe.noisy:
            if name not in read.last or name not in noisy:
                continue
            value, time = noisy[name]
            per_token = time.repeat_interleave(self.shape.vectors(name)[0], dim=1)[..., None]
            output = self.outputs[name](read.last[name]).float()
            found[name] = to_velocity(self.process(name).predicts, output, value, per_token)
        return found

    def features(self, read: Read) -> Context:
        """Hidden states of the trunk as the context of the head."""
        reads, own = cast("Head", self.shape.recipe.coupling).reads, hasattr(self, "mixing")
        parts: list[Tensor] = []
        masks: list[Tensor] = []
        for name in reads.of:
            layers = reads.layers(self.attention.depth)
            states = torch.cat([read.hidden[name][layer] for layer in layers], dim=-1)
            parts.append(states if own else self.feature_map(self.feature_norm(states)))
            padding = read.cache[name].padding
            real = torch.ones(states.shape[:2], dtype=torch.bool, device=states.device)
            masks.append(real if padding is None else padding)
        tokens, mask = torch.cat(parts, dim=1), torch.cat(masks, dim=1)
        return Context(tokens=self.mixing(tokens, mask) if own else tokens, mask=mask)

    def decode(
        self, scene: Scene, features: Context, point: Tensor | None, noisy: Noisy
    ) -> dict[str, Tensor]:
        """One pass of the head over what it is given and the noisy action: its velocity."""
        head = cast("Head", self.shape.recipe.coupling).head
        names = [n for n in head.named(Role.GIVEN) if n != POINT]
        tokens, padding = self.senses.streams(scene.given, names, scene.silent)
        if point is not None:
            tokens[POINT] = point
        value, time = noisy["action"]
        tokens["action"] = self._tokens("action", value, time)
        if not isinstance(self.head, JointAttention):
            each = time.repeat_interleave(self.shape.horizon, dim=1)
            told = self.conditions["action"](each)
            last = self.head(tokens, told, time.shape[1], features.tokens, features.mask)
            return self.velocities(Read(last={"action": last}, hidden={}, cache={}), noisy)
        place = torch.arange(self.shape.horizon, device=value.device).repeat(time.shape[1])
        seen = Seen(
            padding=padding,
            times={"action": place} if head.chunked else {},  # in a head, the place in the chunk
            copies={"action": time.shape[1]},
            conditions=self._conditions(self.head, tokens, noisy),
        )
        own = self.senses.contexts(scene.given, head.context, scene.silent)
        if own is not None:
            own = Context(tokens=self.head_words(own.tokens), mask=own.mask)
        context = features.and_then(own)
        read = self.head(tokens, seen=seen, context=context.tokens, context_bias=context.bias)
        return self.velocities(read, {"action": noisy["action"]})

    def inferred(self, now: Tensor, future: Tensor) -> Tensor:
        """Actions that lead through frames, by inverse dynamics [B, horizon, A].

        Args:
            now: The present frame, uint8 [B, H, W, 3].
            future: Patch vectors of the frames after it [B, F * tokens, C].
        """
        reads, size = cast("Inverse", self.shape.recipe.coupling).reads, self.shape.size
        if "frame" in reads and self.sees is not None:
            future = torch.cat([self.sees(now[:, None]), future], dim=1)
        elif "frame" in reads:
            px, patch = size.future_px, size.future_patch
            present = changes(now, now[:, None], px, patch, absolute=True)
            future = torch.cat([present, future], dim=1)
        return self.inverse(future)

    def imaginable(self, now: Tensor, later: Tensor) -> Tensor:
        """Later frames as the vectors in which they are imagined [B, L, C].

        Args:
            now: The present frame, uint8 [B, H, W, 3].
            later: uint8 [B, F, H, W, 3].
        """
        size = self.shape.size
        if not self.shape.coded:
            absolute = self.shape.recipe.leapfrogs
            return changes(now, later, size.future_px, size.future_patch, absolute=absolute)
        batch, frames = later.shape[:2]
        with torch.no_grad(), torch.autocast(now.device.type, enabled=False):
            small = shrink(later.flatten(0, 1), PX).view(batch, frames, 3, PX, PX)
            return self.codec.changes(shrink(now, PX), small)

    def imagined(self, now: Tensor, vectors: Tensor) -> Tensor:
        """Vectors of ``imaginable`` as pictures, uint8 [B, F, px, px, 3]."""
        shape = self.shape
        if self.paints is not None:
            return self.paints(now, vectors)
        if shape.coded:
            frames = self.codec.changed(shrink(now, PX), vectors.float())
            return (frames * 255.0).round().to(torch.uint8).permute(0, 1, 3, 4, 2)
        return imagined_frames(
            now,
            vectors,
            len(shape.future_steps),
            shape.size.future_px,
            shape.size.future_patch,
            absolute=shape.recipe.leapfrogs,
        )

    def pointed_at(self, read: Read, scene: Scene, chunk: int = 0) -> Tensor:
        """The pointing token [B, 1, D] of one chunk, read from its camera tokens."""
        scores, offsets = self.pointing(self.pixel_tokens(read, chunk))
        places = pointed_places(scores, offsets, self.grid)
        if self.senses.has_state:
            places = torch.cat([scene.given.state, places], dim=-1)
        return self.point(places)[:, None]

    def pixel_tokens(self, read: Read, chunk: int = 0) -> Tensor:
        """Tokens of the first camera before the last layer [B, rows * columns, D]."""
        rows, columns = self.grid
        tokens = read.hidden[self.shape.recipe.pixels][self.attention.depth - 1]
        each = self.senses.camera_tokens
        return tokens[:, chunk * each : chunk * each + rows * columns]

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of tokens of the first camera."""
        return self.senses.grid
