"""What stands between DreamZero's trunk and our streams: pictures beside latents, actions, states.

Source: dreamzero @ ab790c1 groot/vla/model/dreamzero/modules/wan_video_dit_action_casual_chunk.py
    (CategorySpecificLinear, MultiEmbodimentActionEncoder), groot/vla/model/n1_5/modules/
    action_encoder.py, groot/vla/model/dreamzero/transform/dreamzero_cotrain.py.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vertebra.backbones.wan import WanSizes
from vertebra.policy.latent_senses import LatentSenses, Look, canvas
from vertebra.policy.senses import Context, Given
from vertebra.policy.shape import Shape
from vertebra.policy.wan_parts import STEPS, Encode, PatchTokens, Texts, Told

LONGEST = 10000.0
"""Base of the wavelengths in which actions are told their time."""


@dataclass(frozen=True, kw_only=True)
class DreamZeroSizes:
    """Widths and counts of a DreamZero.

    Attributes:
        video: The transformer.
        actions: Numbers in an action vector; what a robot does not have is zero.
        state: Numbers in a state vector; shorter ones are filled up with zeros.
        hidden: Hidden width of what reads states and writes actions.
    """

    video: WanSizes
    actions: int = 32
    state: int = 64
    hidden: int = 1024

    @property
    def beside(self) -> bool:
        """Whether the first frame stands beside the latents, with a mask that says where it is."""
        return self.video.channels_in > self.video.channels_out


class Linear(nn.Module):
    """A linear map under DreamZero's names: the only one of its bank is used.

    Args:
        width: Of the input.
        out: Of the output.
    """

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.W = nn.Parameter(0.02 * torch.randn(1, width, out))
        self.b = nn.Parameter(torch.zeros(1, out))

    def forward(self, x: Tensor) -> Tensor:
        """[..., width] to [..., out]."""
        return x @ self.W[0] + self.b[0]


class TwoLayers(nn.Module):
    """Two linear maps with a ReLU between them."""

    def __init__(self, width: int, hidden: int, out: int) -> None:
        super().__init__()
        self.layer1 = Linear(width, hidden)
        self.layer2 = Linear(hidden, out)

    def forward(self, x: Tensor) -> Tensor:
        """[..., width] to [..., out]."""
        return self.layer2(F.relu(self.layer1(x)))


class TimedActions(nn.Module):
    """Noisy actions and their noise level as tokens."""

    def __init__(self, actions: int, width: int) -> None:
        super().__init__()
        self.W1 = Linear(actions, width)
        self.W2 = Linear(2 * width, width)
        self.W3 = Linear(width, width)

    def forward(self, noisy_BLC: Tensor, time_BL: Tensor) -> Tensor:
        """[B, L, A] and flow times [B, L] to tokens [B, L, D]."""
        value = self.W1(noisy_BLC)
        half = value.shape[-1] // 2
        rate = torch.exp(-math.log(LONGEST) * torch.arange(half, device=value.device) / half)
        angle = STEPS * (1.0 - time_BL.float())[..., None] * rate
        waves = torch.cat([angle.sin(), angle.cos()], dim=-1).to(value.dtype)
        return self.W3(F.silu(self.W2(torch.cat([value, waves], dim=-1))))


class ActionRates(TwoLayers):
    """Tokens as velocities of actions, from noise to data."""

    def forward(self, x: Tensor) -> Tensor:
        """[B, L, D] to [B, L, A]."""
        return -super().forward(x)


class FrameTokens(PatchTokens):
    """Vectors of patches as tokens; beside them what is known of their frame, where it is told.

    That is a mask (all ones in a first frame, zeros in later ones) and latents: of a first frame
    its own, of a later one those of a grey picture.

    Args:
        sizes: Widths.
        grey: Vectors of a grey frame [L, C * patch].
    """

    def __init__(self, sizes: DreamZeroSizes, grey: Tensor) -> None:
        super().__init__(sizes.video)
        video = sizes.video
        self.told = sizes.beside
        self.masked = (video.channels_in - 2 * video.channels_out) * math.prod(video.patch)
        self.register_buffer("grey", grey, persistent=False)
        self.grey: Tensor

    def forward(self, vectors_BLC: Tensor, time_BL: Tensor | None = None) -> Tensor:
        """Later frames [B, n * L, C * patch] as tokens [B, n * L, D]."""
        if not self.told:
            return super().forward(vectors_BLC)
        batch, length, _ = vectors_BLC.shape
        grey = self.grey.to(vectors_BLC).repeat(length // len(self.grey), 1)
        mask = vectors_BLC.new_zeros(batch, length, self.masked)
        return super().forward(torch.cat([vectors_BLC, mask, grey.expand(batch, -1, -1)], dim=-1))

    def first(self, vectors_BLC: Tensor) -> Tensor:
        """A first frame [B, L, C * patch] as tokens [B, L, D]."""
        if not self.told:
            return super().forward(vectors_BLC)
        mask = vectors_BLC.new_ones(*vectors_BLC.shape[:2], self.masked)
        return super().forward(torch.cat([vectors_BLC, mask, vectors_BLC], dim=-1))


class DreamZeroSenses(LatentSenses):
    """The present frame as latents; it and the words as states of encoders; the robot's state.

    Args:
        shape: Recipe and robot.
        sizes: Widths.
        tokens: What makes tokens of frames; it belongs to the inputs of the network.
        told: What makes a context of states; it belongs to the conditions of the network.
        encode: All cameras side by side to latents.
        look: All cameras side by side to states of a picture encoder.
        texts: Words to states.
    """

    def __init__(
        self,
        shape: Shape,
        sizes: DreamZeroSizes,
        *,
        tokens: FrameTokens,
        told: Told,
        encode: Encode,
        look: Look,
        texts: Texts,
    ) -> None:
        video = sizes.video
        super().__init__(shape, video.patch, tokens=tokens.first, encode=encode, texts=texts)
        self.look, self._told, self.room = look, (told,), sizes.state - shape.state_dims
        self.has_state = True
        self.state = TwoLayers(sizes.state, sizes.hidden, video.width)

    def one(self, name: str, given: Given) -> Tensor:
        """The state as a token [B, 1, D].

        Raises:
            ValueError: For another stream.
        """
        if name != "state":
            return super().one(name, given)
        return self.state(F.pad(given.state, (0, self.room)))[:, None]

    def contexts(self, given: Given, names: Sequence[str], silent: bool) -> Context:
        """What the picture encoder sees, then the words."""
        said = super().contexts(given, names, silent)
        (told,) = self._told
        seen = self.look(canvas(given.images, self.cameras)).to(said.tokens)
        seen = told.image_embedder(seen)
        mask = torch.ones(seen.shape[:2], dtype=torch.bool, device=self.device)
        return Context(tokens=seen, mask=mask).and_then(
            Context(tokens=told.words(said.tokens), mask=said.mask)
        )


def droid(pictures: Tensor) -> Tensor:
    """The wrist above, twice as wide, and both exteriors below it, as DROID is laid out.

    Args:
        pictures: Left exterior, right exterior and wrist side by side [B, F, H, 3 W, 3].
    """
    left, right, wrist = pictures.chunk(3, dim=3)
    below = torch.cat([left, right], dim=3)
    return torch.cat([wrist.repeat_interleave(2, dim=3), below], dim=2)


def agibot(pictures: Tensor) -> Tensor:
    """The head above the left hand, the right hand above nothing, as AgiBot is laid out.

    Args:
        pictures: Head, left hand and right hand side by side [B, F, H, 3 W, 3].
    """
    head, left, right = pictures.chunk(3, dim=3)
    above = torch.cat([head, right], dim=3)
    return torch.cat([above, torch.cat([left, torch.zeros_like(left)], dim=3)], dim=2)
