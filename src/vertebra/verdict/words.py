"""The verdict in plain words. Nothing is computed here but the choice of a sentence."""

from collections.abc import Sequence
from dataclasses import dataclass

from vertebra.spec.criteria import DEMONSTRATIONS, FOLLOWING, SUCCESS
from vertebra.verdict.about import (
    MEASURES,
    about_arm,
    about_criteria,
    about_speed,
    errors_in_words,
)
from vertebra.verdict.compare import MORE_SEEDS
from vertebra.verdict.judge import Judgement
from vertebra.verdict.numbers import points, sentence, signed, times
from vertebra.verdict.rule import BARRED_DEAF, NOT_TIMED, SEEDS_REQUIRED, TOO_SLOW, Standing
from vertebra.verdict.run import Run
from vertebra.verdict.several import (
    answer,
    beaten_by,
    list_beaten,
    listening_of_all,
    next_step,
)
from vertebra.verdict.summary import (
    BETTER_FIRST,
    BETTER_SECOND,
    CANNOT_TELL,
    EQUIVALENT,
    Comparison,
    Latency,
    Listening,
    Point,
    Speed,
    Verdict,
)

NOTHING = "nothing finished yet"
MANY = 4
"""Policies up to which each has sentences and a card of its own."""
BARS = {
    TOO_SLOW: "takes longer for a chunk than the limit allows",
    NOT_TIMED: "is not shown to keep the latency limit",
    BARRED_DEAF: "does not follow language",
}


@dataclass(frozen=True, kw_only=True)
class Findings:
    """Everything that the sentences are about."""

    points: tuple[Point, ...]
    comparisons: tuple[Comparison, ...]
    listening: tuple[Listening, ...]
    speeds: tuple[Speed, ...]
    latencies: tuple[Latency, ...]
    judgement: Judgement
    running: tuple[str, ...]

    @property
    def largest(self) -> list[Point]:
        """Each arm at its largest finished number of demonstrations."""
        best: dict[str, Point] = {}
        for point in self.points:
            if point.arm not in best or point.demonstrations > best[point.arm].demonstrations:
                best[point.arm] = point
        return list(best.values())


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


def verdict(run: Run, found: Findings) -> Verdict:
    """Choose the sentences."""
    if not found.points:
        return Verdict(
            word=NOTHING,
            first="",
            second="",
            undefeated=(),
            headline="Nothing finished yet.",
            next_step="Wait for the first training.",
            reopen="",
            beaten=(),
            sentences=("The report is rewritten after every finished training.", *_failed(run)),
        )
    if not any(point.episodes for point in found.points):
        return _offline(run, found)
    about = [
        about_arm(point, one, found.largest, found.comparisons)
        for point in found.largest
        for one in found.listening
        if point.arm == one.arm
    ]
    speed = about_speed(found.speeds, found.latencies, run)
    tail = (*speed, *about_criteria(run), *_failed(run), *_to_come(found))
    sides = [c for c in found.comparisons if c.kind == "sides"]
    if not sides:
        return Verdict(
            word=CANNOT_TELL,
            first="",
            second="",
            undefeated=found.judgement.undefeated,
            headline="Only one kind of policy is in this pilot, so there is nothing to compare.",
            next_step="Give a second recipe with --recipes.",
            reopen="--recipes NAME",
            beaten=(),
            sentences=(*about, *tail),
        )
    if len(found.judgement.words) > 1:
        return _several(sides, about, tail, found)
    pair = [c for c in sides if (c.first, c.second) == (sides[0].first, sides[0].second)]
    word, headline = _answer(pair, found.judgement)
    return Verdict(
        word=word,
        first=pair[0].first,
        second=pair[0].second,
        undefeated=found.judgement.undefeated,
        headline=headline,
        next_step=_next_step(word, pair, found),
        reopen=_reopen(word, pair, found),
        sentences=(*_pair_basis(word, pair), *about, *tail),
        beaten=beaten_by(found.judgement),
    )


def _several(
    sides: Sequence[Comparison], about: Sequence[str], tail: Sequence[str], found: Findings
) -> Verdict:
    """More than two policies: the set that is left; with many, arms are told together."""
    judgement = found.judgement
    many = len(judgement.standings) > MANY
    told = answer(sides, judgement)
    known = [c for c in sides if c.difference and c.difference.seeds >= SEEDS_REQUIRED]
    lines = list_beaten(judgement) if many else [_line(c) for c in known]
    step = "Finish the pilot: " + ", ".join(found.running[:MANY]) + "."
    reopen = _reopen(told.word, [told.open] if told.open else sides, found)
    return Verdict(
        word=told.word,
        first=told.first,
        second="",
        undefeated=judgement.undefeated,
        headline=told.headline,
        next_step=step if found.running else next_step(told),
        reopen="" if told.open is None and told.word == CANNOT_TELL else reopen,
        sentences=(
            *(listening_of_all(found.listening) if many else about),
            *(_set(judgement) if known else ()),
            *lines,
            *tail,
        ),
        beaten=beaten_by(judgement),
    )


