"""A small causal video autoencoder: the space in which mini video models imagine.

As in the large ones, the first frame is coded alone and later frames in groups, and no code depends
on a later frame.

Source: the layout of Wan 2.2's autoencoder (one frame, then groups in time; code grids of the first
frame and of a group are alike), in miniature.
Deviations: 8 x 8 x 2 instead of 16 x 16 x 4; no adversarial or perceptual loss; codes are
normalised over channels instead of drawn towards a normal distribution.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vertebra.backbones.sizes import CODE_CHANNELS, CODE_GRID, GROUP

PX = 32
"""Side of a coded frame in pixels."""
NOISE = 0.1
"""Standard deviation of what is added to codes in training, so that near codes look alike."""


class VideoAutoencoder(nn.Module):
    """Codes frames of 32 x 32 pixels; all frames are float [B, T, 3, 32, 32] in [0, 1].

    Args:
        width: Channels of its first layer.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        deep = 2 * width
        self.patch = nn.Conv2d(3, width, 4, 4)
        self.mix = nn.Conv2d(width, width, 3, 1, 1)
        self.merge = nn.Conv2d(width, deep, 2, 2)
        self.code = nn.Conv2d((1 + GROUP) * deep, CODE_CHANNELS, 1)
        self.decode_code = nn.Conv2d(2 * CODE_CHANNELS, GROUP * 2 * deep, 1)
        self.spread = nn.ConvTranspose2d(2 * deep, deep, 2, 2)
        self.unmix = nn.Conv2d(deep, deep, 3, 1, 1)
        self.paint = nn.ConvTranspose2d(deep, 3, 4, 4)
        self.register_buffer("change_scale", torch.ones(()))
        self.change_scale: Tensor

    def encode(self, frames: Tensor) -> Tensor:
        """The first frame and groups of two to codes [B, 1 + groups, C, 4, 4]."""
        batch, count = frames.shape[:2]
        seen = F.relu(self.patch(frames.flatten(0, 1) * 2 - 1))
        seen = F.relu(seen + self.mix(seen))
        seen = F.relu(self.merge(seen)).view(batch, count, -1, CODE_GRID, CODE_GRID)
        # Nothing moved before the first frame: it stands for its past and for its whole group.
        past = seen[:, :1].expand(-1, GROUP, -1, -1, -1)
        whole = torch.cat([past, seen], dim=1)
        groups = [
            whole[:, GROUP * k : GROUP * (k + 1) + 1].flatten(1, 2)
            for k in range((count - 1) // GROUP + 1)
        ]
        codes = self.code(torch.stack(groups, dim=1).flatten(0, 1))
        codes = F.layer_norm(codes.movedim(1, -1), (CODE_CHANNELS,)).movedim(-1, 1)
        return codes.view(batch, -1, CODE_CHANNELS, CODE_GRID, CODE_GRID)

    def decode(self, codes: Tensor) -> Tensor:
        """Codes to the first frame and groups of two."""
        batch, count = codes.shape[:2]
        before = torch.cat([codes[:, :1], codes[:, :-1]], dim=1)
        seen = self.decode_code(torch.cat([before, codes], dim=2).flatten(0, 1))
        seen = F.relu(seen.unflatten(1, (GROUP, -1)).flatten(0, 1))
        seen = F.relu(self.spread(seen))
        seen = F.relu(seen + self.unmix(seen))
        frames = self.paint(seen).view(batch, count * GROUP, 3, PX, PX) + 0.5
        return frames[:, GROUP - 1 :]

    def losses(self, frames: Tensor, noise: Tensor) -> dict[str, Tensor]:
        """``frames``: absolute error of what is painted, moving pixels counted more [B].

        Args:
            frames: What is coded.
            noise: Standard normal [B, 1 + groups, C, 4, 4].
        """
        painted = self.decode(self.encode(frames) + NOISE * noise)
        moving = (frames - frames[:, :1]).abs().amax(2, keepdim=True).gt(0.06).float()
        error = (painted - frames).abs() * (1 + 2 * moving)
        return {"frames": error.flatten(1).mean(1)}

    def changes(self, now: Tensor, later: Tensor) -> Tensor:
        """What later frames differ in from the present one, as vectors [B, groups * 16, C].

        Args:
            now: float [B, 3, 32, 32].
            later: float [B, T, 3, 32, 32], whole groups.
        """
        codes = self.encode(torch.cat([now[:, None], later], dim=1))
        change = (codes[:, 1:] - codes[:, :1]) * self.change_scale
        return change.flatten(3).transpose(2, 3).flatten(1, 2)

    def changed(self, now: Tensor, vectors: Tensor) -> Tensor:
        """The later frames [B, T, 3, 32, 32] in [0, 1] that vectors of ``changes`` mean."""
        first = self.encode(now[:, None])
        grids = vectors.unflatten(1, (-1, CODE_GRID * CODE_GRID)).transpose(2, 3)
        change = grids.unflatten(3, (CODE_GRID, CODE_GRID)) / self.change_scale
        return self.decode(torch.cat([first, first + change], dim=1))[:, 1:].clamp(0, 1)
