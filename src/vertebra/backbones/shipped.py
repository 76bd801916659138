"""Priors that ship with the package: which there are, and which of them a backbone stands on."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vertebra.backbones.kinds import STARTS, VLM, Backbone, Both, Video
from vertebra.spec.storage import read_json

SHIPPED = Path(__file__).parent / "priors"
AUTOENCODER = "autoencoder"


def shipped(name: str) -> Path:
    """The file of a shipped prior.

    Raises:
        ValueError: When none of that name is shipped; with those that are.
    """
    path = SHIPPED / f"{name}.safetensors"
    if not path.exists():
        known = ", ".join(sorted(one.stem for one in SHIPPED.glob("*.safetensors"))) or "none"
        raise ValueError(
            f"No prior named '{name}' is shipped; shipped are: {known}. Make it with "
            "`vertebra pretrain`, or choose --backbone scratch."
        )
    return path


def card_of(name: str) -> Mapping[str, Any]:
    """The card of a shipped prior.

    Raises:
        ValueError: When none of that name is shipped.
    """
    return read_json(shipped(name).with_suffix(".json"))


def prior_names(backbone: Backbone, size: str, start: str) -> tuple[str, ...]:
    """Names of the priors that a backbone stands on, the one that gives the words first.

    Args:
        backbone: The backbone.
        size: Name of its size.
        start: One of ``STARTS``.

    Raises:
        ValueError: On an unknown start.
    """
    if start not in STARTS:
        raise ValueError(f"A backbone starts from one of {STARTS}, not {start!r}.")
    if start == "scratch":
        return ()
    match backbone:
        case VLM():
            found = ("vlm",)
        case Video():
            found = ("video",)
        case Both():
            found = ("vlm", "video")
    ending = "-shuffled" if start == "shuffled" else ""
    return tuple(f"{what}-{size}{ending}" for what in found)


def priors_of(backbone: Backbone, size: str, start: str, *, imagines: bool) -> dict[str, str]:
    """Name to SHA-256 of all shipped weights that a policy starts from.

    Args:
        backbone: Its backbone.
        size: Name of its size.
        start: One of ``STARTS``.
        imagines: Whether it imagines frames that can be coded. Then the autoencoder of its size is
            among them, whatever the start, if one is shipped.

    Raises:
        ValueError: When one is not shipped.
    """
    names = prior_names(backbone, size, start)
    codec = f"{AUTOENCODER}-{size}"
    if imagines and (SHIPPED / f"{codec}.safetensors").exists():
        names = (*names, codec)
    return {name: str(card_of(name)["sha256"]) for name in names}
