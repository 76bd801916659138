"""One scene of LIBERO in robosuite: physics, oracle, contacts, and pictures when wanted."""

# LIBERO, robosuite and the compiled names of MuJoCo carry no type information and are not here.
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false

import copy
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vertebra.envs.libero.goals import Goal
from vertebra.envs.libero.protocols import Protocol
from vertebra.envs.libero.shift import Shift, arm_offset, blurred, orbited
from vertebra.spec.rotation import matrix_from_quat_wxyz, quat_wxyz_from_matrix

OUTSIDE_CAMERA = "agentview"


class Scene:
    """A running simulation of one BDDL file.

    The renderer is made when the first picture is asked for (without one, an episode is ten times
    as fast) and then kept: meshes and textures are the same in every episode of a scene.

    Args:
        path: The BDDL file.
        how: The protocol.
        shift: What is other than the protocol says.

    Attributes:
        path: The BDDL file.
        touched: What both pads of the gripper have touched so far (see `LiberoWorld.touched`).
    """

    def __init__(self, path: Path, how: Protocol, shift: Shift) -> None:
        from libero.libero.envs.env_wrapper import ControlEnv

        _compile_equal_scenes_once()
        self.path, self.how, self._shift = path, how, shift
        style = {"floor_style": shift.floor, "wall_style": shift.wall}
        self._control = ControlEnv(
            bddl_file_name=str(path),
            controller=how.controller,
            control_freq=int(how.rate_hz),
            camera_heights=how.image_px,
            camera_widths=how.image_px,
            use_camera_obs=False,
            has_offscreen_renderer=False,
            ignore_done=True,
            **({"scene_properties": style} if shift.floor else {}),
        )
        self._context: Any = None
        self.touched: tuple[str | None, str | None] = (None, None)

    @property
    def domain(self) -> Any:
        """The environment of robosuite."""
        return self._control.env

    @property
    def sim(self) -> Any:
        """Model and data (privileged)."""
        return self.domain.sim

    def reset(self, seed: int, stored: NDArray[np.float64] | None, name: str) -> None:
        """Build the scene anew, then let it come to rest.

        Args:
            seed: Where fixtures stand (and objects, when no state is given).
            stored: A stored initial state.
            name: Id of the initial state.
        """
        self._control.seed(seed)
        self._control.reset()
        if stored is not None:
            self._control.set_init_state(stored)
        self._apply_shift(name)
        self._owners = self._geom_owners()
        self.touched = (None, None)
        still = np.array([*[0.0] * 6, self.how.wait_gripper])
        for _ in range(max(1, self.how.wait_steps)):
            self._seen = self._control.step(still)[0]

    def _apply_shift(self, name: str) -> None:
        """Change what is other than the protocol says; the model is new after every reset."""
        model, data, shift = self.sim.model._model, self.sim.data._data, self._shift
        model.light_diffuse[:] *= shift.light
        for part in ("ambient", "diffuse", "specular"):
            getattr(model.vis.headlight, part)[:] *= shift.light
        if shift.joints_rad:
            joints = self.domain.robots[0]._ref_joint_pos_indexes
            data.qpos[joints] += arm_offset(len(joints), shift.joints_rad, name)
            self.sim.forward()
        if shift.camera_deg != (0.0, 0.0) or shift.camera_distance != 1.0:
            camera = model.camera(OUTSIDE_CAMERA)
            turn = matrix_from_quat_wxyz(camera.quat)
            centre = camera.pos - self._seen_at(camera.pos, -turn[:, 2]) * turn[:, 2]
            camera.pos[:], moved = orbited(camera.pos.copy(), turn, centre, shift)
            camera.quat[:] = quat_wxyz_from_matrix(moved)

    def _seen_at(self, place: NDArray[np.float64], ahead: NDArray[np.float64]) -> float:
        """Distance of the first surface in a direction, in metres."""
        import mujoco

        model, data = self.sim.model._model, self.sim.data._data
        hit = np.zeros((1, 1), np.int32)
        distance = mujoco.mj_ray(model, data, place, ahead, None, 1, -1, hit)
        assert distance > 0, "a floor or a wall is everywhere"  # noqa: S101
        return float(distance)

    def step(self, action: NDArray[np.float32]) -> None:
        """One control step."""
        self._seen = self._control.step(action.astype(float))[0]
        self._notice()

    def holds(self, goal: Goal) -> bool:
        """Whether all predicates hold, as LIBERO's own oracle sees it."""
        return all(bool(self.domain._eval_predicate(list(predicate))) for predicate in goal)

    def _geom_owners(self) -> dict[int, str]:
        """Collision geom to the object or fixture that it belongs to."""
        domain, found = self.domain, {}
        for name in (*domain.objects_dict, *domain.fixtures_dict):
            thing = domain.get_object(name)
            for geom in thing.contact_geoms:
                found[int(self.sim.model.geom_name2id(geom))] = name
        return found

    def _notice(self) -> None:
        if self.touched[1] is not None:
            return
        gripper = self.domain.robots[0].gripper.important_geoms
        sides: dict[str, set[str]] = {}
        fingers = {
            int(self.sim.model.geom_name2id(geom)): side
            for side in ("left_finger", "right_finger")
            for geom in gripper[side]
        }
        for contact in self.sim.data.contact[: self.sim.data.ncon]:
            for one, other in ((contact.geom1, contact.geom2), (contact.geom2, contact.geom1)):
                if one in fingers and other in self._owners:
                    sides.setdefault(self._owners[other], set()).add(fingers[one])
        first = self.touched[0] or next(iter(sides), None)
        both = next((name for name, touching in sides.items() if len(touching) == 2), None)
        self.touched = (first, both)

    def proprioception(self) -> NDArray[np.float32]:
        """As the protocol says: float32 [8] or [9]."""
        seen = self._seen
        fingers = seen["robot0_gripper_qpos"]
        if self.how.state == "joints":
            return np.array([*seen["robot0_joint_pos"], *fingers], np.float32)
        turn = axis_angle(seen["robot0_eef_quat"])
        return np.array([*seen["robot0_eef_pos"], *turn, *fingers], np.float32)

    def picture(self, camera: str) -> NDArray[np.uint8]:
        """What a camera sees now: uint8 [image_px, image_px, 3]."""
        if self._context is None:
            from robosuite.utils.binding_utils import MjRenderContextOffscreen

            self._context = MjRenderContextOffscreen(self.sim, device_id=-1)
            self._context.vopt.geomgroup[0] = 0
            self._context.vopt.geomgroup[1] = 1
        elif self._context.sim is not self.sim:
            self._context.sim = self.sim
            self._context.model, self._context.data = self.sim.model, self.sim.data
            self.sim.add_render_context(self._context)
            self.sim.forward()  # as making a renderer does: it touches the state of the solver
        side = self.how.image_px
        raw = self.sim.render(width=side, height=side, camera_name=camera)
        seen = np.ascontiguousarray(raw[::-1, ::-1] if self.how.rotated else raw)
        return blurred(seen, self._shift.blur) if self._shift.blur else seen

    def full_state(self) -> tuple[NDArray[np.float64], ...]:
        """Everything that decides what happens next."""
        data, model = self.sim.data, self.sim.model
        return (data.qpos, data.qvel, data.ctrl, data.qacc_warmstart, model.body_pos)

    def close(self) -> None:
        """Free it; may be called twice."""
        self._context = None
        if self._control is not None:
            self._control.close()
            self._control: Any = None


@cache
def _compile_equal_scenes_once() -> None:
    """Let robosuite copy a scene that it compiled last, instead of compiling the same text again.

    It does so twice before the first episode of a scene, and once before every further one.
    """
    import mujoco
    from robosuite.utils.binding_utils import MjSim

    @lru_cache(maxsize=1)
    def compiled(text: str) -> Any:
        return mujoco.MjModel.from_xml_string(text)

    def from_text(sim: Any, text: str) -> Any:
        return sim(copy.copy(compiled(text)))

    MjSim.from_xml_string = classmethod(from_text)


def axis_angle(quaternion: NDArray[np.float64]) -> NDArray[np.float64]:
    """Axis times angle of a unit quaternion (x, y, z, w): float64 [3], angle in [0, 2 pi].

    Source: Physical-Intelligence/openpi examples/libero/main.py, `_quat2axisangle`.
    """
    w = float(np.clip(quaternion[3], -1.0, 1.0))
    length = float(np.sqrt(1.0 - w * w))
    if length < 1e-8:
        return np.zeros(3)
    return np.asarray(quaternion[:3]) * (2.0 * np.arccos(w) / length)
