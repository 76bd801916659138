"""What is to be recorded, as data: on the table-top, or in a world of another process."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from vertebra.data.episode import EpisodeData
from vertebra.demonstrate.rollout import Tally, demonstrations, own_demonstrator
from vertebra.envs.outside import OutsideSettings, open_world
from vertebra.envs.protocol import Environment
from vertebra.envs.tabletop import Tabletop

SHARD_SIZE = 100
"""Demonstrations in a shard, whatever the count, so that a larger set begins with a smaller one."""
OUTSIDE_SHARD_SIZE = 4
"""The same outside, where a demonstration takes half a minute."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is to be recorded on the table-top; equal requests give equal demonstrations.

    Attributes:
        count: Demonstrations of the split ``train``.
        validation: Demonstrations of the split ``validation``, after the others.
        seed: Root of the seeds of scenes and disturbances.
        size: Image width and height in pixels.
        skills: Which tasks are asked.
        segmentation: Record segmentation images too.
        shadows: Draw cast shadows.
        texture: Draw a wood grain.
        shard_size: Demonstrations in a shard; each shard has its own seed.
        environment: Name and version.
    """

    count: int
    validation: int
    seed: int
    size: int
    skills: tuple[str, ...]
    segmentation: bool
    shadows: bool
    texture: bool
    shard_size: int = SHARD_SIZE
    environment: str = Tabletop.name

    def open(self) -> Environment:
        """The environment to record in."""
        return Tabletop(
            size=self.size, skills=self.skills, shadows=self.shadows, texture=self.texture
        )

    def demonstrations(
        self, environment: Environment, split: str, count: int, seed: int, tally: Tally
    ) -> Iterator[EpisodeData]:
        """Successful demonstrations, as `rollout.demonstrations` makes them."""
        return demonstrations(
            environment, split, count, seed, segmentation=self.segmentation, tally=tally
        )

    def entities(self, environment: Environment) -> int:
        """Slots of the pointing labels."""
        state = environment.initial_states("train", 1, 0)[0]
        environment.begin(state, state.tasks[0], 0)
        return len(environment.labels()["entities"])


@dataclass(frozen=True, kw_only=True)
class OutsideRequest:
    """What is to be recorded in a world of another process, by the demonstrator it brings along.

    Attributes:
        count: Demonstrations of the split ``train``.
        validation: Demonstrations of the split ``validation``, after the others.
        seed: Root of the seeds of scenes.
        settings: The world, as it stands in a plan.
        environment: Its name, with the hash of everything that decides what happens in it.
        shard_size: Demonstrations in a shard; each shard has its own seed.
        segmentation: Always off: these worlds give none.
    """

    count: int
    validation: int
    seed: int
    settings: dict[str, Any]
    environment: str
    shard_size: int = OUTSIDE_SHARD_SIZE
    segmentation: bool = False

    def open(self) -> Environment:
        """The environment to record in.

        Raises:
            ValueError: When it is no longer the one of the request.
        """
        plain = {name: value for name, value in self.settings.items() if name != "kind"}
        world = open_world(OutsideSettings(**plain))
        if world.name != self.environment:
            world.close()
            raise ValueError(f"The world is now {world.name}, asked for was {self.environment}.")
        return world

    def demonstrations(
        self, environment: Environment, split: str, count: int, seed: int, tally: Tally
    ) -> Iterator[EpisodeData]:
        """Successful demonstrations, undisturbed."""
        return demonstrations(
            environment,
            split,
            count,
            seed,
            tally=tally,
            disturbed_share=0.0,
            demonstrate=own_demonstrator,
        )

    def entities(self, environment: Environment) -> int:
        """Slots of the pointing labels: these worlds give none."""
        del environment
        return 0


def outside_request(
    settings: OutsideSettings, *, count: int, validation: int, seed: int
) -> OutsideRequest:
    """The request for demonstrations in a world as it is set up here.

    Raises:
        ValueError: When its simulator is not set up.
    """
    world = open_world(settings)
    world.close()
    return OutsideRequest(
        count=count,
        validation=validation,
        seed=seed,
        settings=settings.to_plain(),
        environment=world.name,
    )
