"""A separate inverse dynamics model: the actions that lead from frame to frame."""

from torch import Tensor, nn
from torch.nn import functional as F

from vertebra.backbones.sizes import Latents
from vertebra.policy.frames import from_patches


class InverseDynamics(nn.Module):
    """A small convolutional network on coarse frames, laid behind one another on the channels.

    Source: arXiv:2302.00111, appendix (convolutions, pooling, an MLP). Deviations: it keeps places
    instead of pooling them away, because frames are small.

    Args:
        frames: How many frames it is shown.
        px: Their side.
        patch: Side of a patch of the vectors in which frames are given.
        horizon: Actions between them.
        dims: Numbers in an action.
        width: Channels.
    """

    def __init__(
        self, *, frames: int, px: int, patch: int, horizon: int, dims: int, width: int
    ) -> None:
        super().__init__()
        self.px, self.patch = px, patch
        self.horizon, self.dims = horizon, dims
        self.first = nn.Conv2d(3 * frames, width, 4, 4)
        self.mix = nn.Conv2d(width, width, 3, 1, 1)
        self.hidden = nn.Linear(width * (px // 4) ** 2, 2 * width)
        self.out = nn.Linear(2 * width, horizon * dims)

    def forward(self, frames_BLC: Tensor) -> Tensor:
        """Patch vectors [B, frames * tokens, C] in order to actions [B, horizon, A]."""
        batch, length, channels = frames_BLC.shape
        tokens = (self.px // self.patch) ** 2
        patches = frames_BLC.reshape(batch * length // tokens, tokens, channels)
        pictures = from_patches(patches.float(), self.px, self.patch)
        stacked = pictures.view(batch, -1, self.px, self.px)
        features = F.relu(self.first(stacked))
        features = F.relu(features + self.mix(features))
        hidden = F.relu(self.hidden(features.flatten(1)))
        return self.out(hidden).view(batch, self.horizon, self.dims)


class InverseOfLatents(nn.Module):
    """The same on frames as latents of a video autoencoder, whose places are tokens.

    Args:
        frames: How many latent frames it is shown.
        latents: Their grid.
        horizon: Actions between them.
        dims: Numbers in an action.
        width: Channels.
    """

    def __init__(
        self, *, frames: int, latents: Latents, horizon: int, dims: int, width: int
    ) -> None:
        super().__init__()
        self.grid = (latents.rows, latents.columns)
        self.horizon, self.dims = horizon, dims
        self.first = nn.Conv2d(frames * latents.numbers, width, 1)
        self.mix = nn.Conv2d(width, width, 3, 1, 1)
        self.hidden = nn.Linear(width * latents.rows * latents.columns, 2 * width)
        self.out = nn.Linear(2 * width, horizon * dims)

    def forward(self, frames_BLC: Tensor) -> Tensor:
        """Patch vectors [B, frames * tokens, C] in order to actions [B, horizon, A]."""
        rows, columns = self.grid
        maps = frames_BLC.float().unflatten(1, (-1, rows, columns)).permute(0, 1, 4, 2, 3)
        features = F.relu(self.first(maps.flatten(1, 2)))
        features = F.relu(features + self.mix(features))
        hidden = F.relu(self.hidden(features.flatten(1)))
        return self.out(hidden).view(-1, self.horizon, self.dims)
