"""The files of a checkpoint: which belong together, which are missing, what is written beside."""

import json
import re
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vertebra.audit.safetensors_header import read_safetensors
from vertebra.audit.tensors import TensorEntry, WeightFile
from vertebra.audit.torch_archive import (
    looks_like_old_torch,
    read_old_torch,
    read_torch_archive,
)

WEIGHTS = (".safetensors", ".pt", ".pth", ".bin", ".ckpt")
UNREAD = (
    *(".gguf", ".onnx", ".h5", ".msgpack", ".npz", ".distcp", ".engine", ".pkl", ".tflite"),
    *(".ocdbt", ".zarray", ".pdparams"),
)
ORBAX = "_METADATA"
STATE_OF_TRAINING = re.compile(r"(scheduler|training_args|rng_state|random_states|scaler)[\w.-]*")
NORMALISERS = re.compile(r".*normalizer.*\.safetensors")
SHARD = re.compile(r"(?P<stem>.+?)-(?P<number>\d{5})-of-(?P<total>\d{5})(?P<suffix>\.\w+)")
DEEPEST = 5
MOST_FILES = 5000
LONGEST_DOCUMENT = 50_000_000


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """Files of weights that make one model.

    Attributes:
        label: Where they are, below the checkpoint.
        files: Those that are there.
        tensors: All that they declare, and all that only an index names.
        missing: Files that are not there and should be.
        partial: Whether tensors are missing of which not even the names are known.
        configuration: What the nearest config.json says; empty when there is none.
        faults: What is wrong.
    """

    label: str
    files: tuple[WeightFile, ...]
    tensors: tuple[TensorEntry, ...]
    missing: tuple[str, ...]
    partial: bool
    configuration: Mapping[str, Any]
    faults: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class CheckpointFiles:
    """Everything of a checkpoint that an audit reads.

    Attributes:
        root: The directory.
        bundles: Weights.
        normalisers: Files of weights that hold statistics for normalising.
        documents: JSON files, by path below the root.
        texts: First bytes of README and LICENSE files, by path below the root.
        unread: Files that may hold weights in a form that is not read.
        faults: Documents that could not be read.
    """

    root: Path
    bundles: tuple[Bundle, ...]
    normalisers: tuple[WeightFile, ...]
    documents: Mapping[str, Any]
    texts: Mapping[str, str]
    unread: tuple[str, ...]
    faults: tuple[str, ...]


def open_checkpoint(path: Path) -> CheckpointFiles:
    """Read what can be read of a directory or of one file, without running anything.

    Args:
        path: A directory, or one file of weights; documents beside the file are read too.

    Raises:
        ValueError: When there is nothing at the path.
    """
    if not path.exists():
        raise ValueError(f"{path} does not exist. Give the directory of a checkpoint, or one file.")
    if path.is_dir():
        root, files = path, _files(path, DEEPEST)
        chosen = [file for file in files if file.suffix in WEIGHTS]
    else:
        root, files, chosen = path.parent, _files(path.parent, 1), [path]
    documents, faults = _documents(root, files)
    texts = {_below(root, f): _head(f) for f in files if f.stem.upper() in ("README", "LICENSE")}
    normalisers = [file for file in chosen if NORMALISERS.fullmatch(file.name)]
    weights = [
        file
        for file in chosen
        if file not in normalisers and not STATE_OF_TRAINING.fullmatch(file.name)
    ]
    return CheckpointFiles(
        root=root,
        bundles=tuple(_bundles(root, path, weights, documents)),
        normalisers=tuple(read_weights(file) for file in normalisers),
        documents=documents,
        texts=texts,
        unread=tuple(
            _below(root, file) for file in files if file.suffix in UNREAD or file.name == ORBAX
        ),
        faults=tuple(faults),
    )


def read_weights(path: Path) -> WeightFile:
    """Read one file of weights by what it begins with, not by what it is called."""
    with path.open("rb") as handle:
        head = handle.read(64)
    if zipfile.is_zipfile(path):
        return read_torch_archive(path)
    if looks_like_old_torch(head):
        return read_old_torch(path)
    if path.suffix == ".safetensors" or head[8:9] == b"{":
        return read_safetensors(path)
    fault = "the file is empty" if not head else "neither safetensors nor written by torch.save"
    return WeightFile(path=path, form="unknown", faults=(fault,))


