"""Filmstrips of rollouts, failures first, so that a reader sees what the numbers mean."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from vertebra.evaluate.run import Finished
from vertebra.spec.record import EpisodeRecord
from vertebra.spec.storage import read_json, write_bytes, write_json
from vertebra.spec.task import Outcome

_FRAME_PX, _MARGIN_PX, _TEXT_PX, _MOST_FRAMES = 128, 4, 18, 8
_INK, _PAPER = (30, 30, 34), (255, 255, 255)
_OUTCOME_INK = {
    Outcome.SUCCESS: (20, 120, 60),
    Outcome.FAILURE: (170, 60, 30),
    Outcome.TIMEOUT: (170, 60, 30),
    Outcome.ERROR: (180, 0, 60),
}


def caption(record: EpisodeRecord) -> str:
    """What was asked and what came of it, in a sentence."""
    return ": ".join(_said_and_done(record))


def _said_and_done(record: EpisodeRecord) -> tuple[str, str]:
    said = f"“{record.instruction}”" if record.instruction else "(nothing said)"
    done = f"{record.outcome} after {record.steps} steps"
    if record.outcome == Outcome.ERROR:
        done += f", {record.error.strip().splitlines()[-1][:100]}"
    elif record.outcome != Outcome.SUCCESS and record.achieved:
        done += f", achieved {', '.join(record.achieved)} instead"
    elif record.outcome != Outcome.SUCCESS and record.first_touched is None:
        done += ", touched nothing"
    elif record.outcome != Outcome.SUCCESS:
        right = "" if record.first_touched == record.target else f" (meant was {record.target})"
        done += f", touched {record.first_touched} first{right}"
    return said, done


def choose(finished: Sequence[Finished], count: int) -> list[Finished]:
    """The rollouts worth showing: an error if there is one, then failures and successes in turn."""
    filmed = [one for one in finished if one.frames or one.record.outcome == Outcome.ERROR]
    errors = [one for one in filmed if one.record.outcome == Outcome.ERROR][:1]
    good = [one for one in filmed if one.record.outcome == Outcome.SUCCESS]
    bad = [one for one in filmed if one.record.outcome in (Outcome.FAILURE, Outcome.TIMEOUT)]
    mixed: list[Finished] = []
    while good or bad:
        mixed += [kind.pop(0) for kind in (bad, good) if kind]
    return (errors + mixed)[:count]


def filmstrip(finished: Finished) -> bytes:
    """One rollout as a PNG: its sentence, its outcome, and up to eight frames in order."""
    record = finished.record
    frames = _spread(finished.frames, _MOST_FRAMES) or [np.zeros((8, 8, 3), np.uint8)]
    cell = _FRAME_PX + _MARGIN_PX
    width = max(len(frames), 4) * cell + _MARGIN_PX
    strip = Image.new("RGB", (width, 2 * _TEXT_PX + _FRAME_PX + 3 * _MARGIN_PX), _PAPER)
    draw = ImageDraw.Draw(strip)
    font = ImageFont.load_default(size=14)
    said, done = _said_and_done(record)
    draw.text((_MARGIN_PX, 2), said, fill=_INK, font=font)
    draw.text((_MARGIN_PX, 2 + _TEXT_PX), done, fill=_OUTCOME_INK[record.outcome], font=font)
    for number, frame in enumerate(frames):
        place = (_MARGIN_PX + number * cell, 2 * _TEXT_PX + 2 * _MARGIN_PX)
        strip.paste(_enlarged(frame), place)
    written = io.BytesIO()
    strip.save(written, format="PNG", optimize=True)
    return written.getvalue()


def write_films(directory: Path, finished: Sequence[Finished], count: int = 4) -> None:
    """Write ``rollout_<k>.png`` of chosen rollouts and list them in ``show.json``."""
    entries: list[dict[str, Any]] = []
    for number, one in enumerate(choose(finished, count)):
        name = f"rollout_{number}.png"
        write_bytes(directory / name, filmstrip(one))
        entries.append({"file": name, "kind": "rollout", "caption": caption(one.record)})
    list_pictures(directory, "rollout", entries)


def list_pictures(directory: Path, kind: str, entries: Sequence[dict[str, Any]]) -> None:
    """Put pictures of one kind into ``show.json``, in place of those listed before."""
    path = directory / "show.json"
    listed: list[dict[str, Any]] = read_json(path) if path.exists() else []
    write_json(path, [*(entry for entry in listed if entry["kind"] != kind), *entries])


def _spread(frames: Sequence[NDArray[np.uint8]], most: int) -> list[NDArray[np.uint8]]:
    if len(frames) <= most:
        return list(frames)
    return [frames[place] for place in np.linspace(0, len(frames) - 1, most).round().astype(int)]


def _enlarged(frame: NDArray[np.uint8]) -> Image.Image:
    image = Image.fromarray(frame)
    scale = _FRAME_PX / max(image.size)
    size = (round(image.width * scale), round(image.height * scale))
    return image.resize(size, Image.Resampling.BICUBIC if scale < 1 else Image.Resampling.NEAREST)
