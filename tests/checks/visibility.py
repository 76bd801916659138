"""Who sees whom, drawn from the papers and independently of ``sees``, and what weights really do.

A picture has one row for each stream and one column for each stream and context, in the order of
the recipe. ``#`` joint attention to all tokens, ``x`` cross-attention to a context, ``.`` nothing.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from fakes.networks import given_of, network_of
from vertebra.coupling.table import closure
from vertebra.policy.network import Network
from vertebra.policy.recipe import POINT, Recipe
from vertebra.spec.streams import Role

# openpi src/openpi/models/pi0.py @ 15a9616, blockwise-causal. Block 1: images and words, both ways;
# block 2: the state token; block 3: the actions, both ways. A block sees itself and earlier ones.
PI0 = """
               image text state action
    image        #    #     .     .
    text         #    #     .     .
    state        #    #     #     .
    action       #    #     #     #
"""

# FastWAM src/fastwam/models/wan22/fastwam.py @ 45d8e14: the first frame sees only itself, later
# frames see all video, actions see all actions and the first frame, video sees no action. Text and
# the proprioception token reach both experts by cross-attention.
FAST_WAM = """
               frame future action text state
    frame        #     .      .      x    x
    future       #     #      .      x    x
    action       #     .      #      x    x
"""

# fastwam_joint.py @ 45d8e14: the action sees all (noisy) video; the video stays blind to it.
FAST_WAM_JOINT = """
               frame future action text state
    frame        #     .      .      x    x
    future       #     #      .      x    x
    action       #     #      #      x    x
"""

# fastwam_idm.py @ 45d8e14: [noisy video | conditioning video | action]; the action sees the
# conditioning video only; noisy and conditioning video do not see each other, and share the clean
# first frame.
FAST_WAM_IDM = """
                 frame future clean_future action text state
    frame          #     .         .          .     x    x
    future         #     #         .          .     x    x
    clean_future   #     .         #          .     x    x
    action         #     .         #          #     x    x
