"""A pool of local processes, one single-threaded process a job.

A job's process is told by its standard input whether the pilot still lives: when the pilot dies in
any way, the pipe closes and the process ends. It says how far it is in lines of JSON.
"""

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from vertebra.pilot.jobs import Stage
from vertebra.pilot.layout import JobDirectory
from vertebra.spec.storage import read_json, to_plain, write_json

ATTEMPTS = 2
"""A job whose process crashes is tried once more."""
REFUSED = 2
"""Exit code of a process that refuses its input; trying again would not help."""
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
_LAST_LINES = 30


@dataclass(frozen=True, kw_only=True)
class Happened:
    """Something worth telling.

    Attributes:
        kind: ``started``, ``stage``, ``finished``, ``crashed`` (it is tried again) or ``failed``.
        job: Name of the job.
        seconds: Seconds since its process started.
        stage: How far it is, for ``stage``.
        why: Exit status and last words, for ``crashed`` and ``failed``.
    """

    kind: str
    job: str
    seconds: float = 0.0
    stage: Stage | None = None
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A job that failed for good.

    Attributes:
        job: Its name.
        why: Exit status and last words.
        log: Everything that its processes printed.
    """

    job: str
    why: str
    log: Path


@dataclass(kw_only=True, eq=False)
class _Worker:
    """A running process."""

    job: JobDirectory
    process: subprocess.Popen[bytes]
    began: float
    reader: threading.Thread
    words: deque[str] = field(default_factory=lambda: deque(maxlen=_LAST_LINES))


def execute(
    jobs: Sequence[JobDirectory],
    *,
    command: Sequence[str],
    workers: int,
    on_event: Callable[[Happened], None],
) -> list[Failure]:
    """Carry out jobs in their order, at most ``workers`` at a time; finished ones are left alone.

    Args:
        jobs: Directories with a ``job.json`` each.
        command: What carries out a job, followed by the path of its ``job.json``.
        workers: Processes side by side.
        on_event: Told in this thread what happens; workers go on meanwhile.

    Returns:
        The jobs that failed for good. ``KeyboardInterrupt`` and other exceptions end all processes
        and pass through.
    """
    pool = _Pool(command, on_event)
    waiting = deque(job for job in jobs if not job.finished)
    failures: list[Failure] = []
    attempts: dict[Path, int] = {}
    try:
        while waiting or pool.running:
            while waiting and len(pool.running) < workers:
                job = waiting.popleft()
                attempts[job.root] = attempts.get(job.root, 0) + 1
                pool.start(job)
            pool.tell(timeout_s=0.25)
            for worker in pool.ended():
                job, code = worker.job, worker.process.returncode
                seconds, name = time.monotonic() - worker.began, worker.job.root.name
                if job.finished:
                    job.failed.unlink(missing_ok=True)
                    on_event(Happened(kind="finished", job=name, seconds=seconds))
                    continue
                why = _why(worker)
                if attempts[job.root] < ATTEMPTS and code != REFUSED:
                    waiting.appendleft(job)
                    on_event(Happened(kind="crashed", job=name, seconds=seconds, why=why))
                    continue
                failures.append(Failure(job=name, why=why, log=job.log))
                write_json(job.failed, {"why": why, "log": job.log.name})
                on_event(Happened(kind="failed", job=name, seconds=seconds, why=why))
    finally:
        pool.stop()
    return failures


class _Pool:
    """Processes and what they say."""

    def __init__(self, command: Sequence[str], on_event: Callable[[Happened], None]) -> None:
        self._command = list(command)
        self._on_event = on_event
        self._stages: queue.SimpleQueue[tuple[str, float, Stage]] = queue.SimpleQueue()
        self.running: list[_Worker] = []

    def start(self, job: JobDirectory) -> None:
        """Start the process of a job, apart from the terminal's signals."""
        environment = {**os.environ, **dict.fromkeys(_THREADS, "1")}
        process = subprocess.Popen(  # noqa: S603 - our own program
            [*self._command, str(job.spec)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
        worker = _Worker(
            job=job,
            process=process,
            began=time.monotonic(),
            reader=threading.Thread(target=lambda: self._listen(worker), daemon=True),
        )
        worker.reader.start()
        self.running.append(worker)
        self._on_event(Happened(kind="started", job=job.root.name))

    def _listen(self, worker: _Worker) -> None:
        """Sort what a process prints: stages to the queue, all else to its log."""
        output = worker.process.stdout
        if output is None:
            return
        with worker.job.log.open("a") as log:
            log.write(f"--- started {time.strftime('%Y-%m-%d %H:%M:%S')}\n")
            for raw in output:
                line = raw.decode(errors="replace").rstrip("\n")
                stage = stage_of(line)
                if stage is None:
                    worker.words.append(line)
                    log.write(line + "\n")
                    log.flush()
                else:
                    seconds = time.monotonic() - worker.began
                    self._stages.put((worker.job.root.name, seconds, stage))

    def tell(self, timeout_s: float) -> None:
        """Pass on what was said; wait a little when nothing was."""
        block = True
        while True:
            try:
                name, seconds, stage = self._stages.get(block=block, timeout=timeout_s)
            except queue.Empty:
                return
            block = False
            self._on_event(Happened(kind="stage", job=name, seconds=seconds, stage=stage))

    def ended(self) -> list[_Worker]:
        """Take out the processes that have ended."""
        ended = [worker for worker in self.running if worker.process.poll() is not None]
        self.running = [worker for worker in self.running if worker not in ended]
        for worker in ended:
            worker.reader.join(timeout=5.0)
            _close(worker.process.stdin)
            _close(worker.process.stdout)
        return ended

    def stop(self) -> None:
        """End all processes; what they have not written yet is done again next time."""
        for worker in self.running:
            worker.process.terminate()
        for worker in self.running:
            try:
                worker.process.wait(timeout=3.0)
            except subprocess.TimeoutExpired:
                worker.process.kill()
                worker.process.wait()
        self.ended()


def _why(worker: _Worker) -> str:
    code = worker.process.returncode
    how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
    last = "\n".join(worker.words)
    return f"The process {how}." + (f" It said:\n{last}" if last else "")


def _close(pipe: IO[Any] | None) -> None:
    if pipe is not None:
        try:
            pipe.close()
        except BrokenPipeError:
            return


def stage_of(line: str) -> Stage | None:
    """The stage that a line of output tells of, ``None`` for any other line."""
    if not line.startswith('{"stage":'):
        return None
    try:
        return Stage(**json.loads(line)["stage"])
    except (ValueError, TypeError, KeyError):
        return None


def say(stage: Stage) -> None:
    """Print how far this process is, for the pilot that started it."""
    sys.stdout.write(json.dumps({"stage": to_plain(stage)}) + "\n")
    sys.stdout.flush()


def end_with_parent() -> None:
    """End this process when its standard input closes, that is, when its pilot is gone."""

    def watch() -> None:
        while os.read(sys.stdin.fileno(), 4096):
            pass
        os._exit(3)

    threading.Thread(target=watch, daemon=True).start()


def failures_in(jobs: Sequence[JobDirectory]) -> list[Mapping[str, Any]]:
    """Jobs that failed in an earlier call and are not finished since."""
    return [
        {"job": job.root.name, **read_json(job.failed)}
        for job in jobs
        if job.failed.exists() and not job.finished
    ]
