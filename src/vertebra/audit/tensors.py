"""What a file of weights says about itself, without its numbers: names, shapes, types, faults."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Form = Literal["safetensors", "torch archive", "old torch file", "index", "unknown"]


@dataclass(frozen=True, kw_only=True)
class TensorEntry:
    """One tensor as its file declares it.

    Attributes:
        name: Its name; nested dictionaries are joined by dots.
        shape: Its shape, or None when only an index names it.
        kind: Its number type as the file spells it, "" when unknown.
    """

    name: str
    shape: tuple[int, ...] | None
    kind: str

    @property
    def count(self) -> int:
        """Numbers in it; 0 when the shape is unknown."""
        return 0 if self.shape is None else math.prod(self.shape)


@dataclass(frozen=True, kw_only=True)
class WeightFile:
    """One file that may hold weights.

    Attributes:
        path: Where it is.
        form: How it is written.
        tensors: What it declares.
        metadata: Text that the file carries beside its tensors.
        faults: What is wrong with it.
        calls: Names that an ordinary unpickling of the file would import and could call, beyond
            what tensors need.
    """

    path: Path
    form: Form
    tensors: tuple[TensorEntry, ...] = ()
    metadata: tuple[tuple[str, str], ...] = ()
    faults: tuple[str, ...] = ()
    calls: tuple[str, ...] = ()
