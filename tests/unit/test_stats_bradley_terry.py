"""The ranking by votes against independent fits, and what it refuses to say."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import optimize

from vertebra.stats.bradley_terry import Vote, pairs_needed, rank

NAMES = ("alpha", "beta", "gamma", "delta")
TRUE = (0.8, 0.3, -0.2, -0.9)


def drawn(count: int, seed: int, tie: float = 0.0, names: Sequence[str] = NAMES) -> list[Vote]:
    rng = np.random.default_rng(seed)
    votes: list[Vote] = []
    for _ in range(count):
        a, b = rng.choice(len(names), 2, replace=False)
        weights = np.array(
            [math.exp(TRUE[a]), math.exp(TRUE[b]), 2 * tie * math.exp((TRUE[a] + TRUE[b]) / 2)]
        )
        word = ("A", "B", "tie")[rng.choice(3, p=weights / weights.sum())]
        votes.append(Vote(a=names[a], b=names[b], preference=word))  # type: ignore[arg-type]
    return votes


@pytest.mark.parametrize("seed", range(3))
def test_without_ties_it_is_logistic_regression(seed: int) -> None:
    votes = drawn(60, seed)
    found = rank(votes)
    rows = np.zeros((len(votes), len(NAMES)))
    for row, vote in zip(rows, votes, strict=True):
        row[NAMES.index(vote.a)], row[NAMES.index(vote.b)] = 1, -1
    won = np.array([vote.preference == "A" for vote in votes], float)
    fit = sm.GLM(won, rows[:, :-1], family=sm.families.Binomial()).fit(tol=1e-12)
    strength = np.append(fit.params, 0.0)
    covariance = np.zeros((4, 4))
    covariance[:3, :3] = fit.cov_params()
    centre = np.eye(4) - 0.25
    points = 1500 + 200 * centre @ strength
    sd = 200 * np.sqrt(np.diag(centre @ covariance @ centre))
    for place in found.ranks:
        i = NAMES.index(place.policy)
        assert place.points == pytest.approx(points[i], abs=1e-3)
        assert place.high - place.low == pytest.approx(2 * 1.959964 * sd[i], rel=1e-4)
    assert [place.policy for place in found.ranks] == [NAMES[i] for i in np.argsort(-points)]
    assert found.tie == 0.0
    assert sum(place.won for place in found.ranks) == len(votes)


def test_with_ties_it_is_the_maximum_of_davidsons_likelihood() -> None:
    votes = drawn(120, 5, tie=0.5)

    def loss(x: np.ndarray) -> float:
        strength: dict[str, float] = dict(zip(NAMES, [*x[:3], 0.0], strict=True))
        tie = math.exp(x[3])
        total = 0.0
        for vote in votes:
            a, b = math.exp(strength[vote.a]), math.exp(strength[vote.b])
            both = 2 * tie * math.sqrt(a * b)
            total -= math.log({"A": a, "B": b, "tie": both}[vote.preference] / (a + b + both))
        return total

    fit = optimize.minimize(
        loss,
        np.zeros(4),
        method="Nelder-Mead",
        options={"xatol": 1e-7, "fatol": 1e-10, "maxiter": 5000},
    )
    strength = np.append(fit.x[:3], 0.0)
    strength -= strength.mean()
    found = rank(votes)
    for place in found.ranks:
        assert place.points == pytest.approx(
            1500 + 200 * strength[NAMES.index(place.policy)], abs=0.01
        )
    assert found.tie == pytest.approx(math.exp(fit.x[3]), rel=1e-4)
    assert np.mean([place.points for place in found.ranks]) == pytest.approx(1500)


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    centred = np.array(TRUE) - np.mean(TRUE)
    covered = trials = 0
    for seed in range(40):
        for place in rank(drawn(150, seed, tie=0.3)).ranks:
            truth = 1500 + 200 * centred[NAMES.index(place.policy)]
            covered += place.low <= truth <= place.high
            trials += 1
    assert 0.90 <= covered / trials <= 0.99


def test_turning_every_pair_round_changes_nothing() -> None:
    votes = drawn(50, 2, tie=0.4)
    swap = {"A": "B", "B": "A", "tie": "tie"}
    turned = [Vote(a=v.b, b=v.a, preference=swap[v.preference]) for v in votes]  # type: ignore[arg-type]
    one, other = rank(votes), rank(turned)
    for a, b in zip(one.ranks, other.ranks, strict=True):
        assert a.policy == b.policy
        assert a.points == pytest.approx(b.points, abs=1e-6)
        assert (a.won, a.lost, a.tied) == (b.won, b.lost, b.tied)


@pytest.mark.parametrize(
    ("votes", "words"),
    [
        ([], "no votes"),
        ([Vote(a="x", b="y", preference="tie")], "All votes are ties"),
        ([Vote(a="x", b="y", preference="A")] * 5, "y never won against or tied with x"),
        (
            [
                Vote(a="x", b="y", preference="A"),
                Vote(a="x", b="y", preference="B"),
                Vote(a="u", b="v", preference="A"),
                Vote(a="u", b="v", preference="B"),
            ],
            "u, v never won against or tied with x, y",
        ),
    ],
)
def test_what_cannot_be_ranked_is_said_and_not_ranked(votes: list[Vote], words: str) -> None:
    found = rank(votes)
    assert words in found.problem
    assert found.ranks == found.gaps == ()
    assert found.votes == len(votes)


def test_a_policy_is_not_compared_with_itself() -> None:
    with pytest.raises(ValueError, match="compared with themselves"):
        rank([Vote(a="x", b="x", preference="A")])


def test_pairs_that_are_needed_have_the_power_that_was_asked_for() -> None:
    gap, tie = 0.5, 0.3
    needed = pairs_needed(gap, math.inf, tie)
    assert needed is not None
    weights = np.array([math.exp(gap / 2), math.exp(-gap / 2), 2 * tie])
    rng = np.random.default_rng(0)
    told = 0
    for _ in range(150):
        words = rng.choice(["A", "B", "tie"], needed, p=weights / weights.sum())
        votes = [Vote(a="x", b="y", preference=word) for word in words]
        (pair,) = rank(votes).gaps
        told += pair.better == "x" and pair.low > 0
    assert 0.70 <= told / 150 <= 0.90
    assert pairs_needed(gap, 1 / 1e9, tie) == 0
    assert pairs_needed(0.0, 1.0, tie) is None
    fewer = pairs_needed(2 * gap, math.inf, tie)
    assert fewer is not None
    assert 3 < needed / fewer < 5


def test_gaps_name_every_pair_once_and_stop_asking_when_told() -> None:
    found = rank(drawn(400, 1, tie=0.2))
    assert len(found.gaps) == 6
    assert all(gap.points >= 0 for gap in found.gaps)
    assert sum(gap.pairs for gap in found.gaps) == 400
    assert all((gap.needed == 0) == (gap.low > 0) for gap in found.gaps)
    few = rank(drawn(30, 1, tie=0.2))
    assert any(gap.needed for gap in few.gaps)
