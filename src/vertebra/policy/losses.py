"""The training losses of a recipe, one named term each, per sample."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor

from vertebra.coupling.joint import Read
from vertebra.coupling.kinds import Head, Inverse
from vertebra.flow.path import between, velocity
from vertebra.flow.times import draw_times
from vertebra.flow.weights import weight_at
from vertebra.policy.network import Network, Noisy, Scene
from vertebra.policy.pointing import pointing_loss
from vertebra.policy.targets import Examples, clean_vectors, joined
from vertebra.spec.noise import SameAs, Times
from vertebra.spec.streams import POINT, Role

START_FRAMES = 5
"""Frames at the start of an episode that count twice in the loss of imagined frames."""


def losses(
    network: Network, samples: Sequence[Examples], generator: torch.Generator
) -> dict[str, Tensor]:
    """Named loss terms, each [B]: one for each denoised stream, and ``pointing`` if it is trained.

    Args:
        network: The weights.
        samples: The batch; one element for each chunk of a rolling recipe, oldest first.
        generator: Source of noise and flow times.
    """
    recipe = network.shape.recipe
    noised = _noised(network, samples, generator)
    scenes = [network.scene(one.given) for one in _told(network, samples, generator)]
    real = torch.stack([one.real for one in samples], dim=1) if len(samples) > 1 else None
    read = network.look(scenes, noised.noisy, real=real)
    predicted = network.velocities(read, noised.noisy)
    terms: dict[str, Tensor] = {}
    match recipe.coupling:
        case Head():
            predicted |= _decoded(network, scenes[0], read, noised, generator)
        case Inverse():
            terms["action"] = _inferred(network, samples, noised)
        case _:
            pass
    for name, wanted in noised.wanted.items():
        process, time = network.process(name), _per_token(network, name, noised.noisy[name][1])
        error = (predicted[name] - wanted).square().mean(-1)
        error = error * weight_at(process.weighting, time, process.predicts)[..., 0]
        terms[name] = _masked_mean(error, noised.weights[name])
        if name == "future":
            # Early on the words decide what will move; later the motion itself tells.
            terms[name] = terms[name] * (1.0 + (samples[-1].frame < START_FRAMES).float())
    acted = samples[-1].action_mask.any(-1)  # windows of videos say nothing of actions
    terms["action"] = terms["action"] * (acted.numel() / acted.sum().clamp(min=1))
    if network.shape.pointing:
        parts = [_pointing(network, read, chunk, one) for chunk, one in enumerate(samples)]
        terms["pointing"] = torch.stack(parts).mean(0)
    return terms


@dataclass(frozen=True, kw_only=True, eq=False)
class Noised:
    """The streams of one batch on their way from noise to data.

    Attributes:
        noisy: What goes into the network, teachers included.
        clean: Clean vectors of every denoised stream [B, chunks * L, C].
        wanted: Velocities that noisy streams should get.
        weights: Loss weights of every denoised stream [B, chunks * copies * L].
    """

    noisy: Noisy
    clean: Mapping[str, Tensor]
    wanted: Mapping[str, Tensor]
    weights: Mapping[str, Tensor]


def _noised(network: Network, samples: Sequence[Examples], generator: torch.Generator) -> Noised:
    shape, recipe = network.shape, network.shape.recipe
    count, chunks = samples[0].count, len(samples)
    targets = {
        name: [clean_vectors(shape, name, one, network.imaginable, network.sees) for one in samples]
        for name in network.denoised
    }
    clean = {name: joined([vectors for vectors, _ in found]) for name, found in targets.items()}
    weights = {name: joined([weight for _, weight in found]) for name, found in targets.items()}
    copies = {name: _copies(network, name) for name in recipe.noisy}
    shown = _shown_clean(network, count, generator)
    times: dict[str, Tensor] = {}
    noisy: dict[str, tuple[Tensor, Tensor]] = {}
    wanted: dict[str, Tensor] = {}
    for name in recipe.noisy:
        data = clean[name].repeat(1, copies[name], 1)
        weights[name] = weights[name].repeat(1, copies[name])
        drawn = recipe.noise[name].times
        source = drawn.stream if isinstance(drawn, SameAs) else name
        if source not in times:
            each = chunks * copies[source]
            times[source] = _drawn(recipe.noise[source].times, count, each, generator)
        time = times[source].to(data.device)
        noise = _noise(data, generator)
        if name in shown:
            time = torch.where(shown[name][:, None], 1.0, time)
            weights[name] = weights[name] * ~shown[name][:, None]
        if recipe.leapfrogs:  # the first chunk of a sample has no past to be made from
            weights[name][:, : weights[name].shape[1] // chunks] = 0.0
        noisy[name] = (between(noise, data, _per_token(network, name, time)), time)
        wanted[name] = velocity(noise, data)
    for name in network.table.named(Role.TEACHER):
        data = clean[network.table.stream(name).of]
        time = torch.ones(count, chunks, device=data.device)
        if name in recipe.noise:
            time = _drawn(recipe.noise[name].times, count, chunks, generator).to(data.device)
            data = between(_noise(data, generator), data, _per_token(network, name, time))
        noisy[name] = (data, time)
    return Noised(noisy=noisy, clean=clean, wanted=wanted, weights=weights)


def _pointing(network: Network, read: Read, chunk: int, one: Examples) -> Tensor:
    scores, offsets = network.pointing(network.pixel_tokens(read, chunk))
    return pointing_loss(scores, offsets, one.points, network.grid) * one.real


def weighted_total(terms: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """The weighted sum of the batch means; a term without a weight counts once."""
    return torch.stack([weights.get(name, 1.0) * term.mean() for name, term in terms.items()]).sum()


def _copies(network: Network, name: str) -> int:
    """How many noise draws of a chunk share one pass: several where nobody else reads it."""
    alone = name == "action" and network.shape.recipe.lone_action
    return network.shape.size.draws if alone else 1


def _drawn(times: Times, count: int, each: int, generator: torch.Generator) -> Tensor:
    return draw_times(times, count * each, generator).view(count, each)


def _noise(data: Tensor, generator: torch.Generator) -> Tensor:
    noise = torch.randn(data.shape, generator=generator, device=generator.device)
    return noise.to(data.device)


def _per_token(network: Network, name: str, time: Tensor) -> Tensor:
    return time.repeat_interleave(network.shape.vectors(name)[0], dim=1)[..., None]


def _shown_clean(network: Network, count: int, generator: torch.Generator) -> dict[str, Tensor]:
    """For each stream that some training mode shows clean, in which samples it is [B]."""
    modes = network.shape.recipe.modes
    if not modes:
        return {}
    shares = torch.tensor([mode.share for mode in modes], device=generator.device)
    drawn = torch.multinomial(shares, count, replacement=True, generator=generator)
    drawn = drawn.to(network.device)
    return {
        name: torch.isin(
            drawn,
            torch.tensor([i for i, m in enumerate(modes) if name in m.clean], device=drawn.device),
        )
        for name in sorted({name for mode in modes for name in mode.clean})
    }


def _told(
    network: Network, samples: Sequence[Examples], generator: torch.Generator
) -> Sequence[Examples]:
    """The batch, with the words of a share of it taken away."""
    share = network.shape.recipe.text_dropout
    if share == 0.0:
        return samples
    silent = torch.rand(samples[0].count, generator=generator, device=generator.device) < share
    told: list[Examples] = []
    for one in samples:
        words = zip(one.given.instructions, silent.tolist(), strict=True)
        heard = tuple("" if quiet else text for text, quiet in words)
        told.append(replace(one, given=replace(one.given, instructions=heard)))
    return told


def _decoded(
    network: Network, scene: Scene, read: Read, noised: Noised, generator: torch.Generator
) -> dict[str, Tensor]:
    """The head's velocity of the action."""
    coupling = cast("Head", network.shape.recipe.coupling)
    read_noisy, at = network.shape.recipe.read_noisy, coupling.reads.at_time
    shown = read
    if read_noisy and at is not None:
        fixed: dict[str, tuple[Tensor, Tensor]] = {}
        for name in read_noisy:
            value, time = noised.noisy[name]
            there = torch.full_like(time, at)
            start = _noise(value, generator)
            point = between(start, noised.clean[name], _per_token(network, name, there))
            fixed[name] = (point, there)
        known = {name: slot for name, slot in read.cache.items() if name not in read_noisy}
        later = network.again(scene, fixed, known)
        shown = replace(
            read, hidden={**read.hidden, **later.hidden}, cache={**known, **later.cache}
        )
    if not coupling.trained:
        read, shown = _detached(read), _detached(shown)
    point = network.pointed_at(read, scene) if POINT in coupling.head.experts else None
    action = {"action": noised.noisy["action"]}
    return network.decode(scene, network.features(shown), point, action)


def _detached(read: Read) -> Read:
    hidden = {name: tuple(x.detach() for x in found) for name, found in read.hidden.items()}
    return replace(read, hidden=hidden)


def _inferred(network: Network, samples: Sequence[Examples], noised: Noised) -> Tensor:
    """Squared error of inverse dynamics on true frames [B]."""
    futures = noised.clean["future"].chunk(len(samples), dim=1)
    nows = [next(iter(one.given.images.values())) for one in samples]
    found = [network.inferred(now, part) for now, part in zip(nows, futures, strict=True)]
    error = (joined(found).float() - noised.clean["action"]).square().mean(-1)
    return _masked_mean(error, noised.weights["action"])


def _masked_mean(error_BL: Tensor, weight_BL: Tensor) -> Tensor:
    return (error_BL * weight_BL).sum(-1) / weight_BL.sum(-1).clamp(min=1e-6)
