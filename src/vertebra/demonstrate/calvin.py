"""CALVIN's recordings as a LeRobot v3.0 data set that fits the environment they are tested in."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vertebra.data.calvin_read import (
    Annotation,
    annotations,
    episodes,
    missing_frames,
    splits_of,
)
from vertebra.data.lerobot_layout import INFO, SIDECAR, DatasetFormat
from vertebra.data.lerobot_shard import ShardWriter, finished_shard
from vertebra.data.lerobot_write import assemble
from vertebra.envs.calvin.chains import RULE_BY_NAME
from vertebra.envs.calvin.protocols import protocol_by_name
from vertebra.envs.calvin.simulator import CALVIN
from vertebra.envs.calvin.specs import ACTION, offers
from vertebra.envs.outside import OutsideSettings
from vertebra.spec.errors import BrokenDataset
from vertebra.spec.storage import digest, read_json, write_json

SHARD_SIZE = 100
"""Episodes in a shard, which is what an interrupted conversion does again."""


@dataclass(frozen=True, kw_only=True)
class Converted:
    """What a conversion made.

    Attributes:
        root: The data set.
        episodes: Episodes in it.
        frames: Frames in it.
    """

    root: Path
    episodes: int
    frames: int


def convert(
    source: Path,
    root: Path,
    settings: OutsideSettings,
    *,
    limit: int | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Converted:
    """Write every annotated stretch of CALVIN's data set as an episode; may be called again.

    Args:
        source: CALVIN's directory, which holds ``training`` and ``validation``.
        root: Directory of the data set: absent, empty, or of the same conversion.
        settings: The environment that it is for; its protocol says how large pictures are.
        limit: At most so many episodes of each split.
        on_progress: Told episodes done and in all.

    Raises:
        BrokenDataset: Naming everything that is missing or unsound, before anything is written.
        ValueError: When the environment is another one, or the directory holds something else.
    """
    if settings.simulator != CALVIN.name:
        raise ValueError(f"Recordings of CALVIN are for 'calvin', not {settings.simulator!r}.")
    how = protocol_by_name(settings.protocol)
    wanted = _wanted(source, limit)
    form = DatasetFormat(observation=offers(how), action=ACTION, robot_type=CALVIN.name)
    told = [(split.name, one.first, one.last, one.sentence, one.task) for split, one in wanted]
    request = {"settings": settings.to_plain(), "seed": 0, "stretches": digest(told)}
    staging = root / ".shards"
    _require_own(root, staging, request)
    if not (root / INFO).exists():
        write_json(staging / "request.json", request)
        shards: list[Path] = []
        for first in range(0, len(wanted), SHARD_SIZE):
            shards.append(staging / f"{first // SHARD_SIZE:05d}")
            if finished_shard(shards[-1]):
                continue
            writer = ShardWriter(shards[-1], form)
            some = wanted[first : first + SHARD_SIZE]
            skills = {rule.name: rule.kind for rule in RULE_BY_NAME.values()}
            for number, episode in enumerate(episodes(some, how.cameras, skills)):
                writer.write(episode)
                on_progress(first + number + 1, len(wanted))
            writer.close()
        assemble(root, shards, form, provenance={"made_by": "calvin", "request": request})
    shutil.rmtree(staging, ignore_errors=True)
    info = read_json(root / INFO)
    return Converted(root=root, episodes=info["total_episodes"], frames=info["total_frames"])


def _wanted(source: Path, limit: int | None) -> list[tuple[Path, Annotation]]:
    """All stretches of all splits, sound and with their frames."""
    found: list[tuple[Path, Annotation]] = []
    problems: list[str] = []
    for split in splits_of(source):
        try:
            some = annotations(split)[:limit]
        except BrokenDataset as error:
            problems.append(str(error))
            continue
        unknown = sorted({one.task for one in some} - set(RULE_BY_NAME))
        if unknown:
            problems.append(f"{split.name}: tasks {unknown} are none of CALVIN's")
        problems += [f"{split.name}: {words}" for words in missing_frames(split, some)]
        found += [(split, one) for one in some]
    if not found and not problems:
        problems.append("nothing is annotated in it")
    if problems:
        raise BrokenDataset(str(source), problems)
    return found


def _require_own(root: Path, staging: Path, request: object) -> None:
    """Refuse a directory with something else in it."""
    if (root / INFO).exists():
        before = read_json(root / SIDECAR).get("provenance", {}).get("request")
    elif (staging / "request.json").exists():
        before = read_json(staging / "request.json")
    else:
        before = None if root.exists() and any(root.iterdir()) else request
    if before != request:
        raise ValueError(f"{root} holds something else; choose an empty directory or delete it.")
