"""Atomic files and canonical JSON: a reader sees the old file or the new one, never half of one."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast


def to_plain(value: Any) -> Any:
    """Dataclasses, tuples, enums and paths as JSON values (recursively)."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        pairs = cast("Mapping[Any, Any]", value).items()
        return {str(key): to_plain(item) for key, item in pairs}
    if isinstance(value, (set, frozenset)):
        return [to_plain(item) for item in sorted(cast("set[Any]", value))]
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in cast("list[Any]", value)]
    if isinstance(value, Path):
        return str(value)
    scalar: Any = value
    if hasattr(scalar, "item") and getattr(scalar, "shape", None) == ():
        return scalar.item()
    return scalar


def canonical_json(value: Any) -> str:
    """JSON text with sorted keys and no spaces, so that equal values have equal text."""
    return json.dumps(to_plain(value), sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(value: Any) -> str:
    """SHA-256 (first 16 hexadecimal digits) of the canonical JSON of a value."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:16]


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically: temporary neighbour, flush to disk, rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    with temporary.open("wb") as handle:
        handle.write(content)
        handle.flush()
        os.fsync(handle.fileno())
    temporary.replace(path)


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON, atomically."""
    write_bytes(path, (json.dumps(to_plain(value), indent=2, sort_keys=True) + "\n").encode())


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        ValueError: Naming the file, when it is not JSON.
    """
    try:
        return json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not valid JSON ({error}). Delete it or restore it.") from error


def write_jsonl(path: Path, rows: Iterable[Any]) -> None:
    """Write one canonical JSON value a line, atomically."""
    write_bytes(path, "".join(canonical_json(row) + "\n" for row in rows).encode())


def read_jsonl(path: Path) -> Iterator[Any]:
    """Read one JSON value a line."""
    with path.open() as handle:
        for line in handle:
            if line.strip():
                yield json.loads(line)
