"""The mask follows from the table, the closure from the mask, and attention obeys both."""

import random
from typing import Any

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vertebra.coupling.joint import JointAttention, Seen
from vertebra.coupling.shipped import ExpertSize, shipped_attention
from vertebra.coupling.table import Joint, closure, present, problems, skippable
from vertebra.coupling.visibility import attention_mask
from vertebra.spec.streams import Reach, Role, Stream

NAMES = ("a", "b", "c", "d")


Plain = tuple[list[tuple[str, Role, str]], dict[str, dict[str, Reach]]]


@st.composite
def tables(draw: st.DrawFn, reaches: tuple[Reach, ...] = tuple(Reach)) -> Plain:
    """What random tables are made of; in them every token sees itself at least."""
    names = NAMES[: draw(st.integers(1, len(NAMES)))]
    sees = {
        query: draw(st.dictionaries(st.sampled_from(names), st.sampled_from(reaches)))
        | {query: draw(st.sampled_from([reach for reach in reaches if reach is not Reach.PAST]))}
        for query in names
    }
    roles = st.sampled_from([Role.GIVEN, Role.DENOISED])
    return [(name, draw(roles), draw(st.sampled_from(["one", "two"]))) for name in names], sees


def joint_of(plain: Plain) -> Joint:
    streams, sees = plain
    joint = Joint(
        streams=tuple(Stream(name, role) for name, role, _ in streams),
        sees=sees,
        experts={name: expert for name, _, expert in streams},
    )
    assert not problems(joint)
    return joint


def brute_force(joint: Joint, times: dict[str, np.ndarray]) -> list[list[bool]]:
    tokens = [(s.name, time) for s in joint.streams for time in times[s.name].tolist()]

    def may(query: str, at: int, key: str, then: int) -> bool:
        reach = joint.sees[query].get(key)
        return {
            None: False,
            Reach.ALL: True,
            Reach.UPTO: then <= at,
            Reach.PAST: then < at,
            Reach.SAME: then == at,
        }[reach]

    return [[may(query, at, key, then) for key, then in tokens] for query, at in tokens]


def unrolled(joint: Joint, name: str) -> set[str]:
    """Streams that an output needs at its own or a later chunk time, chunk by chunk."""
    names = list(joint.sees)
    now = len(names) + 1  # room for looks into the past and from later chunks back
    chunks = 2 * now + 1
    times = {stream: np.arange(chunks) for stream in names}
    sees = attention_mask(joint, times) | np.eye(len(names) * chunks, dtype=bool)
    order = [stream.name for stream in joint.streams]
    reached = np.linalg.matrix_power(sees.astype(float), len(sees)) > 0
    row = reached[order.index(name) * chunks + now].reshape(len(order), chunks)
    return {stream for stream, found in zip(order, row, strict=True) if found[now:].any()}


def chunk_times(joint: Joint, data: st.DataObject) -> dict[str, np.ndarray]:
    times = st.lists(st.integers(0, 2), min_size=1, max_size=3)
    return {s.name: np.array(data.draw(times, label=s.name), np.int64) for s in joint.streams}


@settings(max_examples=100, deadline=None)
@given(plain=tables(), data=st.data())
def test_the_mask_is_what_the_table_says_pair_by_pair(plain: Plain, data: st.DataObject) -> None:
    joint = joint_of(plain)
    times = chunk_times(joint, data)
    assert attention_mask(joint, times).tolist() == brute_force(joint, times)


@settings(max_examples=100, deadline=None)
@given(plain=tables())
def test_the_closure_is_reachability(plain: Plain) -> None:
    joint = joint_of(plain)
    names = [stream.name for stream in joint.streams]
    matrix = np.array([[key in joint.sees[query] for key in names] for query in names]) | np.eye(
        len(names), dtype=bool
    )
    reached = np.linalg.matrix_power(matrix.astype(int), len(names)) > 0
    for row, name in enumerate(names):
        assert closure(joint, name) == {names[i] for i in np.flatnonzero(reached[row])}
        assert present(joint, name) == unrolled(joint, name)
        assert skippable(joint, name) == set(joint.named(Role.DENOISED)) - unrolled(joint, name)
        wider = joint.with_sight(name, **dict.fromkeys(names, Reach.ALL))
        assert skippable(wider, name) == frozenset()


