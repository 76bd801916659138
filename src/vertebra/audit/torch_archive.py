"""Names and shapes in files written by ``torch.save``, without unpickling and without torch.

Source: torch/serialization.py, torch/_utils.py (what ``_rebuild_tensor_v2`` is given).
"""

import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vertebra.audit.pickle_trace import Made, Name, Trace, follow_pickle
from vertebra.audit.tensors import TensorEntry, WeightFile

MOST_BYTES = 64_000_000
"""Of the description of the tensors; the numbers lie elsewhere in the file."""
MOST_TENSORS = 200_000
DEEPEST = 40
OLD_MAGIC = 0x1950A86A20F9469CFC6C
REBUILDS = tuple(f"torch._utils._rebuild_tensor{version}" for version in ("", "_v2", "_v3"))
PARAMETERS = ("torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state")
SUBCLASS = "torch._tensor._rebuild_from_type_v2"
HARMLESS = re.compile(
    r"torch\.(\w+Storage|storage\.\w+Storage|Size|device|u?int\d+|b?float\d+|bool|complex\d+)"
    r"|torch\._utils\._rebuild_\w+|torch\._tensor\._rebuild_\w+|torch\.nn\.modules\.[\w.]+"
    r"|torch\.nn\.parameter\.Parameter|collections\.(OrderedDict|defaultdict|Counter)"
    r"|numpy\.(dtype|ndarray)|numpy\._?core\.multiarray\.(_reconstruct|scalar)|_codecs\.encode"
    r"|pathlib\.\w+|__builtin__\.(set|frozenset|bytearray|complex|range|slice)"
    r"|builtins\.(set|frozenset|bytearray|complex|range|slice)"
)
ITEM_BYTES = {
    **dict.fromkeys(("DoubleStorage", "LongStorage", "ComplexFloatStorage"), 8),
    **dict.fromkeys(("FloatStorage", "IntStorage"), 4),
    **dict.fromkeys(("HalfStorage", "BFloat16Storage", "ShortStorage"), 2),
    **dict.fromkeys(("CharStorage", "ByteStorage", "BoolStorage", "UntypedStorage"), 1),
}
PARTS_OF_MODULES = ("_parameters", "_buffers", "_modules")


def looks_like_old_torch(head: bytes) -> bool:
    """Whether a file begins as ``torch.save`` began before it wrote zip archives."""
    return head[:1] == b"\x80" and OLD_MAGIC.to_bytes(10, "little") in head[:16]


def read_torch_archive(path: Path) -> WeightFile:
    """Read a zip archive of ``torch.save``; faults are told, not raised."""
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {info.filename: info.file_size for info in archive.infolist()}
            described = [name for name in sizes if name.rpartition("/")[2] == "data.pkl"]
            if len(described) != 1:
                return _broken(path, "the archive has no single data.pkl: not from torch.save")
            if any("/code/" in name for name in sizes):
                return _broken(path, "the archive is a TorchScript program, which is not read here")
            with archive.open(described[0]) as handle:
                content = handle.read(MOST_BYTES + 1)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError) as error:
        return _broken(path, f"the archive cannot be opened ({error})")
    if len(content) > MOST_BYTES:
        return _broken(path, f"its data.pkl is larger than {MOST_BYTES} bytes")
    try:
        trace = follow_pickle(io.BytesIO(content))
    except ValueError as error:
        return _broken(path, str(error))
    folder = described[0].removesuffix("data.pkl")
    return _from_trace(path, trace, {k.removeprefix(f"{folder}data/"): v for k, v in sizes.items()})


def read_old_torch(path: Path) -> WeightFile:
    """Read a file of ``torch.save`` from before zip archives: four pickles, then numbers."""
    with path.open("rb") as handle:
        stream = io.BytesIO(handle.read(MOST_BYTES))
    try:
        for _ in range(3):
            follow_pickle(stream)
        trace = follow_pickle(stream)
    except ValueError as error:
        return WeightFile(path=path, form="old torch file", faults=(str(error),))
    return _from_trace(path, trace, None)


def _broken(path: Path, fault: str) -> WeightFile:
    return WeightFile(path=path, form="torch archive", faults=(fault,))


def _from_trace(path: Path, trace: Trace, stored: dict[str, int] | None) -> WeightFile:
    entries: dict[str, TensorEntry] = {}
    faults: list[str] = []
    for name, made in _tensors("", trace.value, DEEPEST, set()):
        entry, fault = _entry(name, made, stored)
        entries[entry.name] = entry
        if fault:
            faults.append(fault)
        if len(entries) >= MOST_TENSORS:
            faults.append(f"only the first {MOST_TENSORS} tensors were read")
            break
    calls = tuple(name for name in trace.names if not HARMLESS.fullmatch(name))
    if not entries:
        faults.append("the file holds no tensor")
    return WeightFile(
        path=path,
        form="old torch file" if stored is None else "torch archive",
        tensors=tuple(entries.values()),
        faults=tuple(faults),
        calls=calls,
    )


def _tensors(name: str, value: Any, depth: int, seen: set[int]) -> Iterator[tuple[str, Made]]:
    """Every tensor below a value, named by the keys that lead to it.

    Each dictionary is entered once, so that one that holds itself comes to an end.
    """
    value = _unwrapped(value)
    if isinstance(value, Made) and value.by in REBUILDS and len(value.args) >= 3:
        yield name, value
        return
    if depth == 0 or id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, Made):
        for key, item in value.items:
            yield from _tensors(_below(name, key), item, depth - 1, seen)
        if isinstance(value.state, Made):
            yield from _tensors(name, value.state, depth - 1, seen)
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _tensors(_below(name, index), item, depth - 1, seen)


def _unwrapped(value: Any) -> Any:
    """The tensor inside a parameter or a subclass of tensors."""
    for _ in range(DEEPEST):
        if not isinstance(value, Made) or not value.args:
            break
        if value.by in PARAMETERS:
            value = value.args[0]
        elif value.by == SUBCLASS and len(value.args) >= 3 and isinstance(value.args[0], Name):
            value = Made(
                value.args[0].text, value.args[2] if isinstance(value.args[2], tuple) else ()
            )
        else:
            break
    return value


def _below(name: str, key: Any) -> str:
    word = str(key) if isinstance(key, (str, int)) else "?"
    if word in PARTS_OF_MODULES:
        return name
    return f"{name}.{word}" if name else word


def _entry(name: str, made: Made, stored: dict[str, int] | None) -> tuple[TensorEntry, str]:
    storage, shape = made.args[0], made.args[2]
    counts = tuple(n for n in shape if isinstance(n, int)) if isinstance(shape, tuple) else ()
    entry = TensorEntry(name=name, shape=counts, kind="")
    if not isinstance(storage, Made) or len(storage.args) < 5:
        return entry, f"'{name}' has no storage"
    _, kind, key, _, numbers = storage.args[:5]
    word = kind.text.rpartition(".")[2] if isinstance(kind, Name) else ""
    entry = TensorEntry(name=name, shape=counts, kind=word.removesuffix("Storage"))
    if stored is None or word not in ITEM_BYTES or not isinstance(numbers, int):
        return entry, ""
    wanted, found = numbers * ITEM_BYTES[word], stored.get(str(key))
    if found is None:
        return entry, f"the numbers of '{name}' are not in the archive"
    return entry, "" if found >= wanted else f"'{name}' needs {wanted} bytes, {found} are there"
