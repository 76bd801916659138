"""The table of all systems, made from their recipes. Nothing in it is written by hand.

``python -m vertebra.recipes.table README.md`` writes it anew between its two marks.
"""

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from vertebra.policy.recipe import Recipe
from vertebra.recipes import ALL
from vertebra.schedules.kinds import ActionOnly, Schedule, Together, VideoFirst
from vertebra.spec.storage import write_bytes
from vertebra.spec.streams import Reach, Role

BEGIN = "<!-- recipes: written by `make fix`, not by hand -->"
END = "<!-- end of recipes -->"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One system, in words that follow from its tables.

    Attributes:
        recipe: Name on the command line.
        source: Paper or repository.
        family: ``vla`` or ``wam``.
        backbone: What it stands on.
        coupling: Mechanism and number of experts.
        reads: What the action sees, with reaches other than ALL named.
        schedule: What is denoised when, with numbers of steps.
        imagination: Whether imagined streams may be skipped when acting; derived from ``sees``.
        status: Evidence: sketch < maps < parity < loads < reproduces.
    """

    recipe: str
    source: str
    family: str
    backbone: str
    coupling: str
    reads: str
    schedule: str
    imagination: str
    status: str


HEADINGS = {
    "recipe": "recipe",
    "backbone": "backbone",
    "coupling": "coupling",
    "reads": "the action reads",
    "schedule": "schedule",
    "imagination": "imagining when acting",
    "status": "status",
    "source": "source",
}


def rows(recipes: Iterable[Recipe] = ALL) -> tuple[Row, ...]:
    """One row a recipe, in their order."""
    return tuple(_row(recipe) for recipe in recipes)


def markdown(recipes: Iterable[Recipe] = ALL) -> str:
    """The table as Markdown, ending in a newline."""
    lines = [
        " | ".join(("", *HEADINGS.values(), "")).strip(),
        "|".join(("", *("---" for _ in HEADINGS), "")),
    ]
    for row in rows(recipes):
        cells = {**vars(row), "recipe": f"`{row.recipe}`"}
        lines.append(" | ".join(("", *(cells[name] for name in HEADINGS), "")).strip())
    return "\n".join(lines) + "\n"


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


def _row(recipe: Recipe) -> Row:
    joint = recipe.coupling
    experts = len(set(joint.experts.values()))
    return Row(
        recipe=recipe.name,
        source=recipe.source,
        family=recipe.family,
        backbone=recipe.backbone.name,
        coupling=f"Joint, {experts} expert{'s' if experts > 1 else ''}",
        reads=_reads(recipe),
        schedule=_schedule(recipe.schedule),
        imagination=_imagination(recipe),
        status=recipe.status,
    )


def _reads(recipe: Recipe) -> str:
    joint = recipe.coupling
    words: list[str] = []
    for name, reach in joint.sees["action"].items():
        if name == "action":
            continue
        stream = joint.stream(name)
        word = f"finished {stream.of}" if stream.role is Role.TEACHER else name
        if stream.role is Role.DENOISED:
            word = f"noisy {name}"
        words.append(word if reach is Reach.ALL else f"{word} ({reach})")
    words += [f"{name} (cross-attention)" for name in joint.context]
    return ", ".join(words)


def _schedule(schedule: Schedule) -> str:
    match schedule:
        case ActionOnly(steps=steps):
            return f"ActionOnly({steps})"
        case Together(steps=steps):
            return f"Together({steps})"
        case VideoFirst(video_steps=video_steps, steps=steps):
            return f"VideoFirst({video_steps} + {steps})"


def _imagination(recipe: Recipe) -> str:
    imagined = [name for name in recipe.coupling.named(Role.DENOISED) if name != "action"]
    if not imagined:
        return "none"
    if not set(imagined) <= recipe.skips:
        return "needed"
    return "skipped" if recipe.generates == ("action",) else "may be skipped, is not"


if __name__ == "__main__":
    readme = Path(sys.argv[1])
    write_bytes(readme, with_table(readme.read_text(), markdown()).encode())
