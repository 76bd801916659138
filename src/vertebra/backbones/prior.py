"""Pretrained weights on disk: a safetensors file and, beside it, the card that says what they are.

The card names the hash of the weights, so that one cannot be taken for another.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from vertebra.spec.storage import read_json, write_bytes, write_json

CARD_VERSION = 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Prior:
    """Pretrained weights.

    Attributes:
        card: ``what`` (``vlm``, ``video`` or ``autoencoder``), ``size``, ``vocabulary``, how they
            were made, what it cost, metrics, and the ``sha256`` of the file.
        tensors: Name to weights, float32.
    """

    card: Mapping[str, Any]
    tensors: Mapping[str, Tensor]

    @property
    def what(self) -> str:
        """``vlm``, ``video`` or ``autoencoder``."""
        return str(self.card["what"])

    @property
    def name(self) -> str:
        """Name of its file, without the ending."""
        return str(self.card["name"])


def write_prior(path: Path, card: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Write weights in half precision, and the card that names their hash last.

    Args:
        path: File of the weights, ``NAME.safetensors``; the card becomes ``NAME.json``.
        card: What they are.
        tensors: Name to weights.
    """
    halves = {name: value.detach().half().contiguous() for name, value in tensors.items()}
    content = save_tensors(halves)
    write_bytes(path, content)
    write_json(
        path.with_suffix(".json"),
        {
            "version": CARD_VERSION,
            **card,
            "bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
        },
    )


def read_prior(path: Path) -> Prior:
    """Read weights and card.

    Raises:
        ValueError: When there are none, of another version, or other than the card says.
    """
    card_path = path.with_suffix(".json")
    if not card_path.exists() or not path.exists():
        raise ValueError(f"There is no prior at {path} (with its card {card_path.name}).")
    card = read_json(card_path)
    if card.get("version") != CARD_VERSION:
        raise ValueError(
            f"{card_path} has version {card.get('version')!r}, this program reads {CARD_VERSION}."
        )
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != card["sha256"]:
        raise ValueError(
            f"{path} is not the file that {card_path.name} describes (its SHA-256 differs)."
        )
    tensors = {name: value.to(torch.float32) for name, value in load_tensors(content).items()}
    return Prior(card=card, tensors=tensors)
