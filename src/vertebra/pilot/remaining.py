"""How long a pilot still takes, from its forecast and from what has happened so far."""

from collections.abc import Mapping

from vertebra.pilot.budget import makespan
from vertebra.pilot.execute import Happened
from vertebra.pilot.jobs import Stage


class Remaining:
    """Follows a pilot. Seconds are of wall-clock time.

    Args:
        expected_s: Job to expected seconds, in the order in which they are run; finished jobs left
            out.
        training_s: The part of these that is training.
        workers: Processes side by side.
        after_s: Seconds of what follows the jobs.
    """

    def __init__(
        self,
        expected_s: Mapping[str, float],
        training_s: Mapping[str, float],
        *,
        workers: int,
        after_s: float,
    ) -> None:
        self._expected, self._training = dict(expected_s), dict(training_s)
        self._workers, self._after = workers, after_s
        self._running: dict[str, tuple[float, Stage | None]] = {}
        self._actual: dict[str, float] = {}
        self._gone: set[str] = set()

    def happened(self, event: Happened, now: float) -> None:
        """Take note of an event at a time (``time.monotonic``)."""
        if event.kind == "started":
            self._running[event.job] = (now, None)
        elif event.kind == "stage" and event.job in self._running:
            self._running[event.job] = (self._running[event.job][0], event.stage)
        elif event.kind == "crashed":
            self._running.pop(event.job, None)
        elif event.kind in ("finished", "failed"):
            self._running.pop(event.job, None)
            self._gone.add(event.job)
            if event.kind == "finished":
                self._actual[event.job] = event.seconds

    def seconds(self, now: float) -> float:
        """Seconds until everything is done, as far as can be told."""
        pace = self._pace()
        running = [self._left(job, now, pace) for job in self._running]
        waiting = [
            pace * expected
            for job, expected in self._expected.items()
            if job not in self._running and job not in self._gone
        ]
        return makespan([*running, *waiting], self._workers) + self._after

    def _pace(self) -> float:
        """How much longer jobs take than was expected."""
        known = [job for job in self._actual if self._expected.get(job, 0) > 0]
        expected = sum(self._expected[job] for job in known)
        return sum(self._actual[job] for job in known) / expected if expected else 1.0

    def _left(self, job: str, now: float, pace: float) -> float:
        began, stage = self._running[job]
        expected, elapsed = pace * self._expected.get(job, 0.0), now - began
        evaluation = max(0.0, expected - pace * self._training.get(job, 0.0))
        if stage is None or not stage.total:
            return max(0.0, expected - elapsed)
        share = stage.done / stage.total
        if stage.name != "training":
            return (1 - share) * evaluation
        if share > 0.05:
            return elapsed * (1 - share) / share + evaluation
        return max(expected - elapsed, evaluation)
