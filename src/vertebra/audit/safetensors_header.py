"""The header of a safetensors file: eight bytes of length, then JSON. The numbers stay unread."""

import json
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

from vertebra.audit.tensors import TensorEntry, WeightFile

LONGEST_HEADER = 100_000_000
"""Bytes; the limit of the format's own readers."""
ITEM_BITS = {
    **dict.fromkeys(("F64", "I64", "U64", "C64"), 64),
    **dict.fromkeys(("F32", "I32", "U32"), 32),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 16),
    **dict.fromkeys(("I8", "U8", "BOOL", "F8_E4M3", "F8_E5M2", "F8_E8M0"), 8),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    "F4": 4,
}


def read_safetensors(path: Path) -> WeightFile:
    """Read names, shapes and types of a safetensors file.

    A file that is not what it says yields its faults and the tensors that could still be read;
    nothing is raised for its content.
    """
    size = path.stat().st_size
    with path.open("rb") as handle:
        prefix = handle.read(8)
        if len(prefix) < 8:
            return _broken(path, f"the file has {size} bytes; a safetensors file has at least 8")
        length = int.from_bytes(prefix, "little")
        if length > LONGEST_HEADER:
            return _broken(
                path,
                f"the header claims {length} bytes, more than the format's {LONGEST_HEADER}: "
                "not a safetensors file, or damaged",
            )
        if length > size - 8:
            return _broken(
                path,
                f"the header is cut off: it claims {length} bytes, {size - 8} follow. Copy the "
                "file again",
            )
        content = handle.read(length)
    try:
        header = json.loads(content, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        return _broken(path, f"the header is not JSON ({str(error)[:120]})")
    if not isinstance(header, dict):
        return _broken(path, "the header is JSON but not a table of tensors")
    return _from_header(path, header, size - 8 - length)


def _broken(path: Path, fault: str) -> WeightFile:
    return WeightFile(path=path, form="safetensors", faults=(fault,))


def _from_header(path: Path, header: dict[str, Any], held: int) -> WeightFile:
    metadata = header.pop("__metadata__", None)
    tensors: list[TensorEntry] = []
    faults: list[str] = []
    places: list[tuple[int, int]] = []
    for name, said in header.items():
        entry, place, fault = _entry(name, said)
        if entry is not None:
            tensors.append(entry)
            places.append(place)
        if fault:
            faults.append(fault)
    places.sort()
    if any(start != end for (_, end), (start, _) in pairwise([(0, 0), *places])):
        faults.append("the tensors overlap or leave gaps; the format allows neither")
    promised = max((end for _, end in places), default=0)
    if promised > held:
        faults.append(f"the tensors end at byte {promised}, the file holds {held}: it is cut off")
    elif promised < held:
        faults.append(f"{held - promised} bytes follow the last tensor; the format allows none")
    if not tensors and not faults:
        faults.append("the file holds no tensor")
    pairs = metadata.items() if isinstance(metadata, dict) else ()
    return WeightFile(
        path=path,
        form="safetensors",
        tensors=tuple(tensors),
        metadata=tuple((str(k), str(v)) for k, v in pairs),
        faults=tuple(faults),
    )


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands in it twice")
    return found


def _entry(name: str, said: Any) -> tuple[TensorEntry | None, tuple[int, int], str]:
    """A tensor, where it begins and ends, and what is wrong with it."""
    if not isinstance(said, dict):
        return None, (0, 0), f"'{name}' is not described as a tensor"
    shape, offsets = _counts(said.get("shape")), _counts(said.get("data_offsets"))
    if shape is None or offsets is None or len(offsets) != 2:
        return None, (0, 0), f"'{name}' has no valid shape and place"
    entry = TensorEntry(name=name, shape=shape, kind=str(said.get("dtype")))
    place = (offsets[0], offsets[1])
    bits = ITEM_BITS.get(entry.kind)
    if bits is None:
        return entry, place, f"'{name}' has the unknown number type {entry.kind!r}"
    wanted, found = math.prod(shape) * bits, (offsets[1] - offsets[0]) * 8
    if wanted != found:
        return entry, place, f"'{name}' needs {wanted // 8} bytes and is given {found // 8}"
    return entry, place, ""


def _counts(value: Any) -> tuple[int, ...] | None:
    """A list of whole numbers from zero on; None for anything else."""
    if not isinstance(value, list):
        return None
    whole = [item for item in value if type(item) is int and item >= 0]
    return tuple(whole) if len(whole) == len(value) else None
