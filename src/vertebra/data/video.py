"""Video files written and read with PyAV, with one open container and one converter a file.

Threads are one everywhere: several processes work side by side, and for small pictures the threads
of the colour conversion cost ten times what they save.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.error import FFmpegError
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from vertebra.spec.errors import BrokenDataset

TIME_TOLERANCE_S = 1e-4
"""How far a frame may be from its timestamp: the tolerance of LeRobot's reader."""


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """How video is encoded.

    Attributes:
        codec: An encoder of PyAV.
        pixel_format: ``yuv444p`` keeps the colour of objects a few pixels wide, which ``yuv420p``
            blurs (mean error of coloured 6-pixel discs 2 against 17 of 255). Some web browsers play
            only ``yuv420p``.
        crf: Constant rate factor; smaller is better and larger.
        preset: Speed preset of the encoder.
        gop: A frame that stands alone every so many frames; small, for random access.
    """

    codec: str = "libx264"
    pixel_format: str = "yuv444p"
    crf: int = 18
    preset: str = "ultrafast"
    gop: int = 2


class VideoWriter:
    """Writes frames one after the other; frame n has the time n / fps exactly.

    Args:
        path: File to write (overwritten).
        fps: Frames a second.
        height: Pixels.
        width: Pixels.
        encoding: How.

    Raises:
        ValueError: When the pixel format needs even sides and they are odd.
    """

    def __init__(
        self, path: Path, *, fps: int, height: int, width: int, encoding: Encoding
    ) -> None:
        if encoding.pixel_format == "yuv420p" and (height % 2 or width % 2):
            raise ValueError(
                f"Pixel format yuv420p needs even sides, found {height}x{width}: use an even size "
                "or pixel format yuv444p."
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        self._time_base = Fraction(1, fps)
        self._format = encoding.pixel_format
        self._container = av.open(str(path), "w")
        options = {"preset": encoding.preset, "crf": str(encoding.crf), "g": str(encoding.gop)}
        if encoding.codec == "libx264":
            options |= {"bf": "0", "tune": "fastdecode"}
        self._stream: Any = self._container.add_stream(encoding.codec, rate=fps, options=options)
        self._stream.height, self._stream.width = height, width
        self._stream.pix_fmt = encoding.pixel_format
        self._stream.time_base = self._time_base
        self._stream.codec_context.thread_count = 1
        self._reformatter = VideoReformatter()
        self.frames = 0

    def write(self, frames: NDArray[np.uint8]) -> None:
        """Append frames uint8 [T, height, width, 3]."""
        for picture in frames:
            whole = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame = self._reformatter.reformat(whole, format=self._format, threads=1)
            frame.pts, frame.time_base = self.frames, self._time_base
            self._container.mux(self._stream.encode(frame))
            self.frames += 1

    def close(self) -> None:
        """Write what is buffered and the index; without it the file cannot be read."""
        self._container.mux(self._stream.encode(None))
        self._container.close()


class VideoReader:
    """Reads frames by their times, forwards without seeking where possible.

    Args:
        path: A video file.
        picture: Applied to every frame uint8 [height, width, 3] that is asked for, for example a
            crop; left out, frames are returned as they are.

    Raises:
        BrokenDataset: When the file cannot be opened as video.
    """

    def __init__(
        self,
        path: Path,
        picture: Callable[[NDArray[np.uint8]], NDArray[np.uint8]] | None = None,
    ) -> None:
        self.path = path
        self._picture = picture
        try:
            self._container: Any = av.open(str(path))
            self._stream: Any = self._container.streams.video[0]
        except (FFmpegError, IndexError, OSError) as error:
            raise BrokenDataset(
                str(path),
                [f"it cannot be opened as video ({error}): copy or record the file again"],
            ) from error
        self._stream.codec_context.thread_count = 1
        self._reformatter = VideoReformatter()
        self._frames: Iterator[Any] = iter(())
        self._waiting: Any = None
        self._fresh = True

    def read(self, times_s: NDArray[np.float64]) -> NDArray[np.uint8]:
        """The frames at increasing times: uint8 [len(times_s), height, width, 3].

        Raises:
            BrokenDataset: When there is no frame within ``TIME_TOLERANCE_S`` of a time.
        """
        self._go_to(float(times_s[0]))
        found: list[NDArray[np.uint8]] = []
        for wanted in times_s.tolist():
            frame = self._forward_to(wanted)
            converted: Any = self._reformatter.reformat(frame, format="rgb24", threads=1)
            whole: NDArray[np.uint8] = converted.to_ndarray()
            found.append(whole if self._picture is None else self._picture(whole))
        return np.stack(found)

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    def _go_to(self, time_s: float) -> None:
        ahead = self._waiting.time if self._waiting is not None else None
        if ahead is not None and ahead - TIME_TOLERANCE_S <= time_s < ahead + 1.0:
            return
        if not (self._fresh and time_s == 0.0):
            offset = int(max(time_s - TIME_TOLERANCE_S, 0.0) / float(self._stream.time_base))
            self._container.seek(offset, stream=self._stream, backward=True)
        self._fresh = False
        self._frames = self._container.decode(self._stream)
        self._waiting = next(self._frames, None)

    def _forward_to(self, time_s: float) -> Any:
        last = None
        try:
            while self._waiting is not None and self._waiting.time < time_s - TIME_TOLERANCE_S:
                last = self._waiting.time
                self._waiting = next(self._frames, None)
            frame = self._waiting
            if frame is not None and frame.time <= time_s + TIME_TOLERANCE_S:
                self._waiting = next(self._frames, None)
                return frame
        except FFmpegError as error:
            raise BrokenDataset(
                str(self.path), [f"decoding fails near {time_s} s: {error}"]
            ) from error
        after = "none" if frame is None else f"{frame.time:.4f} s"
        raise BrokenDataset(
            str(self.path),
            [
                f"there is no frame at {time_s:.4f} s (before it: {last}, after it: {after}); the "
                "file is too short, or timestamps and rate disagree: run `vertebra data check`"
            ],
        )
