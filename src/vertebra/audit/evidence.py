"""The reasons for a judgement, in words, each with the file it is read from."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from vertebra.audit.identity import Identity
from vertebra.audit.layout import Match, numberless, size_of
from vertebra.audit.tensors import TensorEntry

Side = Literal["for", "against", "limits"]


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """One reason.

    Attributes:
        says: What was found.
        where: In which file.
        side: Whether it speaks for the judgement, against it, or limits what it means.
    """

    says: str
    where: str
    side: Side = "for"


def evidence_of(identity: Identity, kinds: frozenset[str]) -> tuple[Evidence, ...]:
    """Everything found in one bundle that speaks for or against a judgement.

    Args:
        identity: The bundle.
        kinds: Layouts of all weights that share its configuration.
    """
    where = identity.bundle.label
    found = [
        Evidence(says=says, where=where, side="limits" if identity.left else "for")
        for match in identity.matches
        for says in _marks_found(match, identity)
    ]
    words = ", ".join(f"'{word}'" for word in identity.words)
    if words and not identity.contradicted(kinds) and not identity.unknown_words:
        found.append(Evidence(says=f"the configuration calls it {words}", where="config.json"))
    elif words:
        found.append(
            Evidence(
                says=f"the configuration calls it {words}", where="config.json", side="against"
            )
        )
    if identity.left:
        count = sum(tensor.count for tensor in identity.left)
        found.append(
            Evidence(
                says=f"{len(identity.left)} tensors ({count:,} numbers) are of unknown purpose: "
                + some_names(identity.left),
                where=where,
                side="limits",
            )
        )
    if identity.adapters:
        found.append(
            Evidence(
                says=f"{len(identity.adapters)} tensors are un-merged low-rank adapters",
                where=where,
                side="limits",
            )
        )
    for name, share, missing in identity.near:
        found.append(
            Evidence(
                says=f"it resembles {name} ({share:.0%} of its marks) but lacks "
                + ", ".join(missing),
                where=where,
                side="limits",
            )
        )
    found += [Evidence(says=fault, where=where, side="limits") for fault in identity.bundle.faults]
    return tuple(found)


def _marks_found(match: Match, identity: Identity) -> Iterable[str]:
    parts = {tensor.name: part for part, tensors in match.claimed.items() for tensor in tensors}
    for mark in match.layout.marks:
        tensor = next(identity.names.below(match.root, mark))
        shape = "shape unknown" if tensor.shape is None else f"shape {list(tensor.shape)}"
        yield f"{parts.get(tensor.name, 'mark')}: {tensor.name}, {shape}"
    for a, axis, b, _ in match.layout.equal:
        size = size_of(identity.names, match.root, a, axis)
        if size is not None:
            pair = [next(identity.names.below(match.root, name)).name for name in (a, b)]
            named = [f"{_last(name)} ({parts.get(name, 'mark')})" for name in pair]
            yield f"sizes agree on {size}: {named[0]}, {named[1]}"


def _last(name: str) -> str:
    """The name of the layer that a tensor belongs to."""
    words = [
        word for word in name.split(".") if word not in ("weight", "W") and not word.isdecimal()
    ]
    return words[-1] if words else name


def some_names(tensors: Sequence[TensorEntry], most: int = 4) -> str:
    """A few names of tensors, numbers left out."""
    names = list(dict.fromkeys(numberless(tensor.name) for tensor in tensors))
    return ", ".join(names[:most]) + (" ..." if len(names) > most else "")
