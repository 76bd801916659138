"""What released models knew before they met anyone's robot, as published.

Pre-training is not the backbone: whoever compares two arms on released weights compares this too.
Nothing is estimated here; what was not published, or not found, is left empty.
"""

from dataclasses import dataclass

from vertebra.backbones.trunk import Trunk


@dataclass(frozen=True, kw_only=True)
class Known:
    """One released model.

    Attributes:
        model: What it is called on the hub.
        family: Its family here.
        width: Token width, by which a local copy is recognised.
        parameters: Of its trunk as published, in numbers.
        video: Video or pictures that it was trained on.
        robots: Robot data among them.
        training: What training took.
        source: Where all of this is stated.
    """

    model: str
    family: str
    width: int
    parameters: int = 0
    video: str = ""
    robots: str = ""
    training: str = ""
    source: str


LEDGER: tuple[Known, ...] = (
    Known(
        model="google/paligemma-3b-pt-224",
        family="paligemma",
        width=2048,
        parameters=3_000_000_000,
        video="1 billion pictures with text in its first stage",
        robots="none stated",
        training="350 billion tokens in its first stage",
        source="arXiv:2407.07726, sections 3.1 and 3.2",
    ),
    Known(
        model="Wan-AI/Wan2.1-T2V-1.3B-Diffusers",
        family="wan",
        width=1536,
        parameters=1_300_000_000,
        source="arXiv:2503.20314",
    ),
    Known(
        model="Wan-AI/Wan2.1-T2V-14B-Diffusers",
        family="wan",
        width=5120,
        parameters=14_000_000_000,
        source="arXiv:2503.20314",
    ),
    Known(
        model="Wan-AI/Wan2.2-TI2V-5B-Diffusers",
        family="wan",
        width=3072,
        parameters=5_000_000_000,
        source="model card of Wan-AI/Wan2.2-TI2V-5B",
    ),
    Known(
        model="LingBot-VA (base)",
        family="wan",
        width=3072,
        parameters=5_300_000_000,
        robots="16,000 hours (AgiBot, RoboMind, InternData-A1, OXE subset, UMI, RoboCOIN, own)",
        training="1.4 trillion tokens",
        source="arXiv:2601.21998",
    ),
)


def known_of(trunk: Trunk) -> tuple[Known, ...]:
    """Published models of a trunk's family and width; a local copy may be any of them, or none."""
    return tuple(one for one in LEDGER if (one.family, one.width) == (trunk.family, trunk.width))


def words_of(trunk: Trunk) -> str:
    """What a trunk may have known before, in one sentence."""
    told = [
        f"{one.model}: robot data {one.robots or 'not published'}"
        + (f", {one.training}" if one.training else "")
        + f" ({one.source})"
        for one in known_of(trunk)
    ]
    if not told:
        return "unknown: no published model of its family has its width"
    return "if it is one of these: " + "; ".join(told)
