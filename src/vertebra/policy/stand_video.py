"""A released video model as a trunk: latents of pictures and states of words in, velocities out."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vertebra.backbones.sizes import Latents
from vertebra.backbones.video_sizes import VideoSizes
from vertebra.policy.encoders import Autoencoder
from vertebra.policy.frames import shrink
from vertebra.policy.wan_parts import Texts, patches, unpatched
from vertebra.spec.observation import Camera


@dataclass(frozen=True, kw_only=True, eq=False)
class VideoModules:
    """What makes the modules of a family of video models, with new weights, from sizes.

    Attributes:
        layers: Its layers.
        closing: What follows the last one.
        tokens: From patch vectors [B, L, C] and flow times [B, L], none for what is known, to
            tokens.
        velocity: From tokens to the velocity of patch vectors, from noise to data.
        told: From flow times [B, L] to conditions; its ``words`` makes a context of the text
            encoder's states.
    """

    layers: Callable[[Any], nn.ModuleList]
    closing: Callable[[Any], nn.Module]
    tokens: Callable[[Any], nn.Module]
    velocity: Callable[[Any], nn.Module]
    told: Callable[[Any], nn.Module]


@dataclass(frozen=True, kw_only=True, eq=False)
class VideoParts:
    """A video model, taken apart; the encoders beside it are loaded and frozen.

    Attributes:
        sizes: Its layers.
        modules: What they are made by.
        autoencoder: Pictures to latents and back.
        texts: Instructions to states of its text encoder.
        rename: From the library's names of weights to ``layers.``, ``closing.``, ``tokens.``,
            ``told.`` and ``velocity.``.
    """

    sizes: VideoSizes
    modules: VideoModules
    autoencoder: Autoencoder
    texts: Texts
    rename: Callable[[str], str | None]

    @property
    def numbers(self) -> int:
        """Numbers in a token of latents."""
        return self.sizes.channels_out * math.prod(self.sizes.patch)

    def grid(self, camera: Camera) -> tuple[int, int]:
        """Rows and columns of tokens of a camera, whose pictures are made to fit them."""
        pitch = self.autoencoder.side * self.sizes.patch[1]
        return max(1, round(camera.height / pitch)), max(1, round(camera.width / pitch))

    def latents(self, camera: Camera, last: int, most: int) -> Latents:
        """The frames that are imagined of the first camera.

        Args:
            camera: The camera.
            last: Control steps to the last of them.
            most: Most latent frames.

        Raises:
            ValueError: When not even one latent frame ends so soon.
        """
        rows, columns = self.grid(camera)
        each = self.autoencoder.pictures
        if last < each:
            raise ValueError(
                f"The video model makes {each} pictures at a time, and the last imagined one lies "
                f"{last} control steps ahead: use a size that looks further."
            )
        frames = max(1, min(most, last // each))
        return Latents(
            frames=frames, rows=rows, columns=columns, numbers=self.numbers, pictures=each
        )


class View(nn.Module):
    """Pictures as patch vectors of latents, and as tokens.

    Args:
        parts: The model.
        cameras: The cameras, in their order; the first one is imagined.
        tokens: What makes tokens of vectors; it belongs to another module.
        still: Whether one picture stands for a whole latent frame, which it fills without moving:
            between chunks that roll no more than their ends are known.
    """

    def __init__(
        self,
        parts: VideoParts,
        cameras: Sequence[Camera],
        tokens: nn.Module,
        *,
        still: bool = False,
    ) -> None:
        super().__init__()
        self.each = parts.autoencoder.pictures if still else 1
        self.autoencoder, self.patch = parts.autoencoder, parts.sizes.patch
        pitch = parts.autoencoder.side * parts.sizes.patch[1]
        self.grids = {camera.name: parts.grid(camera) for camera in cameras}
        self.pixels = {name: (r * pitch, c * pitch) for name, (r, c) in self.grids.items()}
        self.first = cameras[0].name
        self._tokens = (tokens,)  # in a tuple: its weights are those of an input

    def vectors(self, name: str, clips: Tensor) -> Tensor:
        """Clips [B, F, H, W, 3], uint8, of a camera as vectors [B, L, C]."""
        return patches(self.autoencoder.encode(_fitted(clips, self.pixels[name])), self.patch)

    def seen(self, images: Mapping[str, Tensor]) -> Tensor:
        """Tokens of all cameras, one behind another [B, L, D]."""
        seen = [self.vectors(name, images[name][:, None]) for name in self.grids]
        return self._tokens[0](torch.cat(seen, dim=1))

    def sees(self, clips: Tensor) -> Tensor:
        """Clips [B, F, H, W, 3], uint8, of the first camera as vectors."""
        later = clips[:, 1:].repeat_interleave(self.each, dim=1)
        return self.vectors(self.first, torch.cat([clips[:, :1], later], dim=1))

    def paints(self, now: Tensor, vectors: Tensor, px: int) -> Tensor:
        """Vectors of imagined latents as pictures [B, F, px, px, 3], uint8.

        Args:
            now: The present picture of the first camera [B, H, W, 3], uint8.
            vectors: [B, L, C].
            px: Side of the pictures.
        """
        rows, columns = self.grids[self.first]
        grid = (vectors.shape[1] // (rows * columns), rows, columns)
        first = self.autoencoder.encode(_fitted(now[:, None], self.pixels[self.first]))
        later = unpatched(vectors.to(first), grid, self.patch)
        clips = self.autoencoder.decode(torch.cat([first, later], dim=2))[:, self.each :: self.each]
        small = shrink(clips.flatten(0, 1), px).unflatten(0, clips.shape[:2])
        return (small * 255.0).round().to(torch.uint8).permute(0, 1, 3, 4, 2)


def _fitted(clips: Tensor, pixels: tuple[int, int]) -> Tensor:
    """Clips whose pictures have these many rows and columns of pixels."""
    if tuple(clips.shape[2:4]) == pixels:
        return clips
    flat = clips.flatten(0, 1).permute(0, 3, 1, 2).float()
    fitted = F.interpolate(flat, pixels, mode="area").round().to(torch.uint8)
    return fitted.permute(0, 2, 3, 1).unflatten(0, clips.shape[:2])
