"""What words do to one arm, as numbers; computed in ``language.py``."""

from dataclasses import dataclass

from vertebra.stats.interval import Estimate


@dataclass(frozen=True, kw_only=True)
class Bits:
    """Information of what was achieved on what was asked, the scene being known.

    Attributes:
        estimate: Bits, bias subtracted: mean and t interval over training seeds.
        most: Bits of a policy that always does what it is asked.
        bias: What was subtracted (mean over shuffled instructions).
        p: Largest p value of any seed, against "deeds do not depend on words".
    """

    estimate: Estimate
    most: float
    bias: float
    p: float


@dataclass(frozen=True, kw_only=True)
class InSplit:
    """Following in scenes that are new in one way."""

    split: str
    following: Estimate


@dataclass(frozen=True, kw_only=True)
class Language:
    """What words do to one arm at one number of demonstrations.

    Attributes:
        arm: Arm.
        demonstrations: Action-labelled demonstrations.
        following: Asked task achieved / swapped rollouts.
        twin: The same of its blind twin, the floor; ``None`` without one.
        swap_gap: How much more often a task is achieved when it is asked than when another task of
            the scene is, in [-1, 1]; 0 for every policy that does not read.
        sensitivity: Share of pairs of instructions in one scene under which it did different
            things; errors count as no difference.
        invariance: Share of paraphrased instructions under which it achieved the same as under the
            original ones; ``None`` when none was paraphrased.
        bits: ``None`` without swapped rollouts.
        grounding_failures: Swapped rollouts that went to the wrong thing.
        execution_failures: Swapped rollouts that went for the right thing, or nothing, and failed.
        splits: Following by what is new in the scenes.
    """

    arm: str
    demonstrations: int
    following: Estimate
    twin: Estimate | None
    swap_gap: Estimate | None
    sensitivity: Estimate | None
    invariance: Estimate | None
    bits: Bits | None
    grounding_failures: Estimate
    execution_failures: Estimate
    splits: tuple[InSplit, ...]
