"""The three couplings of a backbone and an action, as data."""

from dataclasses import dataclass, field

from vertebra.coupling.table import Joint, problems, unseeing
from vertebra.spec.streams import PIXEL_STREAMS, POINT, Reach, Role, denoised

FEATURES = "features"
"""Name of the context by which a head reads the hidden states of its trunk."""


@dataclass(frozen=True, kw_only=True)
class Features:
    """Hidden states that a head reads.

    Attributes:
        of: Streams of the trunk.
        depths: Which layers, as fractions of the trunk's depth in (0, 1]; several are joined on the
            channels.
        at_time: Flow time of the noisy streams in the pass that is read. ``None``: the time at
            which the pass happens to be, drawn in training and set by the schedule when acting.
    """

    of: tuple[str, ...]
    depths: tuple[float, ...] = (1.0,)
    at_time: float | None = None

    def layers(self, depth: int) -> tuple[int, ...]:
        """After how many of ``depth`` layers the hidden states are taken."""
        return tuple(max(1, round(fraction * depth)) for fraction in self.depths)


@dataclass(frozen=True, kw_only=True)
class Head:
    """An action decoder of its own that reads the trunk by cross-attention.

    Attributes:
        trunk: What the backbone reads, and what it imagines.
        reads: Which hidden states the head sees.
        head: Streams of the head, the action among them; its context holds ``features``.
        trained: Whether the loss of the action also reaches the trunk (else it is detached).
    """

    trunk: Joint
    reads: Features
    head: Joint
    trained: bool = True


@dataclass(frozen=True, kw_only=True)
class Inverse:
    """A separate inverse dynamics model: from frames, real or imagined, to the actions between.

    Attributes:
        trunk: The video model that imagines the frames.
        reads: Which of its streams the inverse dynamics model is shown, as pictures.
    """

    trunk: Joint
    reads: tuple[str, ...] = field(default=("frame", "future"))


Coupling = Joint | Head | Inverse


def whole(coupling: Coupling) -> Joint:
    """One table over all streams of a coupling, from which facts are derived.

    What is read by other means than joint attention stands in it as seen.
    """
    match coupling:
        case Joint():
            return coupling
        case Head(trunk=trunk, reads=reads, head=head):
            seen = dict.fromkeys(reads.of, Reach.ALL)
            rows = {name: {**seen, **row} for name, row in head.sees.items()}
            if POINT in rows:
                rows[POINT] |= {pixels_of(coupling): Reach.ALL}
            return Joint(
                streams=(*trunk.streams, *head.streams),
                sees={**trunk.sees, **rows},
                experts={**trunk.experts, **head.experts},
                context=tuple(dict.fromkeys((*trunk.context, *_plain_context(head)))),
                embed={**trunk.embed, **head.embed},
            )
        case Inverse(trunk=trunk, reads=reads):
            reach = Reach.SAME if trunk.chunked else Reach.ALL
            row = {**dict.fromkeys(reads, reach), "action": reach}
            return Joint(
                streams=(*trunk.streams, denoised("action")),
                sees={**trunk.sees, "action": row},
                experts={**trunk.experts, "action": "inverse"},
                context=trunk.context,
                embed=trunk.embed,
            )


def trunk_of(coupling: Coupling) -> Joint:
    """The table of the backbone (of everything, for ``Joint``)."""
    return coupling if isinstance(coupling, Joint) else coupling.trunk


def pixels_of(coupling: Coupling) -> str:
    """Name of the (first) given stream that holds the camera tokens."""
    given = trunk_of(coupling).named(Role.GIVEN)
    return next(name for name in PIXEL_STREAMS if name in given)


def _plain_context(head: Joint) -> tuple[str, ...]:
    return tuple(name for name in head.context if name != FEATURES)


def coupling_problems(coupling: Coupling) -> list[str]:
    """Everything that is wrong with a coupling, in words."""
    found = problems(whole(coupling))
    trunk = trunk_of(coupling)
    names = [stream.name for stream in trunk.streams]
    match coupling:
        case Joint():
            return found
        case Head(reads=reads, head=head):
            found += _head_problems(names, reads, head)
            read = reads.of
        case Inverse(reads=read):
            found += _inverse_problems(trunk, read)
    return found + [
        f"'{name}' is read and is not a stream of the trunk (streams: {names})"
        for name in read
        if name not in names
    ]


def _head_problems(names: list[str], reads: Features, head: Joint) -> list[str]:
    found = unseeing(head)
    if "action" in names:
        found.append("the trunk of a head holds the action: use Joint, or move it")
    if FEATURES not in head.context:
        found.append(f"the head's context {list(head.context)} does not hold '{FEATURES}'")
    if not reads.depths or not all(0.0 < depth <= 1.0 for depth in reads.depths):
        found.append(f"features are read at depths {reads.depths}: fractions in (0, 1]")
    if reads.at_time is not None and not 0.0 <= reads.at_time <= 1.0:
        found.append(f"features are read at flow time {reads.at_time}: expected 0 to 1")
    return found


def _inverse_problems(trunk: Joint, reads: tuple[str, ...]) -> list[str]:
    found: list[str] = []
    if "action" in trunk.experts:
        found.append("the trunk of an inverse dynamics model holds the action")
    if "future" not in trunk.named(Role.DENOISED):
        found.append("an inverse dynamics model needs a denoised stream 'future'")
    if "future" not in reads or not set(reads) <= {"frame", "future"}:
        found.append(
            f"an inverse dynamics model is shown {list(reads)}: expected 'future', alone or with "
            "'frame'"
        )
    return found
