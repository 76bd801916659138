"""The table-top as a Gymnasium environment, ``vertebra/Tabletop-v1``.

Importing this module registers it; Gymnasium can do so by itself::

    gymnasium.make("vertebra.envs.tabletop.gym:vertebra/Tabletop-v1")
"""

import string
from importlib.util import find_spec
from typing import Any, SupportsFloat

import numpy as np
from numpy.typing import NDArray

from vertebra.envs.tabletop.environment import CAMERAS, Tabletop
from vertebra.envs.tabletop.scene import SPLITS
from vertebra.spec.errors import MissingExtra
from vertebra.spec.observation import Observation
from vertebra.spec.task import InitialState, Task

if find_spec("gymnasium") is None:
    raise MissingExtra("The Gymnasium interface of the table-top", "tabletop")

import gymnasium
from gymnasium import spaces

ID = "vertebra/Tabletop-v1"
_LETTERS = string.ascii_lowercase + " ,-"


class TabletopGym(gymnasium.Env[dict[str, Any], NDArray[np.float32]]):
    """Language-conditioned manipulation on a table.

    ## Description

    A parallel gripper above a table with three to six free objects, two plates, a zone and a line.
    An English sentence says which of the three or more things that can be done in the scene is to
    be done. The picture alone never tells.

    ## Action space

    `Box(-1, 1, (4,), float32)`, applied for 0.1 s.

    | Num | Action | Min | Max | Unit |
    |---|---|---|---|---|
    | 0 | change of the commanded target along x (right in the front view) | -1 | 1 | 0.04 m |
    | 1 | change of the commanded target along y (away from the front camera) | -1 | 1 | 0.04 m |
    | 2 | change of the commanded target along z (up) | -1 | 1 | 0.04 m |
    | 3 | gripper: above 0 opens, otherwise closes | -1 | 1 | sign |

    ## Observation space

    `Dict` of

    | Key | Space | What |
    |---|---|---|
    | `front` | `Box(0, 255, (size, size, 3), uint8)` | fixed camera, in front and above |
    | `wrist` | `Box(0, 255, (size, size, 3), uint8)` | camera that moves with the gripper |
    | `state` | `Box(low, high, (8,), float32)` | proprioception, below |
    | `instruction` | `Text(160)` | what is to be done |

    | Num | State | Min | Max | Unit |
    |---|---|---|---|---|
    | 0-2 | commanded target x, y, z | -0.27, -0.25, 0.016 | 0.27, 0.27, 0.26 | m |
    | 3-5 | measured tool x, y, z | -0.32, -0.30, -0.034 | 0.32, 0.32, 0.31 | m |
    | 6 | measured finger opening | 0 | 0.08 | m |
    | 7 | commanded finger opening | 0 | 0.08 | m |

    ## Rewards

    1 in the step in which the task is achieved, otherwise 0.

    ## Starting state

    `reset(seed=...)` draws a scene of the split and one of its tasks. With
    `options={"initial_state": state, "task": task}` a given one is restored.

    ## Episode end

    *Termination*: the task's goal holds. *Truncation*: after `max_steps` steps (by default 45, some
    2.5 times what the demonstrator needs for `put`).

    `info` holds `task`, `initial_state`, `achieved`, `progress`, `first_touched` and
    `first_grasped`.

    ## Arguments

    | Argument | Default | What |
    |---|---|---|
    | `split` | `"train"` | `train`, `validation`, `layout`, `pair`, `composition` or `paraphrase` |
    | `size`, `cameras`, `shadows`, `texture`, `skills`, `max_steps` | | as of `Tabletop` |
    | `render_mode` | `None` | `"rgb_array"` gives a 256x256 front view with shadows |

    ## Version history

    * v1: first version.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012

    def __init__(
        self,
        *,
        split: str = "train",
        render_mode: str | None = None,
        size: int = 64,
        cameras: tuple[str, ...] = CAMERAS,
        shadows: bool = False,
        texture: bool = False,
        skills: tuple[str, ...] = ("put", "push", "lift"),
        max_steps: int | None = None,
    ) -> None:
        if split not in SPLITS or render_mode not in (None, "rgb_array"):
            raise ValueError(
                f"Found split {split!r} and render_mode {render_mode!r}; a split is one of "
                f"{SPLITS}, and render_mode is None or 'rgb_array'."
            )
        self.render_mode = render_mode
        self.table = Tabletop(
            size=size,
            cameras=cameras,
            shadows=shadows,
            texture=texture,
            skills=skills,
            max_steps=max_steps,
        )
        self._split = split
        self._steps = 0
        self._begun: tuple[InitialState, Task] | None = None
        dims = self.table.offers.state
        low = np.array([dim.low for dim in dims], np.float32)
        high = np.array([dim.high for dim in dims], np.float32)
        self.action_space = spaces.Box(-1.0, 1.0, (4,), np.float32)
        self.observation_space = spaces.Dict(
            {
                **{
                    camera: spaces.Box(0, 255, (size, size, 3), np.uint8)
                    for camera in self.table.cameras
                },
                "state": spaces.Box(low, high, dtype=np.float32),
                "instruction": spaces.Text(160, charset=_LETTERS),
            }
        )

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Start an episode; see the class for ``options``.

        Raises:
            ValueError: When ``options`` holds only one of ``initial_state`` and ``task``, or
                anything else.
        """
        super().reset(seed=seed)
        options = options or {}
        if options and set(options) != {"initial_state", "task"}:
            raise ValueError(
                f"Found options {sorted(options)}; give both 'initial_state' and 'task', or none."
            )
        if options:
            state, task = options["initial_state"], options["task"]
        else:
            scene_seed = int(self.np_random.integers(2**31))
            (state,) = self.table.initial_states(self._split, 1, scene_seed)
            task = state.tasks[int(self.np_random.integers(len(state.tasks)))]
        self._begun, self._steps = (state, task), 0
        return self._as_dict(self.table.begin(state, task, 0)), self._info()

    def step(
        self, action: NDArray[np.float32]
    ) -> tuple[dict[str, Any], SupportsFloat, bool, bool, dict[str, Any]]:
        """Let one control step pass."""
        self.table.apply(action)
        self._steps += 1
        info = self._info()
        done = info["task"] in info["achieved"]
        late = self._steps >= self.table.max_steps
        return self._as_dict(self.table.observe()), float(done), done, late and not done, info

    def render(self) -> NDArray[np.uint8] | None:
        """The front view at 256x256 pixels with shadows, or nothing without ``render_mode``."""
        return self.table.picture() if self.render_mode else None

    def close(self) -> None:
        """Free the episode."""
        self.table.close()

    def _as_dict(self, observation: Observation) -> dict[str, Any]:
        return {
            **observation.images,
            "state": observation.state,
            "instruction": observation.instruction,
        }

    def _info(self) -> dict[str, Any]:
        assert self._begun is not None, "reset() comes first"  # noqa: S101
        state, task = self._begun
        judgement = self.table.judge()
        return {
            "task": task.id,
            "initial_state": state.id,
            "achieved": judgement.achieved,
            "progress": judgement.progress[task.id],
            "first_touched": judgement.first_touched,
            "first_grasped": judgement.first_grasped,
        }


if ID not in gymnasium.registry:
    gymnasium.register(id=ID, entry_point="vertebra.envs.tabletop.gym:TabletopGym")
