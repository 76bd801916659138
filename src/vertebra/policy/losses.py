"""The training losses of a recipe, one named term each, per sample."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from vertebra.flow.path import between, velocity
from vertebra.flow.predictions import remaining
from vertebra.flow.times import draw_times
from vertebra.policy.frames import changes
from vertebra.policy.network import PREDICTED_AS_DATA, Given, Network, pointing_loss
from vertebra.spec.streams import Role

START_FRAMES = 5
"""Frames at the start of an episode that count twice in the loss of imagined frames."""


@dataclass(frozen=True, kw_only=True)
class Examples:
    """One batch as tensors, normalised.

    Attributes:
        given: What the policy is shown.
        actions: Normalised action chunks [B, horizon, A].
        action_mask: True where an action label exists [B, horizon].
        future: uint8 frames of the first camera [B, F, H, W, 3].
        future_mask: True where the frame lies inside the episode [B, F].
        points: Object and destination in the first camera [B, 2, 2], NaN where unknown.
        frame: Frame inside the episode [B], from 0.
    """

    given: Given
    actions: Tensor
    action_mask: Tensor
    future: Tensor
    future_mask: Tensor
    points: Tensor
    frame: Tensor

    @property
    def count(self) -> int:
        """Samples in the batch."""
        return self.actions.shape[0]


def losses(network: Network, examples: Examples, generator: torch.Generator) -> dict[str, Tensor]:
    """Named loss terms, each [B]: one for each denoised stream, and ``pointing`` if it is trained.

    Args:
        network: The weights.
        examples: The batch.
        generator: Source of noise and flow times.
    """
    joint, recipe = network.joint, network.shape.recipe
    clean, masks = _targets(network, examples)
    noisy: dict[str, tuple[Tensor, Tensor]] = {}
    wanted: dict[str, Tensor] = {}
    for name in network.denoised:
        copies = _copies(network, name)
        data = clean[name].repeat(1, copies, 1)
        time = draw_times(recipe.times[name], examples.count * copies, generator)
        time = time.view(examples.count, copies).to(data.device)
        noise = torch.randn(data.shape, generator=generator, device=generator.device).to(
            data.device
        )
        per_token = time.repeat_interleave(network.length(name), dim=1)[..., None]
        noisy[name] = (between(noise, data, per_token), time)
        wanted[name] = velocity(noise, data)
    for name in joint.named(Role.TEACHER):
        data = clean[joint.stream(name).of]
        noisy[name] = (data, torch.ones(examples.count, 1, device=data.device))
    read, _ = network.read(examples.given, noisy)
    predicted = network.velocities(read, noisy)
    terms: dict[str, Tensor] = {}
    for name in network.denoised:
        error = (predicted[name] - wanted[name]).square().mean(-1)
        if name in PREDICTED_AS_DATA:
            time = noisy[name][1].repeat_interleave(network.length(name), dim=1)
            error = error * remaining(time).square()
        terms[name] = _masked_mean(error, masks[name])
        if name in PREDICTED_AS_DATA:
            # Early on the words decide what will move; later the motion itself tells.
            terms[name] = terms[name] * (1.0 + (examples.frame < START_FRAMES).float())
    if network.shape.pointing:
        scores, offsets = network.pointing(network.pixel_tokens(read))
        terms["pointing"] = pointing_loss(scores, offsets, examples.points, network.grid)
    return terms


def weighted_total(terms: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """The weighted sum of the batch means; a term without a weight counts once."""
    return torch.stack([weights.get(name, 1.0) * term.mean() for name, term in terms.items()]).sum()


def _copies(network: Network, name: str) -> int:
    joint = network.joint
    readers = [query for query, keys in joint.sees.items() if name in keys and query != name]
    return network.shape.size.draws if name == "action" and not readers else 1


def _targets(network: Network, examples: Examples) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    size = network.shape.size
    clean = {"action": examples.actions}
    masks = {"action": examples.action_mask.float().repeat(1, _copies(network, "action"))}
    if "future" in network.denoised:
        now = next(iter(examples.given.images.values()))
        clean["future"] = changes(now, examples.future, size.future_px, size.future_patch)
        tokens = (size.future_px // size.future_patch) ** 2
        moving = clean["future"].square().mean(-1)
        weight = 0.25 + moving / moving.mean().clamp(min=1e-4)
        inside = examples.future_mask.float().repeat_interleave(tokens, dim=1)
        masks["future"] = weight.clamp(max=8.0) * inside
    return clean, masks


def _masked_mean(error_BL: Tensor, weight_BL: Tensor) -> Tensor:
    return (error_BL * weight_BL).sum(-1) / weight_BL.sum(-1).clamp(min=1e-6)
