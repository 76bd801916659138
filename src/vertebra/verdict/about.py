"""Sentences about single arms, speed and criteria; what cannot be said without a simulator."""

from collections.abc import Mapping, Sequence

from vertebra.verdict.numbers import basis, milliseconds, percent, points, sentence
from vertebra.verdict.rule import ALPHA, SEEDS_REQUIRED, level_at, spent
from vertebra.verdict.run import Run
from vertebra.verdict.summary import (
    BETTER_FIRST,
    DEAF,
    LISTENS,
    UNSKILLED,
    Comparison,
    Latency,
    Listening,
    Point,
    Speed,
)

MEASURES = {
    "following": "following instructions",
    "success": "success",
    "demonstrations": "demonstrations to the target",
}
MUCH_SLOWER = 2.0
"""Ratio of median latencies from which on it is mentioned although no limit was locked."""


def about_arm(
    point: Point, listening: Listening, largest: Sequence[Point], comparisons: Sequence[Comparison]
) -> str:
    """Whether a sighted arm listens, in one or two sentences."""
    if point.success is None or point.grounding is None:
        return f"{point.arm}: no swapped rollouts, so whether it listens was not measured."
    twin = [c for c in comparisons if c.kind == "twin" and c.first == point.arm]
    does = _does(point, largest)
    gains = " and ".join(
        f"{points(c.difference)} in {MEASURES[c.measure]}"
        for c in twin
        if c.difference is not None and c.difference.seeds >= SEEDS_REQUIRED
    )
    gains = f" The difference is {gains}." if gains else ""
    if listening.word == LISTENS:
        text = f"{point.arm} listens: {does}.{gains}"
    elif listening.word == DEAF:
        text = f"{point.arm} does not follow language: {_acts(listening)}; {does}.{gains}"
    elif listening.word == UNSKILLED:
        text = (
            f"{point.arm} has not learnt to act within this budget: it succeeds in "
            f"{percent(point.success)}. What it follows says nothing about its backbone."
        )
    elif not twin:
        text = f"Without a blind twin it cannot be told whether {point.arm} listens: {does}."
    else:
        missing = next(c.missing or "the twin does better" for c in twin if c.word != BETTER_FIRST)
        text = f"Cannot tell whether {point.arm} listens: {does}.{gains} {sentence(missing)}"
    if point.still_improving:
        many = f"{point.still_improving} of its {len(point.jobs)} trainings"
        text += f" {'Its training' if len(point.jobs) == 1 else many} still improved at the end."
    return text


def _does(point: Point, largest: Sequence[Point]) -> str:
    if point.grounding is None:
        return "not measured"
    against = ""
    for blind in largest:
        if blind.blind and blind.recipe == point.recipe and blind.grounding:
            against = f", its blind twin in {100 * blind.grounding.following.value:.0f} %"
    own = point.grounding.following
    return (
        f"it does what it is asked in {100 * own.value:.0f} % of {own.n} swapped rollouts{against}"
    )


def _acts(listening: Listening) -> str:
    acts, score = listening.acts, listening.score
    if acts is None or score is None or score.high is None:
        return "it acts without regard to the words"
    return (
        f"it achieves a task in {100 * acts.value:.0f} % of them, but the asked one at most "
        f"{100 * max(0.0, score.high):.0f} % of the way from chance to always"
    )


def about_speed(speeds: Sequence[Speed], latencies: Sequence[Latency], run: Run) -> tuple[str, ...]:
    """Who keeps the latency limit; without one, who is much slower."""
    if not speeds:
        return _without_limit(latencies, run)
    rate = run.plan.criteria.control_rate_hz
    why = "" if rate is None else f" at {rate:g} Hz"
    found: list[str] = []
    for speed in speeds:
        limit = f"the limit of {milliseconds(speed.limit_s)}{why}"
        if speed.p95_s is None:
            found.append(f"{speed.arm} was not timed often enough to be held against {limit}.")
        else:
            p95 = f"95 % of its chunks take less than {milliseconds(speed.p95_s.value)}"
            keeps = {True: "keeps", False: "breaks", None: "is not shown to keep"}[speed.keeps]
            found.append(f"{speed.arm} {keeps} {limit}: {p95}.")
    return tuple(found)


def _without_limit(latencies: Sequence[Latency], run: Run) -> tuple[str, ...]:
    sighted = {arm.name for arm in run.plan.arms if not arm.blind}
    medians: Mapping[str, float] = {
        row.arm: row.p50_s.value
        for row in latencies
        if row.stage == "chunk" and row.p50_s is not None and row.arm in sighted
    }
    if len(medians) < 2:
        return ()
    slow, fast = max(medians, key=lambda a: medians[a]), min(medians, key=lambda a: medians[a])
    if medians[slow] < MUCH_SLOWER * medians[fast]:
        return ()
    return (
        f"No latency limit was locked, so speed did not count: a chunk of {slow} takes "
        f"{milliseconds(medians[slow])}, one of {fast} {milliseconds(medians[fast])} (medians).",
    )


def about_criteria(run: Run) -> tuple[str, ...]:
    """Criteria that were not locked, and skills of the mix that were never asked for."""
    found: list[str] = []
    if not run.plan.locked_criteria:
        found.append(
            "The plan locked no criteria (an older version wrote it): the defaults were used, "
            f"{100 * run.plan.criteria.minimum_difference:.0f} points as the smallest difference "
            "that matters."
        )
    asked = {record.skill for job in run.jobs for record in job.records}
    lost = sorted(set(run.plan.criteria.mix) - asked)
    if lost and asked:
        found.append(f"The task mix names skills that were never asked for: {', '.join(lost)}.")
    return tuple(found)


def about_looks(run: Run) -> tuple[str, ...]:
    """What was added after the verdict had been read, and what that does to the error rate."""
    plan = run.plan
    if not plan.extensions:
        return ()
    told = [
        f"{one.words} (after {one.finished} finished trainings, when it said: {one.seen}; "
        f"extension {one.hash})"
        for one in plan.extensions
    ]
    level, bound = 100 * level_at(plan.looks), 100 * spent(plan.looks)
    return (
        *told,
        f"Looked at {plan.looks} times. Each look is another chance to be wrong, so this one is "
        f"judged at {level:.3g} % instead of {100 * ALPHA:.0f} %; over all looks together a false "
        f"word has a chance of at most {bound:.3g} %. Intervals are not corrected for looks.",
    )


def errors_in_words(largest: Sequence[Point]) -> list[str]:
    """Whether each sighted arm predicts actions better than guesses that see nothing."""
    sentences: list[str] = []
    for point in largest:
        figures = {figure.name: figure.estimate for figure in point.offline}
        own, mean = figures.get("action_error"), figures.get("error_of_mean_action")
        repeated = figures.get("error_of_repeated_action")
        if point.blind or own is None or mean is None or repeated is None:
            continue
        best = min(mean.value, repeated.value)
        word = "smaller than" if own.value < best else "not smaller than"
        sentences.append(
            f"{point.arm} predicts held-out actions with an error of {own.value:.2f}, {word} those "
            f"of guesses that see nothing (always the mean action: {mean.value:.2f}, the last one "
            f"repeated: {repeated.value:.2f}; {basis(own)})."
        )
    return sentences
