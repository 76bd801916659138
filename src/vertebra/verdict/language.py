"""What words do to a policy. Following is one number of several; each of the others can lie alone.

Sensitivity without following is noise; invariance to paraphrase is reached by not reading; success
on trained pairs is reached by remembering. Only together, and beside the blind twin, they tell.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from vertebra.spec.record import EpisodeRecord
from vertebra.spec.task import Outcome
from vertebra.stats.crossed import Rollout, difference, rate
from vertebra.stats.information import OTHER, Asked, information
from vertebra.stats.interval import Estimate, t_mean
from vertebra.verdict.compare import records_of
from vertebra.verdict.grounding import ending, swapped
from vertebra.verdict.hearing import Bits, InSplit, Language
from vertebra.verdict.measure import followed, pairs, rollouts
from vertebra.verdict.run import Run

GROUNDING_FAILURES = ("another task", "wrong object first")
EXECUTION_FAILURES = ("right object, not finished", "nothing touched")
"""Endings of swapped rollouts. Who turns to the right object and does not finish has understood;
who touches nothing has shown nothing else, and is not charged with a wrong choice."""


def languages(run: Run) -> tuple[Language, ...]:
    """What words do, for every arm and number of demonstrations with swapped rollouts."""
    blind = {arm.recipe: arm.name for arm in run.plan.arms if arm.blind}
    found: list[Language] = []
    for arm in run.plan.arms:
        for count in sorted(
            {slot.demonstrations for slot in run.plan.slots if slot.arm == arm.name}
        ):
            floor = "" if arm.blind else blind.get(arm.recipe, "")
            one = language(records_of(run, arm.name, count), records_of(run, floor, count))
            if one is not None:
                found.append(one)
    return tuple(found)


def language(
    records: Sequence[EpisodeRecord], twin: Sequence[EpisodeRecord] = ()
) -> Language | None:
    """Measure what words do, over the rollouts of one arm at one number of demonstrations.

    Args:
        records: Its rollouts, all seeds.
        twin: Those of its blind twin.

    Returns:
        ``None`` when no state was run under two tasks.
    """
    chosen = swapped(records)
    following = rate(rollouts(chosen, followed))
    wrong = rate(rollouts(chosen, lambda r: ending(r) in GROUNDING_FAILURES))
    failed = rate(rollouts(chosen, lambda r: ending(r) in EXECUTION_FAILURES))
    if following is None or wrong is None or failed is None:
        return None
    states = _by_state(chosen)
    return Language(
        arm=chosen[0].arm,
        demonstrations=chosen[0].demonstrations,
        following=following,
        twin=rate(rollouts(swapped(twin), followed)),
        swap_gap=_swap_gap(states),
        sensitivity=_sensitivity(states),
        invariance=_invariance(records),
        bits=_bits(chosen),
        grounding_failures=wrong,
        execution_failures=failed,
        splits=_splits(chosen),
    )


def _by_state(records: Sequence[EpisodeRecord]) -> list[list[EpisodeRecord]]:
    """Rollouts of one seed in one state, which differ in their words only."""
    found: dict[tuple[int, str, str], list[EpisodeRecord]] = defaultdict(list)
    for record in records:
        found[record.seed, record.split, record.initial_state].append(record)
    return list(found.values())


def _swap_gap(states: Sequence[Sequence[EpisodeRecord]]) -> Estimate | None:
    asked: list[Rollout] = []
    unasked: list[Rollout] = []
    for group in states:
        for record in group:
            others = [other for other in group if other.task != record.task]
            place = (record.split, record.initial_state)
            asked.append(_rollout(record, place, _achieved(record, record.task)))
            share = sum(_achieved(other, record.task) for other in others) / len(others)
            unasked.append(_rollout(record, place, share))
    return difference(asked, unasked)


def _rollout(record: EpisodeRecord, place: tuple[str, str], value: float) -> Rollout:
    return Rollout(value=float(value), seed=record.seed, state=place)


def _achieved(record: EpisodeRecord, task: str) -> bool:
    return record.outcome != Outcome.ERROR and task in record.achieved


def _deed(record: EpisodeRecord) -> tuple[object, ...]:
    """What a rollout did, as far as two can be compared."""
    return (frozenset(record.achieved), record.first_touched)


def _sensitivity(states: Sequence[Sequence[EpisodeRecord]]) -> Estimate | None:
    found: list[Rollout] = []
    for group in states:
        sound = [record for record in group if record.outcome != Outcome.ERROR]
        for place, one in enumerate(group):
            for other in group[place + 1 :]:
                both = one in sound and other in sound
                differs = both and _deed(one) != _deed(other)
                found.append(_rollout(one, (one.split, one.initial_state), differs))
    return rate(found)


def _invariance(records: Sequence[EpisodeRecord]) -> Estimate | None:
    said = [r for r in records if r.condition == "paraphrase"]
    asked = [r for r in records if r.condition == "asked"]
    ours, theirs = pairs(said, asked, same_words=False)
    same = [
        _rollout(a, (a.split, a.initial_state), set(a.achieved) == set(b.achieved))
        for a, b in zip(ours, theirs, strict=True)
        if Outcome.ERROR not in (a.outcome, b.outcome)
    ]
    return rate(same)


def _bits(chosen: Sequence[EpisodeRecord]) -> Bits | None:
    by_seed: dict[int, list[Asked]] = defaultdict(list)
    for group in _by_state(chosen):
        ordered = sorted({r.task: r for r in group}.items())
        tasks = [task for task, _ in ordered]
        first = ordered[0][1]
        done = tuple(_place(record, tasks) for _, record in ordered)
        by_seed[first.seed].append(Asked(scene=(first.split, first.initial_state), done=done))
    found = [one for scenes in by_seed.values() if (one := information(scenes)) is not None]
    estimate = t_mean([one.bits for one in found])
    if estimate is None:
        return None
    scenes = {(record.split, record.initial_state) for record in chosen}
    return Bits(
        estimate=replace(estimate, n=len(chosen), states=len(scenes)),
        most=sum(one.most for one in found) / len(found),
        bias=sum(one.bias for one in found) / len(found),
        p=max(one.p for one in found),
    )


def _place(record: EpisodeRecord, tasks: Sequence[str]) -> int:
    """Which of the scene's asked tasks was done, and no other."""
    if record.outcome == Outcome.ERROR or len(record.achieved) != 1:
        return OTHER
    return tasks.index(record.achieved[0]) if record.achieved[0] in tasks else OTHER


def _splits(chosen: Sequence[EpisodeRecord]) -> tuple[InSplit, ...]:
    found: list[InSplit] = []
    for split in dict.fromkeys(record.split for record in chosen):
        estimate = rate(rollouts([r for r in chosen if r.split == split], followed))
        if estimate is not None:
            found.append(InSplit(split=split, following=estimate))
    return tuple(found)
