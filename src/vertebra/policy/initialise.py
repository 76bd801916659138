"""From priors to a policy: exactly the parts that both have are copied, everything else is named.

A part of a prior goes to the part of the policy that does the same: stem, words, trunk layers, the
future's tokens, pointing head, autoencoder.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from vertebra.backbones.prior import Prior, read_prior
from vertebra.backbones.shipped import AUTOENCODER, shipped
from vertebra.coupling.table import Embed
from vertebra.policy.network import Network
from vertebra.policy.senses import ShippedSenses
from vertebra.policy.shape import Shape

VLM, VIDEO = "vlm", "video"
WORDS = "senses.words.table.weight"
PIXELS = {VLM: "image", VIDEO: "frame"}
"""Camera stream that each prior's stem serves."""


@dataclass(frozen=True, kw_only=True)
class Initialised:
    """What became of a policy's weights.

    Attributes:
        loaded: Name of each tensor that was copied, or whose rows were, to the prior it is from.
        new: Tensors that no prior has.
        unused: Tensors of priors that the policy does not have, as ``PRIOR:TENSOR``.
    """

    loaded: Mapping[str, str]
    new: tuple[str, ...]
    unused: tuple[str, ...]


def read_priors(wanted: Mapping[str, str]) -> tuple[Prior, ...]:
    """Shipped priors, the vision-language one first: it gives the words.

    Args:
        wanted: Name to SHA-256.

    Raises:
        ValueError: When one is not shipped, or is another one than wanted.
    """
    priors = [read_prior(shipped(name)) for name in wanted]
    found = [
        f"{one.name} has SHA-256 {one.card['sha256']}, locked was {wanted[one.name]}"
        for one in priors
        if one.card["sha256"] != wanted[one.name]
    ]
    if found:
        raise ValueError(
            "Shipped priors are not those that this training was locked on; use the version of "
            "vertebra that planned it:\n  - " + "\n  - ".join(found)
        )
    order = (VLM, VIDEO, AUTOENCODER)
    return tuple(sorted(priors, key=lambda one: order.index(one.what)))


def words_of(priors: Sequence[Prior]) -> set[str]:
    """Words that the first prior with words knows."""
    return next((set(one.card["vocabulary"]) for one in priors if one.card["vocabulary"]), set())


@torch.no_grad()
def initialise(network: Network, priors: Sequence[Prior]) -> Initialised:
    """Copy what priors and policy share; where several have it, the first prior wins.

    Args:
        network: The untrained policy; changed in place.
        priors: What is known already.

    Raises:
        ValueError: Naming every tensor of a shared part whose shape differs.
    """
    state = network.state_dict()
    copied: dict[str, Tensor] = {}
    loaded: dict[str, str] = {}
    unused: list[str] = []
    wrong: list[str] = []
    for prior in priors:
        for name, tensor in prior.tensors.items():
            places = [place for place in _places(prior.what, name, network.shape) if place in state]
            fresh = [place for place in places if place not in loaded]
            if not fresh:
                unused.append(f"{prior.name}:{name}")
            for place in fresh:
                value = tensor
                if place == WORDS and tensor.shape[1] == state[place].shape[1]:
                    value = _words(network, prior, tensor)
                if state[place].shape == value.shape:
                    copied[place] = value
                    loaded[place] = prior.name
                elif name == "eye.position":  # cameras of other sizes have other grids of tokens
                    unused.append(f"{prior.name}:{name}")
                else:
                    wrong.append(
                        f"'{place}' is {list(state[place].shape)}, '{name}' of {prior.name} is "
                        f"{list(value.shape)}"
                    )
    if wrong:
        raise ValueError(
            f"Priors do not fit recipe '{network.shape.recipe.name}' at size "
            f"'{network.shape.size.name}':\n  - " + "\n  - ".join(wrong)
        )
    for place, value in copied.items():
        state[place].copy_(value)
    new = tuple(name for name in state if name not in loaded)
    return Initialised(loaded=loaded, new=new, unused=tuple(unused))


def _places(what: str, name: str, shape: Shape) -> tuple[str, ...]:
    """Where a tensor of a prior belongs in a policy, whether or not the policy has that part."""
    if what == AUTOENCODER:
        return (f"codec.{name}",)
    part, _, rest = name.partition(".")
    match part:
        case "eye":
            # All cameras have the same first layers; only the first one cuts pictures as finely.
            alike = rest.startswith(("patch.", "mix."))
            cameras = shape.needs.cameras if alike else shape.needs.cameras[:1]
            return tuple(f"senses.eyes.{PIXELS[what]}.{one.name}.{rest}" for one in cameras)
        case "words":
            return (f"senses.words.{rest}",)
        case "pointing":
            # The policy points with the tokens of one stream; another stream's head is of no use.
            return (name,) if shape.recipe.pixels == PIXELS[what] else ()
        case "input" | "output":
            return (f"{part}s.future.{rest}",) if _imagines_alike(shape) else ()
        case "position":
            return ("positions.future",) if _imagines_alike(shape) else ()
        case _:
            return (name,)


def _imagines_alike(shape: Shape) -> bool:
    embed = shape.recipe.table.embed.get("future", Embed.TOKENS)
    return shape.coded and embed is Embed.TOKENS


def _words(network: Network, prior: Prior, rows: Tensor) -> Tensor:
    """The policy's table of words, with the prior's rows for what both know.

    Those are words, the unknown word and silence.
    """
    words = cast("ShippedSenses", network.senses).words
    table = words.table.weight.clone()
    table[:2] = rows[:2]
    known = {word: row + 2 for row, word in enumerate(prior.card["vocabulary"])}
    for word, row in words.index.items():
        if word in known:
            table[row] = rows[known[word]]
    return table
