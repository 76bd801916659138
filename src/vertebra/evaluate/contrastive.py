"""Offline contrastive test: other words on the same picture, and where the chunk goes then.

Two recordings start from one scene under different instructions. The policy is shown the first
picture of one of them under both instructions, with the same noise; the difference of its two
chunks is held against the difference of the two recorded chunks. Nothing is executed.
"""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vertebra.data.cache import episode_hash
from vertebra.data.episode import EpisodeData
from vertebra.data.pairs import counterfactual_pairs, scene_numbers
from vertebra.data.views import small_view
from vertebra.policy.protocol import Policy
from vertebra.spec.observation import Observation
from vertebra.spec.seeds import seed_at
from vertebra.stats.crossed import share_of_groups
from vertebra.stats.interval import Estimate

RIGHT_WAY = "moves towards what is asked"
NOT_SHOWN = "does not move towards what is asked more often than by chance"
CANNOT_TELL = "may or may not move towards what is asked: cannot tell"
MEASURED = (
    "Measured on the table-top only (docs/experiments/offline_contrastive.md): over 14 trained "
    "policies the rank correlation with following in rollouts was 0.83 (95 % interval 0.46 to "
    "0.95) for how far a swap moves the chunk, and 0.64 for the share that moves the right way. "
    "Two that moved the right way in over 80 % of the swaps followed in 5 % of their rollouts: "
    "passing does not show that a policy can act."
)
"""How far this can be trusted, and where that was found."""
MOST_SCENES = 200
MOST_ACTIONS = 256
"""Actions of a recording that are kept; chunks are shorter."""
DRAWS = 4
"""Chunks that are averaged, each with noise of its own."""
ALIKE = 0.25
"""Recorded chunks that differ by less than this root mean square, in standard deviations of the
recorded first actions, do not say where a chunk should go."""
_STILL = 1e-6
_BATCH = 32

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Start:
    """The beginning of one recording.

    Attributes:
        scene: Number of its initial scene.
        instruction: What was asked.
        images: Camera name to the first picture, uint8 [H, W, 3].
        state: float32 [S].
        actions: float32 [T, A] from the first frame on; rows of NaN have no label.
        trained: Whether the policy was trained on it; ``None`` when that is not known.
    """

    scene: int
    instruction: str
    images: dict[str, NDArray[np.uint8]]
    state: NDArray[np.float32]
    actions: NDArray[np.float32]
    trained: bool | None


@dataclass(frozen=True, kw_only=True)
class Direction:
    """Where chunks go when the words are swapped.

    Attributes:
        of: ``new`` (neither recording was trained on), ``trained``, or ``unknown``.
        scenes: Initial scenes.
        swaps: Pictures that were shown under other words.
        towards: Share of swaps after which the chunk moved towards the other demonstration; a
            policy that moves anywhere has 50 %, one that does not read 0.
        away: Share that moved away from it.
        unmoved: Share that did not move at all.
        nearer: Share of chunks nearer to the demonstration of their words than to the other one;
            50 % by chance and for a policy that does not read.
        reach: How much of the way between the demonstrations a swap moves the chunk (mean); 1 is
            all of it.
    """

    of: str
    scenes: int
    swaps: int
    towards: Estimate
    away: float
    unmoved: float
    nearer: Estimate
    reach: float


@dataclass(frozen=True, kw_only=True)
class Contrastive:
    """What the test found.

    Attributes:
        word: One of ``RIGHT_WAY``, ``NOT_SHOWN`` and ``CANNOT_TELL``.
        judged_on: The kind of pairs that decides: ``new`` where there are any.
        alike: Pairs left out because both demonstrations begin alike.
        directions: One a kind of pair.
    """

    word: str
    judged_on: str
    alike: int
    directions: tuple[Direction, ...]


@dataclass(frozen=True, kw_only=True)
class _Swap:
    """One picture under two instructions."""

    scene: int
    of: str
    moved: bool
    reach: float
    nearer: tuple[float, float]


