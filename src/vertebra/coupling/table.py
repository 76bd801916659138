"""Joint attention as a table: who may look at whom. Pure data; no tensors."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from vertebra.spec.streams import Reach, Role, Stream

Sees = Mapping[str, Mapping[str, Reach]]


def _frozen(sees: Sees, streams: tuple[Stream, ...]) -> Sees:
    """Rows and keys in the order of the streams: how a table is written down changes no bit."""
    rank = {stream.name: place for place, stream in enumerate(streams)}

    def ordered(names: Mapping[str, object]) -> list[str]:
        return sorted(names, key=lambda name: rank.get(name, len(rank)))

    rows = {
        query: {key: sees[query][key] for key in ordered(sees[query])} for query in ordered(sees)
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
    """

    streams: tuple[Stream, ...]
    sees: Sees
    experts: Mapping[str, str]
    context: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        object.__setattr__(self, "sees", _frozen(self.sees, self.streams))
        object.__setattr__(self, "experts", MappingProxyType(dict(self.experts)))

    def __hash__(self) -> int:
        return hash((self.streams, self.context))

    def __reduce__(self) -> tuple[object, ...]:
        sees = {query: dict(keys) for query, keys in self.sees.items()}
        return (_joint, (self.streams, sees, dict(self.experts), self.context))

    def stream(self, name: str) -> Stream:
        """The stream of that name."""
        return next(stream for stream in self.streams if stream.name == name)

    def named(self, role: Role) -> tuple[str, ...]:
        """Names of the streams with a role, in order."""
        return tuple(stream.name for stream in self.streams if stream.role is role)

    def with_sight(self, query: str, **keys: Reach) -> "Joint":
        """The same coupling in which one stream sees exactly ``keys``."""
        return Joint(
            streams=self.streams,
            sees={**self.sees, query: keys},
            experts=self.experts,
            context=self.context,
        )


def _joint(
    streams: tuple[Stream, ...],
    sees: Sees,
    experts: Mapping[str, str],
    context: tuple[str, ...],
) -> Joint:
    return Joint(streams=streams, sees=sees, experts=experts, context=context)


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
        elif not any(
            reach is Reach.ALL or (key == name and reach is not Reach.PAST)
            for key, reach in joint.sees[name].items()
        ):
            found.append(
                f"stream '{name}' may see nothing at its first chunk time; let it see itself"
            )
        if name not in joint.experts:
            found.append(f"stream '{name}' has no expert; name the weights that serve it")
    found += [
        f"expert given for unknown stream '{name}'"
        for name in sorted(set(joint.experts) - set(names))
    ]
    for stream in joint.streams:
        if stream.role is not Role.TEACHER:
            continue
        if stream.of not in joint.named(Role.DENOISED):
            found.append(f"teacher '{stream.name}' copies '{stream.of}', which is not denoised")
        elif stream.name in closure(joint, stream.of):
            found.append(
                f"'{stream.of}' reads its own clean copy '{stream.name}' (directly or through "
                "another stream): the target would leak into the prediction"
            )
    return found


def closure(joint: Joint, name: str) -> frozenset[str]:
    """All streams on which a stream depends, directly or through others (itself included).

    Names that are not streams are left out; ``problems`` tells of them.
    """
    streams = {stream.name for stream in joint.streams}
    reached = {name}
    frontier = [name]
    while frontier:
        for key in joint.sees.get(frontier.pop(), {}):
            if key in streams and key not in reached:
                reached.add(key)
                frontier.append(key)
    return frozenset(reached)


def skippable(joint: Joint, wanted: str = "action") -> frozenset[str]:
    """Denoised streams that need not be generated to get ``wanted``.

    A teacher stands for the finished copy of its stream, so reading it needs that stream.
    """
    needed = set(closure(joint, wanted))
    needed |= {joint.stream(name).of for name in needed if joint.stream(name).role is Role.TEACHER}
    return frozenset(joint.named(Role.DENOISED)) - needed
