"""Released models that policies stand on, and how they are tuned, as data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from vertebra.backbones.kinds import VLM, Backbone, Both, Video

TUNES = ("full", "lora", "frozen")
WHAT = {"vlm": "vision-language model", "video": "video model"}
"""What a trunk may be."""


@dataclass(frozen=True, kw_only=True)
class Trunk:
    """One released model, as it was found when a plan was locked.

    Attributes:
        what: ``vlm`` or ``video``.
        family: Name of its family.
        where: Its directory; the model may move, so this does not count when two are compared.
        sha256: Hash over all its files of weights.
        parameters: Numbers in its trunk and, for a video model, in the encoders beside it.
        width: Its token width.
        layers: Layers that are used, from the first one.
        licence: As its model card states it; empty when it does not.
    """

    what: Literal["vlm", "video"]
    family: str
    where: str = field(compare=False)
    sha256: str
    parameters: int
    width: int
    layers: int
    licence: str = ""


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """How loaded weights are trained; new ones are always trained in full.

    Attributes:
        tune: ``full``, ``lora`` (small matrices beside the loaded ones) or ``frozen``.
        rank: Rank of the small matrices.
        share: Learning rate of loaded weights, as a share of that of new ones.
        recompute: Whether layers are computed again in the backward pass instead of kept.
    """

    tune: Literal["full", "lora", "frozen"] = "full"
    rank: int = 16
    share: float = 0.05
    recompute: bool = False

    def __post_init__(self) -> None:
        found = [
            message
            for wrong, message in (
                (self.tune not in TUNES, f"tune is {self.tune!r}, expected one of {TUNES}"),
                (self.rank < 1, f"rank is {self.rank}, below 1"),
                (not 0 < self.share <= 1, f"share is {self.share}, not in (0, 1]"),
            )
            if wrong
        ]
        if found:
            raise ValueError("Weights cannot be tuned like this:\n  - " + "\n  - ".join(found))


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What policies of a pilot stand on.

    Attributes:
        vlm: The vision-language model, where there is one.
        video: The video model, where there is one.
        tuning: How their weights are trained.
    """

    vlm: Trunk | None = None
    video: Trunk | None = None
    tuning: Tuning = field(default_factory=Tuning)

    @property
    def trunks(self) -> tuple[Trunk, ...]:
        """All of them."""
        return tuple(one for one in (self.vlm, self.video) if one is not None)

    def under(self, backbone: Backbone) -> "Standing":
        """The part of it that a recipe's backbone uses."""
        return Standing(
            vlm=None if isinstance(backbone, Video) else self.vlm,
            video=None if isinstance(backbone, VLM) else self.video,
            tuning=self.tuning,
        )

    def named(self, backbone: Backbone) -> Backbone:
        """A recipe's backbone under the names of the families.

        Raises:
            ValueError: When it needs a model that is not here.
        """
        missing = [
            f"a {WHAT[what]} (--{what})"
            for what, kind, found in (("vlm", VLM, self.vlm), ("video", Video, self.video))
            if found is None and isinstance(backbone, (kind, Both))
        ]
        if missing:
            raise ValueError(f"needs {' and '.join(missing)}")
        vlm = VLM(name=self.vlm.family) if self.vlm else VLM()
        video = Video(name=self.video.family) if self.video else Video()
        match backbone:
            case VLM():
                return vlm
            case Video():
                return video
            case Both():
                return Both(vlm=vlm, video=video)


def standing_from_plain(plain: Mapping[str, Any] | None) -> Standing | None:
    """Read what ``to_plain`` made of a ``Standing``.

    Raises:
        ValueError: When its parts are not those of this version.
    """
    if plain is None:
        return None
    try:
        trunks = {what: Trunk(**plain[what]) if plain[what] else None for what in WHAT}
        return Standing(**trunks, tuning=Tuning(**plain["tuning"]))
    except (TypeError, KeyError) as error:
        raise ValueError(f"What policies stand on has other parts: {error}.") from error