@settings(max_examples=100, deadline=None)
@given(plain=tables(), order=st.randoms())
def test_how_a_table_is_written_down_does_not_matter(plain: Plain, order: random.Random) -> None:
    joint = joint_of(plain)
    rows = {q: dict(shuffled(list(joint.sees[q].items()), order)) for q in joint.sees}
    again = Joint(
        streams=joint.streams,
        sees=dict(shuffled(list(rows.items()), order)),
        experts=joint.experts,
    )
    assert again == joint and list(again.sees) == list(joint.sees)
    assert [list(keys) for keys in again.sees.values()] == [list(k) for k in joint.sees.values()]


def shuffled(items: list[Any], order: random.Random) -> list[Any]:
    order.shuffle(items)
    return items


def attention_of(joint: Joint, depth: int) -> JointAttention:
    """Weights that are all alive."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        attention = shipped_attention(
            joint,
            sizes={name: ExpertSize(width=8, hidden=8) for name in ("one", "two")},
            depth=depth,
            heads=2,
            head_width=4,
            finishing=tuple(stream.name for stream in joint.streams),
        )
        with torch.no_grad():
            for value in attention.parameters():
                value.add_(0.3 * torch.randn_like(value))
    return attention


@settings(max_examples=20, deadline=None)
@given(plain=tables(), data=st.data())
def test_one_layer_of_attention_obeys_the_mask_token_by_token(
    plain: Plain, data: st.DataObject
) -> None:
    joint = joint_of(plain)
    times = chunk_times(joint, data)
    torch.manual_seed(0)
    tokens = {name: torch.randn(1, len(steps), 8) for name, steps in times.items()}
    seen = Seen(times={name: torch.from_numpy(steps) for name, steps in times.items()})
    read = attention_of(joint, 2)(tokens, seen=seen)
    values = [read.cache[stream.name].pairs[0][1] for stream in joint.streams]
    rows: list[list[bool]] = []
    for stream in joint.streams:
        for token in read.hidden[stream.name][1][0]:
            gradients = torch.autograd.grad(
                token.sum(), values, retain_graph=True, allow_unused=True
            )
            row: list[bool] = []
            for value, gradient in zip(values, gradients, strict=True):
                found = torch.zeros_like(value) if gradient is None else gradient
                row += (found != 0).any(-1).any(1)[0].tolist()
            rows.append(row)
    assert rows == attention_mask(joint, times).tolist()


@settings(max_examples=20, deadline=None)
@given(plain=tables(reaches=(Reach.ALL,)))
def test_what_an_output_depends_on_is_the_closure(plain: Plain) -> None:
    joint = joint_of(plain)
    torch.manual_seed(0)
    tokens = {s.name: torch.randn(1, 2, 8, requires_grad=True) for s in joint.streams}
    read = attention_of(joint, len(joint.streams))(tokens, seen=Seen())
    for name, output in read.last.items():
        gradients = torch.autograd.grad(
            output.square().sum(), list(tokens.values()), retain_graph=True, allow_unused=True
        )
        found = {
            key
            for key, gradient in zip(tokens, gradients, strict=True)
            if gradient is not None and bool((gradient != 0).any())
        }
        assert found == closure(joint, name)


def test_a_stream_that_was_never_read_is_named() -> None:
    joint = Joint(
        streams=(Stream("a", Role.GIVEN), Stream("b", Role.DENOISED)),
        sees={"a": {"a": Reach.ALL}, "b": {"a": Reach.ALL, "b": Reach.ALL}},
        experts={"a": "one", "b": "one"},
    )
    try:
        attention_of(joint, 1)({"b": torch.zeros(1, 2, 8)}, seen=Seen())
    except ValueError as error:
        assert "'b' sees 'a', which is neither in this pass nor cached" in str(error)
    else:
        raise AssertionError("a missing stream was not noticed")


def test_copies_of_a_stream_do_not_see_each_other() -> None:
    joint = Joint(
        streams=(Stream("a", Role.GIVEN), Stream("b", Role.DENOISED)),
        sees={"a": {"a": Reach.ALL}, "b": {"a": Reach.ALL, "b": Reach.ALL}},
        experts={"a": "one", "b": "two"},
    )
    torch.manual_seed(0)
    tokens = {"a": torch.randn(1, 3, 8), "b": torch.randn(1, 6, 8)}
    attention = attention_of(joint, 2)
    whole = attention(tokens, seen=Seen(copies={"b": 3})).last["b"]
    for copy in range(3):
        part = slice(2 * copy, 2 * copy + 2)
        alone = attention({**tokens, "b": tokens["b"][:, part]}, seen=Seen()).last["b"]
        assert torch.allclose(whole[:, part], alone, atol=1e-6)
