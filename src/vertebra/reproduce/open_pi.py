"""pi0 as openpi and transformers write it, as a policy."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from vertebra.backbones.sizes import TINY
from vertebra.data.statistics import Scaling
from vertebra.policy.acting import TrainedPolicy
from vertebra.policy.adapt_pi0 import pi0_sizes
from vertebra.policy.released import load_pi0
from vertebra.policy.released_conventions import Robot, VectorStatistics, require_conventions
from vertebra.policy.released_statistics import openpi_stated
from vertebra.policy.shape import Shape
from vertebra.recipes import by_name
from vertebra.reproduce.opened import Released
from vertebra.reproduce.targets import Target
from vertebra.spec.observation import Dim

SMALL = 1e-6
"""Added to every standard deviation (openpi@15a9616 src/openpi/transforms.py, Normalize)."""


def open_pi0(weights: Path, robot: Robot, target: Target) -> Released:
    """A pi0 in the format of transformers, with openpi's statistics beside it.

    Source: openpi@15a9616 src/openpi/transforms.py (Normalize, Unnormalize, AbsoluteActions).

    Raises:
        MissingExtra: Without transformers.
        ValueError: When a file is missing.
        SpecMismatch: Naming every weight that is missing, left over or of another shape, or in what
            cameras and statistics are not those of this robot.
    """
    config = configuration(weights)
    numbers = pi0_sizes(config).actions
    stated = openpi_stated(weights)
    require_conventions(stated, robot)
    padding = padded(robot, numbers)
    network = load_pi0(padded_shape(robot, target, config["chunk_size"], padding), weights)
    names = [dim.name for dim in robot.makes.dims]
    state = taken(stated.state).normaliser(
        Scaling.MEAN_STD, [dim.name for dim in robot.needs.state], small=SMALL
    )
    action = stated.action.normaliser(Scaling.MEAN_STD, names, small=SMALL, padding=padding)
    inner = TrainedPolicy(network=network.eval(), state_normaliser=state, action_normaliser=action)
    return Released(
        inner=inner, makes=robot.makes, execute=target.execute, relative=target.relative
    )


def configuration(weights: Path) -> dict[str, Any]:
    """The ``config.json`` beside weights.

    Raises:
        ValueError: When there is none.
    """
    path = weights / "config.json"
    if not path.is_file():
        raise ValueError(f"{weights} holds no config.json: it is not a released model.")
    return json.loads(path.read_text())


def padded(robot: Robot, numbers: int) -> list[str]:
    """Names of the numbers behind those of the robot's actions."""
    return [f"unused_{index}" for index in range(numbers - len(robot.makes.dims))]


def padded_shape(robot: Robot, target: Target, horizon: int, padding: list[str]) -> Shape:
    """The shape of a released policy whose action vectors are longer than the robot's."""
    more = tuple(Dim(name=name, unit="1") for name in padding)
    return Shape(
        recipe=by_name(target.recipe),
        size=replace(TINY, action_steps=None, horizon=horizon, execute=target.execute),
        needs=robot.needs,
        makes=replace(robot.makes, dims=(*robot.makes.dims, *more)),
        vocabulary=(),
        pointing=False,
    )


def taken(state: VectorStatistics | None) -> VectorStatistics:
    """The statistics of states, of a policy that takes some."""
    if state is None:
        raise AssertionError("its files always state them")
    return state
