"""Counterfactual pairs of recordings: the same initial scene under two different instructions."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SAME = 0.02
"""Root mean square difference of small first views up to which two episodes start from one scene.
On the table-top two recordings of one scene differ by at most 0.007 (video), others by 0.14."""


def plain_words(instruction: str) -> str:
    """An instruction without case, full stop and double spaces."""
    return " ".join(instruction.lower().rstrip(".!?").split())


def scene_numbers(names: Sequence[str], pixels: NDArray[np.float32]) -> tuple[list[int], bool]:
    """A number for the initial scene of every episode, and whether the data name the scenes.

    Args:
        names: Ids of the initial states, empty where the data do not say.
        pixels: Small first views, float32 [episodes, values] in [0, 1]; used when a name is absent.
    """
    if all(names):
        places = {name: place for place, name in enumerate(dict.fromkeys(names))}
        return [places[name] for name in names], True
    scenes: list[int] = []
    centres: list[NDArray[np.float64]] = []
    for view in pixels.astype(np.float64):
        # Each scene is known by its first episode, so that chains of small changes do not join.
        far = (
            np.sqrt(((np.array(centres) - view) ** 2).mean(axis=1)) if centres else np.array([1.0])
        )
        nearest = int(far.argmin())
        if centres and far[nearest] <= SAME:
            scenes.append(nearest)
        else:
            scenes.append(len(centres))
            centres.append(view)
    return scenes, False


def counterfactual_pairs(
    scenes: Sequence[int], instructions: Sequence[str]
) -> tuple[tuple[int, int], ...]:
    """All pairs of places with one scene and different words; places without words have none."""
    by_scene: dict[int, list[int]] = {}
    said = [plain_words(text) for text in instructions]
    for place, scene in enumerate(scenes):
        if said[place]:
            by_scene.setdefault(scene, []).append(place)
    return tuple(
        (first, second)
        for places in by_scene.values()
        for i, first in enumerate(places)
        for second in places[i + 1 :]
        if said[first] != said[second]
    )
