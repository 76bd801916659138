"""The verdict in plain words. Nothing is computed here but the choice of a sentence."""

from collections.abc import Sequence

from vertebra.stats.interval import Estimate
from vertebra.verdict.compare import FOLLOWING, SUCCESS
from vertebra.verdict.measure import SEEDS_REQUIRED
from vertebra.verdict.run import Run
from vertebra.verdict.summary import (
    BETTER_FIRST,
    BETTER_SECOND,
    CANNOT_TELL,
    Comparison,
    Point,
    Verdict,
)

NOTHING = "nothing finished yet"
COMPETENT = 0.2
"""Success rate below which an arm has not learnt to act, so that its grounding says nothing."""


def percent(estimate: Estimate) -> str:
    """A rate with interval and n: ``72 % (95 % interval 60 to 81 %; n = 450, 3 seeds)``."""
    return f"{100 * estimate.value:.0f} % ({_interval(estimate, ' %')}; {_basis(estimate)})"


def points(estimate: Estimate) -> str:
    """A difference of rates: ``+42 points (95 % interval +25 to +58; n = 450, 3 seeds)``."""
    return f"{_signed(estimate.value)} points ({_interval(estimate, '')}; {_basis(estimate)})"


def _interval(estimate: Estimate, unit: str) -> str:
    if estimate.low is None or estimate.high is None:
        return "no interval"
    if unit:
        ends = f"{100 * estimate.low:.0f} to {100 * estimate.high:.0f}{unit}"
    else:
        ends = f"{_signed(estimate.low)} to {_signed(estimate.high)}"
    return f"{100 * estimate.level:.0f} % interval {ends}"


def _signed(share: float) -> str:
    return f"{100 * share:+.0f}".replace("-", "\u2212")


def _basis(estimate: Estimate) -> str:
    seeds = f", {estimate.seeds} seed{'s' if estimate.seeds != 1 else ''}" if estimate.seeds else ""
    return f"n = {estimate.n}{seeds}"


def running(run: Run) -> tuple[str, ...]:
    """What is not finished, one phrase an arm and number of demonstrations."""
    done = {(job.arm, job.demonstrations, job.seed) for job in run.jobs}
    groups: dict[tuple[str, int], list[bool]] = {}
    for slot in run.plan.slots:
        groups.setdefault((slot.arm, slot.demonstrations), []).append(
            (slot.arm, slot.demonstrations, slot.seed) in done
        )
    open_seeds = {group: states.count(False) for group, states in groups.items()}
    return tuple(
        f"{arm} at {count} demonstrations ({left} of {len(groups[arm, count])} seeds)"
        for (arm, count), left in open_seeds.items()
        if left
    )


def _unfinished(run: Run, left: Sequence[str]) -> list[str]:
    """What has failed and what is still to come."""
    return _failed(run) + (["Still to come: " + ", ".join(left) + "."] if left else [])


def _failed(run: Run) -> list[str]:
    if not run.failures:
        return []
    names = ", ".join(failure.job for failure in run.failures)
    return [f"Failed, and missing from all numbers: {names}. The next run tries them again."]


def verdict(
    run: Run, found: Sequence[Point], comparisons: Sequence[Comparison], left: Sequence[str]
) -> Verdict:
    """Choose the sentences.

    Args:
        run: The run.
        found: Its points.
        comparisons: Its comparisons.
        left: What is still running, in words.
    """
    if not found:
        return Verdict(
            word=NOTHING,
            first="",
            second="",
            headline="Nothing finished yet.",
            sentences=(
                "The report is rewritten after every finished training.",
                *_failed(run),
            ),
        )
    if not any(point.episodes for point in found):
        return _offline(run, found, left)
    sides = [c for c in comparisons if c.kind == "sides"]
    largest = _largest(found)
    about = [_about_arm(point, largest, comparisons) for point in largest if not point.blind]
    tail = _unfinished(run, left)
    if not sides:
        return Verdict(
            word=CANNOT_TELL,
            first="",
            second="",
            headline="Only one kind of policy is in this pilot, so there is nothing to compare.",
            sentences=(*about, *tail),
        )
    pair = [c for c in sides if (c.first, c.second) == (sides[0].first, sides[0].second)]
    word, headline = _between(pair)
    basis = _pair_basis(word, pair)
    others = [_line(c) for c in sides if c not in pair]
    return Verdict(
        word=word,
        first=pair[0].first,
        second=pair[0].second,
        headline=headline,
        sentences=(*basis, *about, *others, *tail),
    )


def _pair_basis(word: str, pair: Sequence[Comparison]) -> list[str]:
    """What the headline rests on: the paired differences, and what is missing."""
    known = [
        (c, c.difference)
        for c in pair
        if c.difference is not None and c.difference.seeds >= SEEDS_REQUIRED
    ]
    if not known:
        return []
    if word != CANNOT_TELL:
        counts = " and ".join(f"{d.n} for {_measure(c)}" for c, d in known)
        return [
            f"Compared in pairs of the same scene, instruction and training seed: n = {counts}, "
            f"{known[0][1].seeds} seeds on each side."
        ]
    sentences = [
        f"{c.first} minus {c.second} in {_measure(c)}: {points(d)}, paired." for c, d in known
    ]
    return sentences + ([_sentence(pair[0].missing)] if pair[0].missing else [])


def _largest(found: Sequence[Point]) -> list[Point]:
    """Each arm at its largest finished number of demonstrations."""
    best: dict[str, Point] = {}
    for point in found:
        if point.arm not in best or point.demonstrations > best[point.arm].demonstrations:
            best[point.arm] = point
    return list(best.values())


