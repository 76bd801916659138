"""The command that lists recipes and draws one of them."""

import shutil
import sys

from rich import box
from rich.console import Console
from rich.table import Table

from vertebra.cli.arguments import Recipes, RecipesShowCommand
from vertebra.cli.reading import write_out, write_out_json
from vertebra.recipes import by_name
from vertebra.recipes.facts import beats, sights
from vertebra.recipes.picture import html, svg
from vertebra.recipes.table import HEADINGS, cells, row_of, rows
from vertebra.recipes.words import text
from vertebra.spec.storage import write_bytes

DRAWN = {".html": html, ".svg": svg}
NARROWEST = 120
"""Columns below which the table would be unreadable; it is then cut by the terminal."""


def recipes(command: Recipes) -> int:
    """List the recipes, or draw one."""
    if isinstance(command.command, RecipesShowCommand):
        return _show(command.command, json=command.json or command.command.json)
    if command.json:
        write_out_json(rows())
        return 0
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in HEADINGS.values():
        table.add_column(heading, overflow="fold", no_wrap=heading == HEADINGS["recipe"])
    for row in rows():
        table.add_row(*cells(row))
    width = max(NARROWEST, shutil.get_terminal_size((160, 24)).columns)
    Console(file=sys.stdout, width=width, markup=False, highlight=False).print(table)
    return 0


def _show(command: RecipesShowCommand, *, json: bool) -> int:
    recipe, path = by_name(command.name), command.out
    if path is not None:
        if path.suffix not in DRAWN:
            raise ValueError(f"Cannot draw into {path}: the name must end in {' or '.join(DRAWN)}.")
        write_bytes(path, DRAWN[path.suffix](recipe).encode())
    if json:
        told = {
            **vars(row_of(recipe)),
            "sees": sights(recipe.coupling),
            "chunk": beats(recipe),
            "file": path,
        }
        write_out_json(told)
    else:
        write_out(text(recipe) if path is None else str(path))
    return 0
