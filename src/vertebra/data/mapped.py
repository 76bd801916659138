"""Foreign episodes as an input mapping wants them: cropped, chosen, converted."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vertebra.data.episode import EpisodeData
from vertebra.data.lerobot_open import Dataset
from vertebra.data.lerobot_read import EpisodeReader, Picture
from vertebra.data.mapping import CameraMapping, InputMapping, Reference, require_mapping
from vertebra.spec.action import Gripper, Rotation
from vertebra.spec.rotation import WIDTH, from_matrix, to_matrix


def read_mapped(
    dataset: Dataset, mapping: InputMapping, episodes: Iterable[int] | None = None
) -> Iterator[EpisodeData]:
    """Episodes as a mapping wants them.

    Raises:
        ValueError: When the mapping does not fit (before anything is read), or when the rotational
            numbers of an episode cannot be of the declared layout.
    """
    require_mapping(mapping, dataset)
    reader = EpisodeReader(
        dataset,
        cameras={camera.name: camera.key for camera in mapping.cameras},
        pictures={camera.name: _picture_of(camera) for camera in mapping.cameras},
        state_key=mapping.state_key,
        action_key=mapping.action_key,
    )
    numbers = [span.index for span in dataset.episodes] if episodes is None else list(episodes)
    return _mapped(reader, mapping, numbers)


def _mapped(
    reader: EpisodeReader, mapping: InputMapping, numbers: list[int]
) -> Iterator[EpisodeData]:
    try:
        for number in numbers:
            raw = reader.read(number)
            actions = _actions(mapping, raw.actions, raw.state)
            _require_layout(mapping, actions, number)
            yield replace(
                raw,
                state=raw.state[:, [dim.index for dim in mapping.state]],
                actions=actions,
                instruction=raw.instruction if mapping.language else "",
            )
    finally:
        reader.close()


def _picture_of(camera: CameraMapping) -> Picture:
    size = (camera.width, camera.height)
    box = None
    if camera.crop is not None:
        top, left, height, width = camera.crop
        box = (left, top, left + width, top + height)

    def picture(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        if box is None and frame.shape[1::-1] == size:
            return frame
        return np.array(Image.fromarray(frame).resize(size, Image.Resampling.BICUBIC, box=box))

    return picture


def _actions(
    mapping: InputMapping, actions: NDArray[np.float32], state: NDArray[np.float32]
) -> NDArray[np.float32]:
    chosen = actions[:, [dim.index for dim in mapping.action]]
    if mapping.reference is not Reference.RELATIVE_TO_STATE:
        return chosen
    gripper = mapping.gripper is not Gripper.NONE
    moving = len(mapping.action) - gripper
    base = state[:, [int(n.from_state or 0) for n in mapping.action[:moving]]]
    plain = moving - WIDTH[mapping.rotation]
    chosen = chosen.copy()
    chosen[:, :plain] += base[:, :plain]
    known = np.isfinite(chosen).all(axis=1)
    if mapping.rotation is not Rotation.NONE and known.any():
        turn = to_matrix(chosen[known, plain:moving], mapping.rotation)
        pose = to_matrix(base[known, plain:], mapping.rotation)
        chosen[known, plain:moving] = from_matrix(turn @ pose, mapping.rotation)
    return chosen


def _require_layout(mapping: InputMapping, actions: NDArray[np.float32], episode: int) -> None:
    if mapping.rotation not in {Rotation.QUAT_WXYZ, Rotation.QUAT_XYZW, Rotation.ROT6D_COLUMNS}:
        return
    part = actions[np.isfinite(actions).all(axis=1), 3 : 3 + WIDTH[mapping.rotation]]
    if not len(part):
        return
    units = part if mapping.rotation is not Rotation.ROT6D_COLUMNS else part.reshape(-1, 3)
    lengths = np.linalg.norm(units, axis=1)
    if np.abs(lengths - 1).max() > 0.05:
        raise ValueError(
            f"Episode {episode}: rotations are declared as '{mapping.rotation}', whose vectors "
            f"have length 1; found are lengths {lengths.min():.3g} to {lengths.max():.3g}. Correct "
            "the layout or the indices in the input mapping."
        )
