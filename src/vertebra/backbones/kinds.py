"""Backbones as data."""

from dataclasses import dataclass

STARTS = ("prior", "scratch", "shuffled")
"""What a backbone may start from: shipped weights, none, or ones trained on shuffled pairs."""


@dataclass(frozen=True, kw_only=True)
class VLM:
    """A vision-language model: text tokens stand beside image tokens in one prefix."""

    name: str = "mini-vlm"


@dataclass(frozen=True, kw_only=True)
class Video:
    """A video model: predicts future frames; text enters every block by cross-attention."""

    name: str = "mini-video"


@dataclass(frozen=True, kw_only=True)
class Both:
    """A vision-language model and a video model side by side."""

    vlm: VLM = VLM()
    video: Video = Video()

    @property
    def name(self) -> str:
        """Both names."""
        return f"{self.vlm.name} + {self.video.name}"


Backbone = VLM | Video | Both
