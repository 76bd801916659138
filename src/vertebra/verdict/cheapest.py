"""The cheapest way to the target, arm by arm, and which arm is shown to cost more than another.

The words rest on intervals that hold for all arms at once: each has the level of the look, divided
by the number of arms that have a total. An arm is dearer when its interval lies above that of
another.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from vertebra.stats.interval import LEVEL
from vertebra.stats.scaling import Crossing, Curve, fit_curve
from vertebra.verdict.compare import cells_of
from vertebra.verdict.cost import UNDETERMINED, has_episodes, mean_extra, mean_ledger
from vertebra.verdict.purchase import CHEAPEST, DEARER, OPEN, Purchase
from vertebra.verdict.rule import SEEDS_REQUIRED, level_at
from vertebra.verdict.run import Run


@dataclass(frozen=True, kw_only=True)
class Rates:
    """What one demonstration brings along and costs, and what one training costs.

    Attributes:
        labels: Labels a demonstration.
        video_frames: Frames a demonstration.
        gpu_hours: Hours of a training.
        demonstration: Price of a demonstration alone.
        label: Price of its labels.
        video: Price of its frames.
        training: Price of a training.
        extra: Price of what the arm learns from besides demonstrations.
    """

    labels: float
    video_frames: float
    gpu_hours: float
    demonstration: float
    label: float
    video: float
    training: float
    extra: float = 0.0

    def total(self, demonstrations: float | None) -> float | None:
        """Price of so many demonstrations, what comes besides them, and one training."""
        if demonstrations is None:
            return None
        each = self.demonstration + self.label + self.video
        return demonstrations * each + self.extra + self.training


def purchases(run: Run) -> tuple[Purchase, ...]:
    """The cheapest way of every sighted arm; empty without prices."""
    if not run.plan.criteria.priced:
        return ()
    arms = [arm.name for arm in run.plan.arms if not arm.blind and has_episodes(run, arm.name)]
    curves = {arm: fit_curve(cells_of(run, arm)) for arm in arms}
    found = [_purchase(run, arm, curves[arm]) for arm in arms]
    told = [one.arm for one in found if one.total is not None]
    level, target = level_at(run.plan.looks), run.plan.criteria.target_success
    spans = spans_of({arm: (curves[arm], _rates(run, arm)) for arm in told}, target, level)
    return tuple(
        replace(one, word=word_of(one.arm, spans)) if one.arm in spans else one for one in found
    )


def spans_of(
    arms: Mapping[str, tuple[Curve | None, Rates]], target: float, alpha: float
) -> dict[str, tuple[float, float]]:
    """Ends of the totals of all arms that hold together; infinite where open or too few seeds."""
    found: dict[str, tuple[float, float]] = {}
    for arm, (curve, rates) in arms.items():
        reached = curve and curve.reaching(target, 1 - alpha / len(arms))
        found[arm] = (-math.inf, math.inf)
        if curve and reached and curve.seeds >= SEEDS_REQUIRED:
            low, high = rates.total(reached.low), rates.total(reached.high)
            found[arm] = (
                -math.inf if low is None else low,
                math.inf if high is None else high,
            )
    return found


def word_of(arm: str, spans: Mapping[str, tuple[float, float]]) -> str:
    """Whether an arm is shown to be the cheapest, or to be dearer than another."""
    low, high = spans[arm]
    others = [ends for other, ends in spans.items() if other != arm]
    if any(other_high < low for _, other_high in others):
        return DEARER
    return CHEAPEST if others and all(high < other_low for other_low, _ in others) else OPEN


def _rates(run: Run, arm: str) -> Rates:
    criteria, jobs = run.plan.criteria, [job for job in run.jobs if job.arm == arm]
    demonstrations = mean_ledger(jobs, "demonstrations")
    more_labels, more_frames = (mean_extra(jobs, f"extra_{what}") for what in ("labels", "frames"))
    labels = (mean_ledger(jobs, "language_labels") - more_labels) / demonstrations
    frames = (mean_ledger(jobs, "video_frames") - more_frames) / demonstrations
    extra = criteria.demonstration_cost * mean_extra(jobs, "unlabelled")
    extra += criteria.label_cost * more_labels + criteria.video_frame_cost * more_frames
    hours = mean_ledger(jobs, "train_seconds") / 3600
    return Rates(
        labels=labels,
        video_frames=frames,
        gpu_hours=hours,
        demonstration=criteria.demonstration_cost,
        label=criteria.label_cost * labels,
        video=criteria.video_frame_cost * frames,
        training=criteria.gpu_hour_cost * hours,
        extra=extra,
    )


def _purchase(run: Run, arm: str, curve: Curve | None) -> Purchase:
    target = run.plan.criteria.target_success
    if curve is None:
        return Purchase(arm=arm, words=UNDETERMINED)
    reached = curve.reaching(target, LEVEL)
    if reached is None:
        least, most = curve.fits.fewest / 2, 2 * curve.fits.most
        words = f"cannot tell: the target is not met between {least:.0f} and {most} demonstrations"
        return Purchase(arm=arm, words=words)
    return _told(_filled(arm, curve, reached, _rates(run, arm)))


def _filled(arm: str, curve: Curve, reached: Crossing, rates: Rates) -> Purchase:
    count = reached.demonstrations
    return Purchase(
        arm=arm,
        demonstrations=count,
        low=reached.low,
        high=reached.high,
        extrapolated=not curve.fits.fewest <= count <= curve.fits.most,
        labels=count * rates.labels,
        video_frames=count * rates.video_frames,
        gpu_hours=rates.gpu_hours,
        demonstration_part=count * rates.demonstration,
        label_part=count * rates.label,
        video_part=count * rates.video,
        training_part=rates.training,
        extra_part=rates.extra,
        total=rates.total(count),
        total_low=rates.total(reached.low),
        total_high=rates.total(reached.high),
        words="",
    )


def _told(one: Purchase) -> Purchase:
    """In words: what to have, and what it costs."""
    parts: Sequence[tuple[float | None, str]] = (
        (one.demonstrations, "demonstrations"),
        (one.labels, "labels"),
        (one.video_frames, "video frames"),
    )
    have = " and ".join(f"{count:.0f} {what}" for count, what in parts if count)
    low = "open" if one.total_low is None else f"{one.total_low:.0f}"
    high = "open" if one.total_high is None else f"{one.total_high:.0f}"
    beyond = "; read beyond what was measured" if one.extrapolated else ""
    besides = (
        f"; {one.extra_part:.0f} of it for what it learns from besides" if one.extra_part else ""
    )
    return replace(
        one,
        words=f"{one.total:.0f} (95 % interval {low} to {high}{beyond}) for {have}, with one "
        f"training of {one.gpu_hours:.2g} GPU-hours{besides}",
    )
