"""Does a served policy listen, look, and keep its word? Found out by asking, not by acting.

One observation is asked again and again: as it is, and with one thing changed. A change counts when
it moves the answer more than the policy's own noise does: exactly, where the server takes seeds or
has no noise, and by a permutation test of distances otherwise.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vertebra.audit.served_asking import Answer, Message, Server
from vertebra.audit.served_words import Probe, findings, is_vector, notes
from vertebra.stats.paired import holm

NONSENSE = "flarn the dwig under every third snoll"
LEVEL = 0.05
UNIT = 1e-3
"""How near to 1 the length of four numbers must be to be taken for a quaternion."""


@dataclass(frozen=True, kw_only=True)
class ServedAudit:
    """What asking a server showed.

    Attributes:
        address: Of the server.
        repeats: Answers to every variation.
        deterministic: Whether the same question (and seed, where taken) gives the same bytes.
        seeded: Whether noise was fixed by seeds.
        noise: Root mean square distance of two answers to the same observation, over dimensions
            scaled by their spread.
        probes: What was changed, and what that did.
        horizon: Actions in a chunk.
        dims: Numbers in an action.
        seconds: Median time of an answer.
        findings: What is wrong or remarkable, in sentences.
        notes: What was seen of the conventions.
    """

    address: str
    repeats: int
    deterministic: bool
    seeded: bool
    noise: float
    probes: tuple[Probe, ...]
    horizon: int
    dims: int
    seconds: float
    findings: tuple[str, ...]
    notes: tuple[str, ...]


def audit_served(
    server: Server, message: Message, instructions: Sequence[str], repeats: int = 6
) -> ServedAudit:
    """Ask a server about one observation and variations of it.

    Args:
        server: Which.
        message: An observation, under the keys that the server wants.
        instructions: Texts that fit the scene; the first replaces the text of the observation.
        repeats: Answers to every variation.

    Raises:
        ValueError: For fewer than four repeats, or no text in the observation.
        ServerError: When the server refuses an observation or is gone.
    """
    if repeats < 4:
        raise ValueError(f"{repeats} repeats cannot show noise from change; ask 4 times or more.")
    key = _prompt_key(message, server.greeting)
    message = {**message, key: instructions[0]} if instructions else dict(message)
    base = [server.ask(message, seed) for seed in range(repeats)]
    again = server.ask(message, 0)
    deterministic = np.array_equal(base[0].chunk, again.chunk)
    nearly = np.allclose(base[0].chunk, again.chunk, rtol=1e-3, atol=1e-4)
    variations = _variations(message, key, instructions)
    answers = {
        name: [server.ask(changed, seed) for seed in range(repeats)]
        for name, (_, changed) in variations.items()
    }
    scale = _scale([base, *answers.values()])
    kinds = {name: kind for name, (kind, _) in variations.items()}
    probes = _probes(base, answers, kinds, scale, exact=deterministic)
    return ServedAudit(
        address=server.address,
        repeats=repeats,
        deterministic=deterministic,
        seeded=server.takes_seeds,
        noise=_within(_flat(base, scale)),
        probes=probes,
        horizon=base[0].chunk.shape[0],
        dims=base[0].chunk.shape[1],
        seconds=float(np.median([a.seconds for a in itertools.chain(base, *answers.values())])),
        findings=tuple(
            findings(probes, base, server.greeting, unkept_seed=server.takes_seeds and not nearly)
        ),
        notes=tuple(notes(base, message, server.greeting)),
    )


def _prompt_key(message: Message, greeting: Mapping[str, Any]) -> str:
    keys = greeting.get("keys")
    named = keys.get("prompt") if isinstance(keys, dict) else None
    texts = [key for key, value in message.items() if isinstance(value, str)]
    if named in texts:
        return str(named)
    if len(texts) != 1 and "prompt" not in texts:
        raise ValueError(f"The observation must hold one text, the instruction; it holds {texts}.")
    return "prompt" if "prompt" in texts else texts[0]


def _variations(
    message: Message, prompt: str, instructions: Sequence[str]
) -> dict[str, tuple[str, Message]]:
    """Name to (kind, message) of everything that is tried."""
    found: dict[str, tuple[str, Message]] = {
        f"instruction: {text}": ("language", {**message, prompt: text}) for text in instructions[1:]
    }
    found["instruction: (empty)"] = ("language", {**message, prompt: ""})
    found[f"instruction: {NONSENSE}"] = ("language", {**message, prompt: NONSENSE})
    images = [key for key, value in message.items() if _is_image(value)]
    for key in images:
        found[f"black: {key}"] = ("camera", {**message, key: np.zeros_like(message[key])})
    for a, b in itertools.combinations(images, 2):
        if message[a].shape == message[b].shape:
            swapped = {**message, a: message[b], b: message[a]}
            found[f"swapped: {a}, {b}"] = ("camera", swapped)
    for key, value in message.items():
        if is_vector(value):
            found[f"moved: {key}"] = ("state", {**message, key: value + value.dtype.type(0.25)})
            for start in _quaternions(value):
                turned = value.copy()
                turned[start : start + 4] *= -1
                name = f"-q for q: {key}[{start}:{start + 4}]"
                found[name] = ("convention", {**message, key: turned})
    return found


def _is_image(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype == np.uint8 and value.ndim == 3


def _quaternions(value: NDArray[Any]) -> list[int]:
    """Where four numbers of length 1 begin, not merely one of them being 1."""
    windows = ((i, value[i : i + 4]) for i in range(len(value) - 3))
    return [
        i
        for i, four in windows
        if abs(float(np.linalg.norm(four)) - 1) < UNIT and np.count_nonzero(np.abs(four) > UNIT) > 1
    ]


def _scale(groups: Sequence[Sequence[Answer]]) -> NDArray[np.float64]:
    """Spread of every dimension over all answers; 1 where nothing varies."""
    rows = np.concatenate([answer.chunk for group in groups for answer in group])
    spread = rows.std(axis=0)
    return np.where(spread > 0, spread, 1.0)


def _flat(answers: Sequence[Answer], scale: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.stack([(answer.chunk / scale).ravel() for answer in answers])


def _distances(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Root mean square distance of every row of a to every row of b: [len(a), len(b)]."""
    return np.sqrt(np.mean((a[:, None] - b[None]) ** 2, axis=-1))


