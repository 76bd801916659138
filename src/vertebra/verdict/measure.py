"""Rates of one arm: success by split and skill, language conditions, imagination, offline figures.

Every rollout counts: errors and timeouts stay in the denominator. "Achieved" means that the asked
task is among the achieved tasks of the record.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from vertebra.spec.record import EpisodeRecord
from vertebra.spec.task import Outcome
from vertebra.stats.crossed import Rollout, difference, rate
from vertebra.stats.interval import Estimate, t_mean
from vertebra.verdict.rule import SEEDS_REQUIRED
from vertebra.verdict.run import Job, Run
from vertebra.verdict.summary import CANNOT_TELL, Condition, Figure, Imagination, Slice

CONDITIONS = ("asked", "paraphrase", "blank", "nonsense")
HEADLINE_SPLIT = "layout"
ALL = "all"
FIGURES = {
    "action_error": "windows",
    "error_of_mean_action": "windows",
    "error_of_repeated_action": "windows",
    "sensitivity": "windows",
    "sensitivity_to_silence": "windows",
    "directional": "directional_swaps",
}
"""Figures of an evaluation without a simulator, in order, and where each says its n."""


def succeeded(record: EpisodeRecord) -> bool:
    """Whether the episode ended in success."""
    return record.outcome == Outcome.SUCCESS


def followed(record: EpisodeRecord) -> bool:
    """Whether the asked task was achieved (an error never counts)."""
    return record.outcome != Outcome.ERROR and record.task in record.achieved


def rollouts(
    records: Sequence[EpisodeRecord],
    good: Callable[[EpisodeRecord], bool],
    mix: Mapping[str, float] | None = None,
) -> list[Rollout]:
    """Records as outcomes with the seed and the state they belong to.

    Args:
        records: Episodes.
        good: What counts.
        mix: Weights of skills in the task mix; all rollouts weigh alike by default.

    Returns:
        Nothing when the mix holds no skill that was evaluated.
    """
    counts = Counter(r.skill for r in records)
    total = sum(mix.get(skill, 0.0) for skill in counts) if mix else 0.0
    if mix and not total:
        return []
    weights = {
        skill: mix.get(skill, 0.0) / total * len(records) / count if mix else 1.0
        for skill, count in counts.items()
    }
    return [
        Rollout(
            value=float(good(r)),
            seed=r.seed,
            state=(r.split, r.initial_state),
            weight=weights[r.skill],
        )
        for r in records
    ]


def tested(records: Sequence[EpisodeRecord]) -> list[EpisodeRecord]:
    """The rollouts that success is read from: asked wording, or the paraphrase split's wording."""
    return [
        r
        for r in records
        if r.condition == "asked" or (r.condition == "paraphrase" and r.split == "paraphrase")
    ]


def headline_split(run: Run) -> str:
    """The split that headline success is read from, one for the whole run.

    New layouts of known things when any finished job met such, else all splits together.
    """
    met = any(r.split == HEADLINE_SPLIT for job in run.jobs for r in tested(job.records))
    return HEADLINE_SPLIT if met else ALL


def headline(records: Sequence[EpisodeRecord], split: str) -> list[EpisodeRecord]:
    """The rollouts of the headline success rate."""
    return [r for r in tested(records) if split in (ALL, r.split)]


def slices(records: Sequence[EpisodeRecord]) -> tuple[Slice, ...]:
    """Success in every split, every skill and their combinations that occur."""
    asked = tested(records)
    splits = (ALL, *dict.fromkeys(r.split for r in asked))
    skills = (ALL, *sorted({r.skill for r in asked}))
    found: list[Slice] = []
    for split in splits:
        for skill in skills:
            chosen = [r for r in asked if split in (ALL, r.split) and skill in (ALL, r.skill)]
            estimate = rate(rollouts(chosen, succeeded))
            if estimate is not None:
                found.append(Slice(split=split, skill=skill, rate=estimate))
    return tuple(found)


