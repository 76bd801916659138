"""Checkpoints for the audit: recorded names and shapes written as real files, and damaged ones."""

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

RECORDED = Path(__file__).parent / "checkpoints"
"""Names and (shrunk) shapes that real library classes and original code give; see `provenance`."""


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """One recorded checkpoint."""

    provenance: str
    configuration: Mapping[str, Any]
    tensors: Mapping[str, Sequence[int]]


@cache
def recorded(name: str) -> Recorded:
    return Recorded(**json.loads((RECORDED / f"{name}.json").read_text()))


def names() -> list[str]:
    return sorted(path.stem for path in RECORDED.glob("*.json"))


def write_safetensors(path: Path, tensors: Mapping[str, Sequence[int]]) -> Path:
    """A safetensors file of float32 zeros."""
    header: dict[str, Any] = {}
    end = 0
    for name, shape in tensors.items():
        start, end = end, end + 4 * product(shape)
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [start, end]}
    content = json.dumps(header).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(content)) + content + bytes(end))
    return path


def write_checkpoint(
    root: Path,
    tensors: Mapping[str, Sequence[int]],
    configuration: Mapping[str, Any] | None = None,
    name: str = "model.safetensors",
) -> Path:
    """A directory with one file of weights and, if given, its configuration."""
    write_safetensors(root / name, tensors)
    if configuration:
        (root / "config.json").write_text(json.dumps(configuration))
    return root


def write_recorded(root: Path, name: str) -> Path:
    found = recorded(name)
    return write_checkpoint(root, found.tensors, found.configuration)


def write_shards(root: Path, tensors: Mapping[str, Sequence[int]], count: int, index: bool) -> Path:
    """The tensors in numbered files, in the order given, with or without an index."""
    items = list(tensors.items())
    size = -(-len(items) // count)
    table: dict[str, str] = {}
    for i in range(count):
        file = f"model-{i + 1:05d}-of-{count:05d}.safetensors"
        part = dict(items[i * size : (i + 1) * size])
        write_safetensors(root / file, part)
        table |= dict.fromkeys(part, file)
    if index:
        (root / "model.safetensors.index.json").write_text(json.dumps({"weight_map": table}))
    return root


def product(shape: Sequence[int]) -> int:
    found = 1
    for size in shape:
        found *= size
    return found
