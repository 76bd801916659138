"""CALVIN's tasks as changes of a small symbolic state, and the thousand chains made of them.

The rules, the order in which tasks are drawn and the seeds are CALVIN's, so that our chains are its
chains. The oracle that judges physics is another thing: it is CALVIN's own, in its own process.

Source: mees/calvin calvin_models/calvin_agent/evaluation/multistep_sequences.py (rules, draws).
"""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from vertebra.spec.storage import digest, read_json, write_json

LINKS, CHAINS = 5, 1000
PUBLISHED = "b7b20e416884e4dc"
"""Hash of the chains of the original `get_sequences`; `benchmarks/calvin_check.py` compares."""
COLOURS = ("red", "blue", "pink")
SIDES, PLACES = ("right", "left"), ("table", "slider_right", "slider_left")
TABLE, HELD, TOP, BOTTOM = "table", "grasped", "stacked_top", "stacked_bottom"
HAND, SLIDER, DRAWER, BULB, LED = "grasped", "slider", "drawer", "lightbulb", "led"

Value = str | int
State = Mapping[str, Value]
"""What is where: lights (0, 1), slider (right, left), drawer, each block's place, and the hand."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """One way in which a task can change the state.

    Attributes:
        needs: What must hold before; of several values one is enough.
        gives: What holds afterwards.
    """

    needs: Mapping[str, tuple[Value, ...]]
    gives: State


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One of the 34 tasks.

    Attributes:
        name: CALVIN's name of it.
        kind: Tasks of one kind do not occur twice in a chain.
        target: What it is about: a block, or a part of the table; ``None`` when any block will do.
        changes: All ways to carry it out.
    """

    name: str
    kind: str
    target: str | None
    changes: tuple[Change, ...]

    def after(self, state: State) -> list[dict[str, Value]]:
        """Every state that it can lead to from this one."""
        return [
            {**state, **change.gives}
            for change in self.changes
            if all(state[name] in values for name, values in change.needs.items())
        ]


def block(colour: str) -> str:
    """How the state names a block."""
    return f"{colour}_block"


PARTS: Mapping[str, tuple[Value, ...]] = {
    LED: (0, 1),
    BULB: (0, 1),
    SLIDER: SIDES,
    DRAWER: ("closed", "open"),
    **{block(colour): PLACES for colour in COLOURS},
    HAND: (0,),
}
"""What a state says, in CALVIN's order, and with which values chains begin."""


def _change(needs: Mapping[str, Value | tuple[Value, ...]], gives: State, hand: int = 0) -> Change:
    every = {**needs, HAND: hand}
    return Change(
        needs={k: v if isinstance(v, tuple) else (v,) for k, v in every.items()}, gives=gives
    )


def _stays(colour: str) -> tuple[Change, ...]:
    """What turning and pushing do: the block was on the table and is."""
    return (_change({block(colour): TABLE}, {block(colour): TABLE}),)


def _lift(colour: str, place: str) -> tuple[Change, ...]:
    held: State = {block(colour): HELD, HAND: 1}
    if place == TABLE:
        return (_change({block(colour): TABLE}, held),)
    if place == DRAWER:
        return (_change({block(colour): DRAWER, DRAWER: "open"}, held),)
    return tuple(
        _change({block(colour): f"slider_{side}", SLIDER: door}, held)
        for side, door in (("left", "right"), ("right", "left"))
    )


def _put(colour: str, needs: State, where: str) -> Change:
    return _change({block(colour): HELD, **needs}, {block(colour): where, HAND: 0}, hand=1)


def _stacks() -> Iterator[tuple[str, str]]:
    return itertools.permutations(map(block, COLOURS), 2)


def _into_drawer(colour: str) -> Change:
    others = {block(one): ("slider_right", "slider_left") for one in COLOURS if one != colour}
    return _change(
        {block(colour): TABLE, **others, DRAWER: "open"}, {block(colour): DRAWER, HAND: 0}
    )


def _switch(part: str, before: Value, after: Value) -> tuple[Change, ...]:
    return (_change({part: before}, {part: after}),)


