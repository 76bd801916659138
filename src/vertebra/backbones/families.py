"""Families of released models: which can be stood on, and why others cannot yet."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vertebra.backbones.trunk import WHAT


@dataclass(frozen=True, kw_only=True)
class Family:
    """One family.

    Attributes:
        name: What it is called here.
        what: ``vlm`` or ``video``.
        mark: What its configuration says: ``model_type`` of transformers, ``_class_name`` of
            diffusers.
        missing: Why it is not supported yet; empty when it is.
    """

    name: str
    what: str
    mark: str
    missing: str = ""


FAMILIES: tuple[Family, ...] = (
    Family(name="paligemma", what="vlm", mark="paligemma"),
    Family(name="qwen2.5-vl", what="vlm", mark="qwen2_5_vl"),
    Family(name="smolvlm2", what="vlm", mark="smolvlm"),
    Family(name="qwen3-vl", what="vlm", mark="qwen3_vl"),
    Family(name="gemma3", what="vlm", mark="gemma3"),
    Family(name="wan", what="video", mark="WanTransformer3DModel"),
    Family(name="cosmos", what="video", mark="CosmosTransformer3DModel"),
    Family(name="ltx-video", what="video", mark="LTXVideoTransformer3DModel"),
    Family(
        name="stable-video-diffusion",
        what="video",
        mark="UNetSpatioTemporalConditionModel",
        missing="it is a U-Net: no joint attention, and its features are maps of several sizes, "
        "not tokens of layers",
    ),
    Family(
        name="v-jepa-2",
        what="video",
        mark="vjepa2",
        missing="it makes no frames and reads no words, and recipes of video models need words",
    ),
)


def family_of(config: Mapping[str, Any], what: str, where: str) -> Family:
    """The family that a configuration belongs to.

    Args:
        config: ``config.json``.
        what: ``vlm`` or ``video``, as it was asked for.
        where: Its directory, for the message.

    Raises:
        ValueError: For another kind of model, and for a family that is not supported.
    """
    mark = str(config.get("model_type") or config.get("_class_name"))
    known = {one.mark: one for one in FAMILIES}
    names = ", ".join(one.name for one in FAMILIES if one.what == what and not one.missing)
    family = known.get(mark)
    if family is None:
        raise ValueError(
            f"{where} holds a '{mark}', which is no {WHAT[what]} known here; supported: {names}."
        )
    if family.what != what:
        raise ValueError(
            f"{where} holds a {family.name}, a {WHAT[family.what]}: give it with --{family.what}."
        )
    if family.missing:
        raise ValueError(
            f"{where} holds a {family.name}, which is not supported yet ({family.missing}); "
            f"supported: {names}."
        )
    return family
