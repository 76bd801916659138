"""What to cite: every recipe has an entry, variants share one, unknown names are refused."""

import json
import re
from importlib.resources import files

import pytest

from vertebra import recipes
from vertebra.cli.entry import run
from vertebra.recipes import citations
from vertebra.recipes.citations import FILE, citation_of


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert run(["cite", *words]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("name", [recipe.name for recipe in recipes.ALL])
def test_every_recipe_has_an_entry_that_names_its_source(name: str) -> None:
    entry = citation_of(name)
    assert {"title", "author", "year", "url"} <= set(entry.fields)
    number = re.fullmatch(r"arXiv:(\d{4}\.\d{5})", recipes.by_name(name).source)
    if number is not None:
        assert number[1] in entry.bibtex


def test_the_file_is_read_whole() -> None:
    text = (files("vertebra.recipes") / FILE).read_text(encoding="utf-8")
    assert "\n\n".join(entry.bibtex for entry in citations.citations()) + "\n" == text
    for entry in citations.citations():
        fields = ",\n".join(f"  {name} = {{{value}}}" for name, value in entry.fields.items())
        assert entry.bibtex == f"@{entry.kind}{{{entry.key},\n{fields}\n}}"
        assert entry.bibtex.count("{") == entry.bibtex.count("}")


def test_no_name_belongs_to_two_entries() -> None:
    names = [name for entry in citations.citations() for name in entry.names]
    assert len(names) == len(set(names))


def test_variants_and_twins_share_the_entry_of_their_paper() -> None:
    for name in ("fast-wam-joint", "fast-wam-idm", "fast-wam+blind", "action-only"):
        assert citation_of(name) is citation_of("fast-wam")
    assert citation_of("pi05") is not citation_of("pi0")


def test_shared_entries_are_printed_once(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "fast-wam-idm", "pi0", "fast-wam")
    assert re.findall(r"^@\w+\{([\w-]+),$", text, re.MULTILINE) == ["fast-wam", "pi0"]


def test_json_has_one_value_a_name(capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(printed(capsys, "--json", "fast-wam-idm", "fast-wam"))
    assert [value["recipe"] for value in found] == ["fast-wam-idm", "fast-wam"]
    assert {value["key"] for value in found} == {"fast-wam"}
    assert found[0]["fields"]["year"] == "2026"


def test_all_unknown_names_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["cite", "pi0", "nothing", "fast-wam-of-tomorrow"]) == 2
    shown = capsys.readouterr()
    assert not shown.out
    assert "'nothing'" in shown.err
    assert "'fast-wam-of-tomorrow'" in shown.err
    assert "Known are" in shown.err


def test_nothing_to_cite_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["cite"]) == 2
    assert "name one or more recipes" in capsys.readouterr().err


def test_a_recipe_without_an_entry_is_told_where_to_add_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(citations, "citations", lambda: ())
    with pytest.raises(ValueError, match=f"add one with that key to {FILE}"):
        citation_of("pi0")
