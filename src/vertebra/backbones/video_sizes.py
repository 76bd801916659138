"""What is asked of the sizes of any video transformer."""

from typing import Protocol, runtime_checkable


@runtime_checkable
class VideoSizes(Protocol):
    """Widths and counts of a video transformer, or of an expert built like one."""

    @property
    def width(self) -> int:
        """Token width."""
        ...

    @property
    def layers(self) -> int:
        """Layers."""
        ...

    @property
    def text_width(self) -> int:
        """Width of the text encoder's states."""
        ...

    @property
    def channels_out(self) -> int:
        """Channels of the latents that are predicted."""
        ...

    @property
    def patch(self) -> tuple[int, int, int]:
        """Frames, rows and columns of latents a token."""
        ...

    def beside(self, width: int) -> "VideoSizes":
        """Sizes of an expert beside this model, whose tokens lie on one axis."""
        ...
