"""Look at a data set: one episode as a picture, and the whole as a few facts."""

import io
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from vertebra.data import lerobot_layout as layout
from vertebra.data.episode import EpisodeData
from vertebra.data.lerobot_open import Dataset, open_dataset
from vertebra.data.lerobot_read import EpisodeReader
from vertebra.spec.storage import read_json, write_bytes

WIDTH, MARGIN, GAP = 1200, 24, 6
FRAMES = 8
PANEL_COLUMNS, PANEL_HEIGHT = 4, 120
INK, FAINT, RULE = (32, 33, 36), (105, 110, 118), (214, 217, 222)
CURVE, TARGET, GOAL = (0, 98, 155), (240, 110, 0), (0, 150, 60)


def show_episode(root: Path, episode: int, path: Path) -> None:
    """Write a picture of one episode: instruction, film strip of each camera, action curves.

    Where pointing labels exist, the object to act on is ringed in orange and the destination in
    green, in the first camera.

    Args:
        root: A LeRobot data set.
        episode: Number of the episode.
        path: PNG file to write.

    Raises:
        ValueError: When there is no such episode.
        BrokenDataset: When the data set cannot be read.
    """
    dataset = open_dataset(root)
    reader = EpisodeReader(
        dataset, state_key=layout.STATE if layout.STATE in dataset.features else ""
    )
    try:
        shown = reader.read(episode)
    finally:
        reader.close()
    buffer = io.BytesIO()
    draw_episode(shown, dataset, episode).save(buffer, "png")
    write_bytes(path, buffer.getvalue())


