"""What is known of a kind of checkpoint, as data, and whether given tensors are of that kind.

Names are written in a small language: a dot is a dot, `#` a number between dots, `{a|b}` one of
several, `*` anything. All names of a layout lie below one root, which may be any prefix.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Literal

from vertebra.audit.tensors import TensorEntry


class Family(StrEnum):
    """What an action stands on."""

    VLA = "VLA"
    WAM = "WAM"
    HYBRID = "hybrid"
    NEITHER = "neither"
    CANNOT_TELL = "cannot tell"


Kind = Literal["policy", "backbone", "component", "world model"]
Needs = Literal["weights", "configuration", "action statistics"]


@dataclass(frozen=True, kw_only=True)
class Section:
    """Tensors that belong together.

    Attributes:
        part: What they are, in words.
        names: Their names below the root.
    """

    part: str
    names: str


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A size that can be read off a shape and may be told by a configuration too.

    Attributes:
        label: What it is.
        name: A tensor below the root; the first that fits.
        axis: Which of its sizes.
        keys: Where a configuration states the same size.
    """

    label: str
    name: str
    axis: int
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Layout:
    """One kind of checkpoint.

    Attributes:
        name: What it is called.
        kind: A policy, a model without a way to actions, a part of one, or a world model that is
            given actions.
        family: What its actions stand on; NEITHER when it has none, or no such backbone.
        backbone: What it stands on, in words.
        marks: Names that must all be there.
        absent: Names that must not.
        equal: Pairs of (name, axis) whose sizes must agree.
        sections: Where its tensors sit. Tensors outside are not its own.
        layers: A name with `#` whose numbers count the layers of the backbone.
        measures: Sizes worth telling.
        words: How configurations call it (`type`, `model_type`, `architectures`, `_class_name`).
        needs: What must speak for it beside the weights, when these are those of another layout.
        couples: How actions reach the backbone.
        conventions: (label, published convention) of the system.
        licence: What its publishers say of its licence, as a hint.
        source: Where the names are from.
    """

    name: str
    kind: Kind
    family: Family
    backbone: str
    marks: tuple[str, ...]
    sections: tuple[Section, ...]
    absent: tuple[str, ...] = ()
    equal: tuple[tuple[str, int, str, int], ...] = ()
    layers: str = ""
    measures: tuple[Measure, ...] = ()
    words: tuple[str, ...] = ()
    needs: Needs = "weights"
    couples: str = ""
    conventions: tuple[tuple[str, str], ...] = ()
    licence: str = ""
    source: str = ""


class Names:
    """Tensors by name, and by name with every number between dots replaced by `#`.

    Args:
        tensors: What a checkpoint declares.
    """

    def __init__(self, tensors: Sequence[TensorEntry]) -> None:
        self.tensors = tuple(tensors)
        found: dict[str, list[TensorEntry]] = {}
        for tensor in tensors:
            found.setdefault(numberless(tensor.name), []).append(tensor)
        self.by_pattern: Mapping[str, tuple[TensorEntry, ...]] = {
            pattern: tuple(entries) for pattern, entries in found.items()
        }

    def below(self, root: str, name: str) -> Iterator[TensorEntry]:
        """Tensors below a root that a name describes."""
        wanted = compiled(name)
        for pattern, entries in self.by_pattern.items():
            if pattern.startswith(root) and wanted.fullmatch(pattern, len(root)):
                yield from entries


@dataclass(frozen=True, kw_only=True)
class Match:
    """A layout that fits, below a root.

    Attributes:
        layout: Which.
        root: Prefix of its names, numbers written `#`.
        claimed: Part to its tensors.
        unknown_shapes: Whether a size that must agree could not be compared.
    """

    layout: Layout
    root: str
    claimed: Mapping[str, tuple[TensorEntry, ...]]
    unknown_shapes: bool

    @property
    def names(self) -> frozenset[str]:
        """Names of all tensors it claims."""
        return frozenset(t.name for tensors in self.claimed.values() for t in tensors)


def matches(layout: Layout, names: Names) -> list[Match]:
    """Every place where a layout fits."""
    found: list[Match] = []
    for root in _roots(layout.marks[0], names):
        if not all(any(True for _ in names.below(root, mark)) for mark in layout.marks):
            continue
        if any(True for name in layout.absent for _ in names.below(root, name)):
            continue
        agreed = [_agree(names, root, *pair) for pair in layout.equal]
        if False in agreed:
            continue
        found.append(
            Match(
                layout=layout,
                root=root,
                claimed=_claimed(layout, root, names),
                unknown_shapes=None in agreed,
            )
        )
    return found


def share_of_marks(layout: Layout, names: Names) -> tuple[float, tuple[str, ...]]:
    """How many marks are found below the best root, and which are not."""
    best: tuple[float, tuple[str, ...]] = (0.0, layout.marks)
    for mark in layout.marks:
        for root in _roots(mark, names):
            missing = tuple(m for m in layout.marks if not any(True for _ in names.below(root, m)))
            share = 1 - len(missing) / len(layout.marks)
            best = max(best, (share, missing), key=lambda pair: pair[0])
    return best


def size_of(names: Names, root: str, name: str, axis: int) -> int | None:
    """A size of the first tensor that a name describes; None when there is none."""
    for tensor in names.below(root, name):
        if tensor.shape is not None and axis < len(tensor.shape):
            return tensor.shape[axis]
    return None


def numberless(name: str) -> str:
    """A name with every number between dots replaced by `#`."""
    return ".".join("#" if word.isdecimal() else word for word in name.split("."))


@cache
def compiled(name: str, root: str = "") -> re.Pattern[str]:
    """The expression for a name of the small language."""
    signs = {"{": "(?:", "}": ")", "|": "|", "*": ".*"}
    inner = "".join(signs.get(sign) or re.escape(sign) for sign in name)
    return re.compile(f"{root}(?:{inner})")


def _roots(mark: str, names: Names) -> list[str]:
    expression = compiled(mark, r"(?P<root>(?:.*?\.)??)")
    found = (expression.fullmatch(pattern) for pattern in names.by_pattern)
    return list(dict.fromkeys(match["root"] for match in found if match))


def _agree(names: Names, root: str, a: str, axis_a: int, b: str, axis_b: int) -> bool | None:
    left, right = size_of(names, root, a, axis_a), size_of(names, root, b, axis_b)
    return None if left is None or right is None else left == right


def _claimed(layout: Layout, root: str, names: Names) -> dict[str, tuple[TensorEntry, ...]]:
    claimed: dict[str, list[TensorEntry]] = {}
    taken: set[str] = set()
    for section in layout.sections:
        for tensor in names.below(root, section.names):
            stray = layout.kind in ("backbone", "component") and "action" in tensor.name
            if tensor.name not in taken and not stray:
                taken.add(tensor.name)
                claimed.setdefault(section.part, []).append(tensor)
    return {part: tuple(tensors) for part, tensors in claimed.items()}
