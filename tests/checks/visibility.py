"""Who sees whom: what was transcribed, what we declare to do otherwise, and what weights really do.

Everything that can be compared is a *fact*: a short sentence and its value. ``theirs`` takes the
facts of a recipe from the transcribed tables, ``ours`` from the recipe, and ``wanted`` from the
transcription and the declared differences, never from ``sees``.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from fakes.networks import given_of, network_of, senses_of
from vertebra.coupling.joint import JointAttention, Seen
from vertebra.coupling.kinds import Head, Inverse
from vertebra.coupling.table import Joint
from vertebra.coupling.visibility import pair_mask
from vertebra.policy.network import Network
from vertebra.policy.recipe import Recipe
from vertebra.schedules.kinds import ActionOnly, Plan, Together, VideoFirst
from vertebra.spec.streams import POINT, Reach, Role

CONTRACTS = Path(__file__).parents[1] / "contracts"
SYSTEMS: Mapping[str, Any] = json.loads((CONTRACTS / "expected_visibility.json").read_text())[
    "systems"
]
DECLARED: Mapping[str, Any] = json.loads((CONTRACTS / "declared_differences.json").read_text())[
    "recipes"
]
"""For each recipe: which entry it is compared with (``of``, its own name by default), ``names`` of
our streams in it, and ``differences``: reasons, each with its facts as [theirs, ours]."""

CHUNKS = 2
Facts = dict[str, str | None]


def system_of(recipe: Recipe) -> str:
    """The transcribed entry with which a recipe is compared."""
    name = recipe.name.removesuffix("+blind")
    return DECLARED.get(name, {}).get("of", name)


def theirs(recipe: Recipe) -> Facts:
    """What was transcribed, under our names."""
    return dict(_theirs(recipe.name.removesuffix("+blind"), system_of(recipe), _streams(recipe)))


@cache
def _theirs(name: str, system: str, known: tuple[str, ...]) -> Facts:
    entry = SYSTEMS[system]
    named: dict[str, list[str]] = {}
    for our, called in DECLARED.get(name, {}).get("names", {}).items():
        assert called["why"], f"{name}: a name without a reason"
        their = called["as"]
        named.setdefault(their, [their] if their in known else []).append(our)

    def all_of(their: str) -> list[str]:
        return named.get(their, [their])

    facts: Facts = {}
    for stream in entry["streams"]:
        role = f"{stream['role']} {stream['of']}" if "of" in stream else stream["role"]
        facts |= {f"{our} is": role for our in all_of(stream["name"])}
    for query, row in entry["sees"].items():
        for cell in row:
            for q in all_of(query):
                facts |= {f"{q} sees {k}": cell["reach"].lower() for k in all_of(cell["key"])}
    for query, keys in entry["context"].items():
        facts |= {f"{q} reads {key} across": "yes" for q in all_of(query) for key in keys}
    if any("features" in keys for keys in entry["context"].values()):
        facts |= {f"features hold {n}": "yes" for t in entry["features"]["of"] for n in all_of(t)}
    experts = {n: expert for their, expert in entry["experts"].items() for n in all_of(their)}
    steps = entry["evaluations"]
    facts["experts"] = _groups(experts, known)
    facts["imagination"] = entry["imagination"]
    facts["steps of the action"] = _text(steps.get("together", steps.get("action")))
    facts["steps of the future"] = _text(steps.get("video", steps.get("future")))
    return facts


def ours(recipe: Recipe) -> Facts:
    """What the recipe says."""
    facts: Facts = {}
    table, coupling = recipe.table, recipe.coupling
    for stream in table.streams:
        facts[f"{stream.name} is"] = f"{stream.role} {stream.of}" if stream.of else str(stream.role)
    for part in tables(recipe):
        for query, row in part.sees.items():
            facts |= {f"{query} sees {key}": str(reach) for key, reach in row.items()}
            facts |= {f"{query} reads {key} across": "yes" for key in part.context}
    if isinstance(coupling, Head):
        facts |= {f"features hold {name}": "yes" for name in coupling.reads.of}
    if isinstance(coupling, Inverse):
        row = table.sees["action"]
        facts |= {f"action sees {key}": str(row[key]) for key in coupling.reads}
    facts["experts"] = _groups(table.experts, _their_streams(recipe))
    facts["imagination"] = _imagination(recipe)
    facts |= _steps(recipe)
    return facts


def differences(recipe: Recipe) -> dict[str, tuple[str | None, str | None]]:
    """Where recipe and transcription differ: fact to (theirs, ours). Unpublished steps are not."""
    found, wanted = ours(recipe), theirs(recipe)
    unknown = {name for name in wanted if name.startswith("steps") and wanted[name] is None}
    names = sorted({*found, *wanted} - unknown)
    return {
        name: (wanted.get(name), found.get(name))
        for name in names
        if wanted.get(name) != found.get(name)
    }


def declared(recipe: Recipe) -> dict[str, tuple[str | None, str | None]]:
    """The differences that are declared, and no others."""
    entry = DECLARED.get(recipe.name.removesuffix("+blind"), {})
    found: dict[str, tuple[str | None, str | None]] = {}
    for difference in entry.get("differences", []):
        assert difference["why"], f"{recipe.name}: a difference without a reason"
        for fact, (their, our) in difference["facts"].items():
            assert fact not in found, f"{recipe.name}: '{fact}' is declared twice"
            found[fact] = (their, our)
    return found


def check_fidelity(recipe: Recipe) -> None:
    """The recipe is what was transcribed, but for what is declared; all that is declared is so."""
    found, allowed = differences(recipe), declared(recipe)
    wrong = [
        f"'{fact}': theirs {found[fact][0]}, ours {found[fact][1]}; "
        + (f"declared as {allowed[fact]}" if fact in allowed else "not declared")
        for fact in found
        if found[fact] != allowed.get(fact)
    ]
    wrong += [
        f"'{fact}' is declared as {allowed[fact]}, and there is no such difference"
        for fact in allowed
        if fact not in found
    ]
    assert not wrong, f"{recipe.name}:\n  " + "\n  ".join(wrong)


def wanted(recipe: Recipe) -> Facts:
    """What the recipe should say, from the transcription and the declared differences.

    The pointing token is our own addition, the same for all: it reads the camera tokens and itself,
    and only the action reads it (before inverse dynamics: the future).
    """
    both = {**theirs(recipe), **{fact: our for fact, (_, our) in declared(recipe).items()}}
    facts: Facts = {fact: value for fact, value in both.items() if value is not None}
    if POINT not in _streams(recipe):
        return facts
    here = "same" if recipe.rolling else "all"
    told = "past" if recipe.leapfrogs else here
    facts[f"{POINT} is"] = "given"
    facts[f"{POINT} sees {POINT}"] = here
    match recipe.coupling:
        case Inverse():
            facts |= {f"{POINT} sees {recipe.pixels}": here, f"future sees {POINT}": told}
            like = "future"
        case Head():
            facts[f"action sees {POINT}"] = told
            like = "action"
        case Joint():
            facts |= {f"{POINT} sees {recipe.pixels}": here, f"action sees {POINT}": told}
            like = "action" if not recipe.trunk.context else recipe.pixels
    contexts = [fact for fact in facts if fact.startswith(f"{like} reads ")]
    facts |= {fact.replace(like, POINT, 1): "yes" for fact in contexts}
    return facts


def check_table(recipe: Recipe) -> None:
    """Rows and contexts of a recipe are the wanted ones, neither more nor less."""
    found, needed = ours(recipe), wanted(recipe)
    wrong = {
        fact: (needed.get(fact), found.get(fact))
        for fact in sorted({*found, *needed})
        if (" sees " in fact or " across" in fact or " hold " in fact)
        and found.get(fact) != needed.get(fact)
    }
    assert not wrong, f"{recipe.name} (wanted, found): {wrong}"


def tables(recipe: Recipe) -> list[Joint]:
    """The tables by which attention runs: the trunk's, and a head's."""
    coupling = recipe.coupling
    return [recipe.trunk, coupling.head] if isinstance(coupling, Head) else [recipe.trunk]


def _streams(recipe: Recipe) -> tuple[str, ...]:
    return tuple(stream.name for stream in recipe.table.streams)


def _their_streams(recipe: Recipe) -> set[str]:
    return {fact.removesuffix(" is") for fact in theirs(recipe) if fact.endswith(" is")}


def _groups(experts: Mapping[str, str], known: Collection[str]) -> str:
    """Which streams share weights, among those that are known."""
    groups: dict[str, list[str]] = {}
    for name in sorted(set(experts) & set(known)):
        groups.setdefault(experts[name], []).append(name)
    return " | ".join(sorted(" ".join(names) for names in groups.values()))


def _text(number: int | None) -> str | None:
    return None if number is None else str(number)


def _imagination(recipe: Recipe) -> str:
    imagined = set(recipe.table.named(Role.DENOISED)) - {"action", "value"}
    plain = recipe.plain_schedule
    if not imagined:
        return "none"
    if isinstance(plain, ActionOnly):
        return "one pass" if recipe.read_noisy else "skipped"
    if isinstance(plain, Together):  # with one step the action is made beside pure noise
        return "full" if plain.steps > 1 else "partly denoised"
    return "full" if plain.until == 1.0 else "partly denoised"


def _steps(recipe: Recipe) -> Facts:
    """Evaluations of a chunk, over all candidates."""
    schedule, plain = recipe.schedule, recipe.plain_schedule
    times = schedule.candidates if isinstance(schedule, Plan) else 1
    facts: Facts = {}
    match plain:
        case ActionOnly(steps=steps):
            facts["steps of the action"] = str(steps)
            if recipe.read_noisy:
                facts["steps of the future"] = "1"
        case Together(steps=steps):
            facts["steps of the action"] = str(times * steps)
            if isinstance(schedule, Plan) and schedule.futures:
                facts["steps of the future"] = str(times * schedule.futures * steps)
        case VideoFirst(video_steps=video_steps, steps=steps):
            facts["steps of the action"] = str(steps)
            facts["steps of the future"] = str(times * video_steps)
    return facts


def attentions(recipe: Recipe, network: Network) -> Iterator[tuple[JointAttention, Joint]]:
    """Each attention with the table by which it should run."""
    parts = [network.attention]
    if isinstance(recipe.coupling, Head):
        parts.append(cast("JointAttention", network.head))
    yield from zip(parts, tables(recipe), strict=True)


def check_edges(recipe: Recipe, network: Network | None = None) -> None:
    """In one layer tokens depend on the values of others exactly where it is wanted.

    Args:
        recipe: Where the tables come from.
        network: Weights for its streams; by default its own.
    """
    network = network or network_of(recipe)
    needed = wanted(recipe)
    wrong: set[str] = set()
    for attention, table in attentions(recipe, network):
        before, attention.joint = attention.joint, table
        try:
            wrong |= _wrong_edges(recipe, attention, needed)
        finally:
            attention.joint = before
    assert not wrong, f"{recipe.name}: gradient and table differ at {sorted(wrong)}"


def _wrong_edges(recipe: Recipe, attention: JointAttention, needed: Facts) -> set[str]:
    table = attention.joint
    names = [stream.name for stream in table.streams]
    width = {name: _width(attention, name) for name in names}
    generator = torch.Generator().manual_seed(0)
    tokens = {n: torch.randn(1, 2 * CHUNKS, width[n], generator=generator) for n in names}
    time = torch.arange(CHUNKS).repeat_interleave(2)
    ordered = needed.get("action sees action", "all") != "all"  # by the place in the chunk
    in_time = names if recipe.rolling else [n for n in names if n == "action" and ordered]
    context = torch.randn(1, len(table.context), 32, generator=generator, requires_grad=True)
    conditions = {
        name: torch.randn(1, 2 * CHUNKS, width[name], generator=generator)
        for name in names
        if table.experts[name] in attention.adaptive
    }
    seen = Seen(times=dict.fromkeys(in_time, time), conditions=conditions)
    read = attention(tokens, seen=seen, context=context if table.context else None)
    values = {name: slot.pairs[0][1] for name, slot in read.cache.items()}
    wrong: set[str] = set()
    for query in names:
        found, across = _sources(read.hidden[query][1], values, context if table.context else None)
        for key in names:
            reach = needed.get(f"{query} sees {key}")
            allowed = _reach(reach, in_time=key in in_time or query in in_time)
            if (found[key] != allowed).any():
                wrong.add(f"{query} sees {key}")
        for key, reads in zip(table.context, across, strict=True):
            if bool(reads) != (f"{query} reads {key} across" in needed):
                wrong.add(f"{query} reads {key} across")
    return wrong


def _sources(
    output: Tensor, values: Mapping[str, Tensor], context: Tensor | None
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """By whose values each chunk of an output is moved, and by which context token all of it is."""
    found = {key: np.zeros((CHUNKS, CHUNKS), bool) for key in values}
    across = np.zeros(0 if context is None else context.shape[1], bool)
    sources = [*values.values(), *([] if context is None else [context])]
    for at, part in enumerate(output.chunk(CHUNKS, dim=1)):
        mixed = (part * torch.linspace(0.5, 1.5, part.numel()).view_as(part)).sum()
        gradients = torch.autograd.grad(mixed, sources, retain_graph=True, allow_unused=True)
        for key, gradient in zip(values, gradients, strict=False):
            if gradient is not None:
                parts = gradient.view(1, gradient.shape[1], CHUNKS, -1)
                found[key][at] = (parts != 0).any(-1).any(1)[0].numpy()
        if context is not None and gradients[-1] is not None:
            across |= (gradients[-1][0] != 0).any(-1).numpy()
    return found, across


def _reach(reach: str | None, *, in_time: bool) -> np.ndarray:
    if reach is None:
        return np.zeros((CHUNKS, CHUNKS), bool)
    times = np.arange(CHUNKS) if in_time else np.zeros(CHUNKS, int)
    return pair_mask(Reach(reach), times, times)


def _width(attention: JointAttention, name: str) -> int:
    layers = attention.experts[attention.joint.experts[name]]
    assert isinstance(layers, nn.ModuleList)
    return next(p for p in layers[0].parameters() if p.ndim == 2).shape[1]


class Probe:
    """One pass of a recipe's network in which all tokens that enter are leaves of the graph.

    Attributes:
        entered: (name of a stream or context, chunk) to the tokens that entered.
        outputs: (stream, chunk) to its output, for what is made from noise.
    """

    def __init__(self, recipe: Recipe) -> None:
        network = network_of(recipe)
        self.chunks = network.shape.chunks
        made = (*recipe.noisy, *network.table.named(Role.TEACHER))
        modules: dict[str, list[nn.Module]] = {name: [network.inputs[name]] for name in made}
        senses = senses_of(network)
        for name, eyes in senses.eyes.items():
            assert isinstance(eyes, nn.ModuleDict)
            modules[name] = list(eyes.values())
        modules["text"] = [senses.words]
        if senses.has_state:
            modules["state"] = [senses.state]
        if network.points:
            modules[POINT] = [network.point]
        self.calls: dict[str, list[Tensor]] = {name: [] for name in modules}
        handles = [
            module.register_forward_hook(self._cut(name))
            for name, found in modules.items()
            for module in found
        ]
        try:
            self.outputs = self._run(recipe, network, made)
        finally:
            for handle in handles:
                handle.remove()

    def _cut(self, name: str):
        def leave(module: nn.Module, arguments: object, output: Tensor) -> Tensor:
            self.calls[name].append(output.detach().requires_grad_())
            return self.calls[name][-1]

        return leave

    def _run(
        self, recipe: Recipe, network: Network, made: tuple[str, ...]
    ) -> dict[tuple[str, int], Tensor]:
        rows = len(given_of().instructions)
        noisy: dict[str, tuple[Tensor, Tensor]] = {}
        for name in made:
            length, channels = network.shape.vectors(name)
            generator = torch.Generator().manual_seed(len(name))
            value = torch.randn(rows, self.chunks * length, channels, generator=generator)
            noisy[name] = (value, torch.full((rows, self.chunks), 0.3))
        scenes = [network.scene(given_of(seed=10 * chunk)) for chunk in range(self.chunks)]
        read = network.look(scenes, noisy)
        found = network.velocities(read, noisy)
        if isinstance(recipe.coupling, Head):
            point = network.pointed_at(read, scenes[0]) if network.points else None
            found |= network.decode(scenes[0], network.features(read), point, noisy)
        return {
            (name, chunk): part
            for name, value in found.items()
            for chunk, part in enumerate(value.chunk(self.chunks, dim=1))
        }

    def reached(self, output: Tensor) -> set[tuple[str, int]]:
        """(stream or context, chunk) by which an output is moved: its gradient is not zero."""
        calls = [(name, leaf) for name, leaves in self.calls.items() for leaf in leaves]
        mixed = (output * torch.linspace(0.5, 1.5, output.numel()).view_as(output)).sum()
        gradients = torch.autograd.grad(
            mixed, [leaf for _, leaf in calls], retain_graph=True, allow_unused=True
        )
        found: set[tuple[str, int]] = set()
        count = {name: 0 for name, _ in calls}
        for (name, _), gradient in zip(calls, gradients, strict=True):
            call, count[name] = count[name], count[name] + 1
            if gradient is None or not bool((gradient != 0).any()):
                continue
            if name in self.noisy_calls:
                parts = gradient.chunk(self.chunks, dim=1)
                found |= {(name, i) for i, part in enumerate(parts) if bool((part != 0).any())}
            else:
                found.add((name, call * self.chunks // len(self.calls[name])))
        return found

    @property
    def noisy_calls(self) -> set[str]:
        """Streams whose chunks enter in one call."""
        return {name for name, leaves in self.calls.items() if len(leaves) == 1}


def check_closure(recipe: Recipe) -> None:
    """Through all layers an output depends on exactly the streams to which its rows lead."""
    probe, needed = Probe(recipe), wanted(recipe)
    for (name, at), output in probe.outputs.items():
        expected = _led(recipe, needed, probe.chunks, name, at)
        found = probe.reached(output)
        contexts = {key for key in probe.calls if f"{name} reads {key} across" in needed}
        both = {(key, i) for key, i in found ^ expected if key in probe.calls}
        wrong = {(key, i) for key, i in both if key not in contexts}
        assert not wrong, f"{recipe.name}: '{name}' at {at} differs at {sorted(wrong)}"
        missing = {key for key in contexts if key not in {other for other, _ in found}}
        assert not missing, f"{recipe.name}: '{name}' does not depend on its context {missing}"


def _led(recipe: Recipe, needed: Facts, chunks: int, name: str, at: int) -> set[tuple[str, int]]:
    """Streams and chunks, and contexts (at every chunk), on which an output should depend."""
    names = _streams(recipe)
    found = {(name, at)}
    frontier = [(name, at)]
    while frontier:
        query, here = frontier.pop()
        steps: set[tuple[str, int]] = set()
        for key in names:
            reach = needed.get(f"{query} sees {key}")
            for there in range(chunks):
                mask = reach is not None and pair_mask(
                    Reach(reach), np.array([here]), np.array([there])
                )
                if reach is not None and (bool(np.any(mask)) or not recipe.rolling):
                    steps.add((key, there))
        if f"{query} reads features across" in needed:
            steps |= {(key, 0) for key in names if f"features hold {key}" in needed}
        frontier += steps - found
        found |= steps
    contexts = {
        key for q, _ in found for key in ("text", "state") if f"{q} reads {key} across" in needed
    }
    return found | {(key, 0) for key in contexts}
