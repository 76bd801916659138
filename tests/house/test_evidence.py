"""The page of evidence is what its data file says, and the data file hangs together."""

import re
from collections.abc import Mapping
from typing import Any

import pytest

from house import repository
from vertebra.recipes.evidence import Meeting, evidence_from_plain, markdown
from vertebra.spec.storage import read_json

DATA = repository.ROOT / "docs" / "evidence.json"
PAGE = repository.ROOT / "docs" / "evidence.md"


def plain() -> dict[str, Any]:
    return read_json(DATA)


def meeting(**changes: Any) -> Meeting:
    row = {"vla_value": 90.0, "wam_value": 95.0, "margin": 2.0, "lower_is_better": False}
    words = dict.fromkeys(("where", "vla", "wam", "unequal", "source"), "-")
    return Meeting(**{**words, **row, **changes})


def test_page_is_current() -> None:
    assert PAGE.read_text() == markdown(evidence_from_plain(plain())), "run `make fix`"


def test_every_system_of_the_data_stands_on_the_page_with_a_number_or_a_dash() -> None:
    lines = PAGE.read_text().splitlines()
    for system, family in plain()["systems"].items():
        assert any(line.startswith(f"| {system} | {family} | ") for line in lines), system


@pytest.mark.parametrize(
    ("changes", "ahead"),
    [
        ({}, "WAM"),
        ({"lower_is_better": True}, "VLA"),
        ({"vla_value": 95.0, "wam_value": 90.0}, "VLA"),
        ({"vla_value": 95.0, "wam_value": 90.0, "lower_is_better": True}, "WAM"),
        ({"margin": 5.0}, "cannot tell"),
        ({"margin": 4.9}, "WAM"),
    ],
)
def test_who_is_ahead(changes: Mapping[str, Any], ahead: str) -> None:
    assert meeting(**changes).ahead == ahead


def test_margins_of_counted_rollouts_are_those_of_two_proportions() -> None:
    counted = 0
    for row in evidence_from_plain(plain()).meetings:
        found = re.search(r"(\d+) rollouts", row.where)
        if found is not None:
            rates = (row.vla_value / 100.0, row.wam_value / 100.0)
            variance = sum(rate * (1.0 - rate) / int(found[1]) for rate in rates)
            assert row.margin == pytest.approx(196.0 * variance**0.5, abs=0.05), row.where
            counted += 1
    assert counted == 2


@pytest.mark.parametrize(
    ("table", "field", "value", "words"),
    [
        ("results", "system", "nobody", "names an unknown system"),
        ("results", "benchmark", "nothing", "names an unknown benchmark"),
        ("results", "by", "hearsay", "known are own and others"),
        ("latencies", "system", "nobody", "names an unknown system"),
        ("meetings", "source", "nowhere", "source 'nowhere' is not listed"),
        ("cautions", "source", "nowhere", "source 'nowhere' is not listed"),
    ],
)
def test_a_loose_end_is_refused(table: str, field: str, value: str, words: str) -> None:
    data = plain()
    data[table][0][field] = value
    with pytest.raises(ValueError, match=words):
        evidence_from_plain(data)


def test_an_unused_source_and_an_unknown_family_are_refused_together() -> None:
    data = plain()
    data["sources"]["spare"] = "never read"
    data["systems"]["pi0"] = "robot"
    with pytest.raises(ValueError, match=r"(?s)of family 'robot'.*source 'spare' is not used"):
        evidence_from_plain(data)
