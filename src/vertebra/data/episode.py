"""One demonstration in memory: what a recorder hands to a writer and a reader hands back."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class EpisodeData:
    """One recorded episode of T frames.

    Attributes:
        images: Camera name to uint8 [T, height, width, 3].
        state: float32 [T, state dims].
        actions: float32 [T, action dims]; a row of NaN means that no action label exists.
        instruction: What was asked; empty when the episode has no language label.
        task_id: Id of the task, empty when unknown.
        skill: Kind of task, empty when unknown.
        initial_state: Id of the initial state, empty when unknown.
        split: Split of the initial state, empty when unknown.
        entities: Names of the things that may be pointed at ("red box", "blue plate"), K of them.
        points: float32 [T, K, 2]: centre of each entity in the first camera as (x, y), fractions of
            image width and height from the top left; NaN when not visible. Privileged.
        target_entity: Index into ``entities`` of the object to act on, -1 when none or unknown.
        goal_entity: Index of the destination, -1 when none or unknown.
        achieved: Ids of the tasks that held at the end.
        segmentation: Camera name to uint8 [T, height, width] entity index + 1 (0 = background),
            or empty. Privileged.
    """

    images: Mapping[str, NDArray[np.uint8]]
    state: NDArray[np.float32]
    actions: NDArray[np.float32]
    instruction: str
    task_id: str = ""
    skill: str = ""
    initial_state: str = ""
    split: str = ""
    entities: tuple[str, ...] = ()
    points: NDArray[np.float32] | None = None
    target_entity: int = -1
    goal_entity: int = -1
    achieved: tuple[str, ...] = ()
    segmentation: Mapping[str, NDArray[np.uint8]] = field(default_factory=dict)
