"""CALVIN's table in pybullet, and CALVIN's oracle. Runs where calvin_env can be imported."""

# calvin_env, pybullet and hydra carry no type information and are not installed here.
# pyright: reportMissingImports=false

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vertebra.envs.calvin.chains import COLOURS

ENV, MODELS = "calvin_env", "calvin_models/conf"
ORACLE = f"{MODELS}/callbacks/rollout/tasks/new_playtable_tasks.yaml"
SENTENCES = f"{MODELS}/annotations/new_playtable_validation.yaml"
DECIDES = (f"{ENV}/calvin_env", f"{ENV}/conf", f"{ENV}/data", ORACLE, SENTENCES)
"""What of a clone decides what an episode is."""
PARTS = {
    "button_link": "button",
    "switch_link": "switch",
    "slide_link": "slider",
    "drawer_link": "drawer",
}
"""Parts of the table that can be moved."""

Info = Mapping[str, Any]
"""What CALVIN tells of a moment; its oracle compares two of them."""


def fingerprint(clone: Path) -> str:
    """Hash of everything in a clone that decides what an episode is, whatever commit it is."""
    found = hashlib.sha256()
    for name in DECIDES:
        root = clone / name
        files = sorted(root.rglob("*")) if root.is_dir() else [root]
        for path in files:
            if path.is_file() and "__pycache__" not in path.parts:
                found.update(str(path.relative_to(clone)).encode() + b"\0")
                found.update(hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()[:16]


def sentences(clone: Path) -> dict[str, str]:
    """Task to the sentence that asks for it in the published evaluation."""
    return {task: said[0] for task, said in _yaml(clone / SENTENCES).items()}


def _yaml(path: Path) -> dict[str, Any]:
    import yaml

    return yaml.safe_load(path.read_text())


class Table:
    """One simulator with one scene.

    Args:
        clone: The user's clone of CALVIN.
        scene: Letter of the scene.
        robot: CALVIN's configuration of the robot.
        renderer: ``tiny`` or ``egl``.
    """

    def __init__(self, clone: Path, scene: str, robot: str, renderer: str) -> None:
        import hydra

        root = clone / ENV
        with hydra.initialize_config_dir(str(root / "conf"), version_base=None):
            settings = hydra.compose(
                "config_data_collection",
                overrides=[
                    "cameras=static_and_gripper",
                    f"scene=calvin_scene_{scene}",
                    f"robot={robot}",
                    f"data_path={root / 'data'}",
                    f"env.use_egl={str(renderer == 'egl').lower()}",
                    "use_vr=false",
                    "env.show_gui=false",
                    "env.use_scene_info=true",
                ],
            )
        self._env: Any = hydra.utils.instantiate(settings.env)
        self._cameras = {f"rgb_{camera.name}": camera for camera in self._env.cameras}
        self._env.cameras = []  # nothing is rendered until somebody asks
        self._oracle: Any = hydra.utils.instantiate(_yaml(clone / ORACLE))
        self._names = self._named()
        names = list(self.info()["scene_info"]["movable_objects"])
        self._places = [names.index(f"block_{colour}") for colour in COLOURS]

    def _named(self) -> dict[tuple[int, int], str]:
        """Body and link to the name of what can be touched."""
        scene = self.info()["scene_info"]
        table = scene["fixed_objects"]["table"]
        blocks = scene["movable_objects"].items()
        return {
            **{(one["uid"], -1): name for name, one in blocks},
            **{(table["uid"], table["links"][link]): name for link, name in PARTS.items()},
        }

    def reset(self, robot: NDArray[np.float64], scene: NDArray[np.float64]) -> None:
        """Put everything where these numbers say.

        Each scene of CALVIN has its blocks in an order of its own; here it is that of scene D.
        """
        blocks = np.empty((len(COLOURS), 6))
        blocks[self._places] = scene[6:].reshape(-1, 6)
        self._env.reset(robot_obs=robot, scene_obs=np.concatenate([scene[:6], blocks.ravel()]))

    def step(self, action: NDArray[np.float64]) -> None:
        """Let a thirtieth of a second pass; the gripper's number is -1 or 1."""
        self._env.step(action)

    def picture(self, camera: str) -> NDArray[np.uint8]:
        """What a camera sees."""
        return np.asarray(self._cameras[camera].render()[0], np.uint8)

    def robot(self) -> NDArray[np.float64]:
        """The robot's numbers, as `starting_point` gives them."""
        return np.asarray(self._env.get_state_obs()["robot_obs"], np.float64)

    def scene(self) -> NDArray[np.float64]:
        """The scene's numbers, as `starting_point` gives them."""
        found = np.asarray(self._env.get_state_obs()["scene_obs"], np.float64)
        return np.concatenate([found[:6], found[6:].reshape(-1, 6)[self._places].ravel()])

    def info(self) -> Info:
        """What the oracle compares."""
        return self._env.get_info()

    def achieved(self, before: Info, now: Info) -> list[str]:
        """All tasks that were carried out between two moments, by CALVIN's own oracle."""
        return sorted(self._oracle.get_task_info(before, now))

    def touching(self, now: Info) -> Sequence[str]:
        """What the robot touches, in alphabetical order."""
        contacts = now["robot_info"]["contacts"]
        found = {self._names.get((contact[2], contact[4])) for contact in contacts}
        return sorted(name for name in found if name is not None)

    def button_m(self) -> NDArray[np.float64]:
        """Where the button is [3]; each scene has it elsewhere."""
        table = self.info()["scene_info"]["fixed_objects"]["table"]
        link = table["links"]["button_link"]
        state = self._env.p.getLinkState(table["uid"], link, physicsClientId=self._env.cid)
        return np.asarray(state[0], np.float64)

    def close(self) -> None:
        """Disconnect from pybullet, once: its destructor would do it again and complain."""
        self._env.close()
        self._env.ownsPhysicsClient = False
