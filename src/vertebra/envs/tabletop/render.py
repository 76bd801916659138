"""Pictures by ray casting: colour, depth and segmentation without OpenGL.

The ground (mat, zones, plates, line) is paint on the plane z = 0 and is intersected in closed form.
Only rays that come near a moving part are cast with ``mj_multiRay``; they make up a third of a
picture, which is what makes two shaded views cheaper than a control step of physics.
"""

# The compiled names of MuJoCo carry no type information.
# pyright: reportAttributeAccessIssue=false

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from vertebra.envs.tabletop.scene import (
    COLOURS,
    LINE_X_M,
    PLATE_RADIUS_M,
    ZONE_HALF_M,
    Scene,
)

MAT_HALF_M = (0.235, 0.200)
MAT_CENTRE_M = (0.0, 0.01)
LINE_HALF_M = 0.005
_SKY = (0.6, 0.65, 0.72)
_LEFT_IN_SHADOW = 0.4
_FAR_M = 10.0
Colour = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """How the ground is painted and lit; the default is the table-top of all tasks.

    Attributes:
        colours: Colour word to red, green and blue in [0, 1], for plates and zones.
        mat: Colour of the mat.
        desk: Colour beyond the mat.
        white: Colour of rims and of the line.
        plate_m: Radius of a plate in metres.
        rim_m: Width of a plate's rim in metres.
        zone_m: Half the side of a zone in metres.
        light_m: Where the light is.
        ambient: Brightness without the light.
        diffuse: What the light adds where it falls straight on a surface.
    """

    colours: Mapping[str, Colour] = field(default_factory=lambda: COLOURS)
    mat: Colour = (0.56, 0.53, 0.50)
    desk: Colour = (0.25, 0.26, 0.29)
    white: Colour = (0.97, 0.97, 0.97)
    plate_m: float = PLATE_RADIUS_M
    rim_m: float = 0.009
    zone_m: float = ZONE_HALF_M
    light_m: Colour = (0.35, -0.45, 1.30)
    ambient: float = 0.46
    diffuse: float = 0.64


@dataclass(frozen=True, kw_only=True)
class View:
    """What one camera sees.

    Attributes:
        image: uint8 [size, size, 3].
        entity: uint8 [size, size], place in ``Scene.entities()`` + 1; 0 for everything else.
        depth: float32 [size, size], metres along the ray, ``inf`` where nothing was hit.
    """

    image: NDArray[np.uint8]
    entity: NDArray[np.uint8]
    depth: NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class _Rays:
    """The rays of one camera and the ground under them (n pixels).

    Attributes:
        origin: float64 [3].
        towards: float64 [n, 3], unit length, tile after tile.
        depth: float64 [n], metres to the ground, ``inf`` above the horizon.
        colour: float32 [n, 3], unlit colour of the ground in [0, 255], with texture.
        entity: uint8 [n].
        cones: What ``_near`` needs to leave out whole tiles.
        light_cones: The same as seen from the light, for the ground of each tile (with shadows).
    """

    origin: NDArray[np.float64]
    towards: NDArray[np.float64]
    depth: NDArray[np.float64]
    colour: NDArray[np.float32]
    entity: NDArray[np.uint8]
    cones: "_Cones"
    light_cones: "_Cones"


@dataclass(frozen=True, kw_only=True)
class _Cones:
    """One cone around the rays of each tile (t tiles).

    Attributes:
        axis: float64 [t, 3], unit length.
        cosine: float64 [t], of the half-angle.
    """

    axis: NDArray[np.float64]
    cosine: NDArray[np.float64]


