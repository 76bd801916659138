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


def episode_problems(episode: EpisodeData) -> list[str]:
    """Everything in an episode that contradicts its own description, in words (empty when sound).

    Checked are array types and shapes, equal lengths, and indices into ``entities``. NaN is legal
    in actions (no label) and points (not visible), not in the state.
    """
    frames = len(episode.state)
    found: list[str] = []
    if frames == 0:
        found.append("it has no frames")
    if not episode.images:
        found.append("it has no camera")
    for what, vectors in (("state", episode.state), ("actions", episode.actions)):
        if vectors.dtype != np.float32 or vectors.ndim != 2:
            found.append(
                f"{what} is {vectors.dtype}{list(vectors.shape)}, expected float32 [T, dims]"
            )
    if len(episode.actions) != frames:
        found.append(f"it has {len(episode.actions)} actions for {frames} states")
    if not np.isfinite(episode.state).all():
        found.append("state holds NaN or infinity")
    for kind, tail, pictures in (
        ("camera", 4, episode.images),
        ("segmentation", 3, episode.segmentation),
    ):
        for name, video in pictures.items():
            if video.dtype != np.uint8 or video.ndim != tail or len(video) != frames:
                shape = "[T, height, width, 3]" if tail == 4 else "[T, height, width]"
                found.append(
                    f"{kind} '{name}' is {video.dtype}{list(video.shape)}, "
                    f"expected uint8 {shape} with T = {frames}"
                )
    return found + _label_problems(episode, frames)


def _label_problems(episode: EpisodeData, frames: int) -> list[str]:
    found: list[str] = []
    entities = len(episode.entities)
    if episode.points is not None and episode.points.shape != (frames, entities, 2):
        found.append(
            f"points has shape {list(episode.points.shape)}, expected {[frames, entities, 2]}"
        )
    for what, index in (
        ("target_entity", episode.target_entity),
        ("goal_entity", episode.goal_entity),
    ):
        if not -1 <= index < entities:
            found.append(f"{what} is {index}, but there are {entities} entities (-1 means none)")
    return found
