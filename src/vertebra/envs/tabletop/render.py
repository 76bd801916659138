"""Pictures by ray casting: colour, depth and segmentation without OpenGL."""

# The compiled names of MuJoCo carry no type information.
# pyright: reportAttributeAccessIssue=false

from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

_LIGHT_AT = np.array([0.35, -0.45, 1.30])
_LIGHT = _LIGHT_AT / np.linalg.norm(_LIGHT_AT)
_AMBIENT, _DIFFUSE, _SHADOWED = 0.46, 0.64, 0.45


@dataclass(frozen=True, kw_only=True)
class View:
    """What one camera sees.

    Attributes:
        image: uint8 [size, size, 3].
        geom: int32 [size, size], geom number, -1 where nothing was hit.
        depth: float32 [size, size], metres along the ray, ``inf`` where nothing was hit.
    """

    image: NDArray[np.uint8]
    geom: NDArray[np.int32]
    depth: NDArray[np.float32]


class RayRenderer:
    """Renders one model at one image size.

    Args:
        model: The physical model.
        size: Pixels along each side.
        shadows: Cast shadows of a point light (about doubles the time).
        texture: Draw a wood grain on the table.
    """

    def __init__(
        self, model: mujoco.MjModel, *, size: int, shadows: bool = False, texture: bool = False
    ) -> None:
        self._model = model
        self._size = size
        self._shadows = shadows
        self._texture = texture
        count = size * size
        self._geom = np.empty(count, np.int32)
        self._dist = np.empty(count)
        self._normal = np.empty(count * 3)
        self._shadow_geom = np.empty(count, np.int32)
        self._shadow_dist = np.empty(count)
        # The last row is the background, reached by geom number -1.
        self._palette = np.zeros((model.ngeom + 1, 3), np.float32)
        self._palette[:-1] = model.geom_rgba[:, :3] * 255.0
        self._palette[-1] = (150.0, 165.0, 185.0)
        self._table = model.geom("table").id
        self._rays = {
            number: _camera_rays(float(model.cam_fovy[number]), size)
            for number in range(model.ncam)
        }

    def render(self, data: mujoco.MjData, camera: str) -> View:
        """What a camera sees in the present state (``data`` must be forwarded)."""
        number = self._model.camera(camera).id
        origin = data.cam_xpos[number].copy()
        rays = self._rays[number] @ data.cam_xmat[number].reshape(3, 3).T
        count = self._size * self._size
        mujoco.mj_multiRay(
            self._model, data, origin, rays.ravel(), None, 1, -1,
            self._geom, self._dist, self._normal, count, 10.0,
        )  # fmt: skip
        geom = self._geom
        light = self._normal.reshape(-1, 3) @ _LIGHT
        np.maximum(light, 0.0, out=light)
        if self._shadows:
            light *= self._lit(data, origin, rays)
        strength = (_AMBIENT + _DIFFUSE * light).astype(np.float32)
        if self._texture:
            strength *= self._grain(origin, rays)
        strength[geom < 0] = 1.0
        colour = self._palette[geom] * strength[:, None]
        np.minimum(colour, 255.0, out=colour)
        depth = np.where(geom < 0, np.inf, self._dist).astype(np.float32)
        shape = (self._size, self._size)
        return View(
            image=colour.astype(np.uint8).reshape(*shape, 3),
            geom=geom.reshape(shape).copy(),
            depth=depth.reshape(shape),
        )

    def _lit(
        self, data: mujoco.MjData, origin: NDArray[np.float64], rays: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """1 where the light reaches, else the share that is left: float64 [pixels]."""
        hit = self._geom >= 0
        towards = origin + rays * np.where(hit, self._dist, 1.0)[:, None] - _LIGHT_AT
        length = np.sqrt(np.einsum("ij,ij->i", towards, towards))
        towards /= length[:, None]
        mujoco.mj_multiRay(
            self._model, data, _LIGHT_AT, towards.ravel(), None, 1, -1,
            self._shadow_geom, self._shadow_dist, None, len(hit), 10.0,
        )  # fmt: skip
        blocked = hit & (self._shadow_geom >= 0) & (self._shadow_dist < length - 2e-3)
        return np.where(blocked, 1.0 - _SHADOWED, 1.0)

    def _grain(self, origin: NDArray[np.float64], rays: NDArray[np.float64]) -> NDArray[np.float32]:
        """Brightness of the wood grain: float32 [pixels], 1 off the table."""
        grain = np.ones(len(rays), np.float32)
        on = np.flatnonzero(self._geom == self._table)
        spot = origin + rays[on] * self._dist[on, None]
        bend = 0.012 * np.sin(9.0 * spot[:, 0] + 2.0 * np.sin(4.0 * spot[:, 0]))
        rings = np.sin(170.0 * (spot[:, 1] + bend)) * np.sin(53.0 * (spot[:, 1] + 2.0 * bend))
        grain[on] = 1.0 + 0.06 * rings
        return grain


def project(
    model: mujoco.MjModel, data: mujoco.MjData, camera: str, points: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Where points appear in a square image.

    Args:
        model: The physical model.
        data: The present state.
        camera: Camera name.
        points: float64 [n, 3], metres.

    Returns:
        float64 [n, 2]: (x, y) as fractions of the image from the top left.
    """
    number = model.camera(camera).id
    local = (points - data.cam_xpos[number]) @ data.cam_xmat[number].reshape(3, 3)
    reach = np.tan(np.radians(float(model.cam_fovy[number])) / 2.0)
    x = 0.5 + 0.5 * local[:, 0] / (-local[:, 2] * reach)
    y = 0.5 - 0.5 * local[:, 1] / (-local[:, 2] * reach)
    return np.stack([x, y], axis=1)


def _camera_rays(fovy_deg: float, size: int) -> NDArray[np.float64]:
    """Unit rays through pixel centres in the camera's frame: float64 [size * size, 3]."""
    reach = np.tan(np.radians(fovy_deg) / 2.0)
    across = reach * (2.0 * (np.arange(size) + 0.5) / size - 1.0)
    x, y = np.meshgrid(across, -across)
    rays = np.stack([x, y, -np.ones_like(x)], axis=-1).reshape(-1, 3)
    return rays / np.linalg.norm(rays, axis=1, keepdims=True)
