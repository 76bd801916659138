"""Files of released weights: which there are, what is in them, without reading the weights."""

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from safetensors import safe_open

CHUNK = 1 << 22


@dataclass(frozen=True, kw_only=True)
class WeightFiles:
    """All safetensors files of one directory.

    Attributes:
        directory: Where they are.
        files: Their paths.
        shapes: Name to shape of every tensor.
    """

    directory: Path
    files: tuple[Path, ...]
    shapes: Mapping[str, tuple[int, ...]]

    @property
    def parameters(self) -> int:
        """Numbers in all tensors."""
        return sum(math.prod(shape) for shape in self.shapes.values())


def weight_files(directory: Path, pattern: str = "*.safetensors") -> WeightFiles:
    """The safetensors files of a directory that fit a pattern; only their headers are read.

    Raises:
        ValueError: When there are none, when one is damaged, or when an index names a file that is
            not there.
    """
    files = sorted(directory.glob(pattern))
    if not files:
        raise ValueError(f"{directory} holds no {pattern}.")
    for index in directory.glob("*.safetensors.index.json"):
        named = set(json.loads(index.read_text())["weight_map"].values())
        missing = sorted(named - {path.name for path in files})
        if missing:
            raise ValueError(f"{directory} is not complete: {', '.join(missing)} missing.")
    shapes: dict[str, tuple[int, ...]] = {}
    for path in files:
        try:
            with safe_open(path, framework="numpy") as opened:
                for name in opened.keys():  # noqa: SIM118 - it is no mapping
                    shapes[name] = tuple(opened.get_slice(name).get_shape())
        except Exception as error:
            raise ValueError(f"{path} cannot be read as safetensors: {error}.") from error
    return WeightFiles(directory=directory, files=tuple(files), shapes=shapes)


def hash_of(files: Sequence[Path]) -> str:
    """SHA-256 over files in their order."""
    found = hashlib.sha256()
    for path in files:
        with path.open("rb") as handle:
            while chunk := handle.read(CHUNK):
                found.update(chunk)
    return found.hexdigest()


def licence_of(directory: Path) -> str:
    """The licence that a model card (``README.md``) names; empty when it names none."""
    card = directory / "README.md"
    if not card.is_file():
        return ""
    head = card.read_text(errors="replace")[:4000]
    found = re.search(r"^license(?:_name)?:\s*([^\n]+)$", head, re.MULTILINE)
    return found.group(1).strip() if found else ""
