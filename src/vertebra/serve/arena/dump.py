"""RoboArena's published sessions, each a comparison: votes, and a record of every episode.

A dump holds ``evaluation_sessions/<id>/metadata.yaml`` and, in the same directory, for each policy
a directory ``A_<policy>`` with films (``*.mp4``) and one ``*.npz`` of what the robot sensed and
did.

Source: the data sets RoboArena/DataDump_08-05-2025 and later; the writer of the arrays is
pranavatreya/roboarena_evaluator evaluation_client/main.py @ 5992b26.
"""

import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from vertebra.serve.arena.results import RECORDS, VOTES, arena_record
from vertebra.spec.errors import MissingExtra
from vertebra.spec.record import EpisodeRecord
from vertebra.spec.storage import write_json, write_jsonl
from vertebra.spec.task import Outcome
from vertebra.stats.bradley_terry import Preference, Vote

SESSIONS = "evaluation_sessions"
MEDIA = "media.json"
PREFERENCES: dict[Any, Preference] = {"A": "A", "B": "B", "TIE": "tie"}
SENSED = ("cartesian_position", "joint_position", "gripper_position", "action")
_REBUILT = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "scalar"),
}


@dataclass(frozen=True, kw_only=True)
class Imported:
    """What a dump holds.

    Attributes:
        votes: Comparisons of A and B with a preference.
        records: Episodes, in the order of the comparisons.
        media: ``comparison/label`` to its films by camera, relative to the dump.
        problems: What could not be read, and why.
    """

    votes: tuple[Vote, ...]
    records: tuple[EpisodeRecord, ...]
    media: Mapping[str, Mapping[str, str]]
    problems: tuple[str, ...]


def import_dump(dump: Path, out: Path) -> Imported:
    """Read a dump and write its votes and records where an arena would have them.

    Films stay where they are; ``media.json`` says where.

    Raises:
        ValueError: When the dump holds no comparison, or ``out`` exists.
        MissingExtra: Without a reader of YAML.
    """
    if out.exists():
        raise ValueError(f"{out} exists; choose another directory for what is imported.")
    found = read_dump(dump)
    write_jsonl(out / VOTES, found.votes)
    write_jsonl(out / RECORDS, found.records)
    write_json(out / MEDIA, {"dump": dump.resolve(), "films": found.media})
    return found


def read_dump(dump: Path) -> Imported:
    """Everything in a dump that can be read; the rest is named.

    Raises:
        ValueError: When the dump holds no comparison.
        MissingExtra: Without a reader of YAML.
    """
    try:
        import yaml
    except ImportError as error:
        raise MissingExtra("Reading RoboArena's dumps", "arena") from error
    top = dump / SESSIONS if (dump / SESSIONS).is_dir() else dump
    files = sorted(top.glob("*/metadata.yaml"))
    if not files:
        raise ValueError(f"{dump} holds no {SESSIONS}/<id>/metadata.yaml; give a RoboArena dump.")
    votes: list[Vote] = []
    records: list[EpisodeRecord] = []
    media: dict[str, Mapping[str, str]] = {}
    problems: list[str] = []
    for file in files:
        try:
            plain = yaml.safe_load(file.read_text())
            comparison = _Comparison(dump, file.parent, plain)
        except (ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError) as error:
            problems.append(f"{file.parent.name}: its metadata cannot be read ({error!r})")
            continue
        votes += comparison.votes
        records += comparison.records
        media.update(comparison.media)
        problems += comparison.problems
    return Imported(
        votes=tuple(votes), records=tuple(records), media=media, problems=tuple(problems)
    )


class _Comparison:
    """One comparison of a dump."""

    def __init__(self, dump: Path, directory: Path, plain: Mapping[str, Any]) -> None:
        self._dump, self._directory = dump, directory
        self.records: list[EpisodeRecord] = []
        self.media: dict[str, dict[str, str]] = {}
        self.problems: list[str] = []
        said = str(plain["language_instruction"])
        place = str(plain.get("evaluation_location") or "")
        policies = {label: told for label, told in plain["policies"].items() if told}
        for label, told in policies.items():
            self._episode(str(label), told, said, place)
        self.votes = self._votes(policies, plain.get("preference"))

    def _votes(self, policies: Mapping[str, Any], preference: Any) -> list[Vote]:
        if preference not in PREFERENCES or not {"A", "B"} <= set(policies):
            self._doubt(f"no vote: the preference is {preference!r} between {sorted(policies)}")
            return []
        a, b = (str(policies[label]["policy_name"]) for label in "AB")
        if a == b:
            self._doubt(f"no vote: {a} was compared with itself")
            return []
        return [Vote(a=a, b=b, preference=PREFERENCES[preference])]

    def _episode(self, label: str, told: Mapping[str, Any], said: str, place: str) -> None:
        progress = float(told["partial_success"])
        folders = sorted(self._directory.glob(f"{label}_*"))
        arrays = [path for folder in folders for path in sorted(folder.glob("*.npz"))]
        steps = int(float(told.get("duration") or 0))
        if arrays:
            try:
                steps = len(read_steps(arrays[0])["action"])
            except (ValueError, OSError, zipfile.BadZipFile) as error:
                self._doubt(f"{arrays[0].name} cannot be read ({error}); steps are as stated")
        films = {
            path.stem: str(path.relative_to(self._dump))
            for folder in folders
            for path in sorted(folder.glob("*.mp4"))
        }
        if films:
            self.media[f"{self._directory.name}/{label}"] = films
        done = progress == 1.0
        self.records.append(
            arena_record(
                arm=str(told["policy_name"]),
                environment="/".join(("roboarena", *filter(None, [place]))),
                comparison=self._directory.name,
                said=said,
                achieved=(said,) if done else (),
                outcome=Outcome.SUCCESS if done else Outcome.FAILURE,
                progress=progress,
                steps=steps,
            )
        )

    def _doubt(self, words: str) -> None:
        self.problems.append(f"{self._directory.name}: {words}")


def read_steps(path: Path) -> dict[str, NDArray[np.float64]]:
    """What the robot sensed and did, one row a control step.

    The evaluator stores a pickled array of maps; only numpy's own arrays are rebuilt from it, and
    nothing that a file names is called.

    Returns:
        ``joint_position`` [T, 7], ``cartesian_position`` [T, 6], ``gripper_position`` [T, 1] and
        ``action`` [T, 8 or 7].

    Raises:
        ValueError: When the file holds something else.
    """
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        if names != ["data.npy"]:
            raise ValueError(f"{path} holds {names}, expected ['data.npy']")
        content = BytesIO(archive.read("data.npy"))
    version = npy.read_magic(content)
    read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read_header(content)
    if not dtype.hasobject or len(shape) != 1:
        raise ValueError(f"{path} holds {dtype}{list(shape)}, expected one map a step")
    try:
        rows = _Numbers(content).load()
        return {
            name: np.array([np.ravel(row[name]) for row in rows], np.float64) for name in SENSED
        }
    except (pickle.UnpicklingError, KeyError, TypeError, IndexError, EOFError) as error:
        raise ValueError(f"{path} does not hold {SENSED} at every step ({error!r})") from error


class _Numbers(pickle.Unpickler):
    """Rebuilds plain values and numpy's arrays, and refuses everything else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _REBUILT:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return super().find_class(module, name)
