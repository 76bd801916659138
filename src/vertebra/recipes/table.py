"""The table of all systems, made from their recipes. Nothing in it is written by hand.

``python -m vertebra.recipes.table README.md`` writes it anew between its two marks.
"""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from vertebra.backbones.kinds import VLM, Backbone, Video
from vertebra.coupling.kinds import Head, Inverse
from vertebra.policy.recipe import Recipe
from vertebra.recipes import ALL
from vertebra.recipes.facts import (
    ACTION,
    Means,
    Memory,
    Sight,
    beats,
    evaluations,
    imagination,
    memory,
    sights,
)
from vertebra.schedules.kinds import ActionOnly, Plan, Rolling, Schedule, Together, VideoFirst
from vertebra.spec.storage import write_bytes
from vertebra.spec.streams import Reach, Role

BEGIN = "<!-- recipes: written by `make fix`, not by hand -->"
END = "<!-- end of recipes -->"
NOTHING = "-"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One system, in words and numbers that follow from its tables.

    Attributes:
        recipe: Name on the command line.
        source: Paper or repository.
        family: ``vla``, ``wam`` or ``hybrid``.
        backbone: What it stands on.
        coupling: Mechanism, and number of experts.
        reads: What the action looks at, and how; reaches other than ALL are named.
        schedule: What is denoised when.
        evaluations: Network passes a chunk by stage, once a session is under way.
        samples: By stage how many samples of one observation share each pass, where not one.
        imagination: Whether acting imagines, and must; derived from ``sees``.
        cached: Streams whose keys and values (or hidden states) are reused within a chunk.
        keeps: What a session remembers from chunk to chunk.
        status: Evidence: sketch < maps < parity < loads < reproduces.
    """

    recipe: str
    source: str
    family: str
    backbone: str
    coupling: str
    reads: tuple[str, ...]
    schedule: str
    evaluations: Mapping[str, int]
    samples: Mapping[str, int]
    imagination: str
    cached: tuple[str, ...]
    keeps: str
    status: str

    @property
    def passes(self) -> str:
        """The evaluations in words."""
        return ", ".join(
            f"{stage} {count}" + (f" x{self.samples[stage]}" if stage in self.samples else "")
            for stage, count in self.evaluations.items()
            if count
        )


HEADINGS = {
    "recipe": "recipe",
    "backbone": "backbone",
    "coupling": "coupling",
    "reads": "the action reads",
    "schedule": "schedule",
    "passes": "passes a chunk",
    "imagination": "imagining",
    "keeps": "a session keeps",
    "status": "status",
}


def rows(recipes: Iterable[Recipe] = ALL) -> tuple[Row, ...]:
    """One row a recipe, in their order."""
    return tuple(row_of(recipe) for recipe in recipes)


def cells(row: Row) -> tuple[str, ...]:
    """The row in the order of ``HEADINGS``."""
    told = {**vars(row), "reads": ", ".join(row.reads), "passes": row.passes}
    return tuple(str(told[name]) for name in HEADINGS)


def markdown(recipes: Iterable[Recipe] = ALL) -> str:
    """The table as Markdown, ending in a newline."""
    told = [cells(row) for row in rows(recipes)]
    lines = [tuple(HEADINGS.values()), *((f"`{name}`", *rest) for name, *rest in told)]
    written = [" | ".join(("", *line, "")).strip() for line in lines]
    written.insert(1, "|".join(("", *("---" for _ in HEADINGS), "")))
    return "\n".join(written) + "\n"


def with_table(text: str, table: str) -> str:
    """The text with the table between its two marks.

    Raises:
        ValueError: When it does not hold both marks once, in order.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in rest or END in before + after:
        raise ValueError(
            "The text must hold each of these lines once, in this order:\n"
            f"  {BEGIN}\n  {END}\nPut them where the table of recipes should stand."
        )
    return f"{before}{BEGIN}\n{table}{END}{after}"


def row_of(recipe: Recipe) -> Row:
    """The row of one recipe."""
    made = beats(recipe)
    cached = dict.fromkeys(name for beat in made for name in beat.keeps)
    return Row(
        recipe=recipe.name,
        source=recipe.source,
        family=recipe.family,
        backbone=_backbone(recipe.backbone),
        coupling=_coupling(recipe),
        reads=_reads(recipe),
        schedule=_schedule(recipe.schedule),
        evaluations=evaluations(recipe),
        samples={beat.stage: beat.width for beat in made if beat.width > 1},
        imagination=imagination(recipe),
        cached=tuple(cached),
        keeps=keeps_in_words(recipe, memory(recipe)),
        status=recipe.status,
    )


