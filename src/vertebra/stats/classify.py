"""How well labels can be guessed from features: small classifiers, cross-validated."""

# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Classes = NDArray[np.int64]

RIDGE = 0.03
"""Ridge penalty as a share of the mean squared length of a centred feature vector."""


@dataclass(frozen=True, kw_only=True)
class Guessed:
    """How often each way of guessing was right, over the same cases.

    Attributes:
        n: Cases; each was guessed once, by classifiers that had not seen it.
        most_common: Right when the most common label is always guessed.
        nearest: Right when the label of the nearest case is guessed.
        linear: Right with a linear classifier (ridge regression on the labels as unit vectors).
    """

    n: int
    most_common: int
    nearest: int
    linear: int

    @property
    def best(self) -> int:
        """Right with the better of the two classifiers."""
        return max(self.nearest, self.linear)


def cross_validated(
    features: Array, labels: Sequence[str], *, folds: int = 5, seed: int = 0
) -> Guessed | None:
    """Guess each label from its features, with classifiers fitted on the other folds.

    Args:
        features: Float64 [cases, dims].
        labels: One a case.
        folds: Parts of equal size, drawn at random.
        seed: Seed of that draw.

    Returns:
        ``None`` with fewer cases than folds, or with one label only: nothing can be guessed.
    """
    names = sorted(set(labels))
    classes: Classes = np.array([names.index(label) for label in labels], np.int64)
    cases = len(classes)
    if cases < folds or len(names) < 2:
        return None
    order = np.random.default_rng(seed).permutation(cases)
    right = np.zeros(3, dtype=np.int64)
    for fold in range(folds):
        test = order[fold::folds]
        train = np.setdiff1d(order, test)
        counts = np.bincount(classes[train], minlength=len(names))
        common = np.full(len(test), int(counts.argmax()))
        squared = _squared_distances(features[test], features[train])
        nearest = classes[train][squared.argmin(axis=1)]
        linear = _linear(features[train], classes[train], features[test], len(names))
        for place, guess in enumerate((common, nearest, linear)):
            right[place] += int((guess == classes[test]).sum())
    return Guessed(n=cases, most_common=int(right[0]), nearest=int(right[1]), linear=int(right[2]))


def _squared_distances(one: Array, other: NDArray[np.float64]) -> Array:
    lengths = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1)[None]
    return lengths - 2 * one @ other.T


def _linear(
    train: Array,
    classes: Classes,
    test: Array,
    count: int,
) -> Classes:
    """Ridge regression on unit vectors, in its dual form (cases may be fewer than dims)."""
    middle = train.mean(axis=0)
    centred = train - middle
    wanted: Array = np.eye(count, dtype=np.float64)[classes]
    level: Array = wanted.mean(axis=0)
    gram = centred @ centred.T
    penalty = RIDGE * float(np.trace(gram)) / len(train) + 1e-12
    dual: Array = np.linalg.solve(gram + penalty * np.eye(len(train)), wanted - level)
    scores: Array = (test - middle) @ centred.T @ dual + level
    return np.argmax(scores, axis=1)
