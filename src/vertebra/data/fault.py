"""Faults of data sets: their codes, what each does to a training, and how it is mended."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

FIXES: Mapping[str, str] = MappingProxyType(
    {
        "info-missing": "give the root of a LeRobot data set (it has meta/info.json)",
        "info-invalid": "restore meta/info.json from the source of the data set",
        "version-unknown": "convert the data set to v3.0 or v2.1 with LeRobot's converter",
        "meta-missing": "restore the file; LeRobot's reader would look for it on the Hub",
        "meta-broken": "restore the file from the source of the data set",
        "tasks-unindexed": "write tasks.parquet with pandas, indexed by task; without the index "
        "LeRobot yields numbers instead of sentences",
        "totals-wrong": "set the totals in meta/info.json to what is there",
        "episodes-numbered-wrong": "number the episodes 0, 1, 2, ... in meta/episodes",
        "offsets-wrong": "set dataset_from_index and dataset_to_index to the running sum of the "
        "lengths; a wrong one silently shifts action chunks into other episodes",
        "length-wrong": "set the length in meta/episodes to the number of rows of the episode",
        "file-missing": "copy the file again, or remove its episodes from the data set",
        "file-unreadable": "copy the file again; it is damaged",
        "file-changed": "if the change was meant, remove the file's hash from meta/vertebra.json; "
        "else copy the file again",
        "column-missing": "write the column, or remove the feature from meta/info.json",
        "column-unknown": "list the column under features in meta/info.json, or drop it; LeRobot's "
        "reader refuses it",
        "feature-shape": "set the shape in meta/info.json to that of the data",
        "episode-index-wrong": "write the episode's own number into every one of its rows",
        "frame-duplicated": "remove the repeated rows and their video frames",
        "frame-missing": "restore the missing rows, or split the episode there",
        "index-gap": "number the rows 0, 1, 2, ... through the whole data set",
        "timestamp-order": "sort the rows by time and number them again",
        "timestamp-off": "write frame_index / fps as timestamp",
        "fps-wrong": "set fps in meta/info.json to the real rate; a wrong one plays actions at the "
        "wrong speed",
        "nan-state": "remove the episode, or repair the sensor's values",
        "nan-action": "mark rows without an action with NaN in every dimension and action_missing "
        "= true, or repair the values",
        "action-constant": "remove the episode; nothing is done in it, or the actions were lost",
        "task-missing": "add the sentence to the tasks, or correct task_index",
        "instruction-empty": "write an instruction, or list the episode as language_missing in "
        "meta/vertebra.json",
        "video-truncated": "copy or record the video file again",
        "video-short": "record the video again, or remove the episodes whose frames are lost",
        "video-offset-wrong": "set from_timestamp and to_timestamp to the running sum of the "
        "lengths / fps; a wrong one shows pictures of other moments",
        "stats-wrong": "compute the statistics again; normalisation would be wrong",
    }
)
"""Fault code to what to do."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One fault.

    Attributes:
        code: One of ``FIXES``.
        where: File, episode or entry, relative to the root.
        message: What was found and what was expected.
        fix: What to do.
    """

    code: str
    where: str
    message: str
    fix: str

    def __str__(self) -> str:
        return f"{self.code} in {self.where}: {self.message}. Fix: {self.fix}"


def fault(code: str, where: str, message: str) -> Fault:
    """A fault with the fix that belongs to its code."""
    return Fault(code=code, where=where, message=message, fix=FIXES[code])
