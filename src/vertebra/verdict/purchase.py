"""What it takes to reach the target at the locked prices: how much of what, and what it costs."""

from dataclasses import dataclass

CHEAPEST = "cheapest"
DEARER = "dearer"
OPEN = "cannot tell"
READING = {
    CHEAPEST: "all others are shown to cost more",
    DEARER: "another is shown to cost less",
    OPEN: "not shown to cost more or less than all others",
}
"""The words for people."""


@dataclass(frozen=True, kw_only=True)
class Purchase:
    """The cheapest way of one arm to the target.

    Labels and frames come with the demonstrations, as many with each as its trainings used; a
    training costs the same whatever it learns from, and so does what an arm learns from besides
    demonstrations (unlabelled ones, video), which stays the same at every number. So the total
    rises with the demonstrations, and the cheapest number is the smallest that reaches the target.

    Attributes:
        arm: Arm.
        demonstrations: How many; ``None`` when the target is not reached between half of the fewest
            and twice the most that were measured.
        low: Lower end of its 95 % interval; ``None`` when open.
        high: Upper end; ``None`` when open.
        extrapolated: Whether that number lies outside what was measured.
        labels: Language labels that come with them.
        video_frames: Frames used as video targets that come with them.
        gpu_hours: Hours of one training.
        demonstration_part: What the demonstrations cost.
        label_part: What the labels cost.
        video_part: What the frames cost.
        training_part: What the training costs.
        extra_part: What unlabelled demonstrations and videos cost, with their captions.
        total: All of it.
        total_low: Lower end of its 95 % interval; ``None`` when open.
        total_high: Upper end; ``None`` when open.
        word: ``cheapest`` (all others are shown to cost more), ``dearer`` (another is shown to
            cost less) or ``cannot tell``; over all arms a false word has at most the chance of
            the look.
        words: For people.
    """

    arm: str
    demonstrations: float | None = None
    low: float | None = None
    high: float | None = None
    extrapolated: bool = False
    labels: float | None = None
    video_frames: float | None = None
    gpu_hours: float | None = None
    demonstration_part: float | None = None
    label_part: float | None = None
    video_part: float | None = None
    training_part: float | None = None
    extra_part: float | None = None
    total: float | None = None
    total_low: float | None = None
    total_high: float | None = None
    word: str = OPEN
    words: str
