"""A world small enough to check by hand: a tool on a plane and three coloured places."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vertebra.data.episode import EpisodeData
from vertebra.spec.action import ActionSpec, Frame, Gripper, Rotation
from vertebra.spec.observation import Camera, Dim, Observation, ObservationSpec
from vertebra.spec.storage import digest
from vertebra.spec.task import InitialState, Judgement, Task

COLOURS = ("red", "green", "blue")
OBSERVATION = ObservationSpec(
    cameras=(Camera(name="top", height=16, width=16),),
    state=tuple(Dim(name=name, unit="m") for name in ("x", "y")),
    rate_hz=10.0,
)
ACTION = ActionSpec(
    dims=(
        Dim(name="dx", unit="m/step", low=-0.1, high=0.1),
        Dim(name="dy", unit="m/step", low=-0.1, high=0.1),
    ),
    frame=Frame.DELTA,
    rotation=Rotation.NONE,
    gripper=Gripper.NONE,
    rate_hz=10.0,
)


def make_state(split: str, index: int, seed: int = 0) -> InitialState:
    """Three places in three corners; which colour is where depends on the index."""
    corners = [(0.9, 0.1), (0.1, 0.9), (0.9, 0.9)]
    order = np.random.default_rng([seed, index]).permutation(3)
    places = {colour: corners[order[i]] for i, colour in enumerate(COLOURS)}
    tasks = tuple(
        Task(
            id=f"reach/{colour}",
            skill="reach",
            instruction=f"go to {colour}",
            paraphrases=(f"visit the {colour} place", f"{colour} is where you belong"),
        )
        for colour in COLOURS
    )
    return InitialState(
        id=f"{split}-{seed}-{index}", split=split, tasks=tasks, data={"places": places}
    )


class Plane:
    """A tool that moves by its actions. A place counts as reached within 0.05 m.

    Args:
        max_steps: Steps until the time is out.
        breaks_at: ``(initial state id, step)`` at which ``apply`` raises.
    """

    name = "plane-v1"

    def __init__(self, *, max_steps: int = 40, breaks_at: tuple[str, int] | None = None) -> None:
        self.offers, self.takes, self.max_steps = OBSERVATION, ACTION, max_steps
        self.breaks_at = breaks_at
        self.closed = 0
        self.rendered = 0

    def initial_states(self, split: str, count: int, seed: int) -> tuple[InitialState, ...]:
        return tuple(make_state(split, index, seed) for index in range(count))

    def begin(self, initial_state: InitialState, task: Task, seed: int) -> Observation:
        self.state, self.task, self.seed = initial_state, task, seed
        self.places = {k: np.array(v) for k, v in initial_state.data["places"].items()}
        self.position, self.steps, self.touched = np.array([0.3, 0.3]), 0, None
        return self.observe()

    def observe(self) -> Observation:
        self.rendered += 1
        image = np.full((16, 16, 3), 230, np.uint8)
        x, y = np.clip(self.position * 15, 0, 15).astype(int)
        image[y, x] = 0
        for number, place in enumerate(self.places.values()):
            x, y = (place * 15).astype(int)
            image[y, x] = 0
            image[y, x, number] = 255
        return Observation(
            images={"top": image},
            state=self.position.astype(np.float32),
            instruction=self.task.instruction,
            executed=np.zeros((0, 2), np.float32),
        )

    def apply(self, action: NDArray[np.float32]) -> None:
        if self.breaks_at == (self.state.id, self.steps):
            raise RuntimeError("the simulator diverged")
        self.steps += 1
        self.position = np.clip(self.position + np.clip(action, -0.1, 0.1), 0, 1)
        reached = self._reached()
        if reached and self.touched is None:
            self.touched = reached[0]

    def _reached(self) -> list[str]:
        return [k for k, v in self.places.items() if np.linalg.norm(self.position - v) < 0.05]

    def judge(self) -> Judgement:
        progress = {
            f"reach/{k}": float(np.clip(1 - np.linalg.norm(self.position - v), 0, 1))
            for k, v in self.places.items()
        }
        return Judgement(
            achieved=tuple(f"reach/{k}" for k in self._reached()),
            first_touched=self.touched,
            first_grasped=None,
            progress=progress,
        )

    def state_hash(self) -> str:
        return digest([self.state.id, self.position.tolist()])

    def hold(self, last_action: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.zeros_like(last_action)

    def labels(self) -> dict[str, Any]:
        return {}

    def target_of(self, task: Task) -> str | None:
        return task.id.removeprefix("reach/")

    def close(self) -> None:
        self.closed += 1


def demonstrate(environment: Plane) -> Any:
    """The demonstrator of the plane: straight to the asked place."""

    def act(task: Task) -> NDArray[np.float32]:
        place = environment.places[task.id.removeprefix("reach/")]
        return np.clip(place - environment.position, -0.1, 0.1).astype(np.float32)

    return act


def renamed(observation: ObservationSpec, camera: str) -> ObservationSpec:
    """The same spec with its camera under another name."""
    return replace(observation, cameras=(replace(observation.cameras[0], name=camera),))


def record(
    index: int,
    *,
    annotated: bool = True,
    instruction: str | None = None,
    split: str = "",
    asked: int | None = None,
) -> EpisodeData:
    """A demonstration of ten steps with a little noise in its actions."""
    plane, state = Plane(), make_state("train", index)
    place = index % 3 if asked is None else asked
    task = state.tasks[place]
    seen = [plane.begin(state, task, 0)]
    act = demonstrate(plane)
    rng = np.random.default_rng(index)
    actions: list[NDArray[np.float32]] = []
    for _ in range(10):
        actions.append(act(task) + rng.normal(0, 0.005, 2).astype(np.float32))
        plane.apply(actions[-1])
        seen.append(plane.observe())
    places = np.array([plane.places[colour] for colour in COLOURS], np.float32)
    return EpisodeData(
        images={"top": np.stack([one.images["top"] for one in seen[:-1]])},
        state=np.stack([one.state for one in seen[:-1]]),
        actions=np.stack(actions),
        instruction=task.instruction if instruction is None else instruction,
        split=split,
        entities=COLOURS if annotated else (),
        points=np.repeat(places[None], len(actions), axis=0) if annotated else None,
        target_entity=place if annotated else -1,
    )
