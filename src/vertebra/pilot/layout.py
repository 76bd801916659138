"""Where everything lies in the directory of a pilot.

Layout::

    OUT/plan.json                    the locked plan, with its hash
    OUT/extensions.json              what was added to it later (absent when nothing was)
    OUT/split.json                   which demonstrations and scenes are used for what, with hashes
    OUT/episodes.json                every planned episode; the plan holds the hash of the lists
    OUT/environment.json             command, packages, commit, processor
    OUT/jobs/<id>/job.json           one training and its evaluation
    OUT/jobs/<id>/training.jsonl     losses
    OUT/jobs/<id>/checkpoint/        the policy
    OUT/jobs/<id>/records.jsonl      its episodes
    OUT/jobs/<id>/result.json        written last: a job without it is not finished
    OUT/jobs/<id>/show/              pictures, listed in show.json
    OUT/jobs/<id>/log.txt            what the process printed
    OUT/jobs/<id>/failed.json        only while a job has failed
    OUT/reference/                   the same for the demonstrator and chance
    OUT/latency.json                 arm -> stage -> seconds
    OUT/ledger.json                  what everything used

Every file is written beside its place and renamed, so that it is whole or absent at any moment.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class JobDirectory:
    """The directory of one job."""

    root: Path

    @property
    def spec(self) -> Path:
        """What the job is."""
        return self.root / "job.json"

    @property
    def result(self) -> Path:
        """What it came to; exists when the job is finished."""
        return self.root / "result.json"

    @property
    def records(self) -> Path:
        """Its episodes."""
        return self.root / "records.jsonl"

    @property
    def checkpoint(self) -> Path:
        """The trained policy."""
        return self.root / "checkpoint"

    @property
    def blocks(self) -> Path:
        """Finished blocks of an evaluation that is not finished."""
        return self.root / "blocks"

    @property
    def show(self) -> Path:
        """Pictures."""
        return self.root / "show"

    @property
    def log(self) -> Path:
        """What the process printed."""
        return self.root / "log.txt"

    @property
    def failed(self) -> Path:
        """Why it failed last."""
        return self.root / "failed.json"

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do."""
        return self.result.exists()


@dataclass(frozen=True, kw_only=True)
class RunDirectory:
    """The directory of a pilot."""

    root: Path

    @property
    def plan(self) -> Path:
        """The locked plan."""
        return self.root / "plan.json"

    @property
    def extensions(self) -> Path:
        """What was added to the plan later."""
        return self.root / "extensions.json"

    @property
    def split(self) -> Path:
        """Which demonstrations and scenes are used for what."""
        return self.root / "split.json"

    @property
    def episodes(self) -> Path:
        """Every planned episode."""
        return self.root / "episodes.json"

    @property
    def facts(self) -> Path:
        """Command, packages, commit, processor."""
        return self.root / "environment.json"

    @property
    def ledger(self) -> Path:
        """What everything used."""
        return self.root / "ledger.json"

    @property
    def latency(self) -> Path:
        """Seconds of each timed inference."""
        return self.root / "latency.json"

    @property
    def reference(self) -> JobDirectory:
        """Episodes of the demonstrator and of chance."""
        return JobDirectory(root=self.root / "reference")

    @property
    def timing(self) -> JobDirectory:
        """The job that measures latency."""
        return JobDirectory(root=self.root / "timing")

    def job(self, name: str) -> JobDirectory:
        """The directory of one training."""
        return JobDirectory(root=self.root / "jobs" / name)

    def rehearsal(self, recipe: str) -> JobDirectory:
        """The directory in which a recipe is tried before the plan is locked."""
        return JobDirectory(root=self.root / "rehearsal" / recipe)


@contextmanager
def locked(path: Path, busy: str) -> Iterator[None]:
    """Hold a lock file; the system frees it when the process ends in any way.

    Args:
        path: The lock file; it stays.
        busy: What to say when another process holds it.

    Raises:
        ValueError: When another process holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ValueError(busy) from error
        yield


def sweep(directory: Path) -> None:
    """Remove half-written files that a killed process left behind (call it under the lock)."""
    for path in directory.rglob(".*.part"):
        if path.is_file() and f".{os.getpid()}." not in path.name:
            path.unlink(missing_ok=True)
