"""Normalisation of vectors: mean and deviation, or quantiles or extremes to [-1, 1]."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vertebra.data.cache import FrameCache

NORMALISER_VERSION = 1
EPSILON = 1e-6
"""A dimension whose spread is below this fraction of its magnitude counts as constant."""


class Scaling(StrEnum):
    """How a dimension is brought to unit size."""

    MEAN_STD = "mean_std"
    """(x - mean) / standard deviation."""
    QUANTILES = "quantiles"
    """The 1 % quantile to -1, the 99 % quantile to +1; values outside are not clipped."""
    MIN_MAX = "min_max"
    """The smallest value to -1, the largest to +1."""


class Constant(StrEnum):
    """What to do with a dimension that never varies."""

    PASS = "pass"  # noqa: S105 - not a password
    """Only subtract its value, so that it becomes 0, and write a note."""
    REFUSE = "refuse"
    """Raise an error that names it."""


@dataclass(frozen=True, kw_only=True)
class Normaliser:
    """y = (x - offset) / scale for every dimension, and back.

    The way back is exact up to rounding: for float32 input
    ``|denormalise(normalise(x)) - x| <= 2**-22 * (|x| + |offset|)``.

    Attributes:
        scaling: How offset and scale were found.
        names: One name a dimension.
        offset: One number a dimension.
        scale: One number a dimension, never zero.
        rows: From how many rows they were computed.
        notes: What was unusual, for the report (constant dimensions, quantiles that coincide).
    """

    scaling: Scaling
    names: tuple[str, ...]
    offset: tuple[float, ...]
    scale: tuple[float, ...]
    rows: int
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        widths = {len(self.names), len(self.offset), len(self.scale)}
        numbers = np.array([*self.offset, *self.scale])
        if len(widths) != 1 or not np.isfinite(numbers).all() or min(self.scale, default=1) <= 0:
            raise ValueError(
                f"A normaliser needs one name, one finite offset and one positive scale a "
                f"dimension; found {len(self.names)} names, offsets {self.offset} and scales "
                f"{self.scale}."
            )

    def normalise(self, values: NDArray[np.floating]) -> NDArray[np.float32]:
        """Values [..., D] to float32 of unit size."""
        self._require_width(values)
        wide = np.asarray(values, np.float64)
        return ((wide - np.array(self.offset)) / np.array(self.scale)).astype(np.float32)

    def denormalise(self, values: NDArray[np.floating]) -> NDArray[np.float32]:
        """The inverse of `normalise`."""
        self._require_width(values)
        wide = np.asarray(values, np.float64)
        return (wide * np.array(self.scale) + np.array(self.offset)).astype(np.float32)

    def to_json(self) -> dict[str, Any]:
        """As JSON values (floats keep every digit)."""
        return {
            "version": NORMALISER_VERSION,
            "scaling": self.scaling.value,
            "names": list(self.names),
            "offset": list(self.offset),
            "scale": list(self.scale),
            "rows": self.rows,
            "notes": list(self.notes),
        }

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> "Normaliser":
        """Read what `to_json` wrote.

        Raises:
            ValueError: On another version, or missing or unknown fields.
        """
        expected = {"version", "scaling", "names", "offset", "scale", "rows", "notes"}
        if set(plain) != expected or plain["version"] != NORMALISER_VERSION:
            raise ValueError(
                f"A normaliser has version {plain.get('version')!r} and fields {sorted(plain)}; "
                f"expected version {NORMALISER_VERSION} and fields {sorted(expected)}."
            )
        return cls(
            scaling=Scaling(plain["scaling"]),
            names=tuple(plain["names"]),
            offset=tuple(float(number) for number in plain["offset"]),
            scale=tuple(float(number) for number in plain["scale"]),
            rows=int(plain["rows"]),
            notes=tuple(plain["notes"]),
        )

    def _require_width(self, values: NDArray[np.floating]) -> None:
        if np.shape(values)[-1:] != (len(self.names),):
            raise ValueError(
                f"Values have shape {list(np.shape(values))}, this normaliser has "
                f"{len(self.names)} dimensions: {list(self.names)}."
            )


def fit(
    values: NDArray[np.floating],
    *,
    scaling: Scaling,
    names: Sequence[str] = (),
    constants: Constant = Constant.PASS,
) -> Normaliser:
    """Find offset and scale from rows.

    Args:
        values: [N, D]; rows with NaN (missing labels) are left out.
        scaling: Which kind.
        names: One name a dimension, numbered when left out.
        constants: What to do with dimensions that never vary.

    Raises:
        ValueError: Without a finite row, on infinity, on a wrong number of names, and for constant
            dimensions under ``Constant.REFUSE`` (all are named).
    """
    table = np.asarray(values, np.float64)
    if table.ndim != 2:
        raise ValueError(f"Values have shape {list(table.shape)}, expected [rows, dimensions].")
    names = tuple(names) or tuple(f"{i}" for i in range(table.shape[1]))
    if len(names) != table.shape[1]:
        raise ValueError(f"There are {len(names)} names for {table.shape[1]} dimensions: {names}.")
    table = table[~np.isnan(table).any(axis=1)]
    if not len(table):
        raise ValueError("No row has a value in every dimension; nothing to normalise with.")
    if np.isinf(table).any():
        raise ValueError("Values hold infinity. Repair the data; `vertebra data check` names it.")
    low, high = table.min(axis=0), table.max(axis=0)
    smallest = EPSILON * np.maximum(np.maximum(np.abs(low), np.abs(high)), EPSILON)
    constant = high - low <= smallest
    if constant.any() and constants is Constant.REFUSE:
        found = {names[i]: float(low[i]) for i in np.flatnonzero(constant)}
        raise ValueError(
            f"Dimensions that never vary cannot be normalised: {found}. Leave them out of the "
            "mapping, or pass constants=Constant.PASS to subtract their value."
        )
    offset, scale, notes = _offset_and_scale(table, scaling, names, smallest)
    offset = np.where(constant, low, offset)
    scale = np.where(constant, 1.0, scale)
    notes = [note for i, note in notes if not constant[i]]
    notes += [
        f"{names[i]}: constant at {low[i]:g} in {len(table)} rows; its value is subtracted"
        for i in np.flatnonzero(constant)
    ]
    return Normaliser(
        scaling=scaling,
        names=names,
        offset=tuple(offset.tolist()),
        scale=tuple(scale.tolist()),
        rows=len(table),
        notes=tuple(notes),
    )


def _offset_and_scale(
    table: NDArray[np.float64],
    scaling: Scaling,
    names: tuple[str, ...],
    smallest: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], list[tuple[int, str]]]:
    if scaling is Scaling.MEAN_STD:
        return table.mean(axis=0), np.maximum(table.std(axis=0), smallest), []
    if scaling is Scaling.MIN_MAX:
        low, high = table.min(axis=0), table.max(axis=0)
        return (low + high) / 2, np.maximum((high - low) / 2, smallest), []
    low, high = np.quantile(table, [0.01, 0.99], axis=0)
    rare = high - low <= smallest
    notes = [
        (
            int(i),
            f"{names[i]}: the 1 % and 99 % quantiles coincide at {low[i]:g} though it varies; "
            "smallest and largest value are used",
        )
        for i in np.flatnonzero(rare)
    ]
    low = np.where(rare, table.min(axis=0), low)
    high = np.where(rare, table.max(axis=0), high)
    return (low + high) / 2, (high - low) / 2, notes


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """The normalisers of one training subset.

    Attributes:
        state: Of the proprioception.
        action: Of the actions.
        episodes: From how many episodes.
        cache_hash: Content hash of the cache they were computed from.
    """

    state: Normaliser
    action: Normaliser
    episodes: int
    cache_hash: str

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "state": self.state.to_json(),
            "action": self.action.to_json(),
            "episodes": self.episodes,
            "cache_hash": self.cache_hash,
        }

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> "Statistics":
        """Read what `to_json` wrote."""
        return cls(
            state=Normaliser.from_json(plain["state"]),
            action=Normaliser.from_json(plain["action"]),
            episodes=int(plain["episodes"]),
            cache_hash=str(plain["cache_hash"]),
        )


def fit_statistics(
    cache: FrameCache,
    episodes: Sequence[int],
    *,
    state_names: Sequence[str] = (),
    action_names: Sequence[str] = (),
    scaling: Scaling = Scaling.QUANTILES,
    constants: Constant = Constant.PASS,
) -> Statistics:
    """Normalisers from the action-labelled frames of the training episodes, and nothing else.

    Raises:
        ValueError: As `fit`; also when none of the episodes has a labelled action.
    """
    chosen = np.concatenate(
        [np.arange(cache.starts[i], cache.starts[i] + cache.lengths[i]) for i in episodes]
        or [np.zeros(0, np.int64)]
    ).astype(np.int64)
    chosen = chosen[cache.labelled[chosen]]
    if not len(chosen):
        raise ValueError(
            f"None of the {len(episodes)} chosen episodes has an action label; statistics need "
            "labelled demonstrations."
        )
    return Statistics(
        state=fit(cache.state[chosen], scaling=scaling, names=state_names, constants=constants),
        action=fit(cache.actions[chosen], scaling=scaling, names=action_names, constants=constants),
        episodes=len(episodes),
        cache_hash=cache.content_hash,
    )
