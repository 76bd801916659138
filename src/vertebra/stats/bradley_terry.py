"""Ranking by blind pairwise votes: Bradley-Terry with Davidson's ties.

The chance that i is preferred to j is ``exp(s_i) / Z``, that j is preferred ``exp(s_j) / Z``, and
of a tie ``2 tie exp((s_i + s_j) / 2) / Z``, where Z is their sum. Strengths are centred (their mean
is 0) and shown as ``200 s + 1500``.

Source: Davidson, JASA 65 (1970); robo-arena's leaderboard: pranavatreya/roboarena_backend
central_server/central_server.py @ ca7b811 (the same model, scale and centring).

Deviations: no ridge is added, so the estimate is the maximum of the likelihood; where there is none
(someone has only won) nothing is ranked and the reason is given. Without any tie the tie parameter
is 0 and is not estimated.
"""

# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from vertebra.stats.distributions import normal_quantile
from vertebra.stats.interval import LEVEL

SCALE, SHIFT = 200.0, 1500.0
"""Points of a strength, as RoboArena shows them."""
POWER = 0.8
"""Chance of telling two policies apart for which pairs are planned."""

Preference = Literal["A", "B", "tie"]


@dataclass(frozen=True, kw_only=True)
class Vote:
    """One comparison.

    Attributes:
        a: The policy called A.
        b: The policy called B.
        preference: Which was preferred.
    """

    a: str
    b: str
    preference: Preference


@dataclass(frozen=True, kw_only=True)
class Rank:
    """One policy in a ranking.

    Attributes:
        policy: Its name.
        points: ``200 strength + 1500``.
        low: Lower end of the interval, in points.
        high: Upper end.
        won: Comparisons won.
        lost: Comparisons lost.
        tied: Comparisons tied.
    """

    policy: str
    points: float
    low: float
    high: float
    won: int
    lost: int
    tied: int


@dataclass(frozen=True, kw_only=True)
class Gap:
    """Two policies compared.

    Attributes:
        better: The one with more points.
        worse: The other.
        points: How many points lie between them.
        low: Lower end of the interval of the difference.
        high: Upper end.
        pairs: Direct comparisons of the two so far.
        needed: Further direct comparisons after which a difference as large as the estimated one is
            told from 0 with 80 % chance; 0 when it is told already, ``None`` when it is 0.
    """

    better: str
    worse: str
    points: float
    low: float
    high: float
    pairs: int
    needed: int | None


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """What votes say.

    Attributes:
        ranks: Best first; empty when there is no estimate.
        gaps: All pairs of policies, in the order of the ranks.
        tie: Davidson's tie parameter (0 without ties).
        votes: Comparisons behind it.
        level: Confidence level of the intervals.
        problem: Why nothing can be ranked yet; empty when something can.
    """

    ranks: tuple[Rank, ...]
    gaps: tuple[Gap, ...]
    tie: float
    votes: int
    level: float
    problem: str = ""


def rank(votes: Sequence[Vote], level: float = LEVEL) -> Ranking:
    """Rank policies by votes.

    Intervals are those of the normal approximation (inverse Fisher information) and treat
    comparisons as independent: they say nothing of other training seeds, robots or rooms.

    Args:
        votes: All valid comparisons.
        level: Confidence level.

    Raises:
        ValueError: When a policy is compared with itself.
    """
    alone = sorted({vote.a for vote in votes if vote.a == vote.b})
    if alone:
        raise ValueError(f"{alone} are compared with themselves; drop these votes.")
    names = sorted({name for vote in votes for name in (vote.a, vote.b)})
    problem = _problem(names, votes)
    if problem:
        return Ranking(ranks=(), gaps=(), tie=0.0, votes=len(votes), level=level, problem=problem)
    strength, log_tie, covariance = _fit(names, votes)
    z = normal_quantile(level)
    points = SHIFT + SCALE * strength
    half = z * SCALE * np.sqrt(np.diag(covariance))
    order = sorted(range(len(names)), key=lambda i: (-points[i], names[i]))
    ranks = tuple(
        Rank(
            policy=names[i],
            points=float(points[i]),
            low=float(points[i] - half[i]),
            high=float(points[i] + half[i]),
            **_tally(names[i], votes),
        )
        for i in order
    )
    tie = math.exp(log_tie)
    gaps = tuple(
        _gap(names, votes, strength, covariance, tie, (better, worse), z)
        for place, better in enumerate(order)
        for worse in order[place + 1 :]
    )
    return Ranking(ranks=ranks, gaps=gaps, tie=tie, votes=len(votes), level=level)


def pairs_needed(gap: float, variance: float, tie: float, level: float = LEVEL) -> int | None:
    """Further direct comparisons until a difference in strength is told from 0 with 80 % chance.

    Each direct comparison adds its Fisher information to that of all comparisons so far.

    Args:
        gap: The true difference of the two strengths (not points).
        variance: Variance of its estimate so far; infinity before the first comparison.
        tie: Davidson's tie parameter.
        level: Confidence level.

    Returns:
        0 when there is enough already; ``None`` when the difference is 0.
    """
    if gap == 0.0:
        return None
    # 2 * POWER - 1 is the two-sided coverage whose upper end is the POWER quantile.
    wanted = ((normal_quantile(level) + normal_quantile(2 * POWER - 1)) / gap) ** 2
    first, second, tied = _chances(gap, tie)
    information = (first + second) / 4 - ((first - second) / 2) ** 2
    assert tied < 1 and information > 0, "a comparison tells something"  # noqa: S101
    return max(0, math.ceil((wanted - 1 / variance) / information))


