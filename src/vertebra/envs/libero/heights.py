"""What stands how high: a scene seen from above by rays, without the robot."""

# robosuite and MuJoCo carry no type information and are not here.
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

_ROBOT = ("robot0_", "gripper0_", "mount0_")
_HIDDEN, _COLLISION = 5, 0
_FROM_M = 2.5
"""Height from which rays go down; everything of LIBERO lies below."""


class Above:
    """Heights of collision geometry, with the geom that was hit.

    Args:
        sim: robosuite's simulation.
    """

    def __init__(self, sim: Any) -> None:
        import mujoco

        self._ray = mujoco.mj_ray
        self._model, self._data = sim.model._model, sim.data._data
        names = [self._model.geom(number).name for number in range(self._model.ngeom)]
        self._robot = [number for number, name in enumerate(names) if name.startswith(_ROBOT)]
        self._groups = np.zeros(6, np.uint8)
        self._groups[_COLLISION] = 1

    def heights(
        self, points: NDArray[np.float64], without: Sequence[int] = ()
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Height of the topmost surface over each point.

        Args:
            points: float64 [n, 2], metres.
            without: Geoms that are looked through, beside the robot's.

        Returns:
            Heights [n] in metres (``-inf`` over nothing) and geoms [n] (-1 for none).
        """
        found = np.full(len(points), -np.inf)
        geoms = np.full(len(points), -1)
        hit, down = np.zeros((1, 1), np.int32), np.array([0.0, 0.0, -1.0])
        with self._hidden([*self._robot, *without]):
            for number, (x, y) in enumerate(points):
                start = np.array([x, y, _FROM_M])
                args = (self._model, self._data, start, down, self._groups, 1, -1, hit)
                distance = self._ray(*args)
                if distance >= 0:
                    found[number], geoms[number] = _FROM_M - distance, hit[0, 0]
        return found, geoms

    def highest_between(
        self, start: NDArray[np.float64], end: NDArray[np.float64], without: Sequence[int]
    ) -> float:
        """The highest surface under the hand on its way from one place to another, in metres."""
        length = float(np.linalg.norm(end[:2] - start[:2]))
        ahead = (end[:2] - start[:2]) / max(length, 1e-6)
        aside = np.array([-ahead[1], ahead[0]])
        along = np.linspace(-0.04, length + 0.04, max(2, int(length / 0.02)))
        beside = (-0.06, -0.03, 0.0, 0.03, 0.06)
        points = [start[:2] + a * ahead + b * aside for a in along for b in beside]
        return float(self.heights(np.array(points), without)[0].max())

    @contextmanager
    def _hidden(self, geoms: Sequence[int]) -> Iterator[None]:
        # Rays pass through what is fully transparent, as much collision geometry is.
        groups, alphas = self._model.geom_group.copy(), self._model.geom_rgba[:, 3].copy()
        self._model.geom_group[list(geoms)] = _HIDDEN
        self._model.geom_rgba[:, 3] = 1.0
        try:
            yield
        finally:
            self._model.geom_group[:] = groups
            self._model.geom_rgba[:, 3] = alphas
