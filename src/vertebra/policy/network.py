"""A recipe's tables turned into weights: embeddings around joint attention."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vertebra.coupling.joint import HIDDEN, Cache, ExpertSize, JointAttention, Read, Seen
from vertebra.coupling.table import closure
from vertebra.flow.predictions import to_velocity
from vertebra.nn.embeddings import NoisyTokens, PixelTokens, Words
from vertebra.policy.recipe import PIXEL_STREAMS, POINT
from vertebra.policy.shape import Shape
from vertebra.spec.noise import Predicts
from vertebra.spec.streams import Role

PREDICTED_AS_DATA = frozenset({"future"})
"""Denoised streams whose network output is the data, not the velocity."""


@dataclass(frozen=True, kw_only=True)
class Given:
    """What is known when acting, as tensors.

    Attributes:
        images: Camera name to uint8 [B, H, W, 3].
        state: Normalised state, float [B, S].
        instructions: B sentences.
    """

    images: Mapping[str, Tensor]
    state: Tensor
    instructions: tuple[str, ...]


class Network(nn.Module):
    """All weights of a policy.

    Args:
        shape: Recipe, size and robot.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        size, joint = shape.size, shape.recipe.coupling
        self.shape = shape
        self.joint = joint
        widths = {name: self._expert_size(name) for name in sorted(set(joint.experts.values()))}
        self.denoised = joint.named(Role.DENOISED)
        self.attention = JointAttention(
            joint,
            sizes=widths,
            depth=size.depth,
            heads=size.heads,
            head_width=size.head_width,
            finishing=self.denoised,
            context_width=size.trunk,
        )
        self.cameras = nn.ModuleDict(
            {
                camera.name: PixelTokens(
                    height=camera.height,
                    width_px=camera.width,
                    stride=size.fine_stride if index == 0 else size.coarse_stride,
                    width=size.trunk,
                    channels=size.channels,
                )
                for index, camera in enumerate(shape.needs.cameras)
            }
        )
        self.words = Words(shape.vocabulary, size.trunk)
        state_width = size.trunk if "state" in joint.context else size.action
        self.state = nn.Sequential(
            nn.Linear(shape.state_dims, state_width), nn.SiLU(), nn.Linear(state_width, state_width)
        )
        self.inputs = nn.ModuleDict()
        self.positions = nn.ParameterDict()
        self.outputs = nn.ModuleDict()
        for name in (*self.denoised, *joint.named(Role.TEACHER)):
            width = widths[joint.experts[name]].width
            self.inputs[name] = NoisyTokens(self.channels(name), width)
            self.positions[name] = nn.Parameter(0.02 * torch.randn(self.length(name), width))
            if name in self.denoised:
                self.outputs[name] = nn.Linear(width, self.channels(name))
                nn.init.zeros_(self.outputs[name].weight)  # type: ignore[arg-type]
                nn.init.zeros_(self.outputs[name].bias)  # type: ignore[arg-type]
        if shape.pointing:
            self.pointing = Pointing(size.trunk)
        self.points = POINT in joint.experts
        self.late = frozenset(name for name in joint.sees if POINT in closure(joint, name))
        if self.points:
            self.point = nn.Sequential(
                nn.Linear(shape.state_dims + 6, 2 * size.action),
                nn.SiLU(),
                nn.Linear(2 * size.action, size.action),
            )

    def _expert_size(self, name: str) -> ExpertSize:
        size, context = self.shape.size, bool(self.shape.recipe.coupling.context)
        match name:
            case "vlm":
                return ExpertSize(width=size.trunk, hidden=size.vlm_hidden)
            case "video":
                return ExpertSize(width=size.trunk, hidden=size.video_hidden)
            case "action":
                hidden = size.action_hidden_context if context else size.action_hidden
                return ExpertSize(width=size.action, hidden=hidden)
            case _:
                raise ValueError(f"No weights are known for expert '{name}': vlm, video or action.")

    def channels(self, name: str) -> int:
        """Length of one vector of a denoised stream or its teacher."""
        size = self.shape.size
        return self.shape.action_dims if name == "action" else 3 * size.future_patch**2

    def length(self, name: str) -> int:
        """Tokens of a denoised stream or its teacher (one copy)."""
        size = self.shape.size
        if name == "action":
            return size.horizon
        return len(size.future_steps) * (size.future_px // size.future_patch) ** 2

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.words.position.device

    def embed_given(
        self, given: Given
    ) -> tuple[dict[str, Tensor], dict[str, Tensor], Tensor | None, Tensor | None]:
        """Tokens, padding masks, context and the context's bias."""
        silent = self.shape.recipe.blind
        rows, words_mask = self.words.rows(
            ("",) * len(given.instructions) if silent else given.instructions
        )
        text, state = self.words(rows), self.state(given.state)[:, None]
        pixels = torch.cat([self.cameras[name](given.images[name]) for name in self.cameras], dim=1)
        tokens: dict[str, Tensor] = {}
        padding: dict[str, Tensor] = {}
        for name in self.joint.named(Role.GIVEN):
            if name in PIXEL_STREAMS:
                tokens[name] = pixels
            elif name == "text":
                tokens[name] = text
                if not bool(words_mask.all()):
                    padding[name] = words_mask
            elif name == "state":
                tokens[name] = state
        if not self.joint.context:
            return tokens, padding, None, None
        parts = {"text": (text, words_mask), "state": (state, torch.ones_like(words_mask[:, :1]))}
        chosen = [parts[name] for name in self.joint.context]
        joined = torch.cat([part.to(text.dtype) for part, _ in chosen], dim=1)
        mask = torch.cat([part for _, part in chosen], dim=1)
        bias = None
        if not bool(mask.all()):
            bias = torch.zeros(mask.shape, device=mask.device).masked_fill(~mask, HIDDEN)[
                :, None, None
            ]
        return tokens, padding, joined, bias

    def embed_noisy(self, name: str, noisy: Tensor, time: Tensor) -> Tensor:
        """Noisy vectors [B, copies * L, C] with one time a copy [B, copies] as tokens."""
        length = self.length(name)
        copies = noisy.shape[1] // length
        per_token = time.repeat_interleave(length, dim=1)
        return self.inputs[name](noisy, per_token) + self.positions[name].repeat(copies, 1)

    def read(
        self,
        given: Given | None,
        noisy: Mapping[str, tuple[Tensor, Tensor]],
        *,
        cache: Cache | None = None,
        memory: "Memory | None" = None,
    ) -> tuple[Read, "Memory"]:
        """One pass over what is given (if anything) and over noisy streams with their times.

        Args:
            given: Inputs to embed, or ``None`` when they are in the cache already.
            noisy: Stream name to (vectors [B, copies * L, C], times [B, copies]).
            cache: Keys and values from earlier passes.
            memory: Context and padding from the pass that read what is given.
        """
        tokens: dict[str, Tensor] = {}
        if given is not None:
            tokens, padding, context, bias = self.embed_given(given)
            memory = Memory(padding=padding, context=context, context_bias=bias)
        if memory is None:
            raise AssertionError("a pass without `given` needs the memory of an earlier one")
        copies: dict[str, int] = {}
        for name, (value, time) in noisy.items():
            tokens[name] = self.embed_noisy(name, value, time)
            copies[name] = time.shape[1]
        if given is None or not self.points:
            return self._attend(tokens, copies, cache, memory), memory
        early = {name: value for name, value in tokens.items() if name not in self.late}
        first = self._attend(early, copies, cache, memory)
        late = {name: value for name, value in tokens.items() if name in self.late}
        late[POINT] = self.point(self.pointed_at(first, given.state))[:, None]
        second = self._attend(late, copies, first.cache, memory)
        merged = Read(
            last={**first.last, **second.last},
            tapped={**first.tapped, **second.tapped},
            cache={**first.cache, **second.cache},
        )
        return merged, memory

    def _attend(
        self,
        tokens: Mapping[str, Tensor],
        copies: Mapping[str, int],
        cache: Cache | None,
        memory: "Memory",
    ) -> Read:
        return self.attention(
            tokens,
            seen=Seen(padding=memory.padding, copies=copies),
            cache=cache,
            context=memory.context,
            context_bias=memory.context_bias,
        )

    def pointed_at(self, read: Read, state: Tensor) -> Tensor:
        """State and the places of object and destination (x, y, certainty): [B, S + 6]."""
        scores, offsets = self.pointing(self.pixel_tokens(read))
        rows, columns = self.grid
        chance = scores.float().softmax(-1)
        index = torch.arange(rows * columns, device=scores.device)
        centre = torch.stack([index % columns, index // columns], dim=-1) + 0.5
        size = centre.new_tensor([columns, rows], dtype=torch.float32)
        place = (centre + offsets.float()) / size * 2 - 1
        mean = (chance[..., None] * place).sum(2)
        seen = torch.cat([mean, chance.amax(-1, keepdim=True)], dim=-1).flatten(1)
        return torch.cat([state, seen], dim=-1)

    def velocities(
        self, read: Read, noisy: Mapping[str, tuple[Tensor, Tensor]]
    ) -> dict[str, Tensor]:
        """Predicted velocity of every denoised stream that was read, float32.

        Actions are predicted as velocities. Frames are predicted as data and converted, because a
        patch holds more numbers than a token is wide, and noise would not fit through it.

        Source: arXiv:2511.13720 (prediction of data where tokens are narrow).

        Args:
            read: What the pass gave.
            noisy: What went in: stream name to (vectors [B, copies * L, C], times [B, copies]).
        """
        found: dict[str, Tensor] = {}
        for name in self.denoised:
            if name not in read.last:
                continue
            found[name] = self.outputs[name](read.last[name]).float()
            if name in PREDICTED_AS_DATA:
                value, time = noisy[name]
                per_token = time.repeat_interleave(self.length(name), dim=1)[..., None]
                found[name] = to_velocity(Predicts.DATA, found[name], value, per_token)
        return found

    def pixel_tokens(self, read: Read) -> Tensor:
        """Tokens of the first camera before the last layer [B, rows * columns, D]."""
        rows, columns = self.grid
        return read.tapped[self.shape.recipe.pixels][:, : rows * columns]

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of tokens of the first camera."""
        first = cast("PixelTokens", next(iter(self.cameras.values())))
        return first.rows, first.columns


@dataclass(frozen=True, kw_only=True)
class Memory:
    """What later passes of the same observation need beside the cache."""

    padding: Mapping[str, Tensor]
    context: Tensor | None
    context_bias: Tensor | None


class Pointing(nn.Module):
    """Where are the object and the destination of the instruction? One score and offset a patch."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.score = nn.Linear(width, 2)
        self.offset = nn.Linear(width, 4)

    def forward(self, tokens_BLD: Tensor) -> tuple[Tensor, Tensor]:
        """Scores [B, 2, L] and offsets in patches [B, 2, L, 2] for (object, destination)."""
        batch, length, _ = tokens_BLD.shape
        scores = self.score(tokens_BLD).transpose(1, 2)
        offsets = self.offset(tokens_BLD).view(batch, length, 2, 2).transpose(1, 2)
        return scores, offsets


def pointing_loss(
    scores_B2L: Tensor, offsets_B2LC: Tensor, wanted_B2C: Tensor, grid: tuple[int, int]
) -> Tensor:
    """Cross-entropy over patches plus an L1 offset at the right patch, [B].

    Args:
        scores_B2L: Scores of (object, destination) over the patches.
        offsets_B2LC: Offsets from the patch centre, in patches.
        wanted_B2C: (x, y) as fractions of the image; NaN where there is no target.
        grid: Rows and columns of patches.
    """
    rows, columns = grid
    known = wanted_B2C.isfinite().all(-1)
    place = wanted_B2C.nan_to_num(0.5).clamp(0, 1 - 1e-6) * wanted_B2C.new_tensor([columns, rows])
    patch = (place[..., 1].long() * columns + place[..., 0].long()).clamp(0, rows * columns - 1)
    cross = F.cross_entropy(scores_B2L.float().flatten(0, 1), patch.flatten(), reduction="none")
    at = offsets_B2LC.float().gather(2, patch[..., None, None].expand(-1, -1, 1, 2))[:, :, 0]
    offset = (at - (place - place.floor() - 0.5)).abs().sum(-1)
    per = (cross.view_as(known) + offset) * known
    return per.sum(-1) / known.sum(-1).clamp(min=1)