def _chances(gap: float, tie: float) -> tuple[float, float, float]:
    """Chances that the first is preferred, the second, and of a tie."""
    weights = np.exp([gap / 2, -gap / 2, 0.0]) * [1, 1, 2 * tie]
    first, second, tied = weights / weights.sum()
    return float(first), float(second), float(tied)


def _tally(name: str, votes: Sequence[Vote]) -> dict[str, int]:
    own = [vote for vote in votes if name in (vote.a, vote.b)]
    tied = sum(vote.preference == "tie" for vote in own)
    won = sum(
        name == (vote.a if vote.preference == "A" else vote.b)
        for vote in own
        if vote.preference != "tie"
    )
    return {"won": won, "lost": len(own) - won - tied, "tied": tied}


def _problem(names: Sequence[str], votes: Sequence[Vote]) -> str:
    """Why the likelihood has no maximum, in words; empty when it has one.

    It has one when everyone can be reached from everyone by wins and ties (Ford's condition).
    """
    if len(names) < 2:
        return "There are no votes yet."
    if all(vote.preference == "tie" for vote in votes):
        return "All votes are ties: nothing tells the policies apart yet."
    beats: dict[str, set[str]] = {name: set() for name in names}
    for vote in votes:
        if vote.preference != "B":
            beats[vote.a].add(vote.b)
        if vote.preference != "A":
            beats[vote.b].add(vote.a)
    for name in names:
        reached, frontier = {name}, [name]
        while frontier:
            new = beats[frontier.pop()] - reached
            reached |= new
            frontier += new
        rest = sorted(set(names) - reached)
        if rest:
            return (
                f"{', '.join(sorted(reached))} never won against or tied with {', '.join(rest)}, "
                "so the distance between them has no upper bound yet: compare them further."
            )
    return ""


def _fit(
    names: Sequence[str], votes: Sequence[Vote]
) -> tuple[NDArray[np.float64], float, NDArray[np.float64]]:
    """Centred strengths, the logarithm of the tie parameter, and the strengths' covariance."""
    index = {name: i for i, name in enumerate(names)}
    a = np.array([index[vote.a] for vote in votes])
    b = np.array([index[vote.b] for vote in votes])
    outcome = np.array([("A", "B", "tie").index(vote.preference) for vote in votes])
    with_ties = bool((outcome == 2).any())
    count = len(names)
    # Rows: A preferred, B preferred, tie. Columns: free strengths (the last is 0), log tie.
    design = np.zeros((3, len(votes), count + 1))
    each = np.arange(len(votes))
    design[0, each, a] = design[1, each, b] = 1.0
    design[2, each, a] = design[2, each, b] = 0.5
    design[2, :, count] = 1.0
    free = np.delete(design, [count - 1] if with_ties else [count - 1, count], axis=2)
    offset = np.array([0.0, 0.0, math.log(2.0) if with_ties else -np.inf])[:, None]

    def parts(x: NDArray[np.float64]) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
        logits = free @ x + offset
        top = logits.max(axis=0)
        weights = np.exp(logits - top)
        chances = weights / weights.sum(axis=0)
        chosen = logits[outcome, each] - top - np.log(weights.sum(axis=0))
        mean = np.einsum("kn,knp->np", chances, free)
        gradient = (mean - free[outcome, each]).sum(axis=0)
        information = np.einsum("kn,knp,knq->pq", chances, free, free) - mean.T @ mean
        return -float(chosen.sum()), gradient, information

    def curvature(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return parts(x)[2]

    def loss(x: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        return parts(x)[:2]

    found = optimize.minimize(
        loss,
        np.zeros(free.shape[2]),
        jac=True,
        hess=curvature,
        method="trust-exact",
        options={"gtol": 1e-9},
    )
    _, gradient, information = parts(found.x)
    assert float(np.abs(gradient).max()) < 1e-5, "a maximum that exists is found"  # noqa: S101
    inverse = np.linalg.inv(information)
    covariance = np.zeros((count, count))
    covariance[:-1, :-1] = inverse[: count - 1, : count - 1]
    centre = np.eye(count) - 1.0 / count
    strength = centre @ np.append(found.x[: count - 1], 0.0)
    log_tie = float(found.x[-1]) if with_ties else -math.inf
    return strength, log_tie, centre @ covariance @ centre.T


def _gap(
    names: Sequence[str],
    votes: Sequence[Vote],
    strength: NDArray[np.float64],
    covariance: NDArray[np.float64],
    tie: float,
    pair: tuple[int, int],
    z: float,
) -> Gap:
    i, j = pair
    gap = float(strength[i] - strength[j])
    variance = float(covariance[i, i] + covariance[j, j] - 2 * covariance[i, j])
    half = z * math.sqrt(variance)
    told = abs(gap) > half
    both = {names[i], names[j]}
    return Gap(
        better=names[i],
        worse=names[j],
        points=SCALE * gap,
        low=SCALE * (gap - half),
        high=SCALE * (gap + half),
        pairs=sum({vote.a, vote.b} == both for vote in votes),
        needed=0 if told else pairs_needed(gap, variance, tie),
    )
