"""What follows from a recipe: what is seen and how, what acting costs, what is kept."""
# Longer than 300 lines: the passes of a chunk and what they keep are derived in one place.

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from vertebra.coupling.kinds import FEATURES, Coupling, Head, Inverse, whole
from vertebra.coupling.table import Joint, closure
from vertebra.flow.grids import steps_of
from vertebra.policy.recipe import Recipe
from vertebra.schedules.kinds import ActionOnly, Plan, Rolling, Simple, Together, VideoFirst
from vertebra.spec.streams import POINT, Reach, Role

ACTION = "action"


class Means(StrEnum):
    """How one stream looks at another."""

    ATTENTION = "joint attention"
    CROSS = "cross-attention"
    HIDDEN = "hidden states"
    """Cross-attention to the hidden states of a trunk."""
    PICTURES = "pictures"


@dataclass(frozen=True, kw_only=True)
class Sight:
    """One thing that one stream looks at.

    Attributes:
        query: Who looks.
        key: What at: a stream, or a name of the context.
        means: How.
        reach: How far in chunk time.
    """

    query: str
    key: str
    means: Means
    reach: Reach = Reach.ALL


def sights(coupling: Coupling) -> tuple[Sight, ...]:
    """Everything that anyone looks at."""
    match coupling:
        case Joint():
            return tuple(_joint_sights(coupling))
        case Head(trunk=trunk, reads=reads, head=head):
            read = [
                Sight(query=stream.name, key=key, means=Means.HIDDEN)
                for stream in head.streams
                for key in reads.of
            ]
            return (*_joint_sights(trunk), *read, *_joint_sights(head))
        case Inverse(trunk=trunk, reads=reads):
            row = whole(coupling).sees[ACTION]
            read = [
                Sight(query=ACTION, key=key, means=Means.PICTURES, reach=row[key]) for key in reads
            ]
            return (*_joint_sights(trunk), *read)


def _joint_sights(joint: Joint) -> Iterator[Sight]:
    for query, row in joint.sees.items():
        for key, reach in row.items():
            yield Sight(query=query, key=key, means=Means.ATTENTION, reach=reach)
        for key in joint.context:
            if key != FEATURES:
                yield Sight(query=query, key=key, means=Means.CROSS)


def contexts(coupling: Coupling) -> tuple[str, ...]:
    """What is read by cross-attention and is no stream, each once."""
    found = (sight.key for sight in sights(coupling) if sight.means is Means.CROSS)
    return tuple(dict.fromkeys(found))


class Imagination(StrEnum):
    """What acting does about streams besides the action that are made from noise."""

    NONE = "none"
    """There are none."""
    SKIPPED = "skipped"
    """They are never denoised."""
    ONCE = "one pass"
    """They are looked at once, as pure noise; the hidden states of that pass are read."""
    SKIPPABLE = "skippable"
    """The action does not depend on them, but they are denoised."""
    NEEDED = "needed"


def imagination(recipe: Recipe) -> Imagination:
    """Whether acting imagines, and must."""
    imagined = set(recipe.table.named(Role.DENOISED)) - {ACTION}
    if not imagined:
        return Imagination.NONE
    if isinstance(recipe.plain_schedule, ActionOnly):
        return Imagination.ONCE if recipe.read_noisy else Imagination.SKIPPED
    return Imagination.SKIPPABLE if imagined <= recipe.skips else Imagination.NEEDED


class Doing(StrEnum):
    """What a network pass does."""

    RECORD = "write down what really happened"
    READ = "read what is given"
    ASSUME = "take the chunk under way as executed"
    DENOISE = "denoise"
    FINISH = "read what was made"
    INFER = "infer from pictures"


@dataclass(frozen=True, kw_only=True)
class Beat:
    """Some passes of one kind, while a chunk is made.

    Attributes:
        stage: Under which name a session counts them.
        doing: What they do.
        streams: What they do it to.
        times: Flow times: before each pass, and after the last one.
        twice: Whether each pass runs with and without words, for guidance.
        width: Samples of one observation that share each pass (candidates, futures).
        keeps: Streams whose keys and values, or hidden states, are kept afterwards.
        held: Streams to be denoised that stand beside them as they are.
        anew: Given streams that each pass reads again.
    """

    stage: str
    doing: Doing
    streams: tuple[str, ...]
    times: tuple[float, ...] = (1.0, 1.0)
    twice: bool = False
    width: int = 1
    keeps: tuple[str, ...] = ()
    held: tuple[str, ...] = ()
    anew: tuple[str, ...] = ()

    @property
    def touched(self) -> tuple[str, ...]:
        """Streams whose tokens are in the passes."""
        return (*self.anew, *self.streams, *self.held)

    @property
    def steps(self) -> int:
        """Passes, guidance not counted."""
        return len(self.times) - 1

    @property
    def passes(self) -> int:
        """Passes."""
        return self.steps * (1 + self.twice)


def beats(recipe: Recipe) -> tuple[Beat, ...]:
    """What makes one chunk, in order, once a session is under way.

    In the first chunk of a session there is nothing yet to write down.
    """
    schedule = recipe.schedule
    opening = (_rolling_opening if recipe.rolling else _opening)(recipe)
    if isinstance(schedule, Plan):
        return (*opening, *_planned(recipe, schedule))
    return (*opening, *_simple(recipe, recipe.plain_schedule))


def evaluations(recipe: Recipe) -> Mapping[str, int]:
    """Network passes by stage that make one chunk, once a session is under way."""
    found = {"prefix": 0}
    for beat in beats(recipe):
        found[beat.stage] = found.get(beat.stage, 0) + beat.passes
    return found


