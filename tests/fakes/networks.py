"""Tiny networks with weights that are all alive, and something to show them."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from fakes.episodes import MAKES, NEEDS, PX, SENTENCES
from vertebra import recipes
from vertebra.backbones.sizes import TINY, Size
from vertebra.data.statistics import Normaliser, Scaling
from vertebra.nn.embeddings import split_words
from vertebra.policy.acting import TrainedPolicy
from vertebra.policy.network import Network
from vertebra.policy.recipe import Recipe
from vertebra.policy.senses import Given, ShippedSenses
from vertebra.policy.shape import Shape
from vertebra.schedules.kinds import Plan, Rolling, Schedule, VideoFirst
from vertebra.spec.observation import Observation
from vertebra.spec.streams import POINT

SIGHTED: tuple[Recipe, ...] = tuple(r for one in recipes.ALL for r in (one, one.pointed()))
EVERY: tuple[Recipe, ...] = tuple(r for one in SIGHTED for r in (one, one.blinded()))
"""All recipes, with and without the pointing token, sighted and trained blind."""


def brief(recipe: Recipe) -> Recipe:
    """The same in fewer steps."""

    def cut(schedule: Schedule) -> Schedule:
        match schedule:
            case Rolling() | Plan():
                return replace(schedule, inner=cut(schedule.inner))
            case VideoFirst():
                return replace(schedule, video_steps=2)
            case _:
                return schedule

    return replace(recipe, schedule=cut(recipe.schedule))


def label(recipe: Recipe) -> str:
    """How a recipe is called in test ids."""
    return recipe.name + (" pointed" if POINT in recipe.table.experts else "")


def shape_of(recipe: Recipe, size: Size = TINY) -> Shape:
    """The recipe on the small robot; a pointing head where the recipe reads one."""
    words = tuple(sorted({word for text in SENTENCES for word in split_words(text)}))
    return Shape(
        recipe=recipe,
        size=size,
        needs=NEEDS,
        makes=MAKES,
        vocabulary=words,
        pointing=POINT in recipe.table.experts,
    )


def network_of(recipe: Recipe, *, size: Size = TINY, seed: int = 0) -> Network:
    """A network with weights moved away from where they start, so that none of them is zero."""
    return moved(shape_of(recipe, size), seed)


def moved(shape: Shape, seed: int) -> Network:
    """The same for any robot."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Network(shape)
        with torch.no_grad():
            for value in network.parameters():
                value.add_(0.1 * torch.randn_like(value))
    return network.eval()


def senses_of(network: Network) -> ShippedSenses:
    """What embeds the given streams of a shipped network."""
    assert isinstance(network.senses, ShippedSenses)
    return network.senses


def policy_of(recipe: Recipe, *, seed: int = 0) -> TrainedPolicy:
    """A policy around such a network, with normalisers that do something."""

    def normaliser(width: int) -> Normaliser:
        return Normaliser(
            scaling=Scaling.MEAN_STD,
            names=tuple(str(i) for i in range(width)),
            offset=tuple(0.1 * i for i in range(width)),
            scale=tuple(1.0 + 0.1 * i for i in range(width)),
            rows=1,
        )

    return TrainedPolicy(
        network=network_of(recipe, seed=seed),
        state_normaliser=normaliser(len(NEEDS.state)),
        action_normaliser=normaliser(len(MAKES.dims)),
    )


def observation(seed: int, instruction: str = SENTENCES[0]) -> Observation:
    """A random view."""
    rng = np.random.default_rng(seed)
    return Observation(
        images={
            camera.name: rng.integers(0, 256, (PX, PX, 3), dtype=np.uint8)
            for camera in NEEDS.cameras
        },
        state=rng.normal(size=len(NEEDS.state)).astype(np.float32),
        instruction=instruction,
        executed=np.zeros((0, len(MAKES.dims)), np.float32),
    )


def given_of(instructions: Sequence[str] = SENTENCES, seed: int = 0) -> Given:
    """Random inputs of a network, one row a sentence."""
    views = [observation(seed + row, text) for row, text in enumerate(instructions)]
    return Given(
        images={
            camera.name: torch.from_numpy(np.stack([view.images[camera.name] for view in views]))
            for camera in NEEDS.cameras
        },
        state=torch.from_numpy(np.stack([view.state for view in views])),
        instructions=tuple(instructions),
    )
