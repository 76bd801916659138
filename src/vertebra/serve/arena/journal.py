"""An audit trail: one event a line, never changed, each with the hash of the one before it."""

import fcntl
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vertebra.spec.storage import canonical_json, digest, read_jsonl


def read_journal(path: Path) -> tuple[Mapping[str, Any], ...]:
    """The events of a journal, in order. A last line that was not finished is left out.

    Raises:
        ValueError: Naming the first line that was changed, moved or taken out.
    """
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1].count(b"\n")
    events: list[Mapping[str, Any]] = []
    before = ""
    for number, event in enumerate(_lines(path, whole)):
        if event.get("number") != number or event.get("before") != before:
            raise ValueError(
                f"{path}, line {number + 1}: the event does not follow from the one before it. The "
                "journal was edited; restore the original."
            )
        before = digest(event)
        events.append(event)
    return tuple(events)


def _lines(path: Path, count: int) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = []
    try:
        for event in read_jsonl(path):
            if len(found) == count:
                break
            found.append(event)
    except ValueError as error:
        if len(found) < count:
            raise ValueError(f"{path}, line {len(found) + 1} is not JSON ({error}).") from error
    return found


class Journal:
    """A journal that is written to; one process at a time.

    Args:
        path: Its file; made when there is none.

    Raises:
        ValueError: When another process writes to it, or it was edited.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.events: list[Mapping[str, Any]] = list(read_journal(path))
        except OSError as error:
            os.close(self._file)
            raise ValueError(f"{path} is in use by another arena; end that one.") from error
        except ValueError:
            os.close(self._file)
            raise
        self._cut_torn_line(path)

    def append(self, kind: str, **fields: Any) -> Mapping[str, Any]:
        """Add an event; it is on the disk when this returns, or not at all.

        Raises:
            OSError: When the disk does not take it.
        """
        event = {
            "number": len(self.events),
            "before": digest(self.events[-1]) if self.events else "",
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "kind": kind,
            **fields,
        }
        content = (canonical_json(event) + "\n").encode()
        size = os.fstat(self._file).st_size
        try:
            if os.write(self._file, content) < len(content):
                raise OSError("The disk is full; the journal took no more. Free some room.")
            os.fsync(self._file)
        except OSError:
            os.ftruncate(self._file, size)
            raise
        self.events.append(event)
        return event

    def close(self) -> None:
        """Let another process write."""
        os.close(self._file)

    def _cut_torn_line(self, path: Path) -> None:
        """Take away what a crash left of an event that was never answered for."""
        content = path.read_bytes()
        os.ftruncate(self._file, content.rfind(b"\n") + 1)