def guided(recipe: Recipe) -> frozenset[str]:
    """Streams that classifier-free guidance moves."""
    plain = recipe.plain_schedule
    guidance = () if isinstance(plain, ActionOnly) else plain.guidance
    return frozenset(one.stream for one in guidance if one.weight != 1.0)


def _opening(recipe: Recipe) -> list[Beat]:
    twice = bool(guided(recipe))
    glances = POINT in recipe.table.experts and POINT in closure(recipe.trunk, recipe.pixels)
    found: list[Beat] = []
    if recipe.prefix or glances:
        read = recipe.prefix or (recipe.pixels,)
        found.append(
            Beat(stage="prefix", doing=Doing.READ, streams=read, keeps=recipe.prefix, twice=twice)
        )
    if isinstance(recipe.plain_schedule, ActionOnly):
        found += [
            Beat(
                stage="prefix", doing=Doing.FINISH, streams=(name,), times=(0.0, 0.0), keeps=(name,)
            )
            for name in recipe.read_noisy
        ]
    return found


def _rolling_opening(recipe: Recipe) -> list[Beat]:
    truth, given = recipe.kept_teachers, recipe.trunk.named(Role.GIVEN)
    done = tuple(name for name in truth if recipe.table.stream(name).of == ACTION)
    under_way = done if recipe.leapfrogs else ()
    opening = {Doing.RECORD: truth, Doing.READ: given, Doing.ASSUME: under_way}
    twice = bool(guided(recipe))
    return [
        Beat(stage="prefix", doing=doing, streams=names, keeps=names, twice=twice)
        for doing, names in opening.items()
        if names
    ]


def _simple(recipe: Recipe, plain: Simple, width: int = 1) -> list[Beat]:
    match plain:
        case ActionOnly(steps=steps, marginal=marginal):
            return [_denoise(recipe, (ACTION,), steps, held=marginal)]
        case Together(steps=steps):
            return [_denoise(recipe, recipe.noisy, steps, width=width)]
        case VideoFirst():
            return [*_video(recipe, plain, width), _act(recipe, plain)]


def _denoise(
    recipe: Recipe,
    streams: tuple[str, ...],
    steps: int,
    *,
    stage: str = ACTION,
    until: float = 1.0,
    width: int = 1,
    held: tuple[str, ...] = (),
) -> Beat:
    return Beat(
        stage=stage,
        doing=Doing.DENOISE,
        streams=streams,
        times=steps_of(recipe.noise[streams[0]].grid, steps, until),
        twice=bool(guided(recipe) & {*streams, *held}),
        width=width,
        held=held,
        anew=_anew(recipe, streams),
    )


def _anew(recipe: Recipe, streams: tuple[str, ...]) -> tuple[str, ...]:
    if isinstance(recipe.coupling, Head) and ACTION in streams:
        return recipe.coupling.head.named(Role.GIVEN)
    return tuple(n for n in recipe.trunk.named(Role.GIVEN) if n not in recipe.prefix)


def _video(recipe: Recipe, plain: VideoFirst, width: int) -> Iterator[Beat]:
    steps, until, table = plain.video_steps, plain.until, recipe.trunk
    for name in recipe.noisy:
        if name == ACTION:
            continue
        yield _denoise(recipe, (name,), steps, stage="video", until=until, width=width)
        copies = [n for n in table.named(Role.TEACHER) if table.stream(n).of == name]
        read = (*copies, *(n for n in recipe.read_noisy if n == name))
        if read:
            yield Beat(
                stage="video",
                doing=Doing.FINISH,
                streams=read,
                times=(until, until),
                width=width,
                keeps=read,
                twice=bool(guided(recipe)),
            )


def _act(recipe: Recipe, plain: VideoFirst) -> Beat:
    if isinstance(recipe.coupling, Inverse):
        return Beat(stage=ACTION, doing=Doing.INFER, streams=(ACTION,))
    return _denoise(recipe, (ACTION,), plain.steps)


def _planned(recipe: Recipe, plan: Plan) -> list[Beat]:
    found = _simple(recipe, plan.inner, plan.candidates)
    if isinstance(plan.inner, Together) and plan.futures:
        fresh = tuple(name for name in recipe.noisy if name != ACTION)
        width = plan.candidates * plan.futures
        found.append(
            _denoise(recipe, fresh, plan.inner.steps, stage="plan", width=width, held=(ACTION,))
        )
    return found


@dataclass(frozen=True, kw_only=True)
class Memory:
    """What a session remembers from chunk to chunk.

    Attributes:
        streams: Streams whose keys and values it holds.
        chunks: Of how many chunks, the present one included.
        chunk: What it holds of the chunk made last: ``""`` nothing, ``rest`` for the next one to go
            on from, ``next`` all of it, because it is executed while the one after it is made.
    """

    streams: tuple[str, ...] = ()
    chunks: int = 0
    chunk: str = ""


def memory(recipe: Recipe) -> Memory:
    """What a session remembers from chunk to chunk."""
    schedule = recipe.schedule
    if isinstance(schedule, Rolling):
        streams = (*recipe.trunk.named(Role.GIVEN), *recipe.kept_teachers)
        pending = "next" if schedule.leapfrog else ""
        return Memory(streams=streams, chunks=schedule.window, chunk=pending)
    plain = recipe.plain_schedule
    chunking = plain.chunking if isinstance(plain, ActionOnly) else None
    return Memory(chunk="" if chunking is None else "rest")
