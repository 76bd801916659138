"""The statistics that LeRobot keeps beside the data: extremes, mean, deviation, quantiles."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

QUANTILES = {"q01": 0.01, "q10": 0.1, "q50": 0.5, "q90": 0.9, "q99": 0.99}
NAMES = ("min", "max", "mean", "std", *QUANTILES)
SAMPLED_FRAMES = 32
"""At most about so many frames of an episode count in the statistics of its images."""


def vector_stats(columns: Mapping[str, NDArray[Any]]) -> dict[str, dict[str, Any]]:
    """Statistics of columns [T, D]; rows with NaN are left out, a column without rows gets null.

    Returns:
        Column name to ``min``, ``max``, ``mean``, ``std``, quantiles (D floats each) and ``count``.
    """
    return {name: _one(np.asarray(values, np.float64)) for name, values in columns.items()}


def _one(values: NDArray[np.float64]) -> dict[str, Any]:
    values = values[~np.isnan(values).any(axis=1)]
    if not len(values):
        return {**dict.fromkeys(NAMES), "count": [0]}
    quantiles = np.quantile(values, list(QUANTILES.values()), axis=0)
    return {
        "min": values.min(axis=0).tolist(),
        "max": values.max(axis=0).tolist(),
        "mean": values.mean(axis=0).tolist(),
        "std": values.std(axis=0).tolist(),
        **{name: row.tolist() for name, row in zip(QUANTILES, quantiles, strict=True)},
        "count": [len(values)],
    }


def image_histogram(frames: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Counts of every value in each channel, int64 [3, 256], of evenly drawn frames."""
    drawn = frames[:: max(1, len(frames) // SAMPLED_FRAMES)]
    return np.stack(
        [np.bincount(drawn[..., channel].ravel(), minlength=256) for channel in range(3)]
    ).astype(np.int64)


def image_stats(histogram: NDArray[np.int64], frames: int) -> dict[str, Any]:
    """Statistics of images on the scale 0..1, exactly from their histogram, shaped [3][1][1]."""
    values = np.arange(256) / 255.0
    total = histogram.sum(axis=1)
    cumulative = histogram.cumsum(axis=1)
    mean = histogram @ values / total
    std = np.sqrt(np.maximum(histogram @ values**2 / total - mean**2, 0.0))

    def at(rank: NDArray[np.float64]) -> NDArray[np.float64]:
        return values[(cumulative <= np.minimum(rank, total - 1)[:, None]).sum(axis=1)]

    found = {"min": at(np.zeros(3)), "max": at(total - 1.0), "mean": mean, "std": std}
    for name, share in QUANTILES.items():
        found[name] = at(np.floor(share * (total - 1)))
    return {
        **{name: [[[float(number)]] for number in row] for name, row in found.items()},
        "count": [frames],
    }
