"""Where are the object and the destination of the instruction? A head on the camera tokens."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Pointing(nn.Module):
    """One score and one offset a patch, for object and destination."""

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


def pointed_places(scores_B2L: Tensor, offsets_B2LC: Tensor, grid: tuple[int, int]) -> Tensor:
    """The likeliest x, y in [-1, 1] and their chance, for object and destination, [B, 6].

    Between two things that may be meant lies a place where there is neither, so it is not the mean.
    """
    rows, columns = grid
    chance, index = scores_B2L.float().softmax(-1).max(-1)
    centre = torch.stack([index % columns, index // columns], dim=-1) + 0.5
    size = centre.new_tensor([columns, rows], dtype=torch.float32)
    place = (centre + _offset_at(offsets_B2LC, index)) / size * 2 - 1
    return torch.cat([place, chance[..., None]], dim=-1).flatten(1)


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
    at = _offset_at(offsets_B2LC, patch)
    offset = (at - (place - place.floor() - 0.5)).abs().sum(-1)
    per = (cross.view_as(known) + offset) * known
    return per.sum(-1) / known.sum(-1).clamp(min=1)


def _offset_at(offsets_B2LC: Tensor, patch_B2: Tensor) -> Tensor:
    """The offsets of one patch for object and destination, float32 [B, 2, 2]."""
    return offsets_B2LC.float().gather(2, patch_B2[..., None, None].expand(-1, -1, 1, 2))[:, :, 0]