def _answer(pair: Sequence[Comparison], judgement: Judgement) -> tuple[str, str]:
    """Word and sentence for two arms, bars included."""
    key = (pair[0].first, pair[0].second)
    word, plain = judgement.words[key], judgement.without_bars[key]
    standings = [judgement.standings.get(arm, Standing()) for arm in key]
    barred = [(arm, one.bar) for arm, one in zip(key, standings, strict=True) if one.bar]
    if not barred:
        return word, _between(plain, pair)
    because = " and ".join(f"{arm} {BARS[bar]}" for arm, bar in barred)
    otherwise = _between(plain, pair)
    if word == CANNOT_TELL:
        return word, f"Cannot tell whether {key[0]} or {key[1]} is better: {because}."
    winner = key[0] if word == BETTER_FIRST else key[1]
    loser = key[1] if word == BETTER_FIRST else key[0]
    return (
        word,
        f"{winner} is the better choice than {loser} here: {because}. Otherwise: {otherwise}",
    )


def _between(word: str, pair: Sequence[Comparison]) -> str:
    """The sentence for two arms by their evidence alone."""
    first, second = pair[0].first, pair[0].second
    if word == BETTER_FIRST:
        return f"{first} is better than {second} here: it {_gains(pair, 1)}."
    if word == BETTER_SECOND:
        return f"{second} is better than {first} here: it {_gains(pair, -1)}."
    if word == EQUIVALENT:
        measures = " and ".join(MEASURES[c.measure] for c in pair)
        return f"{first} and {second} are equivalent here in {measures}: {_margins(pair)}."
    if {BETTER_FIRST, BETTER_SECOND} <= {c.word for c in pair}:
        return f"Cannot tell whether {first} or {second} is better: each wins one measure."
    lead = f"Cannot tell whether {first} or {second} is better"
    known = next((c for c in pair if c.measure != DEMONSTRATIONS), None)
    estimate = None if known is None else known.difference
    if estimate is None or estimate.seeds < SEEDS_REQUIRED:
        return f"Cannot tell yet whether {first} or {second} is better: {pair[0].missing}."
    if known is None or estimate.low is None or estimate.high is None or estimate.excludes_zero:
        missing = next((c.missing for c in pair if c.missing), "the measures disagree")
        return f"{lead}: {missing.partition(';')[0]}."
    verb = "follows {} of the instructions" if known.measure == FOLLOWING else "succeeds {} often"
    return (
        f"{lead}: {first} {verb.format(_more(estimate.value, known.measure))}, but with "
        f"{estimate.seeds} training seeds anything from {signed(estimate.low)} to "
        f"{signed(estimate.high)} points would be no surprise."
    )


def _more(share: float, measure: str) -> str:
    count = f"{abs(100 * share):.0f}"
    size = f"{count} point" if count == "1" else f"{count} points"
    if count == "0":
        return "as many" if measure == FOLLOWING else "as"
    if measure == FOLLOWING:
        return f"{size} more" if share > 0 else f"{size} fewer"
    return f"{size} more" if share > 0 else f"{size} less"


def _gains(pair: Sequence[Comparison], sign: int) -> str:
    """What the better side wins, seen from that side."""
    verbs = {
        FOLLOWING: "follows {} points more of the instructions",
        SUCCESS: "succeeds {} points more often",
    }
    parts: list[str] = []
    for c in pair:
        d = c.difference
        if c.word not in (BETTER_FIRST, BETTER_SECOND) or d is None:
            continue
        if c.measure == DEMONSTRATIONS:
            parts.append(_fewer(c, sign))
        elif d.low is not None and d.high is not None:
            low, high = sorted((sign * d.low, sign * d.high))
            text = verbs[c.measure].format(f"{100 * sign * d.value:.0f}")
            parts.append(f"{text} (95 % interval {100 * low:.0f} to {100 * high:.0f})")
    return " and ".join(parts)


def _fewer(c: Comparison, sign: int) -> str:
    """How many times fewer demonstrations the better side needs."""
    d = c.difference
    if d is None or d.low is None or d.high is None:
        return "needs fewer demonstrations"
    value, low, high = (x**sign for x in (d.value, d.low, d.high))
    low, high = sorted((low, high))
    return f"needs {value:.1f} times fewer demonstrations (95 % interval {low:.1f} to {high:.1f})"


def _margins(pair: Sequence[Comparison]) -> str:
    parts = [
        f"less than {c.margin:.2g} times apart"
        if c.measure == DEMONSTRATIONS
        else f"less than {100 * c.margin:.0f} points apart"
        for c in pair
    ]
    return " and ".join(dict.fromkeys(parts))


