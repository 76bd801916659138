"""Recipes as words, pictures and pages: complete, well-formed, and true to the tables."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from house.interpreter import not_in_base, run_without
from vertebra import recipes
from vertebra.cli.entry import run
from vertebra.coupling.visibility import pair_mask
from vertebra.policy.recipe import Recipe
from vertebra.recipes.facts import beats, sights
from vertebra.recipes.picture import html, svg
from vertebra.recipes.picture_sight import shown
from vertebra.recipes.words import text
from vertebra.spec.streams import Reach

every = pytest.mark.parametrize("recipe", recipes.ALL, ids=lambda recipe: recipe.name)
SVG = "{http://www.w3.org/2000/svg}"


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert run(["recipes", *words]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("reach", Reach)
def test_pattern_of_a_cell_is_the_mask(reach: Reach) -> None:
    times = np.arange(3)
    drawn = [[shown(reach, query, key) for key in range(3)] for query in range(3)]
    assert (np.array(drawn) == pair_mask(reach, times, times)).all()


@every
def test_a_picture_holds_a_mark_for_every_sight_and_a_box_for_every_step(recipe: Recipe) -> None:
    root = ElementTree.fromstring(svg(recipe))  # noqa: S314 - drawn here
    words = {element.text for element in root.iter(f"{SVG}text")}
    names = {stream.name.replace("_", " ") for stream in recipe.table.streams}
    assert names <= words
    cells = [
        group
        for group in root.iter(f"{SVG}g")
        if len(group) and group[0].get("class") == "wash" and group[0].get("width") == "46"
    ]
    assert sum(len(cell) > 1 for cell in cells) == len(sights(recipe.coupling))
    passes = [rect for rect in root.iter(f"{SVG}rect") if rect.get("class") == "paper"][1:]
    assert len(passes) == sum(b.steps * len(b.touched) for b in beats(recipe))


@every
def test_a_picture_is_as_large_as_what_it_holds(recipe: Recipe) -> None:
    root = ElementTree.fromstring(svg(recipe))  # noqa: S314 - drawn here
    wide, high = float(root.attrib["width"]), float(root.attrib["height"])
    for group in root:
        moved = re.fullmatch(r"translate\((\S+) (\S+)\)", group.get("transform", ""))
        if moved is None:
            continue
        for rect in group.iter(f"{SVG}rect"):
            assert float(moved[1]) + float(rect.attrib["x"]) + float(rect.attrib["width"]) <= wide
            assert float(moved[2]) + float(rect.attrib["y"]) <= high


@every
def test_a_page_needs_nothing_else_and_says_what_follows(recipe: Recipe) -> None:
    page = html(recipe)
    assert page.count("<svg") == 2
    assert not re.search(r"<(script|link|img)|src=|@import|url\(", page)
    assert re.findall(r'https?://[^"<\s]+', page.replace(SVG[1:-1], "")) == []
    assert recipe.source in page


def test_words_of_a_rolling_recipe() -> None:
    told = text(recipes.by_name("lingbot-va"))
    assert re.search(r"^  action +action +◣ +· +◣ +◺ +╲ +○$", told, re.MULTILINE)
    assert "write down what really happened: real frames (clean_future)" in told
    assert "denoise future up to flow time 0.6; with and without words" in told
    assert "executes all of the chunk" in told


def test_words_of_a_plan_choose_before_the_action_is_made() -> None:
    told = text(recipes.by_name("cortex2")).splitlines()
    chosen = next(line for line in told if line.startswith("  choose"))
    assert "best of 2 candidates by progress - risk + success" in chosen
    assert "denoise action" in told[told.index(chosen) + 1]


@pytest.mark.parametrize(
    ("name", "symbol"), [("unipi", "▣ as pictures"), ("gr00t", "◆ its hidden states")]
)
def test_legend_names_what_occurs(name: str, symbol: str) -> None:
    assert symbol in text(recipes.by_name(name))
    assert symbol not in text(recipes.by_name("pi0"))


def test_files_are_written_where_they_are_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for suffix, draw in ((".svg", svg), (".html", html)):
        path = tmp_path / f"drawn{suffix}"
        assert printed(capsys, "show", "vpp", "--out", str(path)) == f"{path}\n"
        assert path.read_text(encoding="utf-8") == draw(recipes.by_name("vpp"))


def test_other_kinds_of_file_and_unknown_names_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["recipes", "show", "vpp", "--out", str(tmp_path / "drawn.png")]) == 2
    assert "must end in .html or .svg" in capsys.readouterr().err
    assert run(["recipes", "show", "nothing"]) == 2
    assert "Known are" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_json_says_what_the_words_say(capsys: pytest.CaptureFixture[str]) -> None:
    listed = json.loads(printed(capsys, "--json"))
    assert [row["recipe"] for row in listed] == [recipe.name for recipe in recipes.ALL]
    assert listed[0]["evaluations"] == {"prefix": 1, "action": 10}
    found = json.loads(printed(capsys, "show", "dreamzero+blind", "--json"))
    assert found["recipe"] == "dreamzero+blind"
    assert found["chunk"][-1]["twice"] is True
    assert {"query": "state", "key": "state", "means": "joint attention", "reach": "same"} in (
        found["sees"]
    )


def test_the_list_names_every_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    told = printed(capsys)
    lost = [one.name for one in recipes.ALL if not re.search(rf"^ {one.name} ", told, re.M)]
    assert not lost


def test_pictures_are_drawn_in_a_base_install() -> None:
    code = (
        "from vertebra.cli.entry import run\n"
        "assert run(['recipes']) == 0\n"
        "assert run(['recipes', 'show', 'fast-wam']) == 0\n"
    )
    done = run_without(not_in_base(), code)
    assert done.returncode == 0, done.stderr
    assert "Who sees whom" in done.stdout
