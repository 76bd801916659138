"""Demonstrations on disk: several processes record shards, then one data set is made of them.

What is recorded depends on the settings only, not on how many processes work or how often the work
was interrupted. Finished shards are kept; a shard that was interrupted is recorded again.
"""

import multiprocessing
import os
import queue
import shutil
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing.connection import wait as wait_for
from pathlib import Path
from typing import Any

from vertebra.data import lerobot_layout as layout
from vertebra.data.lerobot_layout import DatasetFormat
from vertebra.data.lerobot_shard import ShardWriter, finished_shard
from vertebra.data.lerobot_write import assemble
from vertebra.demonstrate.request import SHARD_SIZE, OutsideRequest, Request
from vertebra.demonstrate.rollout import Tally
from vertebra.envs.protocol import Environment
from vertebra.spec.seeds import seed_at
from vertebra.spec.storage import read_json, to_plain, write_json


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far the recording is.

    Attributes:
        done: Demonstrations on disk or in progress.
        total: Demonstrations asked for.
        elapsed_s: Seconds since the start of this call.
        remaining_s: Estimated seconds to go, ``None`` before the first demonstration.
    """

    done: int
    total: int
    elapsed_s: float
    remaining_s: float | None


@dataclass(frozen=True, kw_only=True)
class Made:
    """What a call of `make_demonstrations` did.

    Attributes:
        root: The data set.
        episodes: Demonstrations in it.
        frames: Frames in it.
        seconds: Seconds that this call took.
        recorded: Demonstrations recorded by this call; the others were there.
        tried: Skill to attempts, over all shards.
        dropped: Skill to attempts that failed and were dropped.
    """

    root: Path
    episodes: int
    frames: int
    seconds: float
    recorded: int
    tried: Mapping[str, int]
    dropped: Mapping[str, int]


def make_demonstrations(
    root: Path,
    *,
    count: int,
    seed: int = 0,
    workers: int = 2,
    size: int = 64,
    skills: Sequence[str] = ("put", "push", "lift"),
    segmentation: bool = False,
    validation: int = 0,
    shadows: bool = False,
    texture: bool = False,
    shard_size: int = SHARD_SIZE,
    on_progress: Callable[[Progress], None] | None = None,
) -> Made:
    """Record demonstrations on the table-top as a LeRobot v3.0 data set.

    May be interrupted at any moment and called again. A finished data set of the same request is
    left as it is.

    Args:
        root: Directory of the data set: empty, or with the same request, finished or not.
        count: Demonstrations of the split ``train``.
        seed: Root of all randomness.
        workers: Processes.
        size: Image width and height in pixels.
        skills: Which tasks are asked, balanced.
        segmentation: Record segmentation images too.
        validation: Demonstrations of the split ``validation``.
        shadows: Draw cast shadows.
        texture: Draw a wood grain.
        shard_size: Demonstrations in a file, and what one process records at a time.
        on_progress: Called about twice a second.

    Raises:
        ValueError: Naming everything that does not fit, before anything is recorded.
    """
    request = Request(
        count=count,
        validation=validation,
        seed=seed,
        size=size,
        skills=tuple(skills),
        segmentation=segmentation,
        shadows=shadows,
        texture=texture,
        shard_size=shard_size,
    )
    return record(root, request, workers=workers, on_progress=on_progress)


def record(
    root: Path,
    request: Request | OutsideRequest,
    *,
    workers: int = 1,
    on_progress: Callable[[Progress], None] | None = None,
) -> Made:
    """Record what a request asks for, or what is left of it.

    Args:
        root: Directory of the data set; absent, empty, or one of the same request.
        request: What is to be recorded.
        workers: Processes side by side.
        on_progress: Called about twice a second.

    Raises:
        ValueError: Naming everything that does not fit, before anything is recorded.
    """
    began = time.monotonic()
    _require_possible(root, request, workers)
    parts = _parts(request)
    staging = root / ".shards"
    shards = [staging / f"{number:05d}" for number in range(len(parts))]
    recorded = 0
    if not (root / layout.INFO).exists():
        write_json(staging / "request.json", request)
        todo = [number for number in range(len(parts)) if not finished_shard(shards[number])]
        recorded = sum(parts[number][1] for number in todo)
        _record_all(request, todo, shards, workers, on_progress, began)
        notes = [read_json(shard / "shard.json")["notes"] for shard in shards]
        provenance = {
            "made_by": request.environment,
            "request": to_plain(request),
            "tried": _sums(note["tried"] for note in notes),
            "dropped": _sums(note["dropped"] for note in notes),
        }
        assemble(root, shards, _format(request), provenance=provenance)
    shutil.rmtree(staging, ignore_errors=True)
    info, sidecar = read_json(root / layout.INFO), read_json(root / layout.SIDECAR)
    return Made(
        root=root,
        episodes=info["total_episodes"],
        frames=info["total_frames"],
        seconds=time.monotonic() - began,
        recorded=recorded,
        tried=sidecar["provenance"]["tried"],
        dropped=sidecar["provenance"]["dropped"],
    )


def _require_possible(root: Path, request: Request | OutsideRequest, workers: int) -> None:
    problems = [
        f"{name} is {value}; it must be at least {least}"
        for name, value, least in (
            ("count", request.count, 1),
            ("validation", request.validation, 0),
            ("shard_size", request.shard_size, 1),
            ("workers", workers, 1),
        )
        if value < least
    ]
    try:
        request.open().close()
    except ValueError as error:
        problems.append(str(error))
    staged, finished = root / ".shards/request.json", root / layout.SIDECAR
    before: Any = None
    if (root / layout.INFO).exists():
        before = read_json(finished)["provenance"].get("request") if finished.exists() else {}
    elif staged.exists():
        before = read_json(staged)
    elif root.exists() and any(path.name != ".shards" for path in root.iterdir()):
        problems.append(f"{root} holds something else; choose an empty directory")
    if before is not None and before != to_plain(request):
        problems.append(
            f"{root} holds demonstrations made with {before}; asked was {to_plain(request)}: "
            "choose another directory or delete it"
        )
    if problems:
        raise ValueError("Demonstrations cannot be made:\n  - " + "\n  - ".join(problems))


def _parts(request: Request | OutsideRequest) -> list[tuple[str, int]]:
    """Split and number of demonstrations of each shard."""
    return [
        (split, min(request.shard_size, total - first))
        for split, total in (("train", request.count), ("validation", request.validation))
        for first in range(0, total, request.shard_size)
    ]


def _format(request: Request | OutsideRequest) -> DatasetFormat:
    environment = request.open()
    try:
        return _format_in(request, environment)
    finally:
        environment.close()


def _format_in(request: Request | OutsideRequest, environment: Environment) -> DatasetFormat:
    return DatasetFormat(
        observation=environment.offers,
        action=environment.takes,
        entities=request.entities(environment),
        segmentation=request.segmentation,
        robot_type=request.environment,
    )


def _record_all(
    request: Request | OutsideRequest,
    todo: list[int],
    shards: list[Path],
    workers: int,
    on_progress: Callable[[Progress], None] | None,
    began: float,
) -> None:
    total = request.count + request.validation
    before = total - sum(_parts(request)[number][1] for number in todo)
    context = multiprocessing.get_context("spawn")
    ticks: Any = context.Queue()
    pool = ProcessPoolExecutor(
        min(workers, max(len(todo), 1)), context, initializer=_begin_worker, initargs=(ticks,)
    )
    fresh = 0
    try:
        pending: set[Future[None]] = {
            pool.submit(_record_shard, request, number, shards[number]) for number in todo
        }
        while pending:
            finished, pending = wait(pending, timeout=0.5, return_when=FIRST_COMPLETED)
            fresh += _drain(ticks)
            if on_progress is not None:
                elapsed = time.monotonic() - began
                left = elapsed / fresh * (total - before - fresh) if fresh else None
                on_progress(
                    Progress(done=before + fresh, total=total, elapsed_s=elapsed, remaining_s=left)
                )
            for future in finished:
                future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        ticks.close()


def _drain(ticks: Any) -> int:
    found = 0
    while True:
        try:
            ticks.get_nowait()
        except queue.Empty:
            return found
        found += 1


_ticks: Any = None
"""Where this worker process reports every demonstration."""


def _begin_worker(ticks: Any) -> None:
    global _ticks  # set once, when the process starts
    _ticks = ticks
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    """A worker whose parent was killed would otherwise wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait_for([parent.sentinel])
        os._exit(1)


def _record_shard(request: Request | OutsideRequest, number: int, directory: Path) -> None:
    split, count = _parts(request)[number]
    tally = Tally()
    environment = request.open()
    writer = ShardWriter(directory, _format_in(request, environment))
    seed = seed_at(request.seed, "demonstrations", split, number)
    for episode in request.demonstrations(environment, split, count, seed, tally):
        writer.write(episode)
        if _ticks is not None:
            _ticks.put(1)
    environment.close()
    writer.close(notes={"tried": tally.tried, "dropped": tally.dropped})


def _sums(counts: Any) -> dict[str, int]:
    found: dict[str, int] = {}
    for count in counts:
        for skill, number in count.items():
            found[skill] = found.get(skill, 0) + number
    return found