def _pair_basis(word: str, pair: Sequence[Comparison]) -> list[str]:
    """What the headline rests on: the paired differences, and what is missing."""
    known = [
        (c, c.difference)
        for c in pair
        if c.difference is not None and c.difference.seeds >= SEEDS_REQUIRED
    ]
    if not known:
        return []
    if word in (BETTER_FIRST, BETTER_SECOND):
        counts = " and ".join(f"{d.n} for {MEASURES[c.measure]}" for c, d in known)
        return [
            "Compared on the same scenes and instructions over training seeds: "
            f"n = {counts}, {known[0][1].seeds} seeds on each side."
        ]
    return [_difference(c) for c, _ in known] + [
        sentence(f"{MEASURES[c.measure]}: {c.missing}") for c in pair[:1] if c.missing
    ]


def _difference(c: Comparison) -> str:
    if c.difference is None:
        return f"{c.first} and {c.second} in {MEASURES[c.measure]}: {c.missing or 'not known yet'}."
    if c.measure == DEMONSTRATIONS:
        return f"{c.second} needs {times(c.difference)} the demonstrations of {c.first}."
    return f"{c.first} minus {c.second} in {MEASURES[c.measure]}: {points(c.difference)}, paired."


def _line(c: Comparison) -> str:
    tail = f": {c.missing}" if c.missing and c.difference is not None else ""
    return f"{_difference(c)[:-1]}; {c.word}{tail}."


def _set(judgement: Judgement) -> list[str]:
    """The arms that are left, when there are more than two."""
    left = judgement.undefeated
    if len(left) == 1:
        return [f"{left[0]} is the only policy that no other was shown to beat."]
    return [f"No other policy was shown to beat {', '.join(left[:-1])} or {left[-1]}."]


def _next_step(word: str, pair: Sequence[Comparison], found: Findings) -> str:
    """What would change the answer."""
    if found.running:
        return "Finish the pilot: " + ", ".join(found.running) + "."
    bars = _bars(pair, found)
    if NOT_TIMED in bars:
        return "Time the policies on the machine that will run them."
    if TOO_SLOW in bars:
        return "A faster machine, fewer denoising steps, or another latency limit (a new pilot)."
    if word in (BETTER_FIRST, BETTER_SECOND):
        return (
            "Other tasks, scenes, larger backbones or another budget are other questions; more "
            "seeds of this one would move the size of the lead more than its sign."
        )
    missing = [c.missing for c in pair if c.missing]
    return sentence(missing[0]) if missing else "Nothing that this pilot could still measure."


def _bars(pair: Sequence[Comparison], found: Findings) -> set[str]:
    """Why either arm cannot win; empty when both can."""
    standings = found.judgement.standings
    arms = {arm for c in pair for arm in (c.first, c.second)}
    return {standings.get(arm, Standing()).bar for arm in arms} - {""}


def _reopen(word: str, pair: Sequence[Comparison], found: Findings) -> str:
    """Options of `vertebra extend` for this question; empty when no extension bears on it."""
    if found.running or _bars(pair, found):
        return ""
    if word in (BETTER_FIRST, BETTER_SECOND, EQUIVALENT):
        seeds = [c.difference.seeds for c in pair if c.difference is not None]
        return f"--seeds {max(seeds) + MORE_SEEDS}" if seeds else ""
    wanted = [c.settled_by for c in pair if c.missing]
    return f"--seeds {wanted[0]}" if wanted and wanted[0] is not None else ""


def _to_come(found: Findings) -> list[str]:
    return ["Still to come: " + ", ".join(found.running) + "."] if found.running else []


def _failed(run: Run) -> list[str]:
    if not run.failures:
        return []
    names = ", ".join(failure.job for failure in run.failures)
    return [f"Failed, and missing from all numbers: {names}. The next run tries them again."]


def _offline(run: Run, found: Findings) -> Verdict:
    """A pilot without a simulator: figures, and what they cannot say."""
    names = [arm.name for arm in run.plan.arms if not arm.blind]
    both = " or ".join(names[:2]) if len(names) > 1 else names[0]
    return Verdict(
        word=CANNOT_TELL,
        first=names[0] if len(names) > 1 else "",
        second=names[1] if len(names) > 1 else "",
        undefeated=tuple(names),
        headline=f"Cannot tell whether {both} acts better: nothing was executed, because this "
        "pilot has recordings but no simulator or robot.",
        next_step="Run the policies on the robot or in a simulator of it.",
        reopen="",
        beaten=(),
        sentences=(
            *errors_in_words(found.largest),
            "The error of predicted actions on held-out recordings does not rank policies by "
            "success: a policy with a larger error may act better.",
            "Sensitivity says that the words change the actions, not that they change them in the "
            "right direction.",
            "Priors learnt on the built-in table-top mean nothing on this data.",
            *_failed(run),
            *_to_come(found),
        ),
    )
