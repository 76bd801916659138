"""Files stay small, rooms have a purpose, and the text belongs to no one machine."""

import re

import pytest

from house import repository
from vertebra.recipes.table import BEGIN, END

HARD = 500
WANTED = 300
LONG_SHARE = 0.12
"""Share of source files that may be longer than wanted without saying why."""
REASON = re.compile(r"^# Longer than 300 lines: \S.{20,}", flags=re.MULTILINE)
PURPOSELESS = {
    *("util", "utils", "common", "helper", "helpers", "misc", "base"),
    *("manager", "managers", "factory", "factories", "registry"),
}
MACHINE_PATHS = re.compile(
    r"(?<![\w.])/(?:" + "|".join(("work", "root", "home", "opt", "mnt", "Users")) + r")/"
)
SHARED = "../shared/"
SHARED_DATA = SHARED + "data"
TEXT = (
    *(".py", ".md", ".toml", ".css", ".j2", ".json", ".txt", ".yml", ".yaml", ".cfg"),
    *("Makefile", ".ci/run", ".gitignore"),
)
DOCUMENT_LINES = {"README.md": 120, "ARCHITECTURE.md": 200}


def lines(path):
    return path.read_text().count("\n")


def test_no_file_is_longer_than_500_lines():
    too_long = {
        repository.name_of(path): lines(path)
        for path in repository.files(".py", ".j2", ".css")
        if lines(path) > HARD
    }
    assert not too_long, f"split these (lines): {too_long}"


def test_few_source_files_are_longer_than_300_lines_without_a_reason():
    sources = repository.python_files("src")
    unexplained = {
        repository.name_of(path): lines(path)
        for path in sources
        if lines(path) > WANTED and not REASON.search(path.read_text())
    }
    assert len(unexplained) <= LONG_SHARE * len(sources), (
        f"shorten some of these, or say why at their top in a comment that starts with "
        f"'# Longer than 300 lines: ': {unexplained}"
    )


def test_no_module_has_a_name_without_a_purpose():
    bad = [
        repository.name_of(path)
        for path in repository.files(".py")
        if PURPOSELESS & {path.stem, *path.relative_to(repository.ROOT).parts}
    ]
    assert not bad


@pytest.mark.parametrize(("name", "limit"), DOCUMENT_LINES.items())
def test_document_fits_its_budget(name, limit):
    """Rows of generated tables apart."""
    text = (repository.ROOT / name).read_text()
    before, _, rest = text.partition(BEGIN)
    written = before + rest.partition(END)[2]
    assert 20 < written.count("\n") <= limit


def test_no_text_names_a_path_of_some_machine():
    found = []
    for path in repository.files(*TEXT):
        if path.name == "LICENSE" or path.samefile(__file__):
            continue
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            if MACHINE_PATHS.search(line):
                found.append(f"{repository.name_of(path)}:{number}: {line.strip()[:80]}")
    assert not found, "\n".join(found)


def test_only_tests_reach_outside_the_repository_and_only_for_data():
    found = []
    for path in repository.files(*TEXT):
        if path.samefile(__file__):
            continue
        inside = path.is_relative_to(repository.ROOT / "tests")
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            if SHARED in (line.replace(SHARED_DATA, "") if inside else line):
                found.append(f"{repository.name_of(path)}:{number}: {line.strip()[:80]}")
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("line", "caught"),
    [
        ("cd /" + "work/main", True),
        ('Path("/' + 'home/me")', True),
        ("../shared/work/x", False),
        ("see docs/home/", False),
        ("a/opt/b", False),
    ],
)
def test_the_search_for_machine_paths_finds_them(line, caught):
    assert bool(MACHINE_PATHS.search(line)) is caught
