"""A recipe said in plain text: who sees whom, what makes a chunk, what follows."""

from collections.abc import Iterator, Sequence

from vertebra.policy.recipe import Recipe
from vertebra.recipes.facts import Beat, Doing, Means, Sight, beats, contexts, sights
from vertebra.recipes.table import HEADINGS, NOTHING, Row, cells, row_of, stream_in_words
from vertebra.schedules.kinds import ActionOnly, Plan, ScoreTerm
from vertebra.spec.streams import Reach, Role

REACHES = {
    Reach.ALL: ("■", "all of it"),
    Reach.UPTO: ("◣", "up to this chunk"),
    Reach.PAST: ("◺", "past chunks"),
    Reach.SAME: ("╲", "this chunk"),
}
PLACES = {Reach.UPTO: "up to itself", Reach.PAST: "what stands before it", Reach.SAME: "itself"}
"""The same in a head, where chunk time is the place in the chunk."""
MEANS = {
    Means.CROSS: ("○", "by cross-attention"),
    Means.HIDDEN: ("◆", "its hidden states"),
    Means.PICTURES: ("▣", "as pictures"),
}
BLIND = "·"
LEVELS = "▁▂▃▄▅▆▇█"


def text(recipe: Recipe) -> str:
    """Everything about one recipe, for a terminal."""
    row = row_of(recipe)
    parts = [
        f"{row.recipe}  ({row.family}, {row.source}, status: {row.status})",
        "Who sees whom: rows look at columns.\n" + "\n".join(_visibility(recipe)),
        "What makes a chunk, in network passes:\n" + "\n".join(_timeline(recipe)),
        "What follows:\n" + "\n".join(f"  {name:<18}{value}" for name, value in facts(row)),
    ]
    return "\n\n".join(parts)


def facts(row: Row) -> tuple[tuple[str, str], ...]:
    """Headings and cells of a row, its name and status apart, and what a chunk reuses."""
    told = dict(zip(HEADINGS.values(), cells(row), strict=True))
    told = {name: value for name, value in told.items() if name not in ("recipe", "status")}
    return (*told.items(), ("a chunk reuses", ", ".join(row.cached) or NOTHING))


def reach_in_words(recipe: Recipe, reach: Reach) -> str:
    """How far a stream looks into another."""
    return REACHES[reach][1] if recipe.rolling else PLACES.get(reach, REACHES[reach][1])


def role_in_words(recipe: Recipe, name: str) -> str:
    """What a stream is for."""
    stream = recipe.table.stream(name)
    match stream.role:
        case Role.GIVEN:
            return "given"
        case Role.DENOISED:
            return "made from noise" if name in recipe.noisy else "inferred"
        case Role.TEACHER:
            return f"clean copy of {stream.of}"


def beat_in_words(recipe: Recipe, beat: Beat) -> str:
    """What some passes do."""
    names = [name.replace("_", " ") for name in beat.streams]
    listed = ", ".join(names)
    told = {
        Doing.RECORD: f"write down what really happened: {_truth(recipe, beat.streams)}",
        Doing.READ: f"read {listed}",
        Doing.ASSUME: "take the chunk under way as executed",
        Doing.DENOISE: f"denoise {listed}{_flow(beat)}",
        Doing.FINISH: f"read {', '.join(stream_in_words(recipe, n) for n in beat.streams)}"
        f" at flow time {beat.times[0]:.2g}",
        Doing.INFER: f"infer {listed} from pictures",
    }[beat.doing]
    if beat.anew:
        told += f" beside {', '.join(beat.anew)}"
    if beat.held:
        told += f", {', '.join(beat.held)} {_standing(recipe)}"
    if beat.twice:
        told += "; with and without words"
    return told + (f"; {beat.width} samples at once" if beat.width > 1 else "")


def notes(recipe: Recipe) -> Iterator[tuple[int | None, str]]:
    """What makes a chunk, in order: the number of each beat from 1, and words.

    Where a plan chooses among candidates stands a note without a number.
    """
    made = beats(recipe)
    last = max((place for place, beat in enumerate(made) if beat.width > 1), default=None)
    for place, beat in enumerate(made):
        yield place + 1, beat_in_words(recipe, beat)
        if place == last and isinstance(recipe.schedule, Plan):
            yield None, _chosen(recipe.schedule)


