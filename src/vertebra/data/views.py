"""The first view of every episode, and what is known about the episode besides its pictures."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vertebra.data.lerobot_open import Dataset
from vertebra.data.lerobot_read import EpisodeReader
from vertebra.data.mapping import InputMapping

SIDE = 16
"""Views are compared at this many pixels a side."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FirstViews:
    """What each episode of a data set starts from, in the order of the data set.

    Attributes:
        episodes: Numbers of the episodes.
        pixels: Float32 [episodes, cameras * SIDE * SIDE * 3] in [0, 1], all cameras in turn.
        instructions: What was asked, empty without words.
        skills: Kind of task; the first word of the instruction where the data do not say.
        initial_states: Id of the initial state, empty where the data do not say.
        named_skills: Whether the data say the skill of every episode.
        actions: Float32 [frames, action dims], rows of NaN without a label.
        action_names: Names of the action dimensions.
    """

    episodes: tuple[int, ...]
    pixels: NDArray[np.float32]
    instructions: tuple[str, ...]
    skills: tuple[str, ...]
    initial_states: tuple[str, ...]
    named_skills: bool
    actions: NDArray[np.float32]
    action_names: tuple[str, ...]


def first_views(dataset: Dataset, mapping: InputMapping) -> FirstViews:
    """Read the first frame of every camera, and the actions, of every episode.

    Args:
        dataset: What to read.
        mapping: Which columns are cameras and actions.
    """
    cameras = {camera.name: camera.key for camera in mapping.cameras}
    pictures, vectors = (
        EpisodeReader(
            dataset, cameras=some, state_key=mapping.state_key, action_key=mapping.action_key
        )
        for some in (cameras, {})
    )
    pixels: list[NDArray[np.float32]] = []
    actions: list[NDArray[np.float32]] = []
    said: list[tuple[str, str, str]] = []
    try:
        for span in dataset.episodes:
            views = pictures.first_views(span.index)
            pixels.append(np.concatenate([small_view(view) for view in views.values()]))
            rest = vectors.read(span.index)
            actions.append(rest.actions[:, [dim.index for dim in mapping.action]])
            words = rest.instruction.strip() if mapping.language else ""
            said.append((words, rest.skill, rest.initial_state))
    finally:
        pictures.close()
        vectors.close()
    return FirstViews(
        episodes=tuple(span.index for span in dataset.episodes),
        pixels=np.stack(pixels),
        instructions=tuple(words for words, _, _ in said),
        skills=tuple(skill or _verb(words) for words, skill, _ in said),
        initial_states=tuple(state for _, _, state in said),
        named_skills=all(skill for _, skill, _ in said),
        actions=np.concatenate(actions),
        action_names=tuple(dim.name for dim in mapping.action),
    )


def small_view(view: NDArray[np.uint8]) -> NDArray[np.float32]:
    """A picture uint8 [H, W, 3] as float32 [SIDE * SIDE * 3] in [0, 1]."""
    image = Image.fromarray(view).resize((SIDE, SIDE), Image.Resampling.BOX)
    return np.asarray(image.convert("RGB"), np.float32).ravel() / np.float32(255)


def _verb(words: str) -> str:
    return words.lower().split()[0] if words else ""
