"""Backbones as data."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class VLM:
    """A vision-language model: text tokens stand beside image tokens in one prefix."""

    name: str = "mini-vlm"


@dataclass(frozen=True, kw_only=True)
class Video:
    """A video model: predicts future frames; text enters every block by cross-attention."""

    name: str = "mini-video"


Backbone = VLM | Video