def _between(pair: Sequence[Comparison]) -> tuple[str, str]:
    """Word and sentence for the two sides (measures: following first, success second)."""
    first, second = pair[0].first, pair[0].second
    favours = {c.word for c in pair} - {CANNOT_TELL}
    if favours == {BETTER_FIRST}:
        return BETTER_FIRST, f"{first} is better than {second} here: it {_gains(pair, 1)}."
    if favours == {BETTER_SECOND}:
        return BETTER_SECOND, f"{second} is better than {first} here: it {_gains(pair, -1)}."
    if len(favours) == 2:
        return CANNOT_TELL, (
            f"Cannot tell whether {first} or {second} is better: each wins one measure."
        )
    estimate = pair[0].difference
    if estimate is None or estimate.seeds < SEEDS_REQUIRED:
        return CANNOT_TELL, (
            f"Cannot tell yet whether {first} or {second} is better: {pair[0].missing}."
        )
    lead = f"Cannot tell whether {first} or {second} is better"
    if estimate.low is None or estimate.high is None or estimate.excludes_zero:
        return CANNOT_TELL, f"{lead}: {pair[0].missing}."
    return CANNOT_TELL, (
        f"{lead}: {first} follows {_more(estimate.value)} of the instructions, but with "
        f"{estimate.seeds} training seeds anything from {_signed(estimate.low)} to "
        f"{_signed(estimate.high)} points would be no surprise."
    )


def _more(share: float) -> str:
    size = f"{abs(100 * share):.0f} points"
    if size == "0 points":
        return "as many"
    return f"{size} more" if share > 0 else f"{size} fewer"


def _gains(pair: Sequence[Comparison], sign: int) -> str:
    """What the better side wins, seen from that side."""
    verbs = {
        FOLLOWING: "follows {} points more of the instructions",
        SUCCESS: "succeeds {} points more often",
    }
    parts: list[str] = []
    for c in pair:
        d = c.difference
        if c.word == CANNOT_TELL or d is None or d.low is None or d.high is None:
            continue
        low, high = sorted((sign * d.low, sign * d.high))
        text = verbs[c.measure].format(f"{100 * sign * d.value:.0f}")
        parts.append(f"{text} (95 % interval {100 * low:.0f} to {100 * high:.0f})")
    return " and ".join(parts)


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:] + "."


def _measure(c: Comparison) -> str:
    return {FOLLOWING: "following instructions", SUCCESS: "success"}[c.measure]


def _line(c: Comparison) -> str:
    known = "no shared rollouts yet" if c.difference is None else points(c.difference)
    tail = f": {c.missing}" if c.missing else ""
    return f"{c.first} minus {c.second} in {_measure(c)}: {known}; {c.word}{tail}."


def _about_arm(point: Point, largest: Sequence[Point], comparisons: Sequence[Comparison]) -> str:
    """Whether a sighted arm listens, in one or two sentences."""
    if point.success is None or point.grounding is None:
        return f"{point.arm}: no swapped rollouts, so whether it listens was not measured."
    twin = [c for c in comparisons if c.kind == "twin" and c.first == point.arm]
    own = f"{100 * point.grounding.following.value:.0f} %"
    swapped = f"{point.grounding.following.n} swapped rollouts"
    against = ""
    for blind in largest:
        if blind.blind and blind.recipe == point.recipe and blind.grounding:
            against = f", its blind twin in {100 * blind.grounding.following.value:.0f} %"
    does = f"it does what it is asked in {own} of {swapped}{against}"
    gains = " and ".join(
        f"{points(c.difference)} in {_measure(c)}"
        for c in twin
        if c.difference is not None and c.difference.seeds >= SEEDS_REQUIRED
    )
    gains = f" The difference is {gains}." if gains else ""
    if twin and all(c.word == BETTER_FIRST for c in twin):
        text = f"{point.arm} listens: {does}.{gains}"
    elif point.success.value < COMPETENT:
        text = (
            f"{point.arm} has not learnt to act within this budget: it succeeds in "
            f"{percent(point.success)}. What it follows says nothing about its backbone."
        )
    elif not twin:
        text = f"Without a blind twin it cannot be told whether {point.arm} listens: {does}."
    else:
        missing = next(c.missing or "the twin does better" for c in twin if c.word != BETTER_FIRST)
        text = f"Cannot tell whether {point.arm} listens: {does}.{gains} {_sentence(missing)}"
    if point.still_improving:
        many = f"{point.still_improving} of its {len(point.jobs)} trainings"
        text += f" {'Its training' if len(point.jobs) == 1 else many} still improved at the end."
    return text


def _offline(run: Run, found: Sequence[Point], left: Sequence[str]) -> Verdict:
    """A pilot without a simulator: figures, and what they cannot say."""
    names = [arm.name for arm in run.plan.arms if not arm.blind]
    both = " or ".join(names[:2]) if len(names) > 1 else names[0]
    sentences = [
        "The error of predicted actions on held-out recordings does not rank policies by success: "
        "a policy with a larger error may act better.",
        "Sensitivity says that the words change the actions, not that they change them in the "
        "right direction.",
        "Priors learnt on the built-in table-top mean nothing on this data.",
    ]
    sentences = [*_errors_in_words(found), *sentences, *_unfinished(run, left)]
    return Verdict(
        word=CANNOT_TELL,
        first=names[0] if len(names) > 1 else "",
        second=names[1] if len(names) > 1 else "",
        headline=f"Cannot tell whether {both} acts better: nothing was executed, because this "
        "pilot has recordings but no simulator or robot.",
        sentences=tuple(sentences),
    )


def _errors_in_words(found: Sequence[Point]) -> list[str]:
    """Whether each sighted arm predicts actions better than guesses that see nothing."""
    sentences: list[str] = []
    for point in _largest(found):
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
            f"repeated: {repeated.value:.2f}; {_basis(own)})."
        )
    return sentences