"""

PICTURES: Mapping[str, str] = {
    "pi0": PI0,
    "fast-wam": FAST_WAM,
    "fast-wam-joint": FAST_WAM_JOINT,
    "fast-wam-idm": FAST_WAM_IDM,
}
"""One row a recipe. A new recipe needs its own, drawn from its paper."""

SYMBOLS = {"all": "#", "upto": "<", "past": "-", "same": "="}


def expected(recipe: Recipe) -> dict[tuple[str, str], str]:
    """Row and column to symbol, from the recipe's picture.

    The pointing token is our own addition, the same for all: it reads the camera tokens and itself,
    and only the action reads it.
    """
    name = recipe.name.removesuffix("+blind")
    header, *rows = (line.split() for line in PICTURES[name].strip().splitlines())
    found = {(row[0], key): mark for row in rows for key, mark in zip(header, row[1:], strict=True)}
    if POINT not in recipe.coupling.experts:
        return found
    streams = [row[0] for row in rows]
    contexts = header[len(streams) :]
    found |= {(query, POINT): "#" if query == "action" else "." for query in streams}
    found |= {(POINT, key): "#" if key == streams[0] else "." for key in streams}
    found |= {(POINT, key): "x" for key in contexts}
    return {**found, (POINT, POINT): "#"}


def check_table(recipe: Recipe) -> None:
    """``sees`` and the context of a recipe draw the expected picture, neither more nor less."""
    joint = recipe.coupling
    drawn = {
        (query, key): SYMBOLS[joint.sees[query][key]] if key in joint.sees[query] else "."
        for query in joint.sees
        for key in joint.sees
    }
    drawn |= {(query, key): "x" for query in joint.sees for key in joint.context}
    wanted = expected(recipe)
    wrong = {
        pair: (drawn.get(pair), wanted.get(pair))
        for pair in {**drawn, **wanted}
        if drawn.get(pair) != wanted.get(pair)
    }
    assert not wrong, f"{recipe.name} (found, expected): {wrong}"


class Probe:
    """One pass of a recipe's network in which what enters the attention are leaves of the graph.

    Args:
        recipe: What the weights are for; all its denoised streams and teachers are run.
        network: Weights of the recipe, or of one with another table.
        cut: Whether the pointing token is a leaf too, instead of following from the camera tokens.

    Attributes:
        inputs: Name of each stream and context to the parts of its tokens that entered.
        contexts: Those of them that are contexts.
        values: Stream name to its values in the first layer.
        after_one: Stream name to its tokens after the first layer.
        last: Name of each denoised stream to its output.
    """

    def __init__(self, recipe: Recipe, network: Network, *, cut: bool = False) -> None:
        joint = network.joint = network.attention.joint = recipe.coupling
        network.late = frozenset(name for name in joint.sees if POINT in closure(joint, name))
        made = (*network.denoised, *joint.named(Role.TEACHER))
        entries: dict[str, list[nn.Module]] = {name: [network.inputs[name]] for name in made}
        entries |= {recipe.pixels: list(network.cameras.values())}
        entries |= {"text": [network.words], "state": [network.state]}
        if cut and network.points:
            entries[POINT] = [network.point]
        self.inputs: dict[str, list[Tensor]] = {name: [] for name in entries}
        self.contexts = {name: self.inputs[name] for name in joint.context}
        handles = [
            module.register_forward_hook(self._cut(name))
            for name, modules in entries.items()
            for module in modules
        ]
        try:
            read, _ = network.read(given_of(), {name: _noisy(network, name) for name in made})
        finally:
            for handle in handles:
                handle.remove()
        self.values = {name: [pairs[0][1]] for name, pairs in read.cache.items()}
        self.after_one, self.last = read.tapped, read.last

    def _cut(self, name: str):
        def leave(module: nn.Module, arguments: object, output: Tensor) -> Tensor:
            self.inputs[name].append(output.detach().requires_grad_())
            return self.inputs[name][-1]

        return leave

    def reached(self, output: Tensor, sources: Mapping[str, list[Tensor]]) -> set[str]:
        """Sources with respect to which the gradient of an output is not exactly zero."""
        parts = [(name, tensor) for name, tensors in sources.items() for tensor in tensors]
        if not parts:
            return set()
        weights = torch.linspace(0.5, 1.5, output.numel()).view_as(output)
        found = torch.autograd.grad(
            (output * weights).sum(),
            [tensor for _, tensor in parts],
            retain_graph=True,
            allow_unused=True,
        )
        return {
            name
            for (name, _), gradient in zip(parts, found, strict=True)
            if gradient is not None and bool((gradient != 0).any())
        }


def check_edges(recipe: Recipe, network: Network | None = None) -> None:
    """In one layer an output depends on a stream's values exactly where the picture says."""
    probe = Probe(recipe, network or network_of(recipe), cut=True)
    wanted = expected(recipe)
    wrong: set[tuple[str, str]] = set()
    for query, output in probe.after_one.items():
        for mark, sources in (("#", probe.values), ("x", probe.contexts)):
            found = probe.reached(output, sources)
            wrong |= {(query, k) for k in sources if (k in found) != (wanted[query, k] == mark)}
    streams = {query for query, _ in wanted}
    assert set(probe.after_one) == streams, f"{recipe.name}: {set(probe.after_one)} != {streams}"
    assert not wrong, f"{recipe.name}: gradient and picture differ at {sorted(wrong)}"


def check_closure(recipe: Recipe) -> None:
    """Through all layers an output depends on exactly the streams that its row leads to."""
    probe, wanted = Probe(recipe, network_of(recipe)), expected(recipe)
    for query, output in probe.last.items():
        reached = {query}
        while more := {k for (q, k), mark in wanted.items() if q in reached and mark != "."}:
            if more <= reached:
                break
            reached |= more
        found = probe.reached(output, probe.inputs)
        assert found == reached & set(probe.inputs), f"{recipe.name}: '{query}' depends on {found}"


def _noisy(network: Network, name: str) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(len(name))
    rows = len(given_of().instructions)
    shape = (rows, network.length(name), network.channels(name))
    return torch.randn(shape, generator=generator), torch.full((rows, 1), 0.3)
