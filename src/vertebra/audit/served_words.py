"""What asking a served policy showed, in sentences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vertebra.audit.served_asking import Answer, Message


@dataclass(frozen=True, kw_only=True)
class Probe:
    """One thing changed.

    Attributes:
        name: What was changed.
        kind: language, camera, state or convention.
        changed: Whether the answer changed beyond the policy's own noise.
        ratio: How far it moved, in units of the distance between two answers to the unchanged
            observation; None when there is no such noise.
        p: Of the permutation test, corrected over all probes (Holm); None when exact.
    """

    name: str
    kind: str
    changed: bool
    ratio: float | None
    p: float | None


def is_vector(value: Any) -> bool:
    """Whether a part of an observation is a vector of numbers, such as a state."""
    return isinstance(value, np.ndarray) and value.dtype.kind == "f" and value.ndim == 1


def findings(
    probes: Sequence[Probe],
    base: Sequence[Answer],
    greeting: Mapping[str, Any],
    *,
    unkept_seed: bool,
) -> list[str]:
    """What is wrong or remarkable.

    Args:
        probes: What was changed, and what that did.
        base: Answers to the unchanged observation.
        greeting: What the server claims.
        unkept_seed: Whether the same seed gave clearly different answers.
    """
    found: list[str] = []
    if unkept_seed:
        found.append("The same seed gave different answers: sessions mix, or seeds are ignored.")
    language = [probe for probe in probes if probe.kind == "language"]
    if not any(probe.changed for probe in language):
        found.append("No change of the instruction changed the answer: it does not listen here.")
    found += [
        f"'{probe.name.partition(': ')[2]}' made black changed nothing: it is not looked at."
        for probe in probes
        if probe.name.startswith("black") and not probe.changed
    ]
    found += [
        f"'{probe.name.partition(': ')[2]}' moved by 0.25 changed nothing: it is not read."
        for probe in probes
        if probe.kind == "state" and not probe.changed
    ]
    found += [
        f"The answer depends on the sign of a quaternion ({probe.name}): send that of training."
        for probe in probes
        if probe.kind == "convention" and probe.changed
    ]
    if not all(np.isfinite(answer.chunk).all() for answer in base):
        found.append("Answers hold numbers that are not finite.")
    return found + _outside(base, greeting)


def _outside(base: Sequence[Answer], greeting: Mapping[str, Any]) -> list[str]:
    """Claims about actions that the answers do not keep."""
    makes = greeting.get("makes")
    dims = makes.get("dims") if isinstance(makes, dict) else None
    if not isinstance(dims, list):
        return []
    chunk = np.concatenate([answer.chunk for answer in base])
    if len(dims) != chunk.shape[1]:
        return [f"Actions have {chunk.shape[1]} numbers; the server claims {len(dims)}."]
    found: list[str] = []
    for i, dim in enumerate(dims):
        low, high = dim.get("low"), dim.get("high")
        if (low is not None and chunk[:, i].min() < low) or (
            high is not None and chunk[:, i].max() > high
        ):
            found.append(f"'{dim.get('name')}' leaves its claimed range [{low}, {high}].")
    return found


def notes(base: Sequence[Answer], message: Message, greeting: Mapping[str, Any]) -> list[str]:
    """What the answers show of conventions, without judging them."""
    first = np.mean([answer.chunk[0] for answer in base], axis=0)
    rows = np.concatenate([answer.chunk for answer in base])
    last = rows[:, -1]
    low, high = float(last.min()), float(last.max())
    found = [f"the last number of an action (often the gripper) lies in [{low:.3g}, {high:.3g}]"]
    for key, value in message.items():
        if is_vector(value) and len(value) == len(first):
            to_state = float(np.sqrt(np.mean((first - value) ** 2)))
            to_zero = float(np.sqrt(np.mean(first**2)))
            word = "absolute" if to_state < to_zero else "relative"
            found.append(
                f"the first action is {to_state:.3g} from '{key}' and {to_zero:.3g} from zero: "
                f"more like {word} actions"
            )
    claimed = greeting.get("makes")
    if isinstance(claimed, dict):
        found.append(f"claimed: frame {claimed.get('frame')}, gripper {claimed.get('gripper')}")
    return found