def _files(root: Path, depth: int) -> list[Path]:
    found: list[Path] = []
    for path in sorted(root.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_file():
            found.append(path)
        elif path.is_dir() and depth > 1:
            found += _files(path, depth - 1)
    if len(found) > MOST_FILES:
        raise ValueError(
            f"{root} holds more than {MOST_FILES} files: give the directory of one checkpoint."
        )
    return found


def _documents(root: Path, files: Iterable[Path]) -> tuple[dict[str, Any], list[str]]:
    documents: dict[str, Any] = {}
    faults: list[str] = []
    for file in files:
        if file.suffix != ".json" or file.name in ("tokenizer.json", "vocab.json"):
            continue
        name = _below(root, file)
        if file.stat().st_size > LONGEST_DOCUMENT:
            faults.append(f"{name} is larger than {LONGEST_DOCUMENT} bytes and was not read")
            continue
        try:
            documents[name] = json.loads(file.read_bytes())
        except (ValueError, RecursionError):
            faults.append(f"{name} is not valid JSON")
    return documents, faults


def _bundles(
    root: Path, path: Path, files: list[Path], documents: Mapping[str, Any]
) -> Iterable[Bundle]:
    """Weights grouped: what an index lists, what numbered shards make up, and single files."""
    left = [file for file in files if file.suffix != ".json"]
    for name, document in documents.items():
        where = root / name
        listed = _listed(document) if name.endswith(".index.json") else None
        if listed is None:
            continue
        wanted = {where.parent / file for file in listed.values()}
        if not (path.is_dir() or path == where or wanted & set(left)):
            continue
        left = [file for file in left if file not in wanted]
        present = sorted(file for file in wanted if file.is_file())
        missing = sorted(file.name for file in wanted if not file.is_file())
        yield _bundle(root, where, present, documents, missing=missing, listed=listed)
    for group in _shards(left):
        left = [file for file in left if file not in group]
        shard = SHARD.fullmatch(group[0].name)
        total = int(shard["total"]) if shard else 0
        there = {file.name for file in group}
        numbers = range(1, total + 1) if total < MOST_FILES else ()
        missing = [n for n in (_shard_name(group[0], i) for i in numbers) if n not in there]
        yield _bundle(root, group[0], group, documents, missing=missing, listed=None)
    for file in left:
        yield _bundle(root, file, [file], documents, missing=[], listed=None)


def _listed(document: Any) -> dict[str, str] | None:
    """Tensor to file, of an index that names files beside itself only."""
    table = document.get("weight_map") if isinstance(document, dict) else None
    if not isinstance(table, dict):
        return None
    return {
        str(name): str(file)
        for name, file in table.items()
        if str(file) not in ("", ".", "..") and Path(str(file)).name == str(file)
    }


def _shards(files: Iterable[Path]) -> list[list[Path]]:
    groups: dict[tuple[Path, str, str], list[Path]] = {}
    for file in files:
        shard = SHARD.fullmatch(file.name)
        if shard:
            groups.setdefault((file.parent, shard["stem"], shard["total"]), []).append(file)
    return list(groups.values())


def _shard_name(like: Path, number: int) -> str:
    return SHARD.sub(rf"\g<stem>-{number:05d}-of-\g<total>\g<suffix>", like.name)


def _bundle(
    root: Path,
    where: Path,
    files: list[Path],
    documents: Mapping[str, Any],
    *,
    missing: list[str],
    listed: Mapping[str, str] | None,
) -> Bundle:
    read = tuple(read_weights(file) for file in files)
    tensors = {tensor.name: tensor for file in read for tensor in file.tensors}
    faults = [f"{file.path.name}: {fault}" for file in read for fault in file.faults]
    if listed is not None:
        there = set(tensors)
        for name in listed:
            tensors.setdefault(name, TensorEntry(name=name, shape=None, kind=""))
        lost = [n for n, file in listed.items() if n not in there and file not in missing]
        if lost:
            faults.append(
                f"{len(lost)} tensors are in no file though the index lists them: {lost[0]}"
            )
    if missing:
        faults.append(f"missing: {', '.join(missing[:5])}{' ...' if len(missing) > 5 else ''}")
    return Bundle(
        label=_below(root, where),
        files=read,
        tensors=tuple(tensors.values()),
        missing=tuple(missing),
        partial=bool(missing) and listed is None,
        configuration=_configuration(root, where.parent, documents),
        faults=tuple(faults),
    )


def _configuration(root: Path, folder: Path, documents: Mapping[str, Any]) -> Mapping[str, Any]:
    """The config.json beside the weights, or the nearest one above them."""
    while True:
        found = documents.get(_below(root, folder / "config.json"))
        if isinstance(found, dict):
            return found
        if folder == root:
            return {}
        folder = folder.parent


def _head(path: Path) -> str:
    with path.open("rb") as handle:
        return handle.read(4000).decode(errors="replace")


def _below(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()
