"""What a part of a recipe does, the other parts held equal: main effects and interactions.

An arm is a backbone with a coupling and a schedule. Two arms that differ in one of these parts only
say what that part does; two that differ in several do not, whatever their numbers are.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from vertebra.spec.criteria import FOLLOWING, SUCCESS
from vertebra.verdict.compare import common_count, rates_contrast
from vertebra.verdict.rule import SEEDS_REQUIRED
from vertebra.verdict.run import Arm, Run
from vertebra.verdict.summary import Effect

PARTS = ("backbone", "coupling", "schedule")
Levels = Mapping[str, Mapping[str, str]]
"""Arm to part to level."""


def levels_of(run: Run) -> dict[str, dict[str, str]]:
    """The parts of every sighted arm whose definition stands in the plan."""
    found: dict[str, dict[str, str]] = {}
    for arm, plain in zip(run.plan.arms, run.plan.facts.get("arms", ()), strict=False):
        definition: Mapping[str, Any] | None = plain.get("definition")
        if definition is not None and not arm.blind:
            found[arm.name] = _parts(arm, definition)
    return found


def effects(run: Run) -> tuple[Effect, ...]:
    """Every effect that the arms of a run can or cannot separate."""
    levels = levels_of(run)
    found: list[Effect] = []
    for part in PARTS:
        for pair in combinations(sorted({own[part] for own in levels.values()}), 2):
            found += _main(run, levels, part, pair)
    for parts in combinations(PARTS, 2):
        found += _interaction(run, levels, parts)
    return tuple(found)


def _parts(arm: Arm, definition: Mapping[str, Any]) -> dict[str, str]:
    """A coupling is its mechanism, its experts and what the action reads besides the backbone."""
    coupling: Mapping[str, Any] = definition["coupling"]
    shape = str(coupling.get("kind", "Joint"))
    tables = (
        [coupling.get(name, {}) for name in ("trunk", "head")] if shape != "Joint" else [coupling]
    )
    experts = {expert for table in tables for expert in table.get("experts", {}).values()}
    reads = {key for table in tables for key in table.get("sees", {}).get("action", {})}
    known = {"action", "image", "frame", "text", "state", "point"}
    extra = sorted(reads - known)
    coupling_words = f"{shape}, {len(experts)} expert{'s' if len(experts) != 1 else ''}"
    if extra:
        coupling_words += f", reads {' and '.join(extra)}"
    return {
        "backbone": str(definition["backbone"].get("name", arm.family)),
        "coupling": coupling_words,
        "schedule": str(definition["schedule"].get("kind", "unknown")),
    }


def _main(run: Run, levels: Levels, part: str, pair: tuple[str, str]) -> list[Effect]:
    """One part at two levels: the mean difference over all pairs of arms equal in the rest."""
    matched = [
        (a, b)
        for a in levels
        for b in levels
        if (levels[a][part], levels[b][part]) == pair
        and all(levels[a][other] == levels[b][other] for other in PARTS if other != part)
    ]
    if not matched:
        return [_confounded(levels, part, pair, FOLLOWING)]
    weights: dict[str, float] = {}
    for a, b in matched:
        weights[a] = weights.get(a, 0.0) + 1 / len(matched)
        weights[b] = weights.get(b, 0.0) - 1 / len(matched)
    return [_effect(run, part, pair, weights, measure) for measure in (FOLLOWING, SUCCESS)]


def _interaction(run: Run, levels: Levels, parts: tuple[str, str]) -> list[Effect]:
    """Whether one part does the same at both levels of another (complete 2 x 2 layouts only)."""
    found: list[Effect] = []
    rest = [part for part in PARTS if part not in parts]
    one = combinations(sorted({own[parts[0]] for own in levels.values()}), 2)
    for first in one:
        for second in combinations(sorted({own[parts[1]] for own in levels.values()}), 2):
            corner = {
                (own[parts[0]], own[parts[1]], *(own[part] for part in rest)): arm
                for arm, own in levels.items()
            }
            for tail in {tuple(own[part] for part in rest) for own in levels.values()}:
                cells = [corner.get((a, b, *tail)) for a in first for b in second]
                arms = [arm for arm in cells if arm is not None]
                if len(arms) < 4:
                    continue
                weights = dict(zip(arms, (1.0, -1.0, -1.0, 1.0), strict=True))
                found += [
                    _effect(run, " x ".join(parts), (*first, *second), weights, measure)
                    for measure in (FOLLOWING, SUCCESS)
                ]
    return found


def _effect(
    run: Run, part: str, pair: Sequence[str], weights: Mapping[str, float], measure: str
) -> Effect:
    count = common_count(run.plan, tuple(weights))
    found, seeds = rates_contrast(run, measure, tuple(weights.items()), count)
    words = f"too few training seeds so far ({seeds} of {SEEDS_REQUIRED})"
    if found is not None and seeds >= SEEDS_REQUIRED:
        words = "shown" if found.estimate().excludes_zero else "not shown"
    return Effect(
        part=part,
        levels=tuple(pair),
        over=tuple(weights),
        measure=measure,
        estimate=None if found is None else found.estimate(),
        words=words,
    )


def _confounded(levels: Levels, part: str, pair: tuple[str, str], measure: str) -> Effect:
    """No two arms differ in this part only: say which parts change with it."""
    arms = [arm for arm in levels if levels[arm][part] in pair]
    others = [
        other
        for other in PARTS
        if other != part
        and {levels[a][other] for a in arms if levels[a][part] == pair[0]}.isdisjoint(
            levels[a][other] for a in arms if levels[a][part] == pair[1]
        )
    ]
    changes = " and ".join(others) if others else "the rest of the recipe"
    return Effect(
        part=part,
        levels=pair,
        over=tuple(arms),
        measure=measure,
        estimate=None,
        words=f"cannot be separated: {changes} changes with it",
    )