def _rules() -> Iterator[Rule]:
    for verb in ("rotate", "push"):
        for colour in COLOURS:
            for side in SIDES:
                name = f"{verb}_{colour}_block_{side}"
                yield Rule(name=name, kind="move", target=f"block_{colour}", changes=_stays(colour))
    doors = (
        ("move_slider_left", SLIDER, "right", "left"),
        ("move_slider_right", SLIDER, "left", "right"),
        ("open_drawer", DRAWER, "closed", "open"),
        ("close_drawer", DRAWER, "open", "closed"),
    )
    for name, part, before, after in doors:
        yield Rule(name=name, kind=part, target=part, changes=_switch(part, before, after))
    for colour in COLOURS:
        for place in (TABLE, SLIDER, DRAWER):
            yield Rule(
                name=f"lift_{colour}_block_{place}",
                kind=f"lift from {place}",
                target=f"block_{colour}",
                changes=_lift(colour, place),
            )
    slots = tuple(
        _put(colour, {SLIDER: side}, f"slider_{side}") for colour in COLOURS for side in SIDES
    )
    drawn = tuple(_put(colour, {DRAWER: "open"}, DRAWER) for colour in COLOURS)
    yield Rule(name="place_in_slider", kind="place", target=SLIDER, changes=slots)
    yield Rule(name="place_in_drawer", kind="place", target=DRAWER, changes=drawn)
    stacked = tuple(
        _change({top: HELD, low: TABLE}, {top: TOP, low: BOTTOM, HAND: 0}, hand=1)
        for top, low in _stacks()
    )
    taken = tuple(
        _change({top: TOP, low: BOTTOM}, {top: TABLE, low: TABLE}) for top, low in _stacks()
    )
    yield Rule(name="stack_block", kind="stack", target=None, changes=stacked)
    yield Rule(name="unstack_block", kind="unstack", target=None, changes=taken)
    for light in (BULB, LED):
        for word, before, after in (("on", 0, 1), ("off", 1, 0)):
            yield Rule(
                name=f"turn_{word}_{light}",
                kind="light",
                target="switch" if light == BULB else "button",
                changes=_switch(light, before, after),
            )
    into = tuple(_into_drawer(colour) for colour in COLOURS)
    yield Rule(name="push_into_drawer", kind="push into drawer", target=None, changes=into)


RULES: tuple[Rule, ...] = tuple(_rules())
"""All tasks, in the order in which CALVIN draws them."""
_KINDS = tuple(rule.kind for rule in RULES)
RULE_BY_NAME: Mapping[str, Rule] = {rule.name: rule for rule in RULES}


@dataclass(frozen=True, kw_only=True)
class Chain:
    """One chain.

    Attributes:
        state: From which state.
        tasks: Names of the tasks, in order.
    """

    state: State
    tasks: tuple[str, ...]


def initial_conditions() -> tuple[State, ...]:
    """All 192 states from which chains begin: at least one block in a slot, each in its own."""
    every = (dict(zip(PARTS, values, strict=True)) for values in itertools.product(*PARTS.values()))
    return tuple(state for state in every if _allowed([state[block(one)] for one in COLOURS]))


def _allowed(places: list[Value]) -> bool:
    slots = [place for place in places if place != TABLE]
    return 1 <= len(slots) <= 2 and len(set(slots)) == len(slots)


def feasible(state: State) -> tuple[Rule, ...]:
    """The tasks that can be carried out from a state in exactly one way."""
    return tuple(rule for rule in RULES if len(rule.after(state)) == 1)


def can_follow(state: State, rules: tuple[Rule, ...]) -> bool:
    """Whether tasks can be carried out one after the other, each in exactly one way."""
    now: State = state
    for rule in rules:
        found = rule.after(now)
        if len(found) != 1:
            return False
        (now,) = found
    return True


@cache
def chains(count: int = CHAINS) -> tuple[Chain, ...]:
    """The chains of CALVIN's evaluation; other counts are other chains, as there.

    Each initial condition has its own seed (its number) and draws until it has its share; then all
    are shuffled with seed 0.
    """
    states = initial_conditions()
    shares = [len(part) for part in np.array_split(range(count), len(states))]
    found = [
        Chain(state=state, tasks=tasks)
        for seed, (state, share) in enumerate(zip(states, shares, strict=True))
        for tasks in itertools.islice(_drawn(state, seed), share)
    ]
    order = list(range(len(found)))
    np.random.RandomState(0).shuffle(order)
    return tuple(found[place] for place in order)


def stored_chains(path: Path) -> tuple[Chain, ...]:
    """The published chains, read from a file, which is written when it is not there (a minute).

    Raises:
        ValueError: When what is drawn here is not what CALVIN draws: numpy draws otherwise.
    """
    if path.exists():
        found = tuple(
            Chain(state=one["state"], tasks=tuple(one["tasks"])) for one in read_json(path)
        )
        if digest(found) == PUBLISHED:
            return found
    found = chains()
    if digest(found) != PUBLISHED:
        raise ValueError(
            f"The chains drawn with numpy {np.__version__} have the hash {digest(found)}, not "
            f"{PUBLISHED}: install another version of numpy beside CALVIN."
        )
    write_json(path, found)
    return found


def _drawn(state: State, seed: int) -> Iterator[tuple[str, ...]]:
    """Draws from all tasks without putting back, until they fit (some thousand for each chain)."""
    rng = np.random.RandomState(seed)
    first = {place for place, rule in enumerate(RULES) if len(rule.after(state)) == 1}
    while True:
        # The first ones of a permutation are what `choice` without replacement draws.
        places = rng.permutation(len(RULES))[:LINKS].tolist()
        if places[0] not in first or len({_KINDS[place] for place in places}) < LINKS:
            continue
        rules = tuple(RULES[place] for place in places)
        if can_follow(state, rules):
            yield tuple(rule.name for rule in rules)