class RayRenderer:
    """Renders one scene at one image size.

    Args:
        model: The physical model of the scene.
        scene: The scene.
        size: Pixels along each side.
        shadows: Cast shadows of a point light.
        texture: Draw a wood grain on the mat.
        surroundings: How the ground is painted and lit.
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        scene: Scene,
        *,
        size: int,
        shadows: bool = False,
        texture: bool = False,
        surroundings: Surroundings | None = None,
    ) -> None:
        around = surroundings or Surroundings()
        self._desk = around.desk
        self._ambient, self._diffuse = around.ambient, around.diffuse
        self._light_at = np.array(around.light_m)
        self._light = self._light_at / np.linalg.norm(self._light_at)
        self._model = model
        self._scene = scene
        self._size = size
        self._shadows = shadows
        self._texture = texture
        # Rays are kept tile after tile, so that whole tiles can be left out together.
        self._tile = next(side for side in (4, 2, 1) if size % side == 0)
        count = size * size
        self._geom = np.empty(count, np.int32)
        self._dist = np.empty(count)
        self._normal = np.empty(count * 3)
        self._moving = np.flatnonzero(model.geom_bodyid > 0)
        self._sphere_geom, self._sphere_at, self._sphere_radius = _spheres(model, self._moving)
        self._palette = (model.geom_rgba[:, :3] * 255.0).astype(np.float32)
        names = scene.entities()
        self._entity_of = np.zeros(model.ngeom, np.uint8)
        for geom in self._moving:
            owner = model.geom(geom).name.split("#")[0]
            self._entity_of[geom] = names.index(owner) + 1 if owner in names else 0
        self._layers = _paint(scene, around)
        self._local = {
            number: _camera_rays(float(model.cam_fovy[number]), size, self._tile)
            for number in range(model.ncam)
        }
        # Within a cone of less than a right angle lies what its corners span.
        self._corners = np.arange(count).reshape(-1, self._tile**2)[
            :, [0, self._tile - 1, -self._tile, -1]
        ]
        self._local_cones = {
            number: _cones(rays[self._corners]) for number, rays in self._local.items()
        }
        self._still: dict[int, _Rays] = {}

    def render(self, data: mujoco.MjData, camera: str) -> View:
        """What a camera sees in the present state (``data`` must be forwarded)."""
        rays = self._rays(data, self._model.camera(camera).id)
        near = np.flatnonzero(self._near(data, rays.origin, rays.cones))
        self._cast(data, rays.origin, rays.towards[near], normals=True)
        hit = np.flatnonzero(self._geom[: len(near)] >= 0)
        where, geom = near[hit], self._geom[hit]
        depth, entity, colour = rays.depth.copy(), rays.entity.copy(), rays.colour.copy()
        depth[where] = self._dist[hit]
        entity[where] = self._entity_of[geom]
        colour[where] = self._palette[geom]
        light = np.full(len(depth), self._light[2])
        light[where] = np.maximum(self._normal.reshape(-1, 3)[hit] @ self._light, 0.0)
        if self._shadows:
            light[self._shadowed(data, rays, depth, where)] *= _LEFT_IN_SHADOW
        colour *= (self._ambient + self._diffuse * light).astype(np.float32)[:, None]
        np.minimum(colour, 255.0, out=colour)
        return View(
            image=self._in_rows(colour.astype(np.uint8)),
            entity=self._in_rows(entity)[:, :, 0],
            depth=self._in_rows(depth.astype(np.float32))[:, :, 0],
        )

    def _in_rows(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """From tile after tile [n] or [n, c] to row after row [size, size, c]."""
        side, tile = self._size // self._tile, self._tile
        tiled = pixels.reshape(side, side, tile, tile, -1)
        return tiled.transpose(0, 2, 1, 3, 4).reshape(self._size, self._size, -1)

    def _rays(self, data: mujoco.MjData, camera: int) -> _Rays:
        """Rays and ground of a camera; kept for cameras that do not move."""
        if camera in self._still:
            return self._still[camera]
        origin = data.cam_xpos[camera].copy()
        towards = self._local[camera] @ data.cam_xmat[camera].reshape(3, 3).T
        down = np.minimum(towards[:, 2], -1e-9)
        depth = np.where(towards[:, 2] < -1e-3, -origin[2] / down, np.inf)
        reach = np.minimum(depth, _FAR_M)
        colour, entity = self._ground(
            origin[0] + towards[:, 0] * reach, origin[1] + towards[:, 1] * reach
        )
        colour[np.isinf(depth)] = np.multiply(_SKY, 255.0)
        turn = data.cam_xmat[camera].reshape(3, 3).T
        local = self._local_cones[camera]
        corner = self._corners
        cones = _Cones(axis=local.axis @ turn, cosine=local.cosine)
        light_cones = cones
        if self._shadows:
            lit = origin + towards[corner] * reach[corner][..., None] - self._light_at
            light_cones = _cones(lit / np.linalg.norm(lit, axis=-1, keepdims=True))
        rays = _Rays(
            origin=origin,
            towards=towards,
            depth=depth,
            colour=colour,
            entity=entity,
            cones=cones,
            light_cones=light_cones,
        )
        if self._model.cam_bodyid[camera] == 0:
            self._still[camera] = rays
        return rays

    def _ground(
        self, x: NDArray[np.float64], y: NDArray[np.float64]
    ) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Colour and entity of places (x [n], y [n]) on the ground."""
        layer = np.zeros(len(x), np.intp)
        for number, (centre, half, is_round, _, _) in enumerate(self._layers):
            aside, away = x - centre[0], y - centre[1]
            if is_round:
                inside = aside * aside + away * away < half[0] ** 2
            else:
                inside = (np.abs(aside) < half[0]) & (np.abs(away) < half[1])
            layer[inside] = number + 1
        colours = np.array([self._desk, *(layer[3] for layer in self._layers)], np.float32) * 255.0
        entities = np.array([0, *(layer[4] for layer in self._layers)], np.uint8)
        colour = colours[layer]
        if self._texture:
            colour *= np.where(layer == 1, _grain(x, y), 1.0).astype(np.float32)[:, None]
        return colour, entities[layer]

    def _near(
        self, data: mujoco.MjData, origin: NDArray[np.float64], cones: _Cones
    ) -> NDArray[np.bool_]:
        """Which rays [n] lie in a tile whose cone meets a bounding sphere of a moving part."""
        turned = data.geom_xmat[self._sphere_geom].reshape(-1, 3, 3) @ self._sphere_at[:, :, None]
        centres = data.geom_xpos[self._sphere_geom] + turned[:, :, 0] - origin
        distance = np.sqrt((centres**2).sum(axis=1))
        inside = distance <= self._sphere_radius
        sine = np.minimum(self._sphere_radius / np.maximum(distance, 1e-9), 1.0)
        outward = centres / np.maximum(distance, 1e-9)[:, None]
        # cos(a + b) of the half-angles a (sphere) and b (tile).
        bound = np.sqrt(1.0 - sine**2)[:, None] * cones.cosine
        bound -= sine[:, None] * np.sqrt(1.0 - cones.cosine**2)
        met = ((outward @ cones.axis.T >= bound) | inside[:, None]).any(axis=0)
        return np.repeat(met, self._tile**2)

    def _cast(
        self,
        data: mujoco.MjData,
        origin: NDArray[np.float64],
        towards: NDArray[np.float64],
        *,
        normals: bool,
    ) -> None:
        """Cast rays at the moving parts; results fill the front of the buffers."""
        if not len(towards):
            return
        count = len(towards)
        mujoco.mj_multiRay(
            self._model, data, origin, towards.ravel(), None, 0, -1, self._geom[:count],
            self._dist[:count], self._normal[: 3 * count] if normals else None, count, _FAR_M,
        )  # fmt: skip

    def _shadowed(
        self,
        data: mujoco.MjData,
        rays: _Rays,
        depth: NDArray[np.float64],
        moving: NDArray[np.intp],
    ) -> NDArray[np.intp]:
        """Indices of the pixels that the light does not reach; ``moving`` show moving parts."""
        doubtful = self._near(data, self._light_at, rays.light_cones)
        doubtful[moving] = True
        doubtful &= depth < _FAR_M
        near = np.flatnonzero(doubtful)
        towards = rays.origin + rays.towards[near] * depth[near, None] - self._light_at
        length = np.sqrt(np.einsum("ij,ij->i", towards, towards))
        towards /= length[:, None]
        self._cast(data, self._light_at, towards, normals=False)
        count = len(near)
        return near[(self._geom[:count] >= 0) & (self._dist[:count] < length - 2e-3)]


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