def _chosen(plan: Plan) -> str:
    terms = " ".join(f"{'-' if t.weight < 0 else '+'} {_weighed(t)}" for t in plan.score)
    return f"keep the best of {plan.candidates} candidates by {terms.removeprefix('+ ')}"


def _weighed(term: ScoreTerm) -> str:
    return term.of if abs(term.weight) == 1.0 else f"{abs(term.weight):g} {term.of}"


def robot_in_words(recipe: Recipe) -> tuple[str, str]:
    """What the robot does while a chunk is made (empty: it waits), and after."""
    after = "all of the chunk" if recipe.executes_all else "first actions"
    plain = recipe.plain_schedule
    if recipe.leapfrogs:
        return "executes the chunk made before", "this chunk"
    if isinstance(plain, ActionOnly) and plain.chunking is not None:
        count = plain.chunking.frozen
        return f"executes {count} action{'s' if count > 1 else ''} of the chunk before", after
    return "", after


def _standing(recipe: Recipe) -> str:
    """How streams that stand beside denoised ones are."""
    return "held" if isinstance(recipe.schedule, Plan) else "left as pure noise"


def _truth(recipe: Recipe, names: Sequence[str]) -> str:
    told = {"action": "executed actions", "future": "real frames"}
    of = [recipe.table.stream(name).of for name in names]
    return ", ".join(f"{told.get(key, key)} ({name})" for key, name in zip(of, names, strict=True))


def _flow(beat: Beat) -> str:
    return "" if beat.times[-1] == 1.0 else f" up to flow time {beat.times[-1]:g}"


def _visibility(recipe: Recipe) -> Iterator[str]:
    table, seen = recipe.table, sights(recipe.coupling)
    names = [stream.name for stream in table.streams]
    columns = [*names, *contexts(recipe.coupling)]
    left = max(len(name) for name in names)
    experts = max(len(table.experts[name]) for name in names)
    yield " " * (left + experts + 6) + "  ".join(columns)
    for name in names:
        marks = [
            _mark(seen, name, key, context=place >= len(names)).center(len(key))
            for place, key in enumerate(columns)
        ]
        yield f"  {name:<{left}}  {table.experts[name]:<{experts}}  {'  '.join(marks)}".rstrip()
    yield "  " + "   ".join(f"{mark} {word}" for mark, word in _legend(recipe, seen))


def _mark(seen: Sequence[Sight], query: str, key: str, *, context: bool) -> str:
    for sight in seen:
        crosses = sight.means is Means.CROSS
        if (sight.query, sight.key, crosses) == (query, key, context):
            return _symbol(sight)[0]
    return BLIND


def _symbol(sight: Sight) -> tuple[str, str]:
    return REACHES[sight.reach] if sight.means is Means.ATTENTION else MEANS[sight.means]


def _legend(recipe: Recipe, seen: Sequence[Sight]) -> list[tuple[str, str]]:
    used = {_symbol(sight) for sight in seen}
    reaches = [
        (mark, reach_in_words(recipe, r)) for r, (mark, w) in REACHES.items() if (mark, w) in used
    ]
    return [*reaches, *(pair for pair in MEANS.values() if pair in used), (BLIND, "nothing")]


def _timeline(recipe: Recipe) -> Iterator[str]:
    made = beats(recipe)
    meanwhile, after = robot_in_words(recipe)
    if meanwhile:
        yield f"  {'robot':<11}  {meanwhile}, meanwhile:"
    for number, words in notes(recipe):
        if number is None:
            yield f"  {'choose':<11}  {words}"
            continue
        beat, bar = made[number - 1], ""
        if beat.doing is Doing.DENOISE:
            bar = "  " + "".join(LEVELS[min(7, int(8 * time))] for time in beat.times[1:])
        yield f"  {beat.stage:<7} {beat.passes:>3}  {words}{bar}"
    yield f"  {'robot':<11}  executes {after}"
