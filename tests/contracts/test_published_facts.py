"""The published numbers hang together: arithmetic, vocabulary, and the tables of who sees whom."""

import json
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
FACTS: dict[str, list[dict[str, Any]]] = json.loads((HERE / "published_facts.json").read_text())[
    "systems"
]
SYSTEMS: dict[str, Any] = json.loads((HERE / "expected_visibility.json").read_text())["systems"]
FRAMES = [
    (name, fact) for name, facts in FACTS.items() for fact in facts if fact["fact"] == "frame"
]


def values(name: str, fact: str, of: str) -> list[Any]:
    return [f["value"] for f in FACTS[name] if (f["fact"], f["of"]) == (fact, of)]


def test_every_system_has_facts_and_every_fact_a_source() -> None:
    assert set(FACTS) == set(SYSTEMS)
    for name, facts in FACTS.items():
        assert facts, name
        for fact in facts:
            assert {"fact", "of", "value", "exact", "source"} <= set(fact), (name, fact)
            assert set(fact) <= {"fact", "of", "value", "exact", "source", "setting", "note"}
            assert fact["source"], (name, fact)


def test_no_fact_is_stated_twice() -> None:
    for name, facts in FACTS.items():
        stated = [(f["fact"], f["of"], f.get("setting"), f["source"]) for f in facts]
        assert len(stated) == len(set(stated)), name


@pytest.mark.parametrize(
    ("name", "fact"), FRAMES, ids=[f"{name}-{fact['value']['tokens']}" for name, fact in FRAMES]
)
def test_tokens_a_frame_follow_from_the_picture(name: str, fact: dict[str, Any]) -> None:
    frame = fact["value"]
    cell = frame["stride"] * frame["patch"]
    assert frame["height"] % cell == 0
    assert frame["width"] % cell == 0
    assert (frame["height"] // cell) * (frame["width"] // cell) == frame["tokens"]


@pytest.mark.parametrize(
    ("name", "tokens"),
    [
        ("fast-wam", {98, 120}),
        ("dreamzero", {880}),
        ("lingbot-va-shared", {32, 120}),
        ("cosmos-policy", {196}),
        ("pi0", {256}),
    ],
)
def test_the_token_counts_that_papers_quote(name: str, tokens: set[int]) -> None:
    assert {f["value"]["tokens"] for f in FACTS[name] if f["fact"] == "frame"} == tokens


def test_widths_are_heads_times_head_width_where_both_are_given() -> None:
    for name, facts in FACTS.items():
        for fact in facts:
            part = fact["value"] if fact["fact"] == "transformer" else {}
            if fact["of"] in {"video", "vlm", "trunk"} and "head_width" in part:
                assert part["heads"] * part["head_width"] == part["width"], (name, fact)


def test_steps_agree_with_the_evaluations_of_the_visibility_tables() -> None:
    """Each stage with a known number of steps is evaluated as often (in some setting)."""
    for name, entry in SYSTEMS.items():
        for stage, count in entry["evaluations"].items():
            steps = [
                value["run"] if isinstance(value, dict) else value
                for value in values(name, "steps", stage)
            ]
            if steps and name != "cosmos-policy-plan":
                assert count in steps, (name, stage, count, steps)


def test_planning_counts_candidates_ensembles_and_steps() -> None:
    name = "cosmos-policy-plan"
    (candidates,) = values(name, "candidates", "action")
    (futures,) = values(name, "ensemble", "future")
    (judged,) = values(name, "ensemble", "value")
    steps = {stage: values(name, "steps", stage)[0] for stage in ("action", "future", "value")}
    assert SYSTEMS[name]["evaluations"] == {
        "action": candidates * steps["action"],
        "future": candidates * futures * steps["future"],
        "value": candidates * futures * judged * steps["value"],
    }


@pytest.mark.parametrize(
    ("name", "of", "gated"),
    [("pi0", "action", True), ("fast-wam", "action", False), ("fast-wam", "video", False)],
)
def test_published_parameters_follow_from_widths(name: str, of: str, gated: bool) -> None:
    """Attention, cross-attention where there is a text width, and MLP, within 3 %."""
    (part,) = values(name, "transformer", of)
    (published,) = values(name, "parameters", of)
    width, inner = part["width"], part["heads"] * part["head_width"]
    keys = part.get("kv_heads", part["heads"]) * part["head_width"]
    attention = 2 * width * inner + 2 * width * keys
    mlp = (3 if gated else 2) * width * part["ffn"]
    layer = attention * (2 if "text_width" in part else 1) + mlp
    assert part["layers"] * layer == pytest.approx(published, rel=0.03)
