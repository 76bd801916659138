"""What a released policy's files say of its robot, held against the robot at hand.

Weights that fit say nothing of cameras and units. Every adapter tells what its files state
(``Stated``), the caller tells which robot it is (``Robot``), and whatever differs is named before
anything runs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vertebra.data.statistics import Normaliser, Scaling
from vertebra.spec.action import ActionSpec
from vertebra.spec.errors import SpecMismatch
from vertebra.spec.observation import Dim, ObservationSpec

ENDS: tuple[tuple[str, str], ...] = (("q01", "q99"), ("min", "max"))
"""Tables that hold the two ends of what a number was seen to be; the first there is counts."""
WITHIN = 2.326
"""Standard deviations on either side of the mean that hold 98 % of a normal number."""
APART = 1.0
"""Ranges that lie further apart than this many times the wider one are of other robots."""
UNLIKE = 20.0
"""So many times wider or narrower means another unit (degrees and radians differ by 57)."""


@dataclass(frozen=True, kw_only=True)
class VectorStatistics:
    """What a file states of the numbers in one vector.

    Attributes:
        of: What they are of, as the file calls it.
        tables: Such as ``mean``, ``std``, ``min``, ``max``, ``q01``, ``q99``; one number a
            dimension, all of one length.
        names: What the file calls the numbers; empty where it does not say.
    """

    of: str
    tables: Mapping[str, tuple[float, ...]]
    names: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        """Numbers in the vector."""
        return len(next(iter(self.tables.values())))

    def table(self, kind: str, count: int) -> NDArray[np.float64]:
        """The first numbers of one table.

        Raises:
            ValueError: When the file has no such table.
        """
        if kind not in self.tables:
            raise ValueError(
                f"The statistics of '{self.of}' have no '{kind}', only {sorted(self.tables)}."
            )
        return np.asarray(self.tables[kind][:count], np.float64)

    def fits(self, count: int) -> bool:
        """Whether they are of so many numbers; zeros behind them are padding."""
        behind = [number for table in self.tables.values() for number in table[count:]]
        return self.width >= count and not any(behind)

    def range(self, count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
        """Between which numbers nearly all values lay; ``None`` where the file does not say."""
        for low, high in ENDS:
            if low in self.tables and high in self.tables:
                return self.table(low, count), self.table(high, count)
        if "mean" not in self.tables or "std" not in self.tables:
            return None
        mean, reach = self.table("mean", count), WITHIN * self.table("std", count)
        return mean - reach, mean + reach

    def normaliser(
        self, scaling: Scaling, names: Sequence[str], *, small: float, padding: Sequence[str] = ()
    ) -> Normaliser:
        """What these statistics do to a vector.

        Args:
            scaling: In which way they are used.
            names: Of the numbers of this robot.
            small: Added to every deviation or range, as the original does.
            padding: Names of numbers behind them, which are left as they are.

        Raises:
            ValueError: When a table is missing, or a number never varied and ``small`` is 0.
        """
        count = len(names)
        if scaling is Scaling.MEAN_STD:
            offset, scale = self.table("mean", count), self.table("std", count) + small
        else:
            ends = ("q01", "q99") if scaling is Scaling.QUANTILES else ("min", "max")
            low, high = (self.table(end, count) for end in ends)
            scale = (high - low + small) / 2
            offset = low + scale
        return Normaliser(
            scaling=scaling,
            names=(*names, *padding),
            offset=(*offset.tolist(), *[0.0] * len(padding)),
            scale=(*scale.tolist(), *[1.0] * len(padding)),
            rows=1,
        )


def vector_statistics(
    of: str, plain: Mapping[str, Any], names: Sequence[str] = ()
) -> VectorStatistics:
    """Statistics as a file holds them; what is no list of numbers is left out.

    Raises:
        ValueError: When there is no table, tables differ in length, or a number is not finite.
    """
    tables: dict[str, tuple[float, ...]] = {}
    for kind, value in plain.items():
        if isinstance(value, (list, tuple)) and value and np.ndim(np.asarray(value, object)) == 1:
            tables[kind] = tuple(float(number) for number in value)
    widths = {len(table) for table in tables.values()}
    if len(widths) != 1 or not np.isfinite(list(tables.values())).all():
        found = {kind: len(table) for kind, table in tables.items()}
        raise ValueError(
            f"The statistics of '{of}' must be tables of one length of finite numbers, found "
            f"{found or 'none'}."
        )
    return VectorStatistics(of=of, tables=tables, names=tuple(names))


@dataclass(frozen=True, kw_only=True)
class Stated:
    """What the files of a released policy say of the robot that it was trained on.

    Attributes:
        source: Which files, or which code where no file says it.
        cameras: Names of its images in the order in which it takes them; of a name with dots only
            the last part counts.
        spare: Those among them that may be missing.
        state: Statistics of states; ``None`` where it takes none.
        action: Statistics of actions.
        relative: Whether actions are relative to the state; ``None`` where no file says it.
    """

    source: str
    cameras: tuple[str, ...]
    spare: frozenset[str] = frozenset()
    state: VectorStatistics | None
    action: VectorStatistics
    relative: bool | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Robot:
    """The robot at hand, and how its parts are called in the files of released policies.

    Attributes:
        needs: Its cameras, in the order in which the policy will see them, and its state.
        makes: Its actions.
        cameras: Camera of this robot to the names under which a release may know that view.
        state_names: What the files may call the numbers of the state; empty for anything.
        action_names: The same of the actions.
        relative: How many numbers of an action are relative to those of the state, from the first.
        states: States that this robot was in [N, S], where some are known.
        actions: Actions that it made there [N, A], not relative, where some are known.
    """

    needs: ObservationSpec
    makes: ActionSpec
    cameras: Mapping[str, tuple[str, ...]]
    state_names: tuple[str, ...] = ()
    action_names: tuple[str, ...] = ()
    relative: int = 0
    states: NDArray[np.floating] | None = field(default=None)
    actions: NDArray[np.floating] | None = field(default=None)


def require_conventions(stated: Stated, robot: Robot) -> None:
    """Refuse a released policy on a robot with other cameras or other units.

    Raises:
        SpecMismatch: Naming every difference.
    """
    found = convention_differences(stated, robot)
    if found:
        raise SpecMismatch(
            f"The released policy ({stated.source}) was made for another robot:\n  - "
            + "\n  - ".join(found)
        )


def convention_differences(stated: Stated, robot: Robot) -> list[str]:
    """Everything in which a released policy's files and a robot differ, in words.

    Cameras: each image that the policy takes is served by one camera, in its order. Statistics: of
    as many numbers, under the same names where both sides have some, and of ranges that this robot
    may have: near the legal ones of its actions, and near what is known of its states and actions.
    """
    found = _camera_differences(stated, robot)
    if stated.state is not None:
        found += _vector_differences(
            stated.state, "state", robot.needs.state, robot.state_names, robot.states, 0
        )
    if stated.relative is not None and stated.relative != bool(robot.relative):
        words = {True: "relative to the state", False: "not relative to the state"}
        found.append(
            f"the policy's actions are {words[stated.relative]}, this robot's are run as "
            f"{words[bool(robot.relative)]}"
        )
    actions, relative = robot.actions, robot.relative
    if actions is not None and relative:
        if robot.states is None:
            actions = None
        else:
            actions = np.array(actions, np.float64)
            actions[:, :relative] -= robot.states[:, :relative]
    return found + _vector_differences(
        stated.action, "action", robot.makes.dims, robot.action_names, actions, relative
    )


def _camera_differences(stated: Stated, robot: Robot) -> list[str]:
    ours = [camera.name for camera in robot.needs.cameras]
    found = [
        f"camera '{name}' is mapped to no image of the policy, which takes {list(stated.cameras)}"
        for name in ours
        if name not in robot.cameras
    ]
    found += [
        f"camera '{name}' is mapped to {list(keys)} and is none of this robot's: {ours}"
        for name, keys in robot.cameras.items()
        if name not in ours
    ]
    served: list[str] = []
    for key in stated.cameras:
        by = [name for name in ours if key.rpartition(".")[2] in robot.cameras.get(name, ())]
        if len(by) > 1:
            found.append(f"image '{key}' of the policy is served by several cameras: {by}")
        if not by and key not in stated.spare:
            mapped = {name: list(keys) for name, keys in robot.cameras.items()}
            found.append(f"image '{key}' of the policy is served by no camera, mapped are {mapped}")
        served += by
    unseen = [name for name in ours if name in robot.cameras and name not in served]
    found += [
        f"camera '{name}' is mapped to {list(robot.cameras[name])}, the policy's images are "
        f"{list(stated.cameras)}"
        for name in unseen
    ]
    if not found and served != ours:
        found.append(
            f"the cameras are swapped: the policy takes {list(stated.cameras)}, which are this "
            f"robot's {served}, and would be given {ours}"
        )
    return found


def _vector_differences(
    statistics: VectorStatistics,
    what: str,
    dims: tuple[Dim, ...],
    names: tuple[str, ...],
    rows: NDArray[np.floating] | None,
    relative: int,
) -> list[str]:
    count = len(dims)
    if not statistics.fits(count):
        return [
            f"the statistics of '{statistics.of}' are of {statistics.width} numbers, the {what} of "
            f"this robot has {count}: they are of another data set"
        ]
    if names and statistics.names and names != statistics.names[:count]:
        return [
            f"the statistics of '{statistics.of}' are of {list(statistics.names)}, expected "
            f"{list(names)}"
        ]
    ends = statistics.range(count)
    if ends is None:
        return []
    found = _beyond(ends, what, dims, relative)
    return found if rows is None else found + _elsewhere(ends, what, dims, rows)


Ends = tuple[NDArray[np.float64], NDArray[np.float64]]


def _beyond(ends: Ends, what: str, dims: tuple[Dim, ...], relative: int) -> list[str]:
    """Dimensions whose statistics reach far beyond what is legal."""
    found: list[str] = []
    for i, dim in enumerate(dims):
        if i < relative or dim.low is None or dim.high is None:
            continue
        low, high, room = float(ends[0][i]), float(ends[1][i]), APART * (dim.high - dim.low)
        if low < dim.low - room or high > dim.high + room:
            found.append(
                f"{what} '{dim.name}' lies between {low:.4g} and {high:.4g} in the statistics, "
                f"this robot takes {dim.low:g} to {dim.high:g}"
            )
    return found


def _elsewhere(
    ends: Ends, what: str, dims: tuple[Dim, ...], rows: NDArray[np.floating]
) -> list[str]:
    """Dimensions whose statistics are far from the rows, or of another scale."""
    if rows.ndim != 2 or rows.shape[1] != len(dims):
        raise ValueError(
            f"Rows of the {what} have shape {list(rows.shape)}, expected [rows, {len(dims)}]."
        )
    whole = np.asarray(rows, np.float64)
    whole = whole[np.isfinite(whole).all(axis=1)]
    if not len(whole):
        return []
    lows, highs = np.quantile(whole, [0.01, 0.99], axis=0)
    found: list[str] = []
    for i, dim in enumerate(dims):
        low, high, own = float(ends[0][i]), float(ends[1][i]), float(highs[i] - lows[i])
        gap = max(float(lows[i]) - high, low - float(highs[i]))
        ratio = own / (high - low) if own > 0 and high > low else 1.0
        if gap > APART * max(high - low, own) or not 1 / UNLIKE < ratio < UNLIKE:
            found.append(
                f"{what} '{dim.name}' lies between {low:.4g} and {high:.4g} in the statistics, "
                f"between {lows[i]:.4g} and {highs[i]:.4g} here: another robot, or another unit"
            )
    return found
