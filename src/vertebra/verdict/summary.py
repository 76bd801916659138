# Longer than 300 lines: the whole schema of verdict.json is read in one place.
"""The summary of a run: every number a report shows, frozen, as JSON in ``verdict.json``."""

import dataclasses
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vertebra.spec.criteria import Criteria
from vertebra.spec.storage import to_plain
from vertebra.stats.interval import Estimate
from vertebra.stats.scaling import Crossing
from vertebra.verdict.again_read import Adaptation, Again, LessonRatio
from vertebra.verdict.hearing import Language
from vertebra.verdict.purchase import Purchase

SUMMARY_VERSION = 3
BETTER_FIRST = "first better"
BETTER_SECOND = "second better"
EQUIVALENT = "equivalent"
CANNOT_TELL = "cannot tell"

LISTENS = "listens"
DEAF = "does not follow language"
UNSKILLED = "has not learnt to act"


@dataclass(frozen=True, kw_only=True)
class Slice:
    """Success rate in one split and one kind of task (``all`` stands for every one)."""

    split: str
    skill: str
    rate: Estimate


@dataclass(frozen=True, kw_only=True)
class Condition:
    """What happened under one kind of sentence.

    Attributes:
        name: ``asked``, ``paraphrase``, ``blank`` or ``nonsense``.
        rate: How often the meant task was achieved.
        versus_asked: Paired difference to the asked wording (same seed, state and task);
            ``None`` without pairs.
    """

    name: str
    rate: Estimate
    versus_asked: Estimate | None


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """Asked x achieved.

    Attributes:
        rows: What was asked.
        columns: What was achieved: the rows again, then ``asked+``, ``several``, ``other``,
            ``nothing`` and ``error``.
        counts: Rollouts, [row][column].
    """

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How many of the swapped rollouts ended in one way."""

    name: str
    count: int
    n: int


@dataclass(frozen=True, kw_only=True)
class Grounding:
    """Does it do what it is told: the same initial state under each of its instructions.

    Attributes:
        following: Asked task achieved / all swapped rollouts, errors and timeouts included.
        following_in_split: The same in the split of the headline success only, so that numbers of
            demonstrations that met different splits can be compared; ``None`` without rollouts.
        among_achieved: Asked task achieved / rollouts that achieved any task.
        touched_target: Target touched first / swapped rollouts that have a target.
        choices: Mean number of instructions a state was run under; a policy that ignores the
            words and does one task cannot follow more than 1 / choices.
        endings: How the swapped rollouts ended, exclusive and exhaustive.
        by_instruction: Confusion by the position of the instruction inside its state.
        by_skill: Confusion by kind of task.
    """

    following: Estimate
    following_in_split: Estimate | None
    among_achieved: Estimate | None
    touched_target: Estimate | None
    choices: float
    endings: tuple[Ending, ...]
    by_instruction: Matrix
    by_skill: Matrix


@dataclass(frozen=True, kw_only=True)
class Imagination:
    """Imagined against real frames, on moving regions.

    Attributes:
        model_error: Error of the mean imagined frames.
        copy_error: Error of repeating the last frame.
        sample_error: Error of one sampled future, which is penalised for choosing among several
            possible ones; ``None`` when it was not measured.
        ratio: model_error / copy_error over training seeds (geometric mean); below 1 is better.
        frames: Frames compared.
        word: Whether it beats copying: ``yes``, ``no`` or ``cannot tell``.
    """

    model_error: float
    copy_error: float
    sample_error: float | None
    ratio: Estimate
    frames: int
    word: str


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A named number of an evaluation without a simulator.

    Attributes:
        name: As in ``result.json``.
        estimate: Mean over training seeds; ``None`` when it was not measurable.
        note: Why not, else empty.
    """

    name: str
    estimate: Estimate | None
    note: str