_Layer = tuple[NDArray[np.float64], tuple[float, float], bool, tuple[float, float, float], int]


def _paint(scene: Scene, around: Surroundings) -> list[_Layer]:
    """Layers of paint from below: (centre, half-sizes, round?, colour, entity index + 1)."""
    names = scene.entities()
    layers: list[_Layer] = [(np.array(MAT_CENTRE_M), MAT_HALF_M, False, around.mat, 0)]
    for item in scene.flats:
        centre, number = np.array([item.x, item.y]), names.index(item.name) + 1
        colour = around.colours[item.colour]
        if item.kind == "zone":
            layers.append((centre, (around.zone_m, around.zone_m), False, colour, number))
            continue
        outer, inner = around.plate_m, around.plate_m - around.rim_m
        layers.append((centre, (outer, outer), True, around.white, number))
        layers.append((centre, (inner, inner), True, colour, number))
    if scene.line_side:
        centre = np.array([scene.line_side * LINE_X_M, MAT_CENTRE_M[1]])
        layers.append((centre, (LINE_HALF_M, MAT_HALF_M[1]), False, around.white, len(names)))
    return layers


def _spheres(
    model: mujoco.MjModel, geoms: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.float64]]:
    """Spheres that cover the moving parts; a long box is covered by a row of small ones.

    Returns:
        Geom of each sphere [s], its centre in the frame of the geom [s, 3] and its radius [s].
        Radii have a margin of a millimetre.
    """
    owner: list[int] = []
    centre: list[NDArray[np.float64]] = []
    radius: list[float] = []
    for geom in geoms:
        half = model.geom_size[geom].copy()
        axis = int(np.argmax(half))
        is_box = model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_BOX
        pieces = max(1, round(half[axis] / np.sort(half)[1])) if is_box else 1
        length = half[axis] / pieces
        half[axis] = length
        for piece in range(pieces):
            at = np.zeros(3)
            at[axis] = (2 * piece + 1 - pieces) * length
            owner.append(int(geom))
            centre.append(at)
            whole = float(model.geom_rbound[geom])
            radius.append((float(np.linalg.norm(half)) if pieces > 1 else whole) + 1e-3)
    return np.array(owner), np.array(centre), np.array(radius)


