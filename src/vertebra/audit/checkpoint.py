"""What is this policy? Answered from names, shapes and documents; nothing is run or unpickled."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vertebra import __version__
from vertebra.audit.checkpoint_family import Judgement, judge
from vertebra.audit.checkpoint_files import CheckpointFiles, open_checkpoint
from vertebra.audit.conventions import Conventions, Fact, Statistics, read_conventions
from vertebra.audit.evidence import Evidence
from vertebra.audit.identity import Identity, identify
from vertebra.audit.known import KNOWN
from vertebra.audit.layout import Layout
from vertebra.audit.measures import layers, sizes
from vertebra.audit.own_checkpoint import couples, judge_own, own_manifest
from vertebra.audit.pitfalls import Pitfall, pitfalls
from vertebra.audit.tensors import TensorEntry

EXPERT = re.compile(r"attention\.experts\.(?P<name>\w+)\..*")


@dataclass(frozen=True, kw_only=True)
class Part:
    """Parameters that belong together.

    Attributes:
        where: File or directory.
        part: What they are.
        tensors: How many tensors.
        parameters: How many numbers.
        share: Of all numbers of the checkpoint.
    """

    where: str
    part: str
    tensors: int
    parameters: int
    share: float


@dataclass(frozen=True, kw_only=True)
class ReadFile:
    """One file that was looked at.

    Attributes:
        path: Below the checkpoint.
        form: How it is written.
        tensors: How many it declares.
        faults: What is wrong with it.
    """

    path: str
    form: str
    tensors: int
    faults: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class CheckpointAudit:
    """Everything that an audit of a checkpoint says.

    Attributes:
        path: What was audited.
        family: VLA, WAM, hybrid, neither, or cannot tell.
        headline: The same in a sentence.
        layout: Name of the known layout that decided; "" when none did.
        backbone: What it stands on; "" when unknown.
        couples: How actions reach the backbone; "" when unknown.
        evidence: Reasons.
        parameters: Numbers in all tensors whose shape is known.
        parts: Where they sit.
        sizes: Sizes read off shapes.
        number_types: Number type to how many tensors have it.
        facts: What the files of the checkpoint say.
        published: What is published of the system, not read here: (label, words).
        cameras: Images that it wants.
        statistics: What there is to normalise with.
        licences: Hints, of the files and of the system.
        pitfalls: What may go wrong, and how to rule it out.
        files: What was read.
        unread: Files in forms that are not read.
        source: Where the names of the layout are from.
        version: Of vertebra.
    """

    path: Path
    family: str
    headline: str
    layout: str
    backbone: str
    couples: str
    evidence: tuple[Evidence, ...]
    parameters: int
    parts: tuple[Part, ...]
    sizes: tuple[Fact, ...]
    number_types: Mapping[str, int]
    facts: tuple[Fact, ...]
    published: tuple[tuple[str, str], ...]
    cameras: tuple[str, ...]
    statistics: tuple[Statistics, ...]
    licences: tuple[Fact, ...]
    pitfalls: tuple[Pitfall, ...]
    files: tuple[ReadFile, ...]
    unread: tuple[str, ...]
    source: str
    version: str


def audit_checkpoint(path: Path) -> CheckpointAudit:
    """Say what a checkpoint is.

    Args:
        path: Directory of a checkpoint, or one of its files.

    Raises:
        ValueError: When there is nothing at the path, or far too much.
    """
    files = open_checkpoint(path)
    said = read_conventions(files)
    has_statistics = any(table.of_actions for table in said.statistics)
    identities = tuple(identify(bundle, has_statistics) for bundle in files.bundles)
    manifest = own_manifest(files)
    if manifest is not None:
        judgement = judge_own(files, manifest)
    else:
        judgement = judge(identities, has_action_statistics=has_statistics)
    layout = next((known for known in KNOWN if known.name == judgement.layout), None)
    return _audit(path, files, said, identities, judgement, layout, manifest)


def _audit(
    path: Path,
    files: CheckpointFiles,
    said: Conventions,
    identities: tuple[Identity, ...],
    judgement: Judgement,
    layout: Layout | None,
    manifest: Mapping[str, Any] | None,
) -> CheckpointAudit:
    tensors = [tensor for identity in identities for tensor in identity.bundle.tensors]
    told = manifest is not None and bool(judgement.layout)
    return CheckpointAudit(
        path=path,
        family=judgement.family.value,
        headline=judgement.headline,
        layout=judgement.layout,
        backbone=layout.backbone if layout else "",
        couples=couples(manifest) if manifest and told else layout.couples if layout else "",
        evidence=judgement.evidence,
        parameters=sum(tensor.count for tensor in tensors),
        parts=tuple(_parts(identities, own=manifest is not None)),
        sizes=tuple(_sizes(identities)),
        number_types=Counter(tensor.kind or "unknown" for tensor in tensors),
        facts=tuple(fact for fact in said.facts if fact.label != "licence"),
        published=layout.conventions if layout else (),
        cameras=said.cameras,
        statistics=said.statistics,
        licences=tuple(_licences(said, layout)),
        pitfalls=pitfalls(identities, layout, said),
        files=tuple(_files(files)),
        unread=files.unread,
        source=layout.source if layout else "",
        version=__version__,
    )


def _parts(identities: Sequence[Identity], *, own: bool) -> Iterator[Part]:
    whole = max(1, sum(t.count for identity in identities for t in identity.bundle.tensors))
    for identity in identities:
        groups: dict[str, Sequence[TensorEntry]] = {}
        for match in identity.matches:
            groups.update(match.claimed)
        groups |= _by_expert(identity.left) if own else {"of unknown purpose": identity.left}
        groups |= {"un-merged adapters": identity.adapters, "buffers": identity.buffers}
        groups |= {"state of an optimiser": identity.beside}
        for name, tensors in groups.items():
            if tensors:
                yield _part(identity.bundle.label, name, tensors, whole)


def _by_expert(tensors: Iterable[TensorEntry]) -> dict[str, Sequence[TensorEntry]]:
    """Parts of a policy of ours: its experts, and what stands around them."""
    groups: dict[str, list[TensorEntry]] = {}
    for tensor in tensors:
        match = EXPERT.fullmatch(tensor.name)
        name = f"{match['name']} expert" if match else tensor.name.partition(".")[0]
        groups.setdefault(name, []).append(tensor)
    return dict(groups)


def _part(where: str, name: str, tensors: Sequence[TensorEntry], whole: int) -> Part:
    count = sum(tensor.count for tensor in tensors)
    return Part(where=where, part=name, tensors=len(tensors), parameters=count, share=count / whole)


def _sizes(identities: Sequence[Identity]) -> Iterator[Fact]:
    for identity in identities:
        for match in identity.matches:
            where = identity.bundle.label
            depth = layers(identity, match)
            if depth:
                yield Fact(label="layers", value=str(len(depth)), source=where)
            for label, size, _ in sizes(identity, match):
                yield Fact(label=label, value=f"{size:,}", source=where)


def _licences(said: Conventions, layout: Layout | None) -> Iterator[Fact]:
    yield from (fact for fact in said.facts if fact.label == "licence")
    if layout and layout.licence:
        yield Fact(label="licence", value=layout.licence, source=f"published for {layout.name}")


def _files(files: CheckpointFiles) -> Iterator[ReadFile]:
    for file in (*(f for b in files.bundles for f in b.files), *files.normalisers):
        yield ReadFile(
            path=file.path.relative_to(files.root).as_posix(),
            form=file.form,
            tensors=len(file.tensors),
            faults=file.faults,
        )
    for fault in files.faults:
        name, _, words = fault.partition(" ")
        yield ReadFile(path=name, form="document", tensors=0, faults=(words,))