def pairs(
    first: Iterable[EpisodeRecord], second: Iterable[EpisodeRecord], *, same_words: bool = True
) -> tuple[list[EpisodeRecord], list[EpisodeRecord]]:
    """The records that share seed, split, state, simulator seed and task, in the same order.

    Args:
        first: Records of one side.
        second: Records of the other.
        same_words: Whether the condition must be the same too.
    """

    def key(r: EpisodeRecord) -> tuple[object, ...]:
        words = r.condition if same_words else ""
        return (r.seed, r.split, r.initial_state, r.scene_seed, r.task, words)

    other = {key(r): r for r in second}
    both = [(r, other[key(r)]) for r in first if key(r) in other]
    return [a for a, _ in both], [b for _, b in both]


def conditions(records: Sequence[EpisodeRecord]) -> tuple[Condition, ...]:
    """How often the meant task was achieved under each kind of sentence."""
    by_name = {
        name: [r for r in records if r.condition == name]
        for name in (*CONDITIONS, *sorted({r.condition for r in records} - set(CONDITIONS)))
    }
    found: list[Condition] = []
    for name, chosen in by_name.items():
        estimate = rate(rollouts(chosen, followed))
        if estimate is None:
            continue
        versus: Estimate | None = None
        if name != "asked":
            here, asked = pairs(chosen, by_name["asked"], same_words=False)
            versus = difference(rollouts(here, followed), rollouts(asked, followed))
        found.append(Condition(name=name, rate=estimate, versus_asked=versus))
    return tuple(found)


def imagination(jobs: Sequence[Job]) -> Imagination | None:
    """Imagined frames against copying the last frame, over training seeds."""
    usable = [
        job.imagined
        for job in jobs
        if job.imagined
        and job.imagined.get("copy_error_moving")
        and job.imagined.get("model_error_moving")
    ]
    logs = t_mean(
        [
            math.log(float(part["model_error_moving"]) / float(part["copy_error_moving"]))
            for part in usable
        ]
    )
    if logs is None:
        return None
    sampled = [float(p["sample_error_moving"]) for p in usable if p.get("sample_error_moving")]
    frames = sum(int(part.get("frames", 0)) for part in usable)
    ratio = Estimate(
        value=math.exp(logs.value),
        low=None if logs.low is None else math.exp(logs.low),
        high=None if logs.high is None else math.exp(logs.high),
        level=logs.level,
        n=frames,
        seeds=logs.seeds,
        states=0,
        method=logs.method + ", on the logarithm",
    )
    return Imagination(
        model_error=sum(float(p["model_error_moving"]) for p in usable) / len(usable),
        copy_error=sum(float(p["copy_error_moving"]) for p in usable) / len(usable),
        sample_error=sum(sampled) / len(sampled) if sampled else None,
        ratio=ratio,
        frames=frames,
        word=_beats_copying(ratio),
    )


def _beats_copying(ratio: Estimate) -> str:
    if ratio.seeds < SEEDS_REQUIRED or ratio.low is None or ratio.high is None:
        return CANNOT_TELL
    if ratio.high < 1:
        return "yes"
    return "no" if ratio.low > 1 else CANNOT_TELL


def offline(jobs: Sequence[Job]) -> tuple[Figure, ...]:
    """Figures of an evaluation without a simulator: mean and t interval over training seeds."""
    parts = [job.offline for job in jobs if job.offline]
    figures: list[Figure] = []
    for name, counted in FIGURES.items():
        values = [part[name] for part in parts if part.get(name) is not None]
        estimate = t_mean([float(v) for v in values if not isinstance(v, str)])
        notes = dict.fromkeys(v for v in values if isinstance(v, str))
        n = sum(int(part.get(counted, 0)) for part in parts)
        if estimate is not None and n:
            estimate = replace(estimate, n=n)
        if estimate is not None or notes:
            figures.append(Figure(name=name, estimate=estimate, note="; ".join(notes)))
    return tuple(figures)