def _grain(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Brightness of the wood grain at places (x [n], y [n])."""
    bent = y + 0.012 * np.sin(9.0 * x + 2.0 * np.sin(4.0 * x))
    return 1.0 + 0.05 * np.sin(170.0 * bent) * np.sin(53.0 * bent) + 0.02 * np.sin(900.0 * bent)


def _cones(rays: NDArray[np.float64]) -> _Cones:
    """Cones around bundles of unit rays [t, k, 3]."""
    axis = rays.sum(axis=1)
    axis /= np.linalg.norm(axis, axis=1, keepdims=True)
    cosine = np.minimum(np.einsum("tki,ti->tk", rays, axis).min(axis=1), 1.0)
    return _Cones(axis=axis, cosine=cosine)


def _camera_rays(fovy_deg: float, size: int, tile: int) -> NDArray[np.float64]:
    """Unit rays through pixel centres in the camera's frame, tile after tile: [size * size, 3]."""
    reach = np.tan(np.radians(fovy_deg) / 2.0)
    across = reach * (2.0 * (np.arange(size) + 0.5) / size - 1.0)
    x, y = np.meshgrid(across, -across)
    rays = np.stack([x, y, -np.ones_like(x)], axis=-1)
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    side = size // tile
    tiled = rays.reshape(side, tile, side, tile, 3).transpose(0, 2, 1, 3, 4)
    return np.ascontiguousarray(tiled.reshape(-1, 3))
