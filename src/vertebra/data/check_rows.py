"""Checks of the rows: columns as declared, frames in order, numbers that mean something."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from vertebra.data import lerobot_layout as layout
from vertebra.data.fault import Fault, fault
from vertebra.data.lerobot_open import Dataset, Span
from vertebra.data.lerobot_read import column_array
from vertebra.data.video import TIME_TOLERANCE_S
from vertebra.spec.errors import BrokenDataset

CONSTANT_FRAMES = 3
"""From how many frames on an episode without any change of the action is a fault."""


class RowChecker:
    """Collects the faults of all data files of a data set.

    Attributes:
        faults: What was found.
        rates: Rows a second as each episode's timestamps say (finite ones only).
        vectors: State and action of all rows, by feature.
    """

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self.faults: list[Fault] = []
        self.rates: list[float] = []
        self.vectors: dict[str, list[NDArray[Any]]] = {}
        self._rows_before = 0

    def run(self) -> None:
        """Check every data file, in the order of the episodes."""
        by_file: dict[Path, list[Span]] = {}
        for span in self.dataset.episodes:
            by_file.setdefault(span.data, []).append(span)
        off_time: list[Fault] = []
        for path, spans in by_file.items():
            rows = sum(span.length for span in spans)
            table = self._table(path)
            if table is not None:
                self._check_file(path, table, spans, off_time)
                rows = len(table)
            self._rows_before += rows
        self._judge_rate(off_time)

    def _table(self, path: Path) -> pa.Table | None:
        where = self._where(path)
        if not path.exists():
            self.faults.append(fault("file-missing", where, "there is no such file"))
            return None
        try:
            return pq.read_table(path)
        except (pa.ArrowException, OSError) as error:
            self.faults.append(fault("file-unreadable", where, f"it cannot be read ({error})"))
            return None

    def _where(self, path: Path) -> str:
        return str(path.relative_to(self.dataset.root))

    def _check_file(
        self, path: Path, table: pa.Table, spans: list[Span], off_time: list[Fault]
    ) -> None:
        where = self._where(path)
        columns = self._columns(where, table)
        if "index" in columns:
            self._check_index(where, columns["index"][:, 0])
        if "episode_index" not in columns:
            return
        numbers = columns["episode_index"][:, 0].astype(np.int64)
        expected = np.repeat([s.index for s in spans], [s.length for s in spans])
        if len(expected) == len(numbers):
            for span in spans:
                shown = np.unique(numbers[expected == span.index])
                if shown.tolist() != [span.index]:
                    message = f"its rows carry the episode numbers {shown.tolist()}"
                    self._add("episode-index-wrong", span, message)
            numbers = expected
        for span in spans:
            chosen = numbers == span.index
            if int(chosen.sum()) != span.length:
                self._add(
                    "length-wrong",
                    span,
                    f"the meta data say {span.length} frames, {where} has {int(chosen.sum())}",
                )
            if chosen.any():
                rows = {name: values[chosen] for name, values in columns.items()}
                self._check_episode(span, rows, off_time)

    def _columns(self, where: str, table: pa.Table) -> dict[str, NDArray[Any]]:
        """Numeric columns as [rows, width]; faults for those that are not as declared."""
        features = self.dataset.features
        stored = {name for name, feature in features.items() if feature["dtype"] != "video"}
        for name in sorted(stored - set(table.column_names)):
            self.faults.append(fault("column-missing", where, f"feature '{name}' has no column"))
        for name in sorted(set(table.column_names) - stored):
            self.faults.append(fault("column-unknown", where, f"column '{name}' is no feature"))
        found: dict[str, NDArray[Any]] = {}
        for name in table.column_names:
            feature = features.get(name)
            if feature is None or feature["dtype"] in {"image", "string", "video"}:
                continue
            try:
                array = column_array(table, name)
            except BrokenDataset as error:
                self.faults.append(fault("feature-shape", f"{where} {name}", str(error)))
                continue
            array = array.reshape(len(table), -1)
            width = int(np.prod(feature["shape"]))
            if array.shape[1] != width:
                self.faults.append(
                    fault(
                        "feature-shape",
                        f"{where} {name}",
                        f"declared are {width} numbers a row, stored {array.shape[1]}",
                    )
                )
            found[name] = array
            if name in {layout.STATE, layout.ACTION}:
                self.vectors.setdefault(name, []).append(array)
        return found

    def _check_index(self, where: str, index: NDArray[Any]) -> None:
        expected = self._rows_before + np.arange(len(index))
        wrong = np.flatnonzero(index != expected)
        if len(wrong):
            first = int(wrong[0])
            self.faults.append(
                fault(
                    "index-gap",
                    where,
                    f"{len(wrong)} rows have another index than their place; the first is row "
                    f"{first} with {index[first]} instead of {expected[first]}",
                )
            )

    def _add(self, code: str, span: Span, message: str) -> None:
        self.faults.append(fault(code, f"episode {span.index}", message))

    def _check_episode(
        self, span: Span, rows: dict[str, NDArray[Any]], off_time: list[Fault]
    ) -> None:
        frames = rows["frame_index"][:, 0] if "frame_index" in rows else None
        if frames is not None:
            self._check_frames(span, frames)
        if "timestamp" in rows:
            self._check_times(span, rows["timestamp"][:, 0].astype(np.float64), off_time)
        self._check_numbers(span, rows)
        if "task_index" in rows:
            known = np.isin(rows["task_index"], list(self.dataset.tasks))
            if not known.all():
                lost = np.unique(rows["task_index"][~known]).tolist()
                self._add("task-missing", span, f"task_index {lost} names no sentence")

    def _check_frames(self, span: Span, frames: NDArray[Any]) -> None:
        steps = np.diff(frames)
        if (steps <= 0).any():
            at = int(np.flatnonzero(steps <= 0)[0]) + 1
            self._add("frame-duplicated", span, f"frame_index {frames[at]} comes again in row {at}")
        if (steps > 1).any() or (len(frames) and frames[0] != 0):
            at = int(np.flatnonzero(steps > 1)[0]) if (steps > 1).any() else -1
            after = int(frames[at]) if at >= 0 else "the start"
            self._add("frame-missing", span, f"frame_index jumps after {after}")

    def _check_times(self, span: Span, times: NDArray[Any], off_time: list[Fault]) -> None:
        steps = np.diff(times)
        if not np.isfinite(times).all() or (steps <= 0).any():
            at = int(np.flatnonzero(~(steps > 0))[0]) + 1 if len(steps) else 0
            self._add("timestamp-order", span, f"time does not go forward at row {at}")
            return
        if len(steps):
            self.rates.append(float(1 / np.median(steps)))
        error = np.abs(times - np.arange(len(times)) / self.dataset.fps)
        allowed = TIME_TOLERANCE_S + 1e-6 * np.abs(times)
        if (error > allowed).any():
            at = int(np.argmax(error > allowed))
            off_time.append(
                fault(
                    "timestamp-off",
                    f"episode {span.index}",
                    f"row {at} is at {times[at]:.4f} s, expected {at / self.dataset.fps:.4f} s",
                )
            )

    def _judge_rate(self, off_time: list[Fault]) -> None:
        """Timestamps that all agree on another rate mean that the declared rate is wrong."""
        fps = self.dataset.fps
        if self.rates and off_time:
            rate = float(np.median(self.rates))
            agree = np.mean(np.isclose(self.rates, rate, rtol=1e-3))
            if agree > 0.5 and not np.isclose(rate, fps, rtol=1e-3):
                self.faults.append(
                    fault(
                        "fps-wrong",
                        str(layout.INFO),
                        f"fps is {fps:g}, the timestamps of {agree:.0%} of the episodes run at "
                        f"{rate:.4g} a second",
                    )
                )
                return
        self.faults += off_time

    def _check_numbers(self, span: Span, rows: dict[str, NDArray[Any]]) -> None:
        state, action = rows.get(layout.STATE), rows.get(layout.ACTION)
        if state is not None and not np.isfinite(state).all():
            at = int(np.flatnonzero(~np.isfinite(state).all(axis=1))[0])
            self._add("nan-state", span, f"the state of row {at} is {state[at].tolist()}")
        if action is None:
            return
        missing = np.zeros(len(action), bool)
        if layout.MISSING in rows:
            missing = rows[layout.MISSING][:, 0].astype(bool)
        wrong = ~np.isfinite(action).all(axis=1) & ~(missing & np.isnan(action).all(axis=1))
        if wrong.any():
            at = int(np.flatnonzero(wrong)[0])
            self._add("nan-action", span, f"the action of row {at} is {action[at].tolist()}")
        labelled = action[~missing & np.isfinite(action).all(axis=1)]
        if len(labelled) >= CONSTANT_FRAMES and (labelled == labelled[0]).all():
            message = f"the action is {labelled[0].tolist()} in all {len(labelled)} rows"
            self._add("action-constant", span, message)


def stacked(vectors: Iterable[NDArray[Any]]) -> NDArray[Any] | None:
    """All parts [n, D] as one array, ``None`` when their widths differ."""
    parts = list(vectors)
    return np.concatenate(parts) if len({part.shape[1] for part in parts}) == 1 else None
