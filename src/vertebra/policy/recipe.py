"""A recipe: a policy as data. Backbone x coupling x schedule, and how it is trained."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from types import MappingProxyType
from typing import Any, get_args

from vertebra.backbones.kinds import VLM, Backbone, Video
from vertebra.coupling.table import Joint, closure, problems, skippable
from vertebra.schedules.kinds import ActionOnly, Schedule, Together, VideoFirst
from vertebra.spec.errors import IllegalRecipe
from vertebra.spec.noise import Times
from vertebra.spec.storage import to_plain
from vertebra.spec.streams import Reach, Role, Stream, given

RECIPE_VERSION = 1
BLIND_SUFFIX = "+blind"
PIXEL_STREAMS = ("image", "frame")
POINT = "point"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One way to build and train a policy.

    Attributes:
        name: Kebab-case name; ``+blind`` is appended for the trained-blind twin.
        source: Paper or repository.
        backbone: What the policy stands on.
        coupling: Who may look at whom.
        schedule: What is denoised when.
        times: For each denoised stream, how flow times are drawn in training.
        weights: For each denoised stream, the weight of its loss.
        status: Evidence: sketch < maps < parity < loads < reproduces.
        blind: Whether text is replaced by a constant, in training and when acting.

    Raises:
        IllegalRecipe: When the parts contradict each other (all contradictions are named).
    """

    name: str
    source: str
    backbone: Backbone
    coupling: Joint
    schedule: Schedule
    times: Mapping[str, Times]
    weights: Mapping[str, float] = field(default_factory=dict[str, float])
    status: str = "sketch"
    blind: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "times", MappingProxyType(dict(self.times)))
        object.__setattr__(self, "weights", MappingProxyType(dict(self.weights)))
        found = problems(self.coupling) + _schedule_problems(self)
        if found:
            raise IllegalRecipe(f"Recipe '{self.name}' is illegal:\n  - " + "\n  - ".join(found))

    def __hash__(self) -> int:
        return hash((self.name, self.coupling, self.schedule))

    def __reduce__(self) -> tuple[Any, ...]:
        return (recipe_from_plain, (recipe_to_plain(self),))

    @property
    def family(self) -> str:
        """``vla`` or ``wam``, by the backbone."""
        return "vla" if isinstance(self.backbone, VLM) else "wam"

    @property
    def skips(self) -> frozenset[str]:
        """Denoised streams that acting never needs (derived from ``sees``)."""
        return skippable(self.coupling)

    @property
    def generates(self) -> tuple[str, ...]:
        """Denoised streams that the schedule generates when acting."""
        denoised = self.coupling.named(Role.DENOISED)
        return ("action",) if isinstance(self.schedule, ActionOnly) else denoised

    @property
    def pixels(self) -> str:
        """Name of the given stream that holds the camera tokens."""
        return next(name for name in self.coupling.named(Role.GIVEN) if name in PIXEL_STREAMS)

    def pointed(self) -> "Recipe":
        """The same recipe whose action also reads where the instruction points to.

        A token tells the places of object and destination, as read from the camera tokens by a
        head that is trained on pointing targets. It is added to both families alike when a pilot
        uses such (privileged) targets, and to none when it does not.
        """
        if POINT in self.coupling.experts:
            return self
        joint = self.coupling
        sees = {
            **joint.sees,
            POINT: {self.pixels: Reach.ALL, POINT: Reach.ALL},
            "action": {**joint.sees["action"], POINT: Reach.ALL},
        }
        streams = (*joint.streams[:-1], given(POINT), joint.streams[-1])
        return replace(
            self,
            coupling=Joint(
                streams=streams,
                sees=sees,
                experts={**joint.experts, POINT: joint.experts["action"]},
                context=joint.context,
            ),
        )

    def blinded(self) -> "Recipe":
        """The trained-blind twin: equal in everything, but never told what to do."""
        return self if self.blind else replace(self, name=self.name + BLIND_SUFFIX, blind=True)