def draw_episode(episode: EpisodeData, dataset: Dataset, number: int) -> Image.Image:
    """The picture of `show_episode`, 1200 pixels wide."""
    names = _names(dataset, episode.actions.shape[1])
    drawn = np.unique(np.linspace(0, len(episode.state) - 1, FRAMES).round().astype(int))
    side = (WIDTH - 2 * MARGIN - GAP * (FRAMES - 1)) // FRAMES
    tall = {
        name: round(side * video.shape[1] / video.shape[2])
        for name, video in episode.images.items()
    }
    rows = -(-len(names) // PANEL_COLUMNS)
    height = 100 + sum(each + 30 for each in tall.values()) + 30 + rows * (PANEL_HEIGHT + GAP) + 20
    canvas = Image.new("RGB", (WIDTH, height), "white")
    draw = ImageDraw.Draw(canvas)
    y = _heading(draw, episode, dataset, number)
    for row, (name, video) in enumerate(episode.images.items()):
        draw.text((MARGIN, y), name, INK, _font(15))
        y += 20
        for column, frame in enumerate(drawn.tolist()):
            x = MARGIN + column * (side + GAP)
            picture = Image.fromarray(video[frame]).resize(
                (side, tall[name]), Image.Resampling.BICUBIC
            )
            canvas.paste(picture, (x, y))
            if row == 0:
                _rings(draw, episode, frame, (x, y, side, tall[name]))
            label = f"{frame / dataset.fps:.1f} s"
            draw.text((x + 4, y + 2), label, "white", _font(13), stroke_width=2, stroke_fill=INK)
        y += tall[name] + 10
    _curves(draw, episode.actions, names, dataset.fps, y)
    return canvas


def _font(size: int) -> Any:
    return ImageFont.load_default(size)


def _heading(draw: ImageDraw.ImageDraw, episode: EpisodeData, dataset: Dataset, number: int) -> int:
    words = episode.instruction or "(no instruction)"
    font = _font(24)
    while draw.textlength(words, font) > WIDTH - 2 * MARGIN and len(words) > 4:
        words = words[:-4] + "…"
    draw.text((MARGIN, 18), words, INK, font)
    frames = len(episode.state)
    facts = [
        f"episode {number} of {len(dataset.episodes)}",
        f"{frames} frames at {dataset.fps:g} Hz ({frames / dataset.fps:.1f} s)",
        *(
            f"{what} {value}"
            for what, value in (
                ("task", episode.task_id),
                ("split", episode.split),
                ("achieved", ", ".join(episode.achieved)),
            )
            if value
        ),
    ]
    unlabelled = int((~np.isfinite(episode.actions).all(axis=1)).sum())
    facts += [f"{unlabelled} frames without action label"] if unlabelled else []
    draw.text((MARGIN, 54), "  ·  ".join(facts), FAINT, _font(15))
    return 88


def _rings(
    draw: ImageDraw.ImageDraw, episode: EpisodeData, frame: int, box: tuple[int, int, int, int]
) -> None:
    if episode.points is None:
        return
    x, y, wide, tall = box
    for index, colour in ((episode.target_entity, TARGET), (episode.goal_entity, GOAL)):
        if index < 0 or not np.isfinite(episode.points[frame, index]).all():
            continue
        across, down = episode.points[frame, index].tolist()
        centre = (x + across * wide, y + down * tall)
        for radius, ink, line in ((13, (255, 255, 255), 5), (12, colour, 3)):
            left, above = centre[0] - radius, centre[1] - radius
            draw.ellipse([left, above, left + 2 * radius, above + 2 * radius], None, ink, line)


def _curves(
    draw: ImageDraw.ImageDraw,
    actions: NDArray[np.float32],
    names: list[str],
    fps: float,
    top: int,
) -> None:
    draw.text((MARGIN, top), "actions over time", INK, _font(15))
    wide = (WIDTH - 2 * MARGIN - GAP * (PANEL_COLUMNS - 1)) // PANEL_COLUMNS
    for index, name in enumerate(names):
        x = MARGIN + (index % PANEL_COLUMNS) * (wide + GAP)
        y = top + 26 + (index // PANEL_COLUMNS) * (PANEL_HEIGHT + GAP)
        draw.rectangle([x, y, x + wide, y + PANEL_HEIGHT], None, RULE)
        values = actions[:, index].astype(float)
        known = np.isfinite(values)
        draw.text((x + 8, y + 5), name, INK, _font(14))
        if not known.any():
            draw.text((x + 8, y + 50), "no label", FAINT, _font(14))
            continue
        low, high = float(values[known].min()), float(values[known].max())
        text = f"{low:.3g} … {high:.3g}"
        place = x + wide - 8 - draw.textlength(text, _font(13))
        draw.text((place, y + 6), text, FAINT, _font(13))
        low, high = (low - 0.5, high + 0.5) if high - low < 1e-9 else (low, high)
        across = x + 8 + (wide - 16) * np.arange(len(values)) / max(len(values) - 1, 1)
        down = y + PANEL_HEIGHT - 12 - (PANEL_HEIGHT - 44) * (values - low) / (high - low)
        if low < 0 < high:
            zero = y + PANEL_HEIGHT - 12 - (PANEL_HEIGHT - 44) * (0 - low) / (high - low)
            draw.line([x + 8, zero, x + wide - 8, zero], RULE, 1)
        for part in np.split(np.arange(len(values)), np.flatnonzero(~known)):
            part = part[known[part]]
            points = list(zip(across[part].tolist(), down[part].tolist(), strict=True))
            if len(points) > 1:
                draw.line(points, CURVE, 2)
            for dot in points if len(values) <= 60 else []:
                draw.ellipse([dot[0] - 2, dot[1] - 2, dot[0] + 2, dot[1] + 2], CURVE)


def _names(dataset: Dataset, width: int) -> list[str]:
    given = dataset.features[layout.ACTION].get("names")
    if isinstance(given, list) and len(given) == width:
        return [str(name) for name in given]
    return [f"action {index}" for index in range(width)]


def describe(root: Path) -> dict[str, Any]:
    """What a data set holds, as JSON values.

    Raises:
        BrokenDataset: When its meta data cannot be read.
    """
    dataset = open_dataset(root)
    frames = sum(span.length for span in dataset.episodes)
    lengths = [span.length for span in dataset.episodes]
    said = Counter(span.tasks[0] if span.tasks else "" for span in dataset.episodes)
    rows = list(dataset.extras.values())
    stats = read_json(dataset.root / layout.STATS) if (dataset.root / layout.STATS).exists() else {}
    files = [path for path in dataset.root.rglob("*") if path.is_file()]
    return {
        "root": str(dataset.root),
        "version": dataset.version,
        "robot_type": dataset.robot_type,
        "fps": dataset.fps,
        "episodes": len(dataset.episodes),
        "frames": frames,
        "seconds": frames / dataset.fps,
        "episode_frames": {
            "shortest": min(lengths, default=0),
            "median": float(np.median(lengths)) if lengths else 0.0,
            "longest": max(lengths, default=0),
        },
        "frames_without_action": _unlabelled(dataset),
        "megabytes": round(sum(path.stat().st_size for path in files) / 1e6, 1),
        "cameras": {
            name: {
                "feature": key,
                "height": dataset.camera_size(name)[0],
                "width": dataset.camera_size(name)[1],
                "stored_as": dataset.features[key]["dtype"],
            }
            for name, key in dataset.cameras.items()
        },
        "vectors": {
            name: {
                "width": int(np.prod(feature["shape"])),
                "names": feature.get("names"),
                "min": stats.get(name, {}).get("min"),
                "max": stats.get(name, {}).get("max"),
            }
            for name, feature in dataset.features.items()
            if feature["dtype"] in {"float32", "float64"} and name != "timestamp"
        },
        "labels": sorted(name for name in dataset.features if name.startswith("label.")),
        "instructions": {"different": len(said), "most_frequent": dict(said.most_common(5))},
        "episodes_without_instruction": said.get("", 0),
        "skills": dict(Counter(row["skill"] for row in rows if row.get("skill"))),
        "splits": dict(Counter(row["split"] for row in rows if row.get("split"))),
        "conventions": dataset.sidecar.get("action"),
        "provenance": dataset.sidecar.get("provenance"),
    }


def _unlabelled(dataset: Dataset) -> int | None:
    """Frames marked as without action; ``None`` when the data set has no such mark."""
    if layout.MISSING not in dataset.features:
        return None
    files = dict.fromkeys(span.data for span in dataset.episodes)
    tables = [pq.read_table(path, columns=[layout.MISSING]) for path in files if path.exists()]
    return sum(int(np.asarray(table[layout.MISSING]).sum()) for table in tables)
