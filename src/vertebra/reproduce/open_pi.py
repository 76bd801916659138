"""pi0 and pi0.5, as openpi, LeRobot and transformers write them, as policies."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from vertebra.backbones.sizes import TINY
from vertebra.data.statistics import Scaling
from vertebra.policy.acting import TrainedPolicy
from vertebra.policy.network import Network
from vertebra.policy.released import configuration, load_pi0, load_pi05
from vertebra.policy.released_conventions import Robot, VectorStatistics, require_conventions
from vertebra.policy.released_pi import PALIGEMMA, PaliGemma, PiRelease, pi_release
from vertebra.policy.released_statistics import lerobot_stated, openpi_stated
from vertebra.policy.shape import Shape
from vertebra.recipes import by_name
from vertebra.reproduce.opened import Released
from vertebra.reproduce.targets import Target
from vertebra.spec.observation import Dim

SMALL = {"openpi": 1e-6, "transformers": 1e-6, "lerobot": 1e-8}
"""Added to every deviation or range (openpi@15a9616 src/openpi/transforms.py, Normalize; lerobot
0.4.4 src/lerobot/processor/normalize_processor.py, there for ranges of zero only)."""
MODES = {
    "MEAN_STD": Scaling.MEAN_STD,
    "QUANTILES": Scaling.QUANTILES,
    "MIN_MAX": Scaling.MIN_MAX,
}
"""LeRobot's names of ways to normalise."""


def open_pi0(weights: Path, robot: Robot, target: Target, base: PaliGemma = PALIGEMMA) -> Released:
    """A pi0 with the statistics beside it, normalised by mean and deviation.

    Args:
        weights: A directory in the format of transformers or openpi (with openpi's statistics), or
            of LeRobot.
        robot: The robot at hand.
        target: Which recipe, and how it is run.
        base: What openpi and LeRobot do not say of the PaliGemma.

    Source: openpi@15a9616 src/openpi/transforms.py (Normalize, Unnormalize, AbsoluteActions).

    Raises:
        MissingExtra: Without transformers.
        ValueError: When a file is missing.
        SpecMismatch: Naming every weight that is missing, left over or of another shape, or in what
            cameras and statistics are not those of this robot.
    """
    config = configuration(weights)
    release = pi_release(config, "pi0", base)

    def load(shape: Shape) -> Network:
        return load_pi0(shape, weights, base=base)

    return _opened(weights, robot, target, config, release, Scaling.MEAN_STD, load)


def open_pi05(weights: Path, robot: Robot, target: Target, base: PaliGemma = PALIGEMMA) -> Released:
    """A pi0.5 with the statistics beside it, normalised by quantiles; otherwise as ``open_pi0``.

    Raises:
        MissingExtra: Without transformers.
        ValueError: When a file is missing.
        SpecMismatch: Naming every weight that is missing, left over or of another shape, or in what
            cameras and statistics are not those of this robot.
    """
    config = configuration(weights)
    release = pi_release(config, "pi05", base)
    says_state = release.written_by == "lerobot" or not target.stateless

    def load(shape: Shape) -> Network:
        return load_pi05(shape, weights, says_state=says_state, base=base)

    return _opened(weights, robot, target, config, release, Scaling.QUANTILES, load)


def _opened(
    weights: Path,
    robot: Robot,
    target: Target,
    config: Mapping[str, Any],
    release: PiRelease,
    scaling: Scaling,
    load: Callable[[Shape], Network],
) -> Released:
    modes = {"STATE": scaling, "ACTION": scaling}
    if release.written_by == "lerobot":
        stated = lerobot_stated(weights, config)
        modes = {kind: _mode(config, kind) for kind in modes}
    else:
        stated = openpi_stated(weights)
    require_conventions(stated, robot)
    padding = padded(robot, release.sizes.actions)
    small = SMALL[release.written_by]
    state = taken(stated.state).normaliser(
        modes["STATE"], [dim.name for dim in robot.needs.state], small=small
    )
    action = stated.action.normaliser(
        modes["ACTION"], [dim.name for dim in robot.makes.dims], small=small, padding=padding
    )
    network = load(padded_shape(robot, target, release.horizon, padding))
    inner = TrainedPolicy(network=network.eval(), state_normaliser=state, action_normaliser=action)
    return Released(
        inner=inner, makes=robot.makes, execute=target.execute, relative=target.relative
    )


def _mode(config: Mapping[str, Any], kind: str) -> Scaling:
    said = config["normalization_mapping"].get(kind)
    if said not in MODES:
        raise ValueError(f"{kind} is normalised by {said!r}, expected one of {list(MODES)}.")
    return MODES[said]


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
