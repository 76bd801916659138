"""A recipe is data with a docstring: short, and without a class, a loop, a function or a tensor."""

import ast
import importlib
import re

import pytest

from house import repository
from house.repository import imported
from vertebra.policy.recipe import Recipe
from vertebra.recipes import ALL, by_name

NOT_RECIPES = (
    *("__init__.py", "citations.py", "crossing.py", "evidence.py", "pairs_page.py"),
    *("facts.py", "table.py", "words.py", "drawing.py"),
    *("picture.py", "picture_sight.py", "picture_time.py"),
)
FILES = [
    path
    for path in repository.python_files("src", "vertebra", "recipes")
    if path.name not in NOT_RECIPES
]
LIMIT = 120
SECTIONS = (
    *("Idea", "Source", "Reads", "Schedule"),
    *("Deviations", "Expected", "Cost", "Status"),
)
STATUS = ("sketch", "maps", "parity", "loads", "reproduces")
LIBRARIES = frozenset(
    {"dataclasses"}
    | {
        f"vertebra.{name}"
        for name in ("backbones", "coupling", "policy", "recipes", "schedules", "spec")
    }
)
ALLOWED_STATEMENTS = (ast.Expr, ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign)
FORBIDDEN = (
    *(ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda),
    *(ast.For, ast.AsyncFor, ast.While, ast.comprehension),
    *(ast.If, ast.IfExp, ast.Try, ast.With, ast.BinOp, ast.Delete, ast.AugAssign),
)

by_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


def code_problems(tree):
    """What in a recipe file is not data."""
    found = [
        f"line {node.lineno}: {type(node).__name__}"
        for node in tree.body
        if not isinstance(node, ALLOWED_STATEMENTS)
    ]
    for node in ast.walk(tree):
        if isinstance(node, FORBIDDEN):
            found.append(f"line {getattr(node, 'lineno', '?')}: {type(node).__name__}")
        found += [
            f"imports {name}"
            for name in imported(node)
            if ".".join(name.split(".")[:2]) not in LIBRARIES
        ]
    return found


def recipes_of(path):
    module = importlib.import_module(f"vertebra.recipes.{path.stem}")
    return {name: value for name, value in vars(module).items() if isinstance(value, Recipe)}


def test_there_are_recipe_files():
    assert FILES


@by_file
def test_recipe_file_is_short(path):
    assert path.read_text().count("\n") <= LIMIT


@by_file
def test_recipe_file_is_data(path):
    assert not code_problems(repository.tree(path))


@pytest.mark.parametrize(
    "code",
    [
        "class A: pass",
        "def f(): return 1",
        "X = [n for n in (1, 2)]",
        "for n in (1, 2): X = n",
        "import torch",
        "import numpy as np",
        "X = (lambda: 1)()",
        "from torch import nn",
    ],
)
def test_code_in_a_recipe_would_be_found(code):
    assert code_problems(ast.parse(code))


@by_file
def test_recipe_docstring_has_its_sections_in_order(path):
    _, _, text = (ast.get_docstring(repository.tree(path)) or "").partition("\n")
    found = re.findall(r"^([A-Z]\w+): ", text, flags=re.MULTILINE)
    assert tuple(found) == SECTIONS


@by_file
def test_recipe_claims_the_status_that_its_docstring_claims(path):
    text = ast.get_docstring(repository.tree(path)) or ""
    claimed = re.search(r"^Status: (\w+)((?:; [A-Z0-9_]+: \w+)*)\.", text, flags=re.MULTILINE)
    assert claimed is not None
    apart = dict(re.findall(r"; ([A-Z0-9_]+): (\w+)", claimed[2]))
    found = {
        name: recipe
        for name, recipe in recipes_of(path).items()
        if name.lower().startswith(path.stem)  # others are imported
    }
    assert apart.keys() <= found.keys()
    assert {claimed[1], *apart.values()} <= set(STATUS)
    told = {name: apart.get(name, claimed[1]) for name in found}
    assert {name: recipe.status for name, recipe in found.items()} == told


@by_file
def test_names_agree_in_their_three_spellings(path):
    own = {
        name: recipe
        for name, recipe in recipes_of(path).items()
        if name.lower().startswith(path.stem)
    }
    assert own, f"{path.name} holds no recipe whose name starts with {path.stem.upper()}"
    for name, recipe in own.items():
        assert recipe.name == name.lower().replace("_", "-")
        assert by_name(recipe.name) is recipe


def test_every_recipe_of_a_file_is_in_the_tuple_once():
    in_files = {recipe.name for path in FILES for recipe in recipes_of(path).values()}
    assert sorted(recipe.name for recipe in ALL) == sorted(in_files)
