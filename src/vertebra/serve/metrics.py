"""Counts and seconds of a server, as text that Prometheus reads."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper ends of the buckets of every time."""
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
HELP = {
    "vertebra_requests_total": ("counter", "Answered messages by outcome."),
    "vertebra_sessions_total": ("counter", "Sessions begun."),
    "vertebra_refused_total": ("counter", "Connections refused, by reason."),
    "vertebra_connections": ("gauge", "Open connections."),
    "vertebra_draining": ("gauge", "1 while the server finishes its sessions before it ends."),
    "vertebra_warm_up_seconds": ("gauge", "Seconds of the inferences before the first accept."),
    "vertebra_evaluations_total": ("counter", "Network evaluations by stage."),
    "vertebra_batched_total": ("counter", "Inferences, and the requests that they answered."),
    "vertebra_batches_split_total": ("counter", "Batches that failed and were asked one by one."),
    "vertebra_inference_seconds": ("histogram", "Seconds of one inference."),
    "vertebra_waiting_seconds": ("histogram", "Seconds from a request's arrival to its inference."),
}

Labels = tuple[tuple[str, str], ...]


class Metrics:
    """What one server counts. Everything happens on its event loop, so nothing is locked."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, Labels], float] = defaultdict(float)
        self._buckets: dict[str, list[int]] = {}

    def add(self, name: str, amount: float = 1.0, **labels: str) -> None:
        """Raise a counter (or move a gauge)."""
        self._values[_known(name), tuple(sorted(labels.items()))] += amount

    def set(self, name: str, value: float) -> None:
        """Set a gauge."""
        self._values[_known(name), ()] = value

    def value(self, name: str, **labels: str) -> float:
        """The present value of a counter or gauge."""
        return self._values.get((_known(name), tuple(sorted(labels.items()))), 0.0)

    def observe(self, name: str, seconds: float) -> None:
        """Add one time to a histogram."""
        buckets = self._buckets.setdefault(_known(name), [0] * (len(SECONDS) + 1))
        buckets[bisect_left(SECONDS, seconds)] += 1
        self._values[name + "_sum", ()] += seconds

    def text(self, facts: Mapping[str, str]) -> str:
        """Everything in Prometheus' text format.

        Args:
            facts: Labels of ``vertebra_info``, for example the recipe.
        """
        lines = [
            "# HELP vertebra_info What is served.",
            "# TYPE vertebra_info gauge",
            f"vertebra_info{_braces(tuple(sorted(facts.items())))} 1",
        ]
        for name, (kind, words) in HELP.items():
            lines += [f"# HELP {name} {words}", f"# TYPE {name} {kind}"]
            if kind == "histogram":
                lines += self._histogram(name)
                continue
            found = sorted((labels, v) for (key, labels), v in self._values.items() if key == name)
            lines += [f"{name}{_braces(labels)} {v:g}" for labels, v in found or [((), 0.0)]]
        return "\n".join(lines) + "\n"

    def _histogram(self, name: str) -> list[str]:
        buckets = self._buckets.get(name, [0] * (len(SECONDS) + 1))
        lines: list[str] = []
        total = 0
        for end, count in zip((*map(str, SECONDS), "+Inf"), buckets, strict=True):
            total += count
            lines.append(f'{name}_bucket{{le="{end}"}} {total}')
        seconds = self._values.get((name + "_sum", ()), 0.0)
        return [*lines, f"{name}_sum {seconds:g}", f"{name}_count {total}"]


def _known(name: str) -> str:
    assert name in HELP, f"metric {name} has no help"  # noqa: S101
    return name


def _braces(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
