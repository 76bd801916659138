"""Any legal recipe on released models: their layers as its trunks, new weights for the rest.

Trunks keep the weights, the directions and the causality that they were released with. What a
recipe adds beside them starts new: action experts with the heads and the depth of the trunk, an
expert for what a vision-language model understood where it stands beside a video model, embeddings
of state and actions.

Source: action experts: openpi @ 15a9616 src/openpi/models/gemma.py (half the width, a quarter of
    the MLP), FastWAM @ 45d8e14 src/fastwam/models/wan22/action_dit.py.
"""

# Longer than 300 lines: one body, whose parts are of no use alone.

from collections.abc import Mapping
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn

from vertebra.backbones.decoder import decoder_closing, decoder_layers
from vertebra.backbones.sizes import Size
from vertebra.backbones.trunk import Standing
from vertebra.backbones.video_sizes import VideoSizes
from vertebra.backbones.wan_ends import wan_places
from vertebra.coupling.cache import Cache
from vertebra.coupling.joint import JointAttention
from vertebra.coupling.kinds import FEATURES, Head
from vertebra.coupling.table import Embed, Joint
from vertebra.nn.embeddings import Condition, NoisyTokens, TimedTokens
from vertebra.policy.body import Body, Laid, running_places
from vertebra.policy.pairs import require_pair
from vertebra.policy.shape import Shape
from vertebra.policy.stand_senses import StandingSenses, Understanding
from vertebra.policy.stand_video import VideoParts, View
from vertebra.policy.stand_vlm import Reader, VlmParts
from vertebra.policy.wan_parts import (
    ActionTokens,
    ActionVelocity,
    PatchVelocity,
)
from vertebra.spec.streams import Role


