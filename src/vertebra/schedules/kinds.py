"""Schedules as data: what is denoised when."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class RealTimeChunking:
    """The new chunk is in-painted so that it goes on from what is being executed.

    The first ``frozen`` actions are those of the chunk before (they run while this one is made);
    the next ``soft`` ones are pulled towards it with falling weight.

    Source: arXiv:2506.07339. Deviations: the pull acts on the predicted chunk directly; the paper
    weights it by a vector-Jacobian product.

    Attributes:
        frozen: Actions taken over as they are.
        soft: Actions pulled towards the chunk before.
    """

    frozen: int = 1
    soft: int = 3


@dataclass(frozen=True, kw_only=True)
class Guidance:
    """Classifier-free guidance of one stream: away from what would be made without words.

    Source: Ho & Salimans, arXiv:2207.12598.

    Attributes:
        stream: A denoised stream.
        weight: 1 is no guidance; above 1 the words count more.
    """

    stream: str
    weight: float


@dataclass(frozen=True, kw_only=True)
class ActionOnly:
    """Encode what is given once, then denoise the action alone.

    Attributes:
        steps: Euler steps from noise to action.
        marginal: Denoised streams that the action reads and that stay pure noise, which stands for
            "not known" to a model that was trained with a flow time of its own for each stream.
        chunking: How the chunk goes on from the one before, or ``None``.
    """

    steps: int = 10
    marginal: tuple[str, ...] = ()
    chunking: RealTimeChunking | None = None


@dataclass(frozen=True, kw_only=True)
class Together:
    """Denoise action and imagined streams in the same steps, at the same flow time.

    Attributes:
        steps: Euler steps.
        guidance: Classifier-free guidance.
    """

    steps: int = 10
    guidance: tuple[Guidance, ...] = ()


@dataclass(frozen=True, kw_only=True)
class VideoFirst:
    """Denoise the imagined streams one after another, then the action that reads them.

    Attributes:
        video_steps: Euler steps of each imagined stream.
        steps: Euler steps of the action (an inverse dynamics model takes one).
        until: Flow time at which imagining stops; below 1 what is read is still noisy.
        guidance: Classifier-free guidance.
        open_loop: Whether the whole chunk is executed before the next look.
    """

    video_steps: int = 10
    steps: int = 10
    until: float = 1.0
    guidance: tuple[Guidance, ...] = ()
    open_loop: bool = False


Simple = ActionOnly | Together | VideoFirst


@dataclass(frozen=True, kw_only=True)
class ScoreTerm:
    """One number of the stream ``value`` and what it counts.

    Attributes:
        of: Name of the number.
        weight: Negative when less is better.
    """

    of: str
    weight: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Imagine several futures, score them, act on the best.

    Attributes:
        inner: How one candidate is made. With ``VideoFirst`` everything before the action is made
            for all candidates, and the action for the best one only.
        candidates: How many, from different noise.
        score: Weighted sum of predicted numbers.
        futures: With ``Together``: how often what is imagined beside each candidate action is
            imagined anew with the action held, and scores averaged; 0 scores what came with it.
    """

    inner: Together | VideoFirst
    candidates: int
    score: tuple[ScoreTerm, ...]
    futures: int = 0


@dataclass(frozen=True, kw_only=True)
class Rolling:
    """Chunk after chunk over a cache of what really happened.

    After a chunk was executed, real frames and executed actions take the place of whatever was
    imagined for it.

    Attributes:
        inner: How one chunk is made.
        window: Chunks that the cache holds, the present one included.
        leapfrog: Whether a chunk is made while the one before it is executed: it then sees frames
            of past chunks only, and the actions that are being executed.
    """

    inner: Simple
    window: int = 4
    leapfrog: bool = False


Schedule = Simple | Plan | Rolling


def innermost(schedule: Schedule) -> Simple:
    """The schedule by which one candidate of one chunk is made."""
    while isinstance(schedule, Plan | Rolling):
        schedule = schedule.inner
    return schedule
