"""What a user sees while a pilot works: bars on a terminal, plain lines elsewhere."""

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from vertebra.pilot.budget import words_of
from vertebra.pilot.execute import Happened

QUIET_S = 30.0
"""Without a terminal, at most one line of progress in this time."""


class Steps:
    """Shows steps with their share done, and the jobs of a pilot. Writes to standard error.

    Args:
        total: Jobs of the pilot; 0 while there are none.
    """

    def __init__(self, total: int = 0) -> None:
        self.total, self.finished = total, 0
        self._console = Console(stderr=True, highlight=False)
        self._live = self._console.is_terminal
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}"),
            console=self._console,
            transient=True,
            refresh_per_second=2,
        )
        self._bars: dict[str, TaskID] = {}
        self._last = 0.0

    def __enter__(self) -> "Steps":
        if self._live:
            self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live:
            self._progress.stop()

    def say(self, words: str) -> None:
        """One line that stays."""
        if self._live:
            self._console.print(words, markup=False)
        else:
            sys.stderr.write(words + "\n")
            sys.stderr.flush()

    def tell(self, what: str, done: int, total: int, remaining_s: float | None) -> None:
        """How far a step is."""
        left = "" if remaining_s is None else f"about {words_of(remaining_s)} left"
        if self._live and done >= total:
            self._close(what)
        elif self._live:
            self._bar(what, done, total, left)
        elif self._due() or done >= total:
            self.say(f"{what}: {done} of {total} {left}".rstrip())

    def event(self, event: Happened, remaining_s: float) -> None:
        """What happened to a job of the pilot."""
        left = f"about {words_of(remaining_s)} left"
        if event.kind == "stage" and event.stage is not None:
            stage, loss = event.stage, event.stage.facts.get("action")
            note = f"{stage.name}" + ("" if loss is None else f", loss {loss:.3f}")
            if self._live:
                self._bar(event.job, stage.done, stage.total, note)
            elif self._due():
                self.say(f"{event.job}: {stage.name} {stage.done} of {stage.total}; {left}")
        elif event.kind in ("finished", "failed"):
            self._close(event.job)
            self.finished += 1
            took = f"{event.kind} after {words_of(event.seconds)}"
            self.say(f"[{self.finished}/{self.total}] {event.job} {took}; {left}")
        if event.why:
            again = "; it is tried once more" if event.kind == "crashed" else ""
            self.say(f"{event.job} {event.kind}{again}: {event.why}")
        if self._live and self.total:
            self._bar("pilot", self.finished, self.total, left)

    def _bar(self, name: str, done: int, total: int, note: str) -> None:
        if name not in self._bars:
            self._bars[name] = self._progress.add_task(name, note="")
        self._progress.update(self._bars[name], completed=done, total=max(total, 1), note=note)

    def _close(self, name: str) -> None:
        bar = self._bars.pop(name, None)
        if bar is not None:
            self._progress.remove_task(bar)

    def _due(self) -> bool:
        now = time.monotonic()
        if now - self._last < QUIET_S:
            return False
        self._last = now
        return True