def action_width(trunk: int) -> int:
    """Width of an action expert beside a trunk: half of it, as pi0's, in whole eights."""
    return max(16, trunk // 16 * 8)


def standing_size(
    size: Size,
    shape: Shape,
    vlm: VlmParts | None,
    video: VideoParts | None,
) -> Size:
    """A size whose widths follow from the trunks; horizons and steps stay as they are."""
    width = video.sizes.width if video is not None else cast("VlmParts", vlm).sizes.width
    action = action_width(width)
    found = replace(
        size, trunk=width, action=action, action_hidden=4 * action, action_hidden_context=4 * action
    )
    if video is None:
        return found
    camera, last = shape.needs.cameras[0], size.future_steps[-1]
    latents = video.latents(camera, last, len(size.future_steps))
    each = last // (latents.frames * latents.pictures)
    steps = tuple(range(last - each * (latents.frames * latents.pictures - 1), last + 1, each))
    return replace(found, latents=latents, future_steps=steps)


class SameTokens(nn.Module):
    """Vectors as tokens by the weights of another stream."""

    def __init__(self, tokens: nn.Module) -> None:
        super().__init__()
        self._tokens = (tokens,)

    def forward(self, vectors_BLC: Tensor, time_BL: Tensor | None = None) -> Tensor:
        """[B, L, C * patch] to tokens [B, L, D]."""
        return self._tokens[0](vectors_BLC, time_BL)


class SameVelocity(nn.Module):
    """Tokens as velocities by the weights of another stream."""

    def __init__(self, velocity: nn.Module) -> None:
        super().__init__()
        self._velocity = (velocity,)

    def forward(self, closed: Tensor) -> Tensor:
        """[B, L, D] to [B, L, C * patch]."""
        return self._velocity[0](closed)


def standing_body(
    shape: Shape,
    standing: Standing,
    vlm: VlmParts | None,
    video: VideoParts | None,
) -> Body:
    """A body with new weights, to be filled with released ones.

    Args:
        shape: Recipe and robot, at the size of the trunks (``standing_size``).
        standing: What it stands on.
        vlm: The vision-language model, taken apart.
        video: The video model, taken apart.

    Raises:
        ValueError: Naming every reason why the recipe cannot stand on them.
    """
    require_pair(shape.recipe, standing)
    _require_room(shape)
    builder = _VideoBody(shape, standing, video, vlm) if video else _VlmBody(shape, standing, vlm)
    return builder.body()


def _require_room(shape: Shape) -> None:
    """Refuse numbers that do not fit into the frames that should hold them."""
    room = shape.frame_tokens * shape.patch_numbers
    found = [
        f"stream '{name}' has {length * width} numbers"
        for name, embed in shape.recipe.table.embed.items()
        if embed is Embed.LATENT_FRAME
        for length, width in (shape.plain_vectors(name),)
        if length * width > room
    ]
    if found:
        camera = shape.needs.cameras[0]
        raise ValueError(
            f"Pictures of camera '{camera.name}' are too small: a latent frame of the video model "
            f"holds {room} numbers, and " + ", ".join(found) + ". Use larger pictures."
        )


class _VlmBody:
    """A body on a vision-language model alone."""

    def __init__(self, shape: Shape, standing: Standing, vlm: VlmParts | None) -> None:
        self.shape, self.standing = shape, standing
        self.vlm = cast("VlmParts", vlm)

    def body(self) -> Body:
        shape, parts = self.shape, self.vlm
        recipe, trunk = shape.recipe, shape.recipe.trunk
        joint = "action" in trunk.experts
        adaptive = trunk.embed.get("action") is Embed.ADAPTIVE
        narrow = replace(
            parts.sizes,
            width=shape.size.action,
            hidden=shape.size.action_hidden,
            adaptive=adaptive,
        )
        layers = {"vlm": decoder_layers(parts.sizes)}
        closings = {"vlm": decoder_closing(parts.sizes)}
        if joint:
            layers["action"] = decoder_layers(narrow)
            closings["action"] = decoder_closing(narrow)
        reads = recipe.coupling.reads.of if isinstance(recipe.coupling, Head) else ()
        attention = JointAttention(
            trunk,
            layers=layers,
            closings=closings,
            finishing=(*trunk.named(Role.DENOISED), *reads),
            adaptive=frozenset({"action"} if joint and adaptive else ()),
            causal=frozenset({"vlm"} if parts.causal else ()),
            ahead=frozenset({"image"} if parts.ahead else ()),
            layered={"image": parts.layered},
        )
        widths = {"vlm": parts.sizes.width, "action": shape.size.action}
        cameras = [camera.name for camera in shape.needs.cameras]
        senses = StandingSenses(
            shape,
            widths,
            reader=Reader(parts, cameras),
            view=None,
            understanding=None,
            video=None,
            tokens=None,
        )
        order = tuple(stream.name for stream in trunk.streams)
        own = parts.places(len(cameras))
        inputs, outputs = action_ends(
            shape, adaptive=recipe.table.embed.get("action") is Embed.ADAPTIVE
        )
        conditions = {"action": SwishCondition(narrow.width)} if joint and adaptive else {}
        return Body(
            attention=attention,
            senses=senses,
            inputs=nn.ModuleDict(inputs),
            positions=nn.ParameterDict(),
            outputs=nn.ModuleDict(outputs),
            widths=widths,
            conditions=nn.ModuleDict(conditions) if conditions else None,
            places=lambda laid, copies, cache: running_places(order, laid, copies, cache, own),
            loaded=("attention.experts.vlm.", "attention.norms.vlm.", "senses.reader."),
            standing=self.standing,
        )


class SwishCondition(Condition):
    """Flow times as conditions of adaptive normalisations, which are linear maps of them."""

    def forward(self, time_BL: Tensor) -> Tensor:
        """Times [B, L] to [B, L, D]."""
        return nn.functional.silu(super().forward(time_BL))


def action_ends(
    shape: Shape, *, adaptive: bool
) -> tuple[dict[str, nn.Module], dict[str, nn.Module]]:
    """New input and output of the action, in tokens of the action expert."""
    _, channels = shape.vectors("action")
    output = nn.Linear(shape.size.action, channels)
    nn.init.zeros_(output.weight)
    nn.init.zeros_(output.bias)
    kind = TimedTokens if adaptive else NoisyTokens
    return {"action": kind(channels, shape.size.action)}, {"action": output}


class _VideoBody:
    """A body on a video model, alone or with a vision-language model beside it."""

    def __init__(
        self, shape: Shape, standing: Standing, video: VideoParts, vlm: VlmParts | None
    ) -> None:
        self.shape, self.standing, self.video, self.vlm = shape, standing, video, vlm
        self.sizes = video.sizes
        self.make = video.modules
        self.tokens, self.velocity = self.make.tokens(self.sizes), self.make.velocity(self.sizes)

    def body(self) -> Body:
        shape, recipe, trunk = self.shape, self.shape.recipe, self.shape.recipe.trunk
        head = isinstance(recipe.coupling, Head)
        widths = {"video": self.sizes.width, "action": shape.size.action}
        sizes: dict[str, VideoSizes] = {"video": self.sizes}
        if "action" in trunk.experts.values():
            sizes["action"] = self.sizes.beside(widths["action"])
        if self.vlm is not None:
            widths["vlm"] = self.sizes.width if head else widths["action"]
            sizes["vlm"] = self.sizes.beside(widths["vlm"])
        reads = recipe.coupling.reads.of if isinstance(recipe.coupling, Head) else ()
        attention = JointAttention(
            trunk,
            layers={name: self.make.layers(own) for name, own in sorted(sizes.items())},
            closings={name: self.make.closing(own) for name, own in sorted(sizes.items())},
            finishing=tuple(dict.fromkeys((*trunk.named(Role.DENOISED), *reads))),
            adaptive=frozenset(sizes),
        )
        senses = StandingSenses(
            shape,
            widths,
            reader=None
            if self.vlm is None
            else Reader(self.vlm, [camera.name for camera in shape.needs.cameras]),
            view=View(self.video, shape.needs.cameras, self.tokens, still=recipe.rolling),
            understanding=None
            if self.vlm is None
            else Understanding(self.vlm, widths["vlm"], len(shape.needs.cameras)),
            video=self.video,
            tokens=self.tokens,
        )
        inputs, outputs = self._ends(trunk)
        view = cast("View", senses.view)
        px = shape.size.future_px
        crossing = head and set(recipe.coupling.head.context) - {FEATURES}  # type: ignore[union-attr]
        return Body(
            attention=attention,
            senses=senses,
            inputs=nn.ModuleDict(inputs),
            positions=nn.ParameterDict(),
            outputs=nn.ModuleDict(outputs),
            widths=widths,
            conditions=nn.ModuleDict(
                {name: self.make.told(own) for name, own in sorted(sizes.items())}
            ),
            tells_each=True,
            sees=view.sees,
            paints=lambda now, vectors: view.paints(now, vectors, px),
            places=self._places,
            speaks=frozenset(n for n in outputs if isinstance(outputs[n], _SPEAKING)),
            loaded=(
                "attention.experts.video.",
                "attention.norms.video.",
                "inputs.future.",
                "outputs.future.",
                "conditions.video.",
                *(("senses.reader.", "senses.understanding.trunk.") if self.vlm else ()),
            ),
            head_words=nn.Linear(self.sizes.text_width, shape.size.trunk) if crossing else None,
            standing=self.standing,
        )

    def _ends(self, trunk: Joint) -> tuple[dict[str, nn.Module], dict[str, nn.Module]]:
        """Inputs and outputs; frames are the first to be named, so that they own the weights."""
        recipe, table = self.shape.recipe, self.shape.recipe.table
        inputs: dict[str, nn.Module] = {"future": self.tokens}
        outputs: dict[str, nn.Module] = {"future": self.velocity}
        for name in (*recipe.noisy, *table.named(Role.TEACHER)):
            of = table.stream(name).of or name
            if of == "future":
                inputs.setdefault(name, SameTokens(self.tokens))
            elif table.embed.get(name) is Embed.LATENT_FRAME:
                inputs[name], outputs[name] = SameTokens(self.tokens), SameVelocity(self.velocity)
            elif name not in trunk.experts:
                own = action_ends(self.shape, adaptive=table.embed.get(name) is Embed.ADAPTIVE)
                inputs[name], outputs[name] = own[0]["action"], own[1]["action"]
            else:
                width = (
                    self.sizes.width if table.experts[name] == "video" else self.shape.size.action
                )
                _, channels = self.shape.vectors(name)
                inputs[name] = ActionTokens(channels, width)
                if name in recipe.noisy:
                    outputs[name] = ActionVelocity(width, channels)
        return inputs, outputs

    def _places(self, laid: Laid, copies: Mapping[str, int], cache: Cache) -> dict[str, Tensor]:
        """Frame, row and column of what is seen; other tokens lie on a diagonal behind it.

        A whole frame of numbers has a time of its own. Where experts turn along one axis, a place
        is that of the token in its stream.
        """
        shape, table = self.shape, self.shape.recipe.trunk
        latents = shape.size.latents
        if latents is None:
            raise AssertionError("a standing size has latents")
        each, frame = 1 + shape.groups, self._view()
        names = [stream.name for stream in table.streams]
        frames = [name for name in names if table.embed.get(name) is Embed.LATENT_FRAME]
        found: dict[str, Tensor] = {}
        for name, tokens in laid.tokens.items():
            chunks = copies.get(name, 1)
            if name in laid.times:
                chunks = int(laid.times[name].unique().numel())
            length = tokens.shape[1] // chunks
            if table.experts[name] != "video":
                place = torch.arange(length)[:, None]
            elif name == "frame":
                place = frame
            elif name in frames:
                start = each + frames.index(name)
                place = wan_places((1, latents.rows, latents.columns), start=start)
            elif name == "future" or table.stream(name).of == "future":
                place = wan_places((shape.groups, latents.rows, latents.columns), start=1)
            else:
                behind = torch.arange(length)
                place = torch.stack(
                    [torch.zeros_like(behind), latents.rows + behind, latents.columns + behind], -1
                )
            place = place.repeat(chunks, 1)
            if name in laid.times:
                apart = each if table.experts[name] == "video" else length
                place[:, 0] += apart * laid.times[name].cpu()
            found[name] = place.to(tokens.device)
        return found

    def _view(self) -> Tensor:
        """Places of all cameras, which lie beside one another."""
        parts: list[Tensor] = []
        start = 0
        for camera in self.shape.needs.cameras:
            rows, columns = self.video.grid(camera)
            place = wan_places((1, rows, columns))
            place[:, 2] += start
            start += columns
            parts.append(place)
        return torch.cat(parts)


_SPEAKING = (PatchVelocity, SameVelocity)
