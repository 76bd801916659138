"""What each denoised stream should become: clean vectors and loss weights."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vertebra.backbones.sizes import GROUP
from vertebra.coupling.table import Embed
from vertebra.nn.embeddings import tiled
from vertebra.policy.senses import Given
from vertebra.policy.shape import Shape

DISCOUNT = 0.99
"""Discount of the return a control step (cosmos-policy, LIBERO)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Examples:
    """One batch of windows as tensors, normalised.

    Attributes:
        given: What the policy is shown.
        actions: Normalised action chunks [B, horizon, A].
        action_mask: True where an action label exists [B, horizon].
        future: uint8 frames of the first camera [B, F, H, W, 3]; where frames are latents, of all
            cameras side by side.
        future_mask: True where the frame lies inside the episode [B, F].
        future_state: Normalised state at those frames [B, F, S], NaN where unknown.
        points: Object and destination in the first camera [B, 2, 2], NaN where unknown.
        frame: Frame inside the episode [B], from 0.
        length: Frames of the episode [B].
        real: True where the window lies inside the episode [B].
    """

    given: Given
    actions: Tensor
    action_mask: Tensor
    future: Tensor
    future_mask: Tensor
    future_state: Tensor
    points: Tensor
    frame: Tensor
    length: Tensor
    real: Tensor

    @property
    def count(self) -> int:
        """Samples in the batch."""
        return self.actions.shape[0]


def clean_vectors(
    shape: Shape,
    name: str,
    examples: Examples,
    imaginable: Callable[[Tensor, Tensor], Tensor],
    sees: Callable[[Tensor], Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """Clean vectors [B, L, C] of a denoised stream in one chunk, and their loss weights [B, L].

    Weights are zero where the truth is not known.

    Args:
        shape: What the network is built from.
        name: The stream.
        examples: The batch.
        imaginable: From the present and later frames to vectors (``Network.imaginable``).
        sees: What makes vectors of pictures, where frames are latents (``Network.sees``).
    """
    match name:
        case "action":
            clean, known = examples.actions, examples.action_mask.float()
        case "future" if sees is not None:
            return _latents(shape, examples, sees)
        case "future":
            now = next(iter(examples.given.images.values()))
            clean = imaginable(now, examples.future)
            weight = moving_weight(clean)
            last = slice(GROUP - 1, None, GROUP) if shape.coded else slice(None)
            inside = examples.future_mask[:, last]
            inside = inside.repeat_interleave(shape.frame_tokens, dim=1)
            return clean, weight * inside * examples.real[:, None]
        case "future_state":
            clean, known = examples.future_state, examples.future_mask.float()
            known = known * clean.isfinite().all(-1)
            clean = clean.nan_to_num()
        case "value":
            clean = torch.stack(
                [_value(shape, value, examples) for value in shape.recipe.values], dim=-1
            )[:, None]
            known = clean.isfinite().float().mean(-1)
            clean = clean.nan_to_num()
        case _:
            raise ValueError(f"Nothing is known of stream '{name}'.")
    known = known * examples.real[:, None]
    if shape.recipe.table.embed.get(name) is Embed.LATENT_FRAME:
        length, channels = shape.vectors(name)
        spread = known[..., None].expand(clean.shape)
        return tiled(clean, length, channels), tiled(spread, length, channels).mean(-1)
    return clean, known


def moving_weight(changes_BLC: Tensor) -> Tensor:
    """Loss weights [B, L] of parts of future frames: the more they move, the more they count."""
    moving = changes_BLC.square().mean(-1)
    return (0.25 + moving / moving.mean().clamp(min=1e-4)).clamp(max=8.0)


@torch.no_grad()
def _latents(
    shape: Shape, examples: Examples, sees: Callable[[Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    """Latents of the frames to come, seen after the present one; known where all of them are."""
    views = list(examples.given.images.values())
    alone = views[0].shape[2] == examples.future.shape[3]
    now = views[0] if alone else torch.cat(views, dim=2)
    whole = sees(torch.cat([now[:, None], examples.future], dim=1))
    clean, wanted = whole[:, shape.frame_tokens :], shape.vectors("future")
    if clean.shape[1:] != wanted:
        raise ValueError(
            f"{examples.future.shape[1]} pictures to come became {tuple(clean.shape[1:])} vectors, "
            f"size '{shape.size.name}' says {wanted}: its future_steps and latents do not agree."
        )
    known = examples.future_mask.unflatten(1, (shape.groups, -1)).all(-1).float()
    return clean, known.repeat_interleave(shape.frame_tokens, dim=1) * examples.real[:, None]


def _value(shape: Shape, name: str, examples: Examples) -> Tensor:
    """One number a sample [B]; NaN where nothing is known.

    A demonstration is taken to end in success. ``return``: discounted steps to its end.
    ``progress``: share of the episode that passes in this chunk. ``success``: whether it ends
    within the chunk. ``risk``: chance of failure, which only data with failures can teach.
    """
    left = (examples.length - 1 - examples.frame).float()
    match name:
        case "return":
            return DISCOUNT**left
        case "progress":
            return left.clamp(max=shape.horizon) / examples.length
        case "success":
            return (left <= shape.horizon).float()
        case "risk":
            return torch.full_like(left, torch.nan)
        case _:
            raise ValueError(f"No value is named '{name}': return, progress, success or risk.")


def joined(parts: Sequence[Tensor]) -> Tensor:
    """Chunks behind one another."""
    return torch.cat(list(parts), dim=1) if len(parts) > 1 else parts[0]
