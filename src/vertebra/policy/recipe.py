"""A recipe: a policy as data. Backbone x coupling x schedule, and how it is trained."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from vertebra.backbones.kinds import VLM, Backbone, Video
from vertebra.coupling.kinds import Coupling, Head, Inverse, pixels_of, trunk_of, whole
from vertebra.coupling.table import Joint, closure, skippable
from vertebra.policy.legality import recipe_problems
from vertebra.policy.process import Process
from vertebra.schedules.kinds import (
    ActionOnly,
    Rolling,
    Schedule,
    Simple,
    VideoFirst,
    innermost,
)
from vertebra.spec.errors import IllegalRecipe
from vertebra.spec.streams import POINT, Reach, Role, given

BLIND_SUFFIX = "+blind"


@dataclass(frozen=True, kw_only=True)
class Mode:
    """One way in which training samples are shown.

    Attributes:
        share: Relative frequency.
        clean: Denoised streams that are shown clean instead of noisy, and bear no loss.
    """

    share: float
    clean: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One way to build and train a policy.

    Attributes:
        name: Kebab-case name; ``+blind`` is appended for the trained-blind twin.
        source: Paper or repository.
        backbone: What the policy stands on.
        coupling: Who may look at whom.
        schedule: What is denoised when.
        noise: For each denoised stream its noise process; also for a teacher that is shown noisy.
        weights: For each denoised stream, the weight of its loss.
        modes: Ways in which training samples are shown; none means that all streams are noisy.
        values: Names of the numbers in the stream ``value``, for scoring.
        text_dropout: Share of training samples that are told nothing (for guidance).
        status: Evidence: sketch < maps < parity < loads < reproduces. Not what a recipe is, so it
            does not count when two are compared.
        blind: Whether text is replaced by a constant, in training and when acting.

    Raises:
        IllegalRecipe: When the parts contradict each other (all contradictions are named).
    """

    name: str
    source: str
    backbone: Backbone
    coupling: Coupling
    schedule: Schedule
    noise: Mapping[str, Process]
    weights: Mapping[str, float] = field(default_factory=dict[str, float])
    modes: tuple[Mode, ...] = ()
    values: tuple[str, ...] = ()
    text_dropout: float = 0.0
    status: str = field(default="sketch", compare=False)
    blind: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "noise", MappingProxyType(dict(self.noise)))
        object.__setattr__(self, "weights", MappingProxyType(dict(self.weights)))
        found = recipe_problems(self)
        if found:
            raise IllegalRecipe(f"Recipe '{self.name}' is illegal:\n  - " + "\n  - ".join(found))

    def __hash__(self) -> int:
        return hash((self.name, self.coupling, self.schedule))

    def __reduce__(self) -> tuple[Any, ...]:
        parts = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return (_recipe, ({**parts, "noise": dict(self.noise), "weights": dict(self.weights)},))

    @property
    def family(self) -> str:
        """``vla``, ``wam`` or ``hybrid``, by the backbone."""
        if isinstance(self.backbone, VLM):
            return "vla"
        return "wam" if isinstance(self.backbone, Video) else "hybrid"

    @property
    def table(self) -> Joint:
        """One table over all streams, whatever the coupling."""
        return whole(self.coupling)

    @property
    def trunk(self) -> Joint:
        """The table of the backbone."""
        return trunk_of(self.coupling)

    @property
    def plain_schedule(self) -> Simple:
        """How one candidate of one chunk is made."""
        return innermost(self.schedule)

    @property
    def rolling(self) -> bool:
        """Whether a session remembers chunks."""
        return isinstance(self.schedule, Rolling)

    @property
    def leapfrogs(self) -> bool:
        """Whether a chunk is made while the one before it is executed."""
        return isinstance(self.schedule, Rolling) and self.schedule.leapfrog

    @property
    def noisy(self) -> tuple[str, ...]:
        """Denoised streams that are made from noise; inverse dynamics predicts actions instead."""
        denoised = self.table.named(Role.DENOISED)
        inverse = isinstance(self.coupling, Inverse)
        return tuple(name for name in denoised if not (inverse and name == "action"))

    @property
    def skips(self) -> frozenset[str]:
        """Denoised streams that acting never needs to generate (derived from ``sees``)."""
        table = self.table
        if self.leapfrogs:
            needed = closure(table, "action") | {
                table.stream(name).of for name in closure(table, "action")
            }
            return frozenset(table.named(Role.DENOISED)) - needed
        found = skippable(table)
        return found | set(self.read_noisy)

    @property
    def generates(self) -> tuple[str, ...]:
        """Denoised streams that the schedule generates when acting."""
        only = isinstance(self.plain_schedule, ActionOnly)
        return ("action",) if only else self.table.named(Role.DENOISED)

    @property
    def read_noisy(self) -> tuple[str, ...]:
        """Noisy streams of the trunk whose hidden states a head reads."""
        if not isinstance(self.coupling, Head):
            return ()
        return tuple(n for n in self.coupling.reads.of if n in self.trunk.named(Role.DENOISED))

    @property
    def draws(self) -> tuple[str, ...]:
        """Streams for which acting draws noise."""
        plain = self.plain_schedule
        if not isinstance(plain, ActionOnly):
            return self.noisy
        wanted = {"action", *plain.marginal, *self.read_noisy}
        return tuple(name for name in self.noisy if name in wanted)

    @property
    def imagines(self) -> bool:
        """Whether frames to come are a target of its training."""
        return "future" in self.table.named(Role.DENOISED)

    @property
    def lone_action(self) -> bool:
        """Whether nobody reads the action, so that several noise draws of it share one pass."""
        rows = self.table.sees
        read = any("action" in row for query, row in rows.items() if query != "action")
        return not read and not self.rolling

    @property
    def kept_teachers(self) -> tuple[str, ...]:
        """Teachers at which later chunks look: their truth is written down once it is known."""
        rows = self.trunk.sees.values()
        return tuple(
            name
            for name in self.trunk.named(Role.TEACHER)
            if any(row.get(name) in (Reach.PAST, Reach.UPTO) for row in rows)
        )

    @property
    def prefix(self) -> tuple[str, ...]:
        """Given streams that depend on nothing noisy: they are read once for each observation."""
        joint, noisy = self.trunk, set(self.noisy)
        return tuple(n for n in joint.named(Role.GIVEN) if not closure(joint, n) & noisy)

    @property
    def pixels(self) -> str:
        """Name of the given stream that holds the camera tokens."""
        return pixels_of(self.coupling)

    @property
    def executes_all(self) -> bool:
        """Whether the whole chunk is executed before the next look."""
        plain = self.plain_schedule
        return self.rolling or (isinstance(plain, VideoFirst) and plain.open_loop)

    def pointed(self) -> "Recipe":
        """The same recipe in which the action also reads where the instruction points to.

        A token tells the places of object and destination, as read from the camera tokens by a
        head that is trained on pointing targets. It is added to all families alike when a pilot
        uses such (privileged) targets, and to none when it does not. Before a separate inverse
        dynamics model it is the imagined future that reads it: there the plan decides.
        """
        if POINT in self.table.experts:
            return self
        coupling, pixels = self.coupling, self.pixels
        reach = Reach.SAME if self.trunk.chunked else Reach.ALL
        told = Reach.PAST if self.leapfrogs else reach
        rows = {"sees": {pixels: reach, POINT: reach}}
        match coupling:
            case Joint():
                changed = coupling.with_stream(
                    given(POINT),
                    expert=coupling.experts["action"],
                    seen_by={"action": told},
                    **rows,
                )
            case Head(head=head):
                own = head.with_stream(
                    given(POINT),
                    expert=head.experts["action"],
                    sees={POINT: Reach.ALL},
                    seen_by={"action": Reach.ALL},
                )
                changed = replace(coupling, head=own)
            case Inverse(trunk=trunk):
                own = trunk.with_stream(
                    given(POINT), expert=trunk.experts["future"], seen_by={"future": told}, **rows
                )
                changed = replace(coupling, trunk=own)
        return replace(self, coupling=changed)

    def blinded(self) -> "Recipe":
        """The trained-blind twin: equal in everything, but never told what to do."""
        return self if self.blind else replace(self, name=self.name + BLIND_SUFFIX, blind=True)


def _recipe(parts: Mapping[str, Any]) -> Recipe:
    return Recipe(**parts)
