"""Streams: named groups of tokens, what they are for, and how far in chunk time they may look."""

from dataclasses import dataclass
from enum import StrEnum

PIXEL_STREAMS = ("image", "frame")
"""Given streams that hold camera tokens: ``image`` of a VLM, ``frame`` of a video model."""
POINT = "point"
"""The given stream that tells where the instruction points to, as read from camera tokens."""


class Role(StrEnum):
    """What a stream is for."""

    GIVEN = "given"
    """Known when the policy acts (images, text, state)."""
    DENOISED = "denoised"
    """Generated from noise (actions, future frames)."""
    TEACHER = "teacher"
    """The clean copy of a denoised stream; in training it is the truth, when acting the result."""


class Reach(StrEnum):
    """How far in chunk time one stream may look into another."""

    ALL = "all"
    UPTO = "upto"
    """Tokens of the same or an earlier chunk time."""
    PAST = "past"
    """Tokens of an earlier chunk time."""
    SAME = "same"
    """Tokens of the same chunk time."""


ALL, UPTO, PAST, SAME = Reach.ALL, Reach.UPTO, Reach.PAST, Reach.SAME


@dataclass(frozen=True)
class Stream:
    """A named group of tokens.

    Attributes:
        name: For example ``action``.
        role: What it is for.
        of: For a teacher: the denoised stream of which it is the clean copy.
    """

    name: str
    role: Role
    of: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "role", Role(self.role))


def given(name: str) -> Stream:
    """A stream that is known when the policy acts."""
    return Stream(name, Role.GIVEN)


def denoised(name: str) -> Stream:
    """A stream that is generated from noise."""
    return Stream(name, Role.DENOISED)


def teacher(name: str, *, of: str) -> Stream:
    """The clean copy of a denoised stream."""
    return Stream(name, Role.TEACHER, of)
