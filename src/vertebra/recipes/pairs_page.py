"""The page of legal pairs: which recipe stands on which released models, and why others cannot.

``python -m vertebra.recipes.pairs_page docs/pairs.md`` writes it anew.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from vertebra import recipes
from vertebra.backbones.families import FAMILIES
from vertebra.backbones.ledger import LEDGER
from vertebra.backbones.trunk import WHAT
from vertebra.policy.pairs import families_for, pair_problems
from vertebra.policy.recipe import Recipe
from vertebra.spec.storage import write_bytes

KINDS = ("vlm", "video")


def page() -> str:
    """The whole page."""
    lines = [
        "# Recipes on released models",
        "",
        "Written by `make fix` from `src/vertebra/backbones/families.py`, "
        "`src/vertebra/backbones/ledger.py` and the recipes; the contract suite runs every pair on "
        "tiny models that the libraries saved. How to use it: [backbones.md](backbones.md).",
        "",
        "## Pairs",
        "",
        *_rows(("recipe", *(WHAT[kind] for kind in KINDS), "not on others because")),
        *(_row(_pair(recipe)) for recipe in recipes.ALL),
        "",
        "## Families",
        "",
        *_rows(("family", "kind", "known by", "supported")),
        *(
            _row(
                (
                    family.name,
                    WHAT[family.what],
                    f"`{family.mark}`",
                    f"not yet: {family.missing}" if family.missing else "yes",
                )
            )
            for family in FAMILIES
        ),
        "",
        "## What they knew before",
        "",
        "As published. Pre-training is not the backbone: two arms that differ in these columns "
        "differ in more than their architecture. A dash: not published, or not found.",
        "",
        *_rows(("model", "family", "parameters", "video", "robot data", "training", "source")),
        *(
            _row(
                (
                    one.model,
                    one.family,
                    f"{one.parameters:,}" if one.parameters else "-",
                    one.video or "-",
                    one.robots or "-",
                    one.training or "-",
                    one.source,
                )
            )
            for one in LEDGER
        ),
        "",
    ]
    return "\n".join(lines)


def _pair(recipe: Recipe) -> tuple[str, ...]:
    named = [", ".join(one.name for one in families_for(recipe, kind)) or "-" for kind in KINDS]
    return (f"`{recipe.name}`", *named, "; ".join(pair_problems(recipe)) or "-")


def _rows(headings: Sequence[str]) -> tuple[str, str]:
    return _row(headings), _row(["---"] * len(headings)).replace(" ", "")


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    write_bytes(Path(sys.argv[1]), page().encode())