def starts_of(
    episodes: Iterable[EpisodeData], trained_on: Collection[str] | None
) -> tuple[Start, ...]:
    """The beginnings of recordings, with the scenes that they share.

    Args:
        episodes: Recordings; read once, one at a time.
        trained_on: Content hashes of what the policy was trained on; ``None`` when not known.
    """
    rows = [
        (
            {name: np.array(video[0]) for name, video in one.images.items()},
            np.array(one.state[0]),
            np.array(one.actions[:MOST_ACTIONS]),
            one.instruction,
            one.initial_state,
            None if trained_on is None else episode_hash(one) in trained_on,
        )
        for one in episodes
    ]
    pixels = np.stack([np.concatenate([small_view(v) for v in row[0].values()]) for row in rows])
    scenes, _ = scene_numbers([row[4] for row in rows], pixels)
    return tuple(
        Start(
            scene=scene,
            instruction=instruction,
            images=images,
            state=state,
            actions=actions,
            trained=trained,
        )
        for scene, (images, state, actions, instruction, _, trained) in zip(
            scenes, rows, strict=True
        )
    )


def contrast_offline(
    policy: Policy, starts: Sequence[Start], *, seed: int, most: int = MOST_SCENES
) -> Contrastive:
    """Swap instructions on the first pictures of counterfactual pairs.

    Args:
        policy: What is tested.
        starts: Beginnings of recordings.
        seed: Seed of the policy's noise, and of the choice among more than ``most`` scenes.
        most: Scenes that are tried; those with recordings that were not trained on come first.

    Raises:
        ValueError: When there is no counterfactual pair, or none whose demonstrations differ.
    """
    pairs = counterfactual_pairs([s.scene for s in starts], [s.instruction for s in starts])
    if not pairs:
        raise ValueError(no_pairs(len({s.scene for s in starts})))
    chosen = _chosen(starts, pairs, seed, most)
    shown = [(starts[a], starts[b]) for pair in chosen for a, b in (pair, pair[::-1])]
    pictures = [one for one, _ in shown]
    own = _chunks(policy, pictures, [one.instruction for one, _ in shown], seed)
    other = _chunks(policy, pictures, [two.instruction for _, two in shown], seed)
    scale = _scale([_recorded(one, len(own[0])) for one in pictures])
    found = [
        _swap(one, two, mine, theirs, scale)
        for (one, two), mine, theirs in zip(shown, own, other, strict=True)
    ]
    swaps = [swap for swap in found if swap is not None]
    if not swaps:
        raise ValueError(
            f"All {len(pairs)} counterfactual pairs begin with the same actions, so nothing says "
            "where a chunk should go when the words change."
        )
    return _judged(swaps, (len(found) - len(swaps)) // 2)


def no_pairs(scenes: int) -> str:
    """Why there is no contrastive test."""
    return (
        f"none of the {scenes} initial scenes was recorded under two different instructions, so "
        "nothing says what the policy should do when the words change"
    )


def _judged(swaps: Sequence[_Swap], alike: int) -> Contrastive:
    kinds = [kind for kind in ("new", "unknown", "trained") if any(s.of == kind for s in swaps)]
    directions = tuple(_direction(kind, [s for s in swaps if s.of == kind]) for kind in kinds)
    low, high = directions[0].towards.low, directions[0].towards.high
    word = CANNOT_TELL
    if low is not None and low > 0.5:
        word = RIGHT_WAY
    elif high is not None and high <= 0.5:
        word = NOT_SHOWN
    return Contrastive(word=word, judged_on=kinds[0], alike=alike, directions=directions)


def _direction(kind: str, swaps: Sequence[_Swap]) -> Direction:
    groups: dict[int, list[_Swap]] = {}
    for swap in swaps:
        groups.setdefault(swap.scene, []).append(swap)
    towards = share_of_groups(
        [[float(s.moved and s.reach > 0) for s in group] for group in groups.values()]
    )
    nearer = share_of_groups(
        [[value for s in group for value in s.nearer] for group in groups.values()]
    )
    ends = Counter("unmoved" if not s.moved else "away" if s.reach <= 0 else "" for s in swaps)
    return Direction(
        of=kind,
        scenes=len(groups),
        swaps=len(swaps),
        towards=towards,
        away=ends["away"] / len(swaps),
        unmoved=ends["unmoved"] / len(swaps),
        nearer=nearer,
        reach=float(np.mean([s.reach for s in swaps])),
    )


def _swap(one: Start, two: Start, mine: Array, theirs: Array, scale: Array) -> _Swap | None:
    """The picture of one recording under both sentences; ``None`` when both recordings begin alike.

    Args:
        one: Recording whose picture is shown.
        two: Recording whose words are said instead.
        mine: Chunk under the words of ``one``, [horizon, A].
        theirs: Chunk under the words of ``two``.
        scale: Standard deviation of each action.
    """
    here, there = _recorded(one, len(mine)), _recorded(two, len(mine))
    known = np.isfinite(here) & np.isfinite(there)

    def gap(first: Array, second: Array) -> Array:
        return np.where(known, (first - second) / scale, 0.0)

    def far(chunk: Array, recording: Array) -> float:
        return float((gap(chunk, recording) ** 2).sum())

    way, moved = gap(there, here), gap(theirs, mine)
    counted = int((known & np.isfinite(scale)).sum())
    if not counted or math.sqrt((way**2).sum() / counted) < ALIKE:
        return None
    return _Swap(
        scene=one.scene,
        of=_kind(one, two),
        moved=bool(np.abs(moved).max() > _STILL),
        reach=float((moved * way).sum() / (way**2).sum()),
        nearer=(
            _less(far(mine, here), far(mine, there)),
            _less(far(theirs, there), far(theirs, here)),
        ),
    )


def _kind(one: Start, other: Start) -> str:
    if one.trained is None or other.trained is None:
        return "unknown"
    return "trained" if one.trained or other.trained else "new"


def _less(one: float, other: float) -> float:
    return 0.5 if one == other else float(one < other)


def _chosen(
    starts: Sequence[Start], pairs: Sequence[tuple[int, int]], seed: int, most: int
) -> list[tuple[int, int]]:
    """The pairs of as many scenes as are wanted; scenes with new recordings first."""
    new = {starts[a].scene for a, b in pairs if _kind(starts[a], starts[b]) != "trained"}
    scenes = list(dict.fromkeys(starts[a].scene for a, _ in pairs))
    order = np.random.default_rng(seed_at(seed, "contrastive")).permutation(len(scenes)).tolist()
    ranked = sorted((scenes[place] for place in order), key=lambda scene: scene not in new)
    kept = set(ranked[:most])
    return [pair for pair in pairs if starts[pair[0]].scene in kept]


def _recorded(start: Start, horizon: int) -> Array:
    """The first actions, [horizon, A]; NaN beyond the end and without a label."""
    chunk = np.full((horizon, start.actions.shape[1]), np.nan)
    known = start.actions[:horizon]
    chunk[: len(known)] = known
    chunk[~np.isfinite(chunk).all(axis=1)] = np.nan
    return chunk


def _scale(recorded: Sequence[Array]) -> Array:
    """Standard deviation of each action; infinite for those that never change."""
    rows = np.concatenate(recorded)
    rows = rows[np.isfinite(rows).all(axis=1)]
    if not len(rows):
        raise ValueError("No recording of a pair begins with a labelled action.")
    std = rows.std(axis=0)
    return np.where(std > _STILL, std, np.inf)


def _chunks(
    policy: Policy, starts: Sequence[Start], words: Sequence[str], seed: int
) -> list[Array]:
    """Mean chunk for every picture under a sentence; equal noise for the same place in the list."""
    total: list[Array] = []
    for draw in range(DRAWS):
        found: list[Array] = []
        for first in range(0, len(starts), _BATCH):
            rows = range(first, min(first + _BATCH, len(starts)))
            sessions = [policy.start(seed_at(seed, "contrastive", draw, row)) for row in rows]
            seen = [_observation(starts[row], words[row]) for row in rows]
            acts = policy.act_batch(sessions, seen)
            found += [act.chunk.astype(np.float64) for _, act in acts]
        total = [a + b for a, b in zip(total, found, strict=True)] if total else found
    return [chunk / DRAWS for chunk in total]


def _observation(start: Start, instruction: str) -> Observation:
    return Observation(
        images=start.images,
        state=start.state,
        instruction=instruction,
        executed=np.zeros((0, start.actions.shape[1]), np.float32),
    )
