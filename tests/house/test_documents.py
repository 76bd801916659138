"""The documents say what the code does: tables are current, names exist, links lead somewhere."""

import re

import pytest

from house import repository
from vertebra.recipes import ALL
from vertebra.recipes.table import BEGIN, END, markdown, rows, with_table

DOCUMENTS = repository.files(".md")
ADR_SECTIONS = (
    *("Status", "Context", "Options", "Decision"),
    *("Consequences", "How we will notice that it was wrong"),
)
ADRS = [path for path in DOCUMENTS if path.parent.name == "adr" and path.name != "README.md"]

by_document = pytest.mark.parametrize("path", DOCUMENTS, ids=repository.name_of)


def section(text, title):
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found is not None, f"no section '{title}'"
    return found[1]


def test_readme_holds_the_table_of_the_recipes():
    text = (repository.ROOT / "README.md").read_text()
    assert with_table(text, markdown()) == text, "run `make fix`"


def test_table_has_a_row_for_every_recipe_and_derives_imagination():
    found = {row.recipe: row for row in rows()}
    assert list(found) == [recipe.name for recipe in ALL]
    told = {name: row.imagination for name, row in found.items()}
    assert told["pi0"] == "none"
    assert told["fast-wam"] == "skipped"
    assert told["fast-wam-joint"] == "needed"
    assert told["fast-wam-idm"] == "needed"
    assert "clean future" in found["fast-wam-idm"].reads


@pytest.mark.parametrize("text", ["", BEGIN, END + BEGIN, BEGIN + END + BEGIN + END])
def test_table_refuses_a_text_without_its_place(text):
    with pytest.raises(ValueError, match="once, in this order"):
        with_table(text, markdown())


def test_code_map_names_every_package_and_no_other():
    text = section((repository.ROOT / "ARCHITECTURE.md").read_text(), "Code map")
    named = re.findall(r"^\| `([\w/.]+)` \|", text, flags=re.MULTILINE)
    assert sorted(named) == sorted(repository.packages())


@by_document
def test_files_named_in_a_document_exist(path):
    named = set(re.findall(r"`([\w./-]+\.(?:py|md|toml|j2|css))`", path.read_text()))
    places = (repository.ROOT, repository.SOURCE, path.parent)
    lost = [name for name in named if not any((place / name).exists() for place in places)]
    assert not lost


@by_document
def test_tests_named_in_a_document_exist(path):
    lost = []
    for name, test in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", path.read_text()):
        file = repository.ROOT / name
        if not file.exists() or not re.search(rf"def {test}\b", file.read_text()):
            lost.append(f"{name}::{test}")
    assert not lost


@by_document
def test_links_inside_the_repository_lead_somewhere(path):
    targets = re.findall(r"\]\(([^)#\s]+)", path.read_text())
    lost = [
        target for target in targets if "://" not in target and not (path.parent / target).exists()
    ]
    assert not lost


@pytest.mark.parametrize("path", ADRS, ids=lambda path: path.stem)
def test_decision_record_is_short_and_complete(path):
    text = path.read_text()
    assert text.count("\n") <= 60
    assert tuple(re.findall(r"^## (.+)$", text, flags=re.MULTILINE)) == ADR_SECTIONS
    assert re.match(r"\d{4}-[a-z0-9-]+$", path.stem)


def test_decision_records_are_numbered_without_gaps_and_indexed():
    numbers = [int(path.stem[:4]) for path in sorted(ADRS)]
    assert numbers == list(range(1, len(numbers) + 1))
    index = (repository.ROOT / "docs" / "adr" / "README.md").read_text()
    assert [path.name for path in sorted(ADRS) if f"]({path.name})" not in index] == []


def test_experiments_are_indexed():
    folder = repository.ROOT / "docs" / "experiments"
    index = (folder / "README.md").read_text()
    pages = [path.name for path in DOCUMENTS if path.parent == folder and path.name != "README.md"]
    assert [name for name in pages if f"]({name})" not in index] == []


def test_every_pitfall_names_a_test_that_guards_it():
    text = (repository.ROOT / "docs" / "pitfalls.md").read_text()
    entries = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    assert entries
    for entry in entries:
        for word in ("Symptom", "Cause", "Damage", "Guard"):
            assert f"**{word}.**" in entry, f"'{entry.splitlines()[0]}' lacks {word}"
        assert "`tests/" in entry.partition("**Guard.**")[2]
