"""What a video model with released weights is given: pictures as latents, words as states.

What makes latents of pictures and states of words is handed in: both are frozen and their results
can be kept.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vertebra.policy.senses import Context, Given
from vertebra.policy.shape import Shape
from vertebra.policy.wan_parts import Encode, Texts, patches

Look = Callable[[Tensor], Tensor]
"""From pictures [B, H, W, 3], uint8, to states of a picture encoder [B, S, C]."""


class LatentSenses(nn.Module):
    """All cameras in one picture as latents, the words as states of an encoder.

    Args:
        shape: Recipe and robot.
        patch: Frames, rows and columns of latents a token.
        tokens: What makes tokens of patches; it belongs to the inputs of the network.
        encode: Pictures to latents.
        texts: Words to states.
        prompt: What the encoder is told of an instruction.

    Raises:
        ValueError: When the size does not say how large latents are.
    """

    has_state = False

    def __init__(
        self,
        shape: Shape,
        patch: tuple[int, int, int],
        *,
        tokens: Callable[[Tensor], Tensor],
        encode: Encode,
        texts: Texts,
        prompt: Callable[[str], str] = str,
    ) -> None:
        super().__init__()
        self.patch, self.encode, self.texts, self.prompt = patch, encode, texts, prompt
        self.cameras = tuple(camera.name for camera in shape.needs.cameras)
        self._tokens = (tokens,)  # in a tuple: its weights are those of an input
        latents = shape.size.latents
        if latents is None:
            raise ValueError(f"Size '{shape.size.name}' has no latents: say how large they are.")
        self.grid = (latents.rows, latents.columns)
        self.register_buffer("here", torch.zeros(()), persistent=False)
        self.here: Tensor

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.here.device

    @property
    def camera_tokens(self) -> int:
        """Tokens of the picture in which all cameras lie side by side."""
        return math.prod(self.grid)

    def streams(
        self, given: Given, names: Sequence[str], silent: bool
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Tokens of the present frame, for which the cameras are put side by side."""
        own = {name: self.one(name, given) for name in names if name != "frame"}
        if "frame" not in names:
            return own, {}
        beside = canvas(given.images, self.cameras)
        seen = patches(self.encode(beside[:, None]), self.patch)
        return {"frame": self._tokens[0](seen), **own}, {}

    def one(self, name: str, given: Given) -> Tensor:
        """Tokens of a given stream that is no frame.

        Raises:
            ValueError: There is none.
        """
        raise ValueError(f"The only given stream here is 'frame', found '{name}'.")

    def contexts(self, given: Given, names: Sequence[str], silent: bool) -> Context:
        """States of the words."""
        spoken = ("",) * len(given.instructions) if silent else given.instructions
        states, mask = self.texts([self.prompt(text) for text in spoken])
        return Context(tokens=states.to(self.device), mask=mask.to(self.device))


def canvas(images: Mapping[str, Tensor], cameras: Sequence[str]) -> Tensor:
    """Pictures of all cameras side by side [B, H, W, 3]."""
    return torch.cat([images[camera] for camera in cameras], dim=2)


def held(pictures: Tensor, each: int) -> Tensor:
    """The first picture, then each later one as often as a latent frame has pictures.

    Between chunks that roll no more than their ends are known.

    Args:
        pictures: [B, F, H, W, 3].
        each: Pictures in a latent frame after the first.
    """
    return torch.cat([pictures[:, :1], pictures[:, 1:].repeat_interleave(each, dim=1)], dim=1)


def resized(pictures: Tensor, height: int, width: int) -> Tensor:
    """Pictures [B, F, H, W, 3], uint8, at another size."""
    if pictures.shape[2:4] == (height, width):
        return pictures
    flat = pictures.flatten(0, 1).permute(0, 3, 1, 2).float()
    small = F.interpolate(flat, (height, width), mode="bilinear", align_corners=False)
    plain = small.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)
    return plain.unflatten(0, pictures.shape[:2])