def stream_in_words(recipe: Recipe, name: str) -> str:
    """A stream, and whether it is noisy or a clean copy."""
    plain = name.replace("_", " ")
    if name not in recipe.table.experts:
        return plain
    stream = recipe.table.stream(name)
    match stream.role:
        case Role.GIVEN:
            return plain
        case Role.DENOISED:
            return f"noisy {plain}"
        case Role.TEACHER:
            return f"clean {stream.of}"


def keeps_in_words(recipe: Recipe, held: Memory) -> str:
    """What a session remembers."""
    words: list[str] = []
    if held.streams:
        names = [stream_in_words(recipe, name) for name in held.streams]
        words.append(f"{', '.join(names)} of {held.chunks} chunks")
    if held.chunk:
        words.append({"rest": "the chunk made last", "next": "the chunk under way"}[held.chunk])
    return "; ".join(words) or NOTHING


def _backbone(backbone: Backbone) -> str:
    if isinstance(backbone, VLM):
        return "VLM"
    return "video" if isinstance(backbone, Video) else "VLM, video"


def _coupling(recipe: Recipe) -> str:
    coupling = recipe.coupling
    if isinstance(coupling, Head):
        return "head" if coupling.trained else "head, detached"
    if isinstance(coupling, Inverse):
        return "inverse"
    experts = len(set(coupling.experts.values()))
    return f"joint, {experts} expert{'s' if experts > 1 else ''}"


def _reads(recipe: Recipe) -> tuple[str, ...]:
    seen = [s for s in sights(recipe.coupling) if s.query == ACTION and s.key != ACTION]
    by = {means: [s for s in seen if s.means is means] for means in Means}
    words = [_attended(recipe, sight) for sight in by[Means.ATTENTION]]
    if by[Means.HIDDEN]:
        words.append(_hidden(recipe, by[Means.HIDDEN]))
    if by[Means.PICTURES]:
        words.append(f"pictures of {_listed(s.key for s in by[Means.PICTURES])}")
    if by[Means.CROSS]:
        words.append(f"{_listed(s.key for s in by[Means.CROSS])} by cross-attention")
    return tuple(words)


def _attended(recipe: Recipe, sight: Sight) -> str:
    plain = recipe.plain_schedule
    word = stream_in_words(recipe, sight.key)
    if isinstance(plain, ActionOnly) and sight.key in plain.marginal:
        word = f"pure noise for {sight.key}"
    return word if sight.reach is Reach.ALL else f"{word} ({sight.reach})"


def _hidden(recipe: Recipe, seen: Iterable[Sight]) -> str:
    names = [sight.key for sight in seen]
    told = _listed(stream_in_words(recipe, n).removeprefix("noisy ") for n in names)
    if not isinstance(recipe.coupling, Head):
        raise TypeError(f"{recipe.coupling} has no hidden states to read")
    reads, plain = recipe.coupling.reads, recipe.plain_schedule
    depths = "last layer"
    if reads.depths != (1.0,):
        depths = f"depth {_listed(f'{depth:.2g}' for depth in reads.depths)}"
    if not recipe.read_noisy:
        return f"hidden states of {told} ({depths})"
    time = plain.until if isinstance(plain, VideoFirst) else 0.0
    return f"hidden states of {told} ({depths}, flow time {time:g})"


def _listed(words: Iterable[str]) -> str:
    *rest, last = words
    return f"{', '.join(rest)} and {last}" if rest else last


def _schedule(schedule: Schedule) -> str:
    match schedule:
        case ActionOnly():
            return "action only"
        case Together():
            return "together"
        case VideoFirst(open_loop=open_loop):
            return "video first" + (", open loop" if open_loop else "")
        case Plan(inner=inner, candidates=candidates):
            return f"best of {candidates}, {_schedule(inner)}"
        case Rolling(inner=inner, leapfrog=leapfrog):
            return f"{'leapfrog' if leapfrog else 'rolling'}, {_schedule(inner)}"


if __name__ == "__main__":
    readme = Path(sys.argv[1])
    write_bytes(readme, with_table(readme.read_text(), markdown()).encode())