def _within(rows: NDArray[np.float64]) -> float:
    return float(np.median(_distances(rows, rows)[np.triu_indices(len(rows), 1)]))


def _probes(
    base: Sequence[Answer],
    answers: Mapping[str, Sequence[Answer]],
    kinds: Mapping[str, str],
    scale: NDArray[np.float64],
    *,
    exact: bool,
) -> tuple[Probe, ...]:
    still = _flat(base, scale)
    noise = _within(still)
    moved = {name: _flat(found, scale) for name, found in answers.items()}
    p_values: Sequence[float | None] = [None] * len(moved)
    if not exact:
        p_values = holm([_permutation_p(still, rows) for rows in moved.values()])
    return tuple(
        Probe(
            name=name,
            kind=kinds[name],
            changed=bool(np.any(still != rows)) if p is None else p <= LEVEL,
            ratio=float(np.median(_distances(still, rows))) / noise if noise > 0 else None,
            p=p,
        )
        for (name, rows), p in zip(moved.items(), p_values, strict=True)
    )


def _permutation_p(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Share of all relabellings whose groups lie at least as far apart (energy distance)."""
    rows = np.concatenate([a, b])
    between = _distances(rows, rows)
    count = len(rows)

    def apart(chosen: tuple[int, ...]) -> float:
        inside = np.zeros(count, bool)
        inside[list(chosen)] = True
        cross = between[np.ix_(inside, ~inside)].mean()
        same = between[np.ix_(inside, inside)].mean() + between[np.ix_(~inside, ~inside)].mean()
        return float(2 * cross - same)

    seen = apart(tuple(range(len(a))))
    others = [apart(chosen) for chosen in itertools.combinations(range(count), len(a))]
    return float(np.mean([other >= seen - 1e-12 for other in others]))
