"""Joint attention as a table: who may look at whom. Pure data; no tensors."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType

from vertebra.spec.streams import Reach, Role, Stream

Sees = Mapping[str, Mapping[str, Reach]]


class Embed(StrEnum):
    """How the vectors of a stream become tokens."""

    TOKENS = "tokens"
    """One token a vector; the flow time is mixed into each token."""
    ADAPTIVE = "adaptive"
    """One token a vector; the flow time scales and shifts every layer (adaRMS, AdaLN)."""
    LATENT_FRAME = "latent-frame"
    """All vectors together fill the tokens of a whole frame, repeated; read back by averaging."""
    WORDS = "words"
    """Numbers cut into 256 bins, one word each (given streams only)."""


def _frozen(sees: Sees, streams: tuple[Stream, ...]) -> Sees:
    """Rows and keys in the order of the streams: how a table is written down changes no bit."""
    rank = {stream.name: place for place, stream in enumerate(streams)}

    def ordered(names: Mapping[str, object]) -> list[str]:
        return sorted(names, key=lambda name: rank.get(name, len(rank)))

    rows = {
        query: {key: Reach(sees[query][key]) for key in ordered(sees[query])}
        for query in ordered(sees)
    }
    return MappingProxyType({query: MappingProxyType(keys) for query, keys in rows.items()})


@dataclass(frozen=True, kw_only=True)
class Joint:
    """Mixture of experts that share attention.

    Attributes:
        streams: Named token groups.
        sees: For each stream the streams it may look at, and how far in chunk time.
        experts: For each stream the name of the weights that serve it.
        context: Names of given inputs that every expert reads through cross-attention instead of
            joint attention (the text conditioning of a video model).
        embed: How a stream's vectors become tokens, where it is not ``TOKENS``.
    """

    streams: tuple[Stream, ...]
    sees: Sees
    experts: Mapping[str, str]
    context: tuple[str, ...] = field(default=())
    embed: Mapping[str, Embed] = field(default_factory=dict[str, Embed])

    def __post_init__(self) -> None:
        object.__setattr__(self, "sees", _frozen(self.sees, self.streams))
        object.__setattr__(self, "experts", MappingProxyType(dict(self.experts)))
        chosen = {name: Embed(embed) for name, embed in self.embed.items()}
        object.__setattr__(self, "embed", MappingProxyType(chosen))

    def __hash__(self) -> int:
        return hash((self.streams, self.context))

    def __reduce__(self) -> tuple[object, ...]:
        sees = {query: dict(keys) for query, keys in self.sees.items()}
        parts = (self.streams, sees, dict(self.experts), self.context, dict(self.embed))
        return (_joint, parts)

    def stream(self, name: str) -> Stream:
        """The stream of that name."""
        return next(stream for stream in self.streams if stream.name == name)

    def named(self, role: Role) -> tuple[str, ...]:
        """Names of the streams with a role, in order."""
        return tuple(stream.name for stream in self.streams if stream.role is role)

    @property
    def chunked(self) -> bool:
        """Whether some stream looks at other chunk times than all of them."""
        return any(reach is not Reach.ALL for row in self.sees.values() for reach in row.values())

    def with_sight(self, query: str, **keys: Reach) -> "Joint":
        """The same coupling in which one stream sees exactly ``keys``."""
        return replace(self, sees={**self.sees, query: keys})

    def with_stream(
        self,
        stream: Stream,
        *,
        expert: str,
        sees: Mapping[str, Reach],
        seen_by: Mapping[str, Reach],
    ) -> "Joint":
        """The same coupling with one more stream, which stands before the last one."""
        rows = {
            name: {**row, **({stream.name: seen_by[name]} if name in seen_by else {})}
            for name, row in self.sees.items()
        }
        return replace(
            self,
            streams=(*self.streams[:-1], stream, self.streams[-1]),
            sees={**rows, stream.name: sees},
            experts={**self.experts, stream.name: expert},
        )


def _joint(
    streams: tuple[Stream, ...],
    sees: Sees,
    experts: Mapping[str, str],
    context: tuple[str, ...],
    embed: Mapping[str, Embed],
) -> Joint:
    return Joint(streams=streams, sees=sees, experts=experts, context=context, embed=embed)


def problems(joint: Joint) -> list[str]:
    """Everything that is wrong with a table, in words."""
    names = [stream.name for stream in joint.streams]
    found = [
        f"stream '{name}' is declared twice" for name in sorted(set(names)) if names.count(name) > 1
    ]
    for query, keys in joint.sees.items():
        found += [
            f"'{query}' sees '{key}', and '{missing}' is not a stream (streams: {names})"
            for key in keys
            for missing in sorted({query, key} - set(names))
        ]
    for name in names:
        if name not in joint.sees:
            found.append(
                f"stream '{name}' has no row in `sees`; give it one (it may see only itself)"
            )
        if name not in joint.experts:
            found.append(f"stream '{name}' has no expert; name the weights that serve it")
    found += unseeing(joint)
    found += [
        f"{what} given for unknown stream '{name}'"
        for what, table in (("expert", joint.experts), ("embedding", joint.embed))
        for name in sorted(set(table) - set(names))
    ]
    for stream in joint.streams:
        if stream.role is not Role.TEACHER:
            continue
        if stream.of not in joint.named(Role.DENOISED):
            found.append(f"teacher '{stream.name}' copies '{stream.of}', which is not denoised")
        elif stream.name in present(joint, stream.of):
            found.append(
                f"'{stream.of}' reads its own clean copy '{stream.name}' (directly or through "
                "another stream): the target would leak into the prediction"
            )
    return found


def unseeing(joint: Joint) -> list[str]:
    """Streams whose attention may be left without a key, in words."""
    return [
        f"stream '{name}' may see nothing at its first chunk time; let it see itself"
        for name, row in joint.sees.items()
        if not any(
            reach is Reach.ALL or (key == name and reach is not Reach.PAST)
            for key, reach in row.items()
        )
    ]


def _then(first: Reach, second: Reach) -> Reach:
    """How far one looks by looking at someone who looks further."""
    for reach in (Reach.ALL, Reach.PAST, Reach.UPTO):
        if reach in (first, second):
            return reach
    return Reach.SAME


def reaches(joint: Joint, name: str) -> Mapping[str, frozenset[Reach]]:
    """For each stream that ``name`` depends on, directly or through others, how far in chunk time.

    Names that are not streams are left out; ``problems`` tells of them.
    """
    streams = {stream.name for stream in joint.streams}
    found = {(name, Reach.SAME)}
    frontier = [(name, Reach.SAME)]
    while frontier:
        query, reach = frontier.pop()
        for key, further in joint.sees.get(query, {}).items():
            step = (key, _then(reach, further))
            if key in streams and step not in found:
                found.add(step)
                frontier.append(step)
    return {key: frozenset(r for k, r in found if k == key) for key, _ in found}


def closure(joint: Joint, name: str) -> frozenset[str]:
    """All streams on which a stream depends, directly or through others (itself included)."""
    return frozenset(reaches(joint, name))


def present(joint: Joint, name: str) -> frozenset[str]:
    """Those of them on which it depends not only at past chunk times."""
    return frozenset(key for key, found in reaches(joint, name).items() if found - {Reach.PAST})


def skippable(joint: Joint, wanted: str = "action") -> frozenset[str]:
    """Denoised streams of a chunk that need not be generated to get ``wanted`` in that chunk.

    A teacher stands for the finished copy of its stream, so reading it needs that stream; at past
    chunk times it holds what really happened, which nobody needs to generate.
    """
    needed = set(present(joint, wanted))
    needed |= {joint.stream(name).of for name in needed if joint.stream(name).role is Role.TEACHER}
    return frozenset(joint.named(Role.DENOISED)) - needed
