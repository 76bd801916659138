"""The transcribed tables are whole: they can be compared with recipes without surprises."""

import json
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
SYSTEMS: dict[str, Any] = json.loads((HERE / "expected_visibility.json").read_text())["systems"]
FIELDS = {
    *("title", "streams", "sees", "acting_sees", "context", "other_conditioning", "features"),
    *("experts", "imagination", "evaluations", "certain", "source", "remarks"),
}
ACTING_ONLY = {"past", "executing", "grounded"}
CONTEXTS = {"text", "state", "features", "future", "score"}
IMAGINATION = {"none", "skipped", "one pass", "partly denoised", "full"}


def reached(rows: dict[str, list[dict[str, str]]], start: str) -> set[str]:
    found, frontier = {start}, [start]
    while frontier:
        for entry in rows.get(frontier.pop(), []):
            if entry["key"] not in found:
                found.add(entry["key"])
                frontier.append(entry["key"])
    return found


@pytest.mark.parametrize("name", SYSTEMS)
def test_an_entry_is_whole(name: str) -> None:
    entry = SYSTEMS[name]
    assert set(entry) == FIELDS
    streams = {stream["name"]: stream for stream in entry["streams"]}
    assert len(streams) == len(entry["streams"])
    assert set(entry["sees"]) == set(entry["experts"]) == set(streams)
    for rows, allowed in (
        (entry["sees"], set(streams)),
        (entry["acting_sees"] or {}, set(streams) | ACTING_ONLY),
    ):
        assert set(rows) <= allowed
        for row in rows.values():
            keys = [cell["key"] for cell in row]
            assert set(keys) <= allowed
            assert len(keys) == len(set(keys))
            assert {cell["reach"] for cell in row} <= {"ALL", "UPTO", "PAST", "SAME"}
    assert set(entry["context"]) <= set(streams)
    assert {key for keys in entry["context"].values() for key in keys} <= CONTEXTS
    assert entry["imagination"] in IMAGINATION
    assert entry["evaluations"]
    assert all(cell["where"] for cell in entry["source"])


@pytest.mark.parametrize("name", SYSTEMS)
def test_roles_add_up(name: str) -> None:
    roles = {stream["name"]: stream["role"] for stream in SYSTEMS[name]["streams"]}
    assert roles["action"] == "denoised"
    for stream in SYSTEMS[name]["streams"]:
        assert stream["role"] in {"given", "denoised", "teacher"}
        assert (stream["role"] == "teacher") == ("of" in stream)
        if "of" in stream:
            assert roles[stream["of"]] == "denoised"
            assert stream["name"] not in reached_without_past(name, stream["of"])


def reached_without_past(name: str, start: str) -> set[str]:
    """Streams of the same chunk that a stream depends on: a target may not be among them."""
    rows = {
        query: [cell for cell in row if cell["reach"] != "PAST"]
        for query, row in SYSTEMS[name]["sees"].items()
    }
    return reached(rows, start)


@pytest.mark.parametrize("name", SYSTEMS)
def test_tokens_of_different_networks_meet_only_by_context_or_inverse(name: str) -> None:
    networks = {stream["name"]: stream["network"] for stream in SYSTEMS[name]["streams"]}
    for query, row in SYSTEMS[name]["sees"].items():
        foreign = [cell["key"] for cell in row if networks[cell["key"]] != networks[query]]
        assert not foreign or networks[query] == "inverse", (query, foreign)


@pytest.mark.parametrize("name", SYSTEMS)
def test_whether_imagination_is_needed_follows_from_the_rows(name: str) -> None:
    entry = SYSTEMS[name]
    leads = reached(entry["sees"], "action")
    for query in tuple(leads):
        for key in entry["context"].get(query, []):
            leads |= set((entry["features"] or {"of": []})["of"]) if key == "features" else {key}
    imagined = {
        stream["name"]
        for stream in entry["streams"]
        if stream["role"] == "denoised" and stream["name"] not in {"action", "value"}
    }
    needed = bool(leads & (imagined | {f"clean_{stream}" for stream in imagined}))
    if not imagined:
        assert entry["imagination"] == "none"
    elif needed:
        assert entry["imagination"] in {"one pass", "partly denoised", "full"}
    else:
        assert entry["imagination"] == "skipped"


@pytest.mark.parametrize("name", SYSTEMS)
def test_what_is_uncertain_says_so_in_a_remark(name: str) -> None:
    if not SYSTEMS[name]["certain"]:
        assert SYSTEMS[name]["remarks"]
