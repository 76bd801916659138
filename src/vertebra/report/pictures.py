"""Film strips of a run, inlined."""

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from vertebra.spec.storage import read_json
from vertebra.verdict.summary import Point

PICTURES_PER_ARM = 4
"""Strips of one kind shown for an arm."""
LARGEST_ZOOM = 3
PAGE_PX = 1000
"""Small pictures are enlarged by a whole number, up to this width."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture inlined as a data URI.

    Attributes:
        arm: Arm that it shows.
        blind: Whether that is a blind twin.
        kind: ``rollout`` or ``imagined``.
        caption: One sentence.
        uri: The picture itself.
        width: Pixels.
        height: Pixels.
        zoom: How many times as large small pictures are shown.
    """

    arm: str
    blind: bool
    kind: str
    caption: str
    uri: str
    width: int
    height: int
    zoom: int


def pictures(directory: Path, points: Iterable[Point]) -> tuple[Picture, ...]:
    """Strips of the first finished seed of every point that has some."""
    found: list[Picture] = []
    for point in points:
        folders = (directory / "jobs" / job / "show" for job in point.jobs)
        shown = next((f for f in folders if (f / "show.json").is_file()), None)
        if shown is None:
            continue
        entries: list[Mapping[str, Any]] = read_json(shown / "show.json")
        for kind in ("imagined", "rollout"):
            of_kind = [entry for entry in entries if entry["kind"] == kind]
            found += [_picture(shown, point, entry) for entry in of_kind[:PICTURES_PER_ARM]]
    return tuple(found)


def _picture(folder: Path, point: Point, entry: Mapping[str, Any]) -> Picture:
    path = folder / entry["file"]
    with Image.open(path) as image:
        width, height = image.size
    return Picture(
        arm=point.arm,
        blind=point.blind,
        kind=entry["kind"],
        caption=entry.get("caption", ""),
        uri="data:image/png;base64," + base64.b64encode(path.read_bytes()).decode(),
        width=width,
        height=height,
        zoom=max(1, min(LARGEST_ZOOM, PAGE_PX // width)),
    )