def _schedule_problems(recipe: Recipe) -> list[str]:
    joint, schedule = recipe.coupling, recipe.schedule
    denoised = joint.named(Role.DENOISED)
    found: list[str] = []
    if "action" not in denoised:
        return [f"no denoised stream is named 'action' (denoised: {list(denoised)})"]
    found += [
        f"denoised stream '{name}' has no time distribution"
        for name in denoised
        if name not in recipe.times
    ]
    found += [
        f"times given for '{name}', which is not denoised"
        for name in recipe.times
        if name not in denoised
    ]
    found += [
        f"loss weight given for '{name}', which is not denoised"
        for name in recipe.weights
        if name not in denoised
    ]
    if POINT in joint.experts:
        found += [
            f"'{name}' depends on '{POINT}', which is read from it"
            for name in joint.named(Role.GIVEN)
            if name in PIXEL_STREAMS and POINT in closure(joint, name)
        ]
    if any(_value(schedule, name) < 1 for name in ("steps", "video_steps")):
        found.append(f"a schedule needs one step or more, found {schedule}")
    unskippable = set(denoised) - {"action"} - recipe.skips
    if isinstance(schedule, ActionOnly) and unskippable:
        found.append(
            f"schedule ActionOnly never generates {sorted(unskippable)}, but the action reads it "
            f"(it depends on {sorted(closure(joint, 'action'))}): use Together or VideoFirst, or "
            "take it out of what the action sees"
        )
    teachers_of = {joint.stream(name).of for name in joint.named(Role.TEACHER)}
    if isinstance(schedule, Together) and teachers_of & set(closure_of_teachers(joint)):
        found.append(
            f"schedule Together never finishes {sorted(teachers_of)} before the action, but the "
            "action reads its clean copy: use VideoFirst"
        )
    if isinstance(schedule, VideoFirst):
        if not [name for name in denoised if name != "action"]:
            found.append("schedule VideoFirst needs a denoised stream besides the action")
        found += [
            f"schedule VideoFirst generates '{name}' before the action, but it reads the action"
            for name in denoised
            if name != "action" and "action" in closure(joint, name)
        ]
    return found


def closure_of_teachers(joint: Joint) -> tuple[str, ...]:
    """Streams whose clean copies the action depends on."""
    reached = closure(joint, "action")
    return tuple(joint.stream(name).of for name in joint.named(Role.TEACHER) if name in reached)


def _value(schedule: Schedule, name: str) -> int:
    return int(getattr(schedule, name, 1))


_KINDS: dict[str, type] = {
    kind.__name__: kind for kind in (VLM, Video, ActionOnly, Together, VideoFirst, *get_args(Times))
}


def _tagged(value: Any) -> dict[str, Any]:
    parts = {one.name: getattr(value, one.name) for one in fields(value)}
    plain = {name: _tagged(p) if is_dataclass(p) else to_plain(p) for name, p in parts.items()}
    return {"kind": type(value).__name__, **plain}


def _untagged(plain: Mapping[str, Any]) -> Any:
    kind = _KINDS.get(plain["kind"])
    if kind is None:
        raise ValueError(f"Unknown kind {plain['kind']!r} in a recipe; known are {sorted(_KINDS)}.")
    parts = {key: value for key, value in plain.items() if key != "kind"}
    return kind(**{k: _untagged(v) if isinstance(v, Mapping) else v for k, v in parts.items()})


def recipe_to_plain(recipe: Recipe) -> dict[str, Any]:
    """A recipe as JSON values."""
    joint = recipe.coupling
    return {
        "version": RECIPE_VERSION,
        "name": recipe.name,
        "source": recipe.source,
        "status": recipe.status,
        "blind": recipe.blind,
        "backbone": _tagged(recipe.backbone),
        "schedule": _tagged(recipe.schedule),
        "times": {name: _tagged(times) for name, times in recipe.times.items()},
        "weights": dict(recipe.weights),
        "coupling": {
            "streams": [to_plain(stream) for stream in joint.streams],
            "sees": {
                q: {k: str(reach) for k, reach in keys.items()} for q, keys in joint.sees.items()
            },
            "experts": dict(joint.experts),
            "context": list(joint.context),
        },
    }


def recipe_from_plain(plain: Mapping[str, Any]) -> Recipe:
    """Read a recipe written by ``recipe_to_plain``.

    Raises:
        ValueError: On another version or an unknown kind.
        IllegalRecipe: When it is not a legal recipe.
    """
    if plain.get("version") != RECIPE_VERSION:
        raise ValueError(
            f"Recipe has version {plain.get('version')!r}, this program reads {RECIPE_VERSION}."
        )
    coupling = plain["coupling"]
    return Recipe(
        name=plain["name"],
        source=plain["source"],
        status=plain["status"],
        blind=plain["blind"],
        backbone=_untagged(plain["backbone"]),
        schedule=_untagged(plain["schedule"]),
        times={name: _untagged(times) for name, times in plain["times"].items()},
        weights=plain["weights"],
        coupling=Joint(
            streams=tuple(Stream(s["name"], Role(s["role"]), s["of"]) for s in coupling["streams"]),
            sees={
                query: {key: Reach(reach) for key, reach in keys.items()}
                for query, keys in coupling["sees"].items()
            },
            experts=coupling["experts"],
            context=tuple(coupling["context"]),
        ),
    )