@dataclass(frozen=True, kw_only=True)
class Point:
    """One arm at one number of demonstrations, over its finished seeds.

    Attributes:
        arm: Name of the arm.
        recipe: Name of its recipe.
        family: ``vla``, ``wam``, ``hybrid`` or ``control``.
        blind: Whether it is a trained-blind twin.
        demonstrations: Action-labelled demonstrations.
        jobs: Ids of the finished jobs it rests on.
        seeds_planned: Training seeds planned.
        success: Success on the headline split; ``None`` without episodes.
        success_split: Which split that is.
        slices: Success by split and skill.
        conditions: By kind of sentence.
        grounding: ``None`` when no state was run under two instructions.
        errors: Episodes that ended in an error.
        episodes: All episodes.
        still_improving: Trainings whose validation still improved when the budget ended.
        imagination: ``None`` for arms that imagine nothing.
        offline: Figures of an evaluation without a simulator.
    """

    arm: str
    recipe: str
    family: str
    blind: bool
    demonstrations: int
    jobs: tuple[str, ...]
    seeds_planned: int
    success: Estimate | None
    success_split: str
    slices: tuple[Slice, ...]
    conditions: tuple[Condition, ...]
    grounding: Grounding | None
    errors: int
    episodes: int
    still_improving: int
    imagination: Imagination | None
    offline: tuple[Figure, ...]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One paired comparison of two arms.

    Attributes:
        kind: ``twin`` (sighted minus its blind twin) or ``sides`` (two sighted arms).
        measure: ``following``, ``success`` or ``demonstrations``.
        first: Arm.
        second: Arm that is subtracted.
        demonstrations: Number of demonstrations at which both were trained; 0 when all count.
        difference: first - second over shared seeds, states and instructions; for
            ``demonstrations`` the ratio second / first.
        margin: Smallest difference (or ratio) that matters.
        p: Two-sided p value of "no difference that matters"; ``None`` when it was not tested.
        p_holm: Corrected for all comparisons between sides; equal to ``p`` for twins, where both
            measures must hold.
        p_equal: Corrected p value of "they differ by what matters".
        word: ``first better``, ``second better``, ``equivalent`` or ``cannot tell``.
        missing: What is missing when it cannot be told, else empty.
        settled_by: Training seeds an arm with which an extension would be expected to tell;
            ``None`` when it is told, or when seeds alone would not do.
    """

    kind: str
    measure: str
    first: str
    second: str
    demonstrations: int
    difference: Estimate | None
    margin: float
    p: float | None
    p_holm: float | None
    p_equal: float | None
    word: str
    missing: str
    settled_by: int | None


@dataclass(frozen=True, kw_only=True)
class Reference:
    """Success of a policy that was not trained: ``demonstrator`` or ``random``."""

    arm: str
    success: Estimate
    split: str


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Quantiles of one stage of one arm, in seconds (``None``: too few samples to say)."""

    arm: str
    stage: str
    n: int
    p50_s: Estimate | None
    p95_s: Estimate | None
    p99_s: Estimate | None


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Mean cost of one training of an arm.

    Attributes:
        arm: Arm.
        demonstrations: Action-labelled demonstrations.
        trainings: Trainings averaged.
        language_labels: Sentences used.
        privileged_targets: Labels that only a simulator (or an annotator) gives.
        video_frames: Frames used as video targets.
        samples: Training samples.
        flops: Floating-point operations of training.
        train_seconds: Seconds of training.
        evaluation_seconds: Seconds of evaluation.
        parameters: Trained parameters; ``None`` when not reported.
    """

    arm: str
    demonstrations: int
    trainings: int
    language_labels: float
    privileged_targets: float
    video_frames: float
    samples: float
    flops: float
    train_seconds: float
    evaluation_seconds: float
    parameters: float | None


@dataclass(frozen=True, kw_only=True)
class Price:
    """Demonstrations that an arm needs for the target success.

    Attributes:
        arm: Arm.
        target: Success rate asked for.
        crossing: Where its curve meets the target; ``None`` when that was not bracketed.
        ceiling: Success rate that its curve levels off at; 1 when the data ask for none.
        words: For people: a number, ``> N``, ``< N`` or ``cannot tell: ...``.
        chains: Whether the rate is the share of completed links.
    """

    arm: str
    target: float
    crossing: Crossing | None
    ceiling: float
    words: str
    chains: bool = False


@dataclass(frozen=True, kw_only=True)
class Listening:
    """Whether a sighted arm does what it is told.

    Attributes:
        arm: Arm.
        word: ``listens``, ``does not follow language``, ``has not learnt to act`` or
            ``cannot tell``.
        acts: Share of swapped rollouts in which it achieved any task.
        score: Which task it achieved, from 0 (as often the asked one as by chance) to 1 (always the
            asked one), over rollouts in which it achieved any.
    """

    arm: str
    word: str
    acts: Estimate | None
    score: Estimate | None


@dataclass(frozen=True, kw_only=True)
class Speed:
    """Whether an arm keeps the latency limit.

    Attributes:
        arm: Arm.
        limit_s: Seconds that a chunk may take.
        p95_s: Seconds that 95 % of its chunks stay below; ``None`` when too few were timed.
        keeps: Whether it keeps the limit; ``None`` when that is not shown.
    """

    arm: str
    limit_s: float
    p95_s: Estimate | None
    keeps: bool | None


@dataclass(frozen=True, kw_only=True)
class Effect:
    """A main effect or an interaction of parts of recipes.

    Attributes:
        part: ``backbone``, ``coupling``, ``schedule``, or two of them joined by `` x ``.
        levels: What is subtracted from what: first minus second.
        over: Arms that it rests on.
        measure: ``following`` or ``success``.
        estimate: Difference of rates; ``None`` when it cannot be separated.
        words: What may be said.
    """

    part: str
    levels: tuple[str, ...]
    over: tuple[str, ...]
    measure: str
    estimate: Estimate | None
    words: str


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The answer in words.

    Attributes:
        word: ``first better``, ``second better``, ``equivalent``, ``cannot tell`` or ``nothing
            finished yet``.
        first: Arm on the one side; empty when nothing is compared.
        second: Arm on the other side.
        undefeated: Sighted arms that no other was shown to beat.
        beaten: Pairs of arms: one that was shown to be worse, and the one it is worse than.
        headline: One sentence.
        next_step: What would change it, one sentence.
        reopen: Options of `vertebra extend` that would re-open it; empty when no extension would.
        sentences: What it rests on and what is missing.
        sure: How sure it is, with intervals.
        costs: Demonstrations to the target.
        missing: What keeps it from being told.
    """

    word: str
    first: str
    second: str
    undefeated: tuple[str, ...]
    beaten: tuple[tuple[str, str], ...]
    headline: str
    next_step: str
    reopen: str
    sentences: tuple[str, ...]
    sure: str = ""
    costs: str = ""
    missing: str = ""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Everything a report shows; recomputable from the run directory.

    Attributes:
        version: Schema version.
        plan: Hash of the locked plan.
        environment: Name and version; ``None`` without a simulator.
        privileged: ``points`` or ``none``.
        criteria: What the verdict is judged by.
        locked_criteria: Whether they were locked before anything ran.
        changes: Every criterion that differs from what was locked, in words.
        looks: How many times the pilot was judged by a finished plan: once, and once more after
            each extension.
        extensions: What was added after locking and what that does to the error rate, in words.
        jobs_planned: Trainings planned.
        jobs_finished: Trainings finished.
        running: What is not finished, in words, one an arm and number of demonstrations.
        failed: Trainings that failed, in words.
        verdict: The answer.
        points: One an arm and number of demonstrations, finished ones only.
        comparisons: All paired comparisons.
        references: Policies that were not trained.
        latency: One an arm and stage.
        costs: The ledger.
        prices: Demonstrations to the target, one a sighted arm.
        purchases: The cheapest way to the target, one a sighted arm; empty without prices.
        listening: Whether it does what it is told, one a sighted arm.
        speeds: Whether it keeps the latency limit, one a sighted arm; empty without a limit.
        effects: What parts of the recipes do.
        language: What words do, one an arm and number of demonstrations with swapped rollouts.
        again: The same policies under other conditions, beside themselves as planned.
        adaptations: What policies learnt of a new skill, and forgot.
        lesson_ratios: How many times as many demonstrations of it one arm needs as another.
        timed_on: Machine that latency was measured on.
    """

    version: int = SUMMARY_VERSION
    plan: str
    environment: str | None
    privileged: str
    criteria: Criteria
    locked_criteria: bool
    changes: tuple[str, ...]
    looks: int
    extensions: tuple[str, ...]
    jobs_planned: int
    jobs_finished: int
    running: tuple[str, ...]
    failed: tuple[str, ...]
    verdict: Verdict
    points: tuple[Point, ...]
    comparisons: tuple[Comparison, ...]
    references: tuple[Reference, ...]
    latency: tuple[Latency, ...]
    costs: tuple[Cost, ...]
    prices: tuple[Price, ...]
    purchases: tuple[Purchase, ...]
    listening: tuple[Listening, ...]
    speeds: tuple[Speed, ...]
    effects: tuple[Effect, ...]
    language: tuple[Language, ...]
    again: tuple[Again, ...]
    adaptations: tuple[Adaptation, ...]
    lesson_ratios: tuple[LessonRatio, ...]
    timed_on: str

    def to_plain(self) -> dict[str, Any]:
        """JSON values."""
        return to_plain(self)


def summary_from_plain(plain: Mapping[str, Any]) -> Summary:
    """Read ``verdict.json``.

    Raises:
        ValueError: On another schema version or a shape that does not fit.
    """
    if plain.get("version") != SUMMARY_VERSION:
        raise ValueError(
            f"verdict.json has version {plain.get('version')!r}, this program reads version "
            f"{SUMMARY_VERSION}. Write it again from the run directory."
        )
    try:
        return _decode(Summary, plain)
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"verdict.json does not have the shape of version {SUMMARY_VERSION}: {error!r}. "
            "Write it again from the run directory."
        ) from error


def _decode(kind: Any, plain: Any) -> Any:
    """A JSON value as the annotated type: dataclass, tuple, optional or plain value."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        if plain is None:
            return None
        return _decode(next(a for a in arguments if a is not types.NoneType), plain)
    if origin is tuple:
        inner = arguments[0] if arguments[-1] is Ellipsis else None
        if inner is None:
            return tuple(_decode(a, item) for a, item in zip(arguments, plain, strict=True))
        return tuple(_decode(inner, item) for item in plain)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        hints = typing.get_type_hints(kind)
        unknown = set(plain) - set(hints)
        if unknown:
            raise TypeError(f"{kind.__name__} has unknown fields {sorted(unknown)}")
        values = {f.name: _decode(hints[f.name], plain[f.name]) for f in dataclasses.fields(kind)}
        return kind(**values)
    return plain
