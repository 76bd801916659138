"""Checks of the video files: they open, they are long enough, and episodes find their frames."""

from pathlib import Path
from typing import Any

import av
import numpy as np
from av.error import FFmpegError
from numpy.typing import NDArray

from vertebra.data import lerobot_layout as layout
from vertebra.data.fault import Fault, fault
from vertebra.data.lerobot_open import Dataset, Span
from vertebra.data.video import TIME_TOLERANCE_S


def video_faults(dataset: Dataset, *, decode_all: bool) -> list[Fault]:
    """Faults of all video files.

    Args:
        dataset: Where they belong.
        decode_all: Decode every frame; else the first and the last of each file.
    """
    found: list[Fault] = []
    for key, feature in dataset.features.items():
        if feature["dtype"] != "video":
            continue
        by_file: dict[Path, list[Span]] = {}
        for span in dataset.episodes:
            by_file.setdefault(span.videos[key][0], []).append(span)
        for path, spans in by_file.items():
            found += _file_faults(dataset, key, path, spans, decode_all)
    return _one_rate(found)


def _file_faults(
    dataset: Dataset, key: str, path: Path, spans: list[Span], decode_all: bool
) -> list[Fault]:
    where = str(path.relative_to(dataset.root))
    if not path.exists():
        return [fault("file-missing", where, "there is no such file")]
    try:
        facts = _look_at(path, decode_all)
    except (FFmpegError, IndexError, OSError, ValueError) as error:
        return [fault("video-truncated", where, f"it cannot be opened or decoded ({error})")]
    found: list[Fault] = []
    if facts["lost"]:
        found.append(
            fault(
                "video-truncated",
                where,
                f"{facts['lost']} of the {facts['declared']} frames it declares cannot be read",
            )
        )
    shape = [int(side) for side in dataset.features[key]["shape"]]
    sizes = (shape[:2], shape[1:])
    if [facts["height"], facts["width"]] not in sizes:
        found.append(
            fault(
                "feature-shape",
                f"{where} {key}",
                f"declared is {shape}, the video is {facts['height']}x{facts['width']} pixels",
            )
        )
    if not np.isclose(facts["fps"], dataset.fps, rtol=1e-3):
        message = f"fps is {dataset.fps:g}, {where} runs at {facts['fps']:.4g} frames a second"
        return [*found, fault("fps-wrong", str(layout.INFO), message)]
    needed = sum(span.length for span in spans)
    if len(facts["times"]) < needed:
        short = f"it has {len(facts['times'])} frames, its episodes {needed} rows"
        return [*found, fault("video-short", where, short)]
    return found + _offset_faults(dataset, key, where, spans, facts["times"])


def _look_at(path: Path, decode_all: bool) -> dict[str, Any]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        base = float(stream.time_base or 1.0)
        ticks = sorted(p.pts for p in container.demux(stream) if p.pts is not None)
        if not ticks:
            raise ValueError("it holds no frame")
        container.seek(ticks[0], stream=stream)
        if decode_all:
            undecoded = len(ticks) - sum(1 for _ in container.decode(stream))
        else:
            next(container.decode(stream))
            container.seek(ticks[-1], stream=stream, backward=True)
            last = max(frame.pts for frame in container.decode(stream) if frame.pts is not None)
            undecoded = int(last < ticks[-1])
        times = np.array(ticks, np.float64) * base
        rate = 1 / np.median(np.diff(times)) if len(times) > 1 else stream.average_rate or 0
        return {
            "times": times,
            "fps": float(rate),
            "height": stream.height,
            "width": stream.width,
            "declared": max(int(stream.frames), len(ticks)),
            "lost": max(int(stream.frames) - len(ticks), 0) + undecoded,
        }


def _offset_faults(
    dataset: Dataset, key: str, where: str, spans: list[Span], times: NDArray[np.float64]
) -> list[Fault]:
    found: list[Fault] = []
    taken_to = -np.inf
    for span in sorted(spans, key=lambda span: span.videos[key][1]):
        start = span.videos[key][1]
        end = start + span.length / dataset.fps
        wanted = start + np.arange(span.length) / dataset.fps
        place = np.searchsorted(times, wanted - TIME_TOLERANCE_S).clip(0, len(times) - 1)
        lost = wanted[np.abs(times[place] - wanted) > TIME_TOLERANCE_S]
        said = span.ends_s.get(key, end)
        if len(lost):
            message = f"it starts at {start:.4f} s; {where} has no frame at {lost[0]:.4f} s"
        elif start < taken_to - TIME_TOLERANCE_S:
            message = f"it starts at {start:.4f} s, before another episode ends at {taken_to:.4f} s"
        elif abs(said - end) > TIME_TOLERANCE_S:
            message = f"it ends at {said:.4f} s, expected {end:.4f} s by its length"
        else:
            message = ""
        if message:
            found.append(fault("video-offset-wrong", f"episode {span.index} {key}", message))
        taken_to = max(taken_to, end)
    return found


def _one_rate(faults: list[Fault]) -> list[Fault]:
    """Report a wrong rate once, not once a file."""
    first = next((found for found in faults if found.code == "fps-wrong"), None)
    return [found for found in faults if found.code != "fps-wrong" or found is first]
