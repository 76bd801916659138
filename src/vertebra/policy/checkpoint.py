"""A trained policy on disk: a JSON manifest and safetensors; nothing is unpickled."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from vertebra.backbones.sizes import size_by_name
from vertebra.backbones.trunk import standing_from_plain
from vertebra.data.statistics import Normaliser
from vertebra.policy.acting import TrainedPolicy
from vertebra.policy.network import Network
from vertebra.policy.saved import recipe_from_plain, recipe_to_plain
from vertebra.policy.shape import Shape
from vertebra.spec.errors import SpecMismatch
from vertebra.spec.storage import read_json, to_plain, write_bytes, write_json
from vertebra.spec.wire import action_spec_from_plain, observation_spec_from_plain

CHECKPOINT_VERSION = 2
READABLE = (1, 2)
WEIGHTS = "weights.safetensors"
MANIFEST = "manifest.json"


def save_policy(directory: Path, policy: TrainedPolicy, training: Mapping[str, Any]) -> None:
    """Write a policy: weights first, the manifest that names their hash last.

    Args:
        directory: Where to.
        policy: What to store.
        training: JSON facts of the training, kept in the manifest.
    """
    tensors = {
        name: value.detach().cpu().contiguous()
        for name, value in policy.network.state_dict().items()
    }
    content = save_tensors(tensors)
    shape = policy.network.shape
    write_bytes(directory / WEIGHTS, content)
    write_json(
        directory / MANIFEST,
        {
            "version": CHECKPOINT_VERSION,
            "recipe": recipe_to_plain(shape.recipe),
            "size": shape.size.name,
            "needs": shape.needs,
            "makes": shape.makes,
            "vocabulary": shape.vocabulary,
            "pointing": shape.pointing,
            "coded": shape.coded,
            "state_normaliser": policy.state_normaliser.to_json(),
            "action_normaliser": policy.action_normaliser.to_json(),
            "tensors": {name: list(value.shape) for name, value in tensors.items()},
            "sha256": hashlib.sha256(content).hexdigest(),
            "training": to_plain(training),
            **({"standing": standing} if (standing := policy.network.standing) else {}),
        },
    )


def load_policy(directory: Path) -> TrainedPolicy:
    """Read a policy.

    Raises:
        ValueError: When there is none, or the file of weights is not the one the manifest names.
        SpecMismatch: When weights and recipe do not fit; every difference is named.
    """
    if not (directory / MANIFEST).exists():
        raise ValueError(f"{directory} holds no checkpoint ({MANIFEST} is missing).")
    plain = read_json(directory / MANIFEST)
    if plain.get("version") not in READABLE:
        raise ValueError(
            f"{directory} has checkpoint version {plain.get('version')!r}, this program reads "
            f"{' and '.join(map(str, READABLE))}."
        )
    content = (directory / WEIGHTS).read_bytes()
    if hashlib.sha256(content).hexdigest() != plain["sha256"]:
        raise ValueError(
            f"{directory / WEIGHTS} is not the file that {MANIFEST} describes (its SHA-256 "
            "differs): it was damaged or replaced. Train again or restore it."
        )
    policy = described_policy(plain)
    network = policy.network
    tensors = load_tensors(content)
    if plain["version"] == 1:
        tensors = _named_anew(tensors, network.shape.recipe.pixels)
    differences = tensor_differences(network.state_dict(), tensors)
    if differences:
        raise SpecMismatch(
            f"{directory} does not fit its recipe:\n  - " + "\n  - ".join(differences)
        )
    network.load_state_dict(tensors)
    return policy


def described_policy(manifest: Mapping[str, Any]) -> TrainedPolicy:
    """The policy that a manifest describes, with new weights.

    Raises:
        ValueError: When it stands on released models that are not where and what they were.
    """
    shape = Shape(
        recipe=recipe_from_plain(manifest["recipe"]),
        size=size_by_name(manifest["size"]),
        needs=observation_spec_from_plain(manifest["needs"]),
        makes=action_spec_from_plain(manifest["makes"]),
        vocabulary=tuple(manifest["vocabulary"]),
        pointing=manifest["pointing"],
        coded=manifest.get("coded", False),
    )
    standing = standing_from_plain(manifest.get("standing"))
    if standing is None:
        network = Network(shape)
    else:  # what stands on released models needs this file
        from vertebra.policy.standing import stand

        network = stand(shape, standing, fill=False)
    return TrainedPolicy(
        network=network.eval(),
        state_normaliser=Normaliser.from_json(manifest["state_normaliser"]),
        action_normaliser=Normaliser.from_json(manifest["action_normaliser"]),
    )


def _named_anew(tensors: Mapping[str, Tensor], pixels: str) -> dict[str, Tensor]:
    """Tensors of version 1, in which what embeds the given streams stood by itself."""
    moved = {"cameras": f"senses.eyes.{pixels}", "words": "senses.words", "state": "senses.state"}

    def name_of(old: str) -> str:
        part, _, rest = old.partition(".")
        return f"{moved[part]}.{rest}" if part in moved else old

    return {name_of(old): value for old, value in tensors.items()}


def tensor_differences(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> list[str]:
    """Missing, unexpected and misshapen tensors, in words."""
    differences = [f"tensor '{name}' is missing" for name in wanted if name not in found]
    differences += [
        f"tensor '{name}' is not part of the recipe" for name in found if name not in wanted
    ]
    differences += [
        f"tensor '{name}' has shape {list(found[name].shape)}, expected {list(value.shape)}"
        for name, value in wanted.items()
        if name in found and found[name].shape != value.shape
    ]
    return differences


def our_names(
    names: Iterable[str], our_name: Callable[[str], str | None]
) -> tuple[dict[str, str], list[str]]:
    """Our names to those of another program, and why others are none of its names.

    Args:
        names: As another program has them; those for which we have none are left out.
        our_name: Raises ``ValueError`` for a name that such weights do not have.
    """
    found: dict[str, str] = {}
    strange: list[str] = []
    for name in names:
        try:
            ours = our_name(name)
        except ValueError as error:
            strange.append(str(error))
            continue
        if ours is not None:
            found[ours] = name
    return found, strange


def rename_tensors(
    tensors: Mapping[str, Tensor], our_name: Callable[[str], str | None], what: str
) -> dict[str, Tensor]:
    """Tensors under our names; those for which there is none are left out.

    Args:
        tensors: As another program names them.
        our_name: Raises ``ValueError`` for a name that such weights do not have.
        what: Whose weights these should be.

    Raises:
        SpecMismatch: Naming every tensor that such weights do not have.
    """
    found, strange = our_names(tensors, our_name)
    if strange:
        raise SpecMismatch(f"These are not the weights of a {what}:\n  - " + "\n  - ".join(strange))
    return {ours: tensors[theirs] for ours, theirs in found.items()}


def tensor_bytes(tensors: Mapping[str, Tensor]) -> bytes:
    """Tensors as a safetensors file in memory."""
    return save_tensors(
        {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    )


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Tensors of a safetensors file."""
    return {
        name: value.to(torch.device("cpu"))
        for name, value in load_tensors(path.read_bytes()).items()
    }
