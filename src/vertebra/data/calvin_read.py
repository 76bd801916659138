"""CALVIN's recordings: one ``npz`` a frame, and a pickle that says what was asked in which frames.

The pickle is read by an unpickler that makes arrays and plain containers and refuses all else.

Source: mees/calvin dataset/README.md (files and keys).
"""

import pickle
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray
from PIL import Image

from vertebra.data.episode import EpisodeData
from vertebra.spec.errors import BrokenDataset

ANNOTATIONS = "lang_annotations/auto_lang_ann.npy"
SPLITS = {"training": "train", "validation": "validation"}
"""CALVIN's directory to the name of our split."""
CAMERAS = ("rgb_static", "rgb_gripper")
ROBOT, ACTIONS, STATE_DIMS, ACTION_DIMS = "robot_obs", "rel_actions", 15, 7
NAMED = 5
"""How many missing frames a message names."""


def _bytes(text: str, encoding: str) -> bytes:
    """How old pickles write bytes."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it encodes bytes as {encoding!r}")
    return text.encode("latin-1")


_array: Any = np.zeros(1)
_scalar: Any = np.float64(0)
_MAKERS: Mapping[tuple[str, str], Any] = {
    (f"{home}.{name}", maker.__name__): maker
    for home in ("numpy.core", "numpy._core")
    for name, maker in (
        ("multiarray", _array.__reduce__()[0]),
        ("multiarray", _scalar.__reduce__()[0]),
        ("numeric", _array.__reduce_ex__(5)[0]),
    )
} | {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _bytes,
}
"""All that a pickle of annotations may call."""


class _Plain(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _MAKERS:
            raise pickle.UnpicklingError(
                f"it asks for {module}.{name}, and only arrays and plain containers are read"
            )
        return _MAKERS[module, name]


@dataclass(frozen=True, kw_only=True)
class Annotation:
    """One stretch of frames with an instruction.

    Attributes:
        first: Number of its first frame.
        last: Number of its last frame, which belongs to it.
        sentence: What was asked.
        task: CALVIN's name of the task.
    """

    first: int
    last: int
    sentence: str
    task: str


def read_plain_object(path: Path) -> Any:
    """What an ``npy`` file with a pickled object holds, without running anything of it.

    Raises:
        BrokenDataset: When it is no such file, or would make anything but arrays and containers.
    """
    try:
        with path.open("rb") as file:
            version = npy.read_magic(file)
            read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            shape, _, kind = read(file)
            if not kind.hasobject:
                raise ValueError(f"it holds {kind} {shape}, not a pickled object")
            found = _Plain(file).load()
    except (ValueError, TypeError, EOFError, AttributeError, IndexError, KeyError,
            pickle.UnpicklingError) as error:  # fmt: skip
        raise BrokenDataset(str(path), [str(error)]) from error
    return found.item() if isinstance(found, np.ndarray) and found.shape == () else found


def annotations(split: Path) -> tuple[Annotation, ...]:
    """What was asked in which frames of one of CALVIN's directories.

    Raises:
        BrokenDataset: Naming everything that contradicts the format.
    """
    path = split / ANNOTATIONS
    if not path.exists():
        raise BrokenDataset(str(split), [f"there is no {ANNOTATIONS}"])
    found = read_plain_object(path)
    try:
        said, tasks = list(found["language"]["ann"]), list(found["language"]["task"])
        stretches = [(int(first), int(last)) for first, last in found["info"]["indx"]]
    except (KeyError, TypeError, ValueError) as error:
        raise BrokenDataset(
            str(path), [f"expected language.ann, language.task and info.indx: {error!r}"]
        ) from error
    problems = [
        f"stretch {number} goes from {first} to {last}"
        for number, (first, last) in enumerate(stretches)
        if not 0 <= first < last
    ]
    if not len(said) == len(tasks) == len(stretches):
        problems.append(f"{len(said)} sentences, {len(tasks)} tasks, {len(stretches)} stretches")
    if problems:
        raise BrokenDataset(str(path), problems)
    return tuple(
        Annotation(first=first, last=last, sentence=str(sentence), task=str(task))
        for (first, last), sentence, task in zip(stretches, said, tasks, strict=True)
    )


def missing_frames(split: Path, wanted: Sequence[Annotation]) -> list[str]:
    """Files of annotated frames that are not there, in words."""
    there = {path.name for path in split.glob("episode_*.npz")}
    gone = [
        name
        for one in wanted
        for number in range(one.first, one.last + 1)
        if (name := _frame(number)) not in there
    ]
    if not gone:
        return []
    more = f" and {len(gone) - NAMED} more" if len(gone) > NAMED else ""
    return [f"frames are missing: {', '.join(gone[:NAMED])}{more}"]


def read_episode(
    split: Path, asked: Annotation, sides: Mapping[str, int], skill: str
) -> EpisodeData:
    """One annotated stretch.

    Args:
        split: One of CALVIN's directories.
        asked: The stretch.
        sides: Camera to the side of its picture in pixels; larger recorded ones are made smaller.
        skill: Kind of the task.

    Raises:
        BrokenDataset: Naming the frame that cannot be read, and why.
    """
    images: dict[str, list[NDArray[np.uint8]]] = {camera: [] for camera in sides}
    state: list[NDArray[np.float32]] = []
    actions: list[NDArray[np.float32]] = []
    for number in range(asked.first, asked.last + 1):
        path = split / _frame(number)
        try:
            with np.load(path, allow_pickle=False) as frame:
                for camera, side in sides.items():
                    images[camera].append(_picture(frame[camera], side))
                state.append(_vector(frame[ROBOT], STATE_DIMS))
                actions.append(_vector(frame[ACTIONS], ACTION_DIMS))
        except (OSError, KeyError, ValueError, EOFError) as error:
            raise BrokenDataset(str(path), [str(error)]) from error
    return EpisodeData(
        images={camera: np.stack(frames) for camera, frames in images.items()},
        state=np.stack(state),
        actions=np.stack(actions),
        instruction=asked.sentence,
        task_id=asked.task,
        skill=skill,
        initial_state=f"{split.name}-{asked.first:07d}",
        split=SPLITS[split.name],
        achieved=(asked.task,),
    )


def splits_of(root: Path) -> list[Path]:
    """The directories of CALVIN's data set that are there.

    Raises:
        BrokenDataset: When none is.
    """
    found = [root / name for name in SPLITS if (root / name).is_dir()]
    if not found:
        raise BrokenDataset(
            str(root), [f"there is no {' and no '.join(SPLITS)}: give CALVIN's own directory"]
        )
    return found


def episodes(
    stretches: Sequence[tuple[Path, Annotation]],
    sides: Mapping[str, int],
    skills: Mapping[str, str],
) -> Iterator[EpisodeData]:
    """Stretches one by one; one is in memory at a time."""
    for split, asked in stretches:
        yield read_episode(split, asked, sides, skills[asked.task])


def _frame(number: int) -> str:
    return f"episode_{number:07d}.npz"


def _picture(found: NDArray[Any], side: int) -> NDArray[np.uint8]:
    if found.dtype != np.uint8 or found.ndim != 3 or found.shape[2] != 3:
        raise ValueError(f"a picture is {found.dtype} {found.shape}, expected uint8 [h, w, 3]")
    if found.shape[:2] == (side, side):
        return found
    if min(found.shape[:2]) < side:
        raise ValueError(f"a picture is {found.shape[:2]}, smaller than {side} x {side}")
    small = Image.fromarray(found).resize((side, side), Image.Resampling.BICUBIC)
    return np.asarray(small)


def _vector(found: NDArray[Any], dims: int) -> NDArray[np.float32]:
    if found.shape != (dims,):
        raise ValueError(f"a vector has shape {found.shape}, expected ({dims},)")
    return np.asarray(found, np.float32)
