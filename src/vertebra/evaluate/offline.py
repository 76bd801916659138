"""What recordings alone can say about a policy: error, sensitivity to words, and little more.

Nothing is executed here. A policy with a larger error may act better, and one that is sensitive to
words may still do the wrong thing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vertebra.data.cache import FrameCache
from vertebra.data.windows import Batch, Windows
from vertebra.policy.protocol import Policy
from vertebra.spec.observation import Observation
from vertebra.spec.seeds import seed_at

OFFLINE_VERSION = 1
NOT_MEASURABLE = "not measurable"
_BATCH = 32
_STILL = 1e-6
"""Actions whose standard deviation is below this are constants and are not normalised."""

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Held:
    """Held-out windows and the scale on which actions are compared."""

    positions: NDArray[np.int64]
    batch: Batch
    mean: Array
    std: Array

    def distance(self, one: Array, other: Array, mask: NDArray[np.bool_] | None = None) -> Array:
        """Root mean square difference of chunks in standard deviations of the action: [n]."""
        squared = ((one - other) / self.std)[..., self.std > _STILL] ** 2
        per_step = squared.mean(axis=2)
        weights = np.ones(per_step.shape) if mask is None else mask.astype(float)
        return np.sqrt((per_step * weights).sum(axis=1) / np.maximum(weights.sum(axis=1), 1.0))


def evaluate_offline(
    policy: Policy,
    cache: FrameCache,
    *,
    held_out: Sequence[int],
    training: Sequence[int],
    seed: int,
    most: int = 200,
) -> dict[str, Any]:
    """Compare a policy with held-out recordings.

    Action error is the root mean square difference between a predicted and the recorded chunk, in
    standard deviations of each action in training. Two guesses that see nothing give its scale:
    always the mean action (about 1), and the last recorded action repeated.

    Sensitivity is how far a chunk moves when the instruction is replaced by that of another
    recording, in units of how far it moves when only the policy's noise is drawn anew. The same for
    an empty instruction.

    The directional score is the share of swaps in which the chunk moves towards the newly named
    target instead of the old one. It is measured only where both are annotated in the frame; how
    targets in the picture and actions relate is fitted on the training episodes.

    Args:
        policy: What is measured.
        cache: The recordings.
        held_out: Episodes that neither trained the policy nor picked its checkpoint.
        training: Episodes it was trained on.
        seed: Seed of swaps and policy noise.
        most: Windows, at even distances over the held-out frames.

    Returns:
        Flat figures (numbers, or words where something cannot be measured) and ``details``.

    Raises:
        ValueError: When held-out and training episodes overlap or have no labelled action.
    """
    both = sorted(set(held_out) & set(training))
    if both or not held_out:
        raise ValueError(
            f"Held-out episodes {sorted(held_out)[:5]} must exist and be apart from training; "
            f"{both[:5]} are in both."
        )
    rng = np.random.default_rng(seed_at(seed, "offline"))
    held = _hold(policy, cache, held_out, training, most, seed)
    own = _chunks(policy, held.batch, held.batch.instructions, seed, "a")
    figures = _errors(policy, cache, held, own)
    figures |= _sensitivity(policy, cache, held, own, seed, rng)
    figures |= _directional(policy, cache, held, own, training, seed, rng)
    figures["windows"], figures["episodes"] = len(held.positions), len(set(held_out))
    figures["version"] = OFFLINE_VERSION
    return figures


def observations_of(cache: FrameCache, episodes: Sequence[int], count: int) -> list[Observation]:
    """Recorded frames as observations, at even distances over the episodes."""
    windows = Windows(cache, episodes=episodes, horizon=1)
    positions = np.linspace(0, len(windows) - 1, min(count, len(windows))).round().astype(np.int64)
    batch = windows.batch(positions)
    return [_observation(batch, row, batch.instructions[row]) for row in range(len(positions))]


def _observation(batch: Batch, row: int, instruction: str) -> Observation:
    return Observation(
        images={name: frames[row] for name, frames in batch.images.items()},
        state=batch.state[row],
        instruction=instruction,
        executed=np.zeros((0, batch.actions.shape[2]), np.float32),
    )


def _hold(
    policy: Policy,
    cache: FrameCache,
    held_out: Sequence[int],
    training: Sequence[int],
    most: int,
    seed: int,
) -> _Held:
    seen = Windows(cache, episodes=training, horizon=1)
    rows = seen.batch(np.arange(len(seen)))
    known = rows.actions[:, 0][rows.action_mask[:, 0]].astype(np.float64)
    first = Windows(cache, episodes=held_out, horizon=1)
    chunk = _chunks(policy, first.batch(np.array([0])), None, seed, "a")
    windows = Windows(cache, episodes=held_out, horizon=chunk.shape[1])
    positions = np.linspace(0, len(windows) - 1, min(most, len(windows))).round().astype(np.int64)
    batch = windows.batch(positions)
    if not len(known) or not batch.action_mask.any():
        raise ValueError("No labelled action was found; offline evaluation needs recorded actions.")
    return _Held(positions=positions, batch=batch, mean=known.mean(axis=0), std=known.std(axis=0))


def _chunks(
    policy: Policy, batch: Batch, instructions: Sequence[str] | None, seed: int, noise: str
) -> Array:
    """Chunks for all windows under given sentences; equal ``noise`` means equal draws."""
    said = batch.instructions if instructions is None else instructions
    found: list[NDArray[np.float32]] = []
    for start in range(0, len(said), _BATCH):
        rows = range(start, min(start + _BATCH, len(said)))
        sessions = [policy.start(seed_at(seed, "offline", noise, row)) for row in rows]
        seen = [_observation(batch, row, said[row]) for row in rows]
        found += [act.chunk for _, act in policy.act_batch(sessions, seen)]
    return np.stack(found).astype(np.float64)


def _quadratic_mean(values: Array) -> float:
    return float(np.sqrt((values**2).mean()))


def _by_episode(held: _Held, values: Array) -> dict[str, float]:
    episodes = held.batch.episode
    return {str(e): _quadratic_mean(values[episodes == e]) for e in np.unique(episodes)}


def _errors(policy: Policy, cache: FrameCache, held: _Held, own: Array) -> dict[str, Any]:
    batch = held.batch
    some = batch.action_mask.any(axis=1)
    recorded = batch.actions.astype(np.float64)
    here = cache.starts[batch.episode] + batch.frame
    last = cache.actions[np.maximum(here - 1, 0)].astype(np.float64)
    unknown = (batch.frame == 0) | ~np.isfinite(last).all(axis=1)
    last = np.where(unknown[:, None], held.mean, last)
    guesses = {
        "action_error": own,
        "error_of_mean_action": np.broadcast_to(held.mean, own.shape),
        "error_of_repeated_action": np.broadcast_to(last[:, None], own.shape),
    }
    errors = {
        name: held.distance(guess, recorded, batch.action_mask)[some]
        for name, guess in guesses.items()
    }
    absolute = np.abs(own - recorded)[batch.action_mask].mean(axis=0)
    return {
        **{name: _quadratic_mean(values) for name, values in errors.items()},
        "details": {
            "mean_absolute_error": {
                dim.name: {"value": float(value), "unit": dim.unit}
                for dim, value in zip(policy.makes.dims, absolute, strict=True)
            },
            "action_error_by_episode": _by_episode(
                held, held.distance(own, recorded, batch.action_mask)
            ),
        },
    }


def _sensitivity(
    policy: Policy,
    cache: FrameCache,
    held: _Held,
    own: Array,
    seed: int,
    rng: np.random.Generator,
) -> dict[str, Any]:
    known = sorted({row.instruction for row in cache.episodes if row.instruction})
    said = held.batch.instructions
    told = np.array([bool(words) for words in said])
    if len(known) < 2 or not told.any():
        why = f"{NOT_MEASURABLE}: {len(known)} different instruction(s) in the data"
        return {"sensitivity": why, "sensitivity_to_silence": why}
    swaps = [
        str(rng.choice([other for other in known if other != words])) if words else ""
        for words in said
    ]
    shifts = {
        "swapped": held.distance(own, _chunks(policy, held.batch, swaps, seed, "a"))[told],
        "silent": held.distance(own, _chunks(policy, held.batch, [""] * len(said), seed, "a"))[
            told
        ],
        "noise": held.distance(own, _chunks(policy, held.batch, None, seed, "b"))[told],
    }
    means = {name: _quadratic_mean(values) for name, values in shifts.items()}
    why = f"{NOT_MEASURABLE}: the policy draws no noise"
    return {
        "sensitivity": means["swapped"] / means["noise"] if means["noise"] > 0 else why,
        "sensitivity_to_silence": means["silent"] / means["noise"] if means["noise"] > 0 else why,
        "shift_of_swapped_words": means["swapped"],
        "shift_of_silence": means["silent"],
        "shift_of_noise": means["noise"],
    }


def _directional(
    policy: Policy,
    cache: FrameCache,
    held: _Held,
    own: Array,
    training: Sequence[int],
    seed: int,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """The share of swaps in which the chunk moves towards the new target, chance being 0.5."""
    swaps = _annotated_swaps(cache, held.batch, rng)
    towards = _pull(cache, training, own.shape[1], held) if swaps else None
    if towards is None:
        return {
            "directional": f"{NOT_MEASURABLE}: targets are not annotated",
            "directional_swaps": 0,
        }
    rows, said = np.array(sorted(swaps)), held.batch.instructions
    words = [swaps[row][0] if row in swaps else old for row, old in enumerate(said)]
    moved = (_chunks(policy, held.batch, words, seed, "a") - own)[rows]
    scale = np.where(held.std > _STILL, held.std, np.inf)
    shift = (moved / scale).mean(axis=1)
    pointed = np.stack([swaps[row][1] for row in rows]) @ towards
    agreement = np.sign(np.round((shift * pointed).sum(axis=1), 12))
    return {"directional": float((agreement + 1).mean() / 2), "directional_swaps": len(rows)}


def _annotated_swaps(
    cache: FrameCache, batch: Batch, rng: np.random.Generator
) -> dict[int, tuple[str, Array]]:
    """Window to another instruction whose target is visible there, and the way to that target."""
    sentences: dict[str, set[str]] = {}
    for row in cache.episodes:
        if row.instruction and row.target_entity >= 0:
            sentences.setdefault(row.entities[row.target_entity], set()).add(row.instruction)
    swaps: dict[int, tuple[str, Array]] = {}
    for row, (entities, target) in enumerate(zip(batch.entities, batch.target, strict=True)):
        if target < 0 or not np.isfinite(batch.points[row, target]).all():
            continue
        others = [
            (sentence, place)
            for place, name in enumerate(entities)
            if place != target and np.isfinite(batch.points[row, place]).all()
            for sentence in sorted(sentences.get(name, ()))
        ]
        if others:
            sentence, place = others[int(rng.integers(len(others)))]
            way = batch.points[row, place] - batch.points[row, target]
            swaps[row] = (sentence, way.astype(np.float64))
    return swaps


def _pull(cache: FrameCache, training: Sequence[int], horizon: int, held: _Held) -> Array | None:
    """How a target's place in the picture moves the mean normalised action: [2, actions].

    Least squares on place and state over the training windows in which the target is visible.
    """
    windows = Windows(cache, episodes=training, horizon=horizon)
    batch = windows.batch(np.arange(0, len(windows), max(1, len(windows) // 4000)))
    rows = np.flatnonzero((batch.target >= 0) & batch.action_mask.any(axis=1))
    places = batch.points[rows, batch.target[rows]].astype(np.float64)
    visible = np.isfinite(places).all(axis=1)
    rows, places = rows[visible], places[visible]
    if len(rows) < 10 * (3 + batch.state.shape[1]):
        return None
    weights = batch.action_mask[rows][..., None].astype(float)
    scale = np.where(held.std > _STILL, held.std, np.inf)
    actions = ((batch.actions[rows] - held.mean) / scale * weights).sum(axis=1) / weights.sum(
        axis=1
    )
    causes = np.hstack([places, batch.state[rows], np.ones((len(rows), 1))])
    return np.linalg.lstsq(causes, actions, rcond=None)[0][:2]
