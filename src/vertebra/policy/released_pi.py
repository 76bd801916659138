"""Which pi0 or pi0.5 a ``config.json`` describes, in the three formats in which there are some.

openpi and LeRobot name two sizes of Gemma and leave the rest to their code.

Source: openpi @ 15a9616 src/openpi/models/gemma.py (``get_config``), examples/
    convert_jax_model_to_pytorch.py (its ``config.json``), models_pytorch/gemma_pytorch.py; lerobot
    @ 7427f318 src/lerobot/policies/pi05/{configuration_pi05,modeling_pi05}.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from vertebra.backbones.decoder import DecoderSizes
from vertebra.backbones.published import GEMMA_2B, GEMMA_300M
from vertebra.policy.adapt_pi0 import Pi0Sizes, pi0_sizes

GEMMAS: Mapping[str, DecoderSizes] = {
    "gemma_2b": GEMMA_2B,
    "gemma_300m": GEMMA_300M,
    "dummy": DecoderSizes(width=64, layers=4, heads=8, kv_heads=1, head_width=16, hidden=128),
}
SO400M: Mapping[str, Any] = {
    "model_type": "siglip_vision_model",
    "hidden_size": 1152,
    "intermediate_size": 4304,
    "num_hidden_layers": 27,
    "num_attention_heads": 16,
    "patch_size": 14,
    "image_size": 224,
    "vision_use_head": False,
}
"""The picture encoder, as transformers builds it."""


@dataclass(frozen=True, kw_only=True)
class PaliGemma:
    """What the formats of openpi and LeRobot do not say.

    Attributes:
        vision: Configuration of the picture encoder.
        vocabulary: Rows of the table of words.
    """

    vision: Mapping[str, Any]
    vocabulary: int


PALIGEMMA = PaliGemma(vision=SO400M, vocabulary=257152)


@dataclass(frozen=True, kw_only=True)
class PiRelease:
    """A released pi0 or pi0.5.

    Attributes:
        written_by: ``transformers``, ``openpi`` or ``lerobot``.
        sizes: Its widths and counts.
        vision: Configuration of its picture encoder.
        horizon: Actions in a chunk.
        files: Which files hold its weights.
    """

    written_by: str
    sizes: Pi0Sizes
    vision: Mapping[str, Any]
    horizon: int
    files: str = "model*.safetensors"


def pi_release(config: Mapping[str, Any], recipe: str, base: PaliGemma = PALIGEMMA) -> PiRelease:
    """What a ``config.json`` describes.

    Args:
        config: The file.
        recipe: ``pi0`` or ``pi05``; openpi's file does not tell them apart, the weights do.
        base: What is not said.

    Raises:
        ValueError: For a configuration of another policy, or with what is not here.
    """
    if "model_type" in config and recipe == "pi0":
        return PiRelease(
            written_by="transformers",
            sizes=pi0_sizes(config),
            vision=config["vlm_config"]["vision_config"],
            horizon=config["chunk_size"],
            files="*.safetensors",
        )
    kind = config.get("type", recipe if "action_horizon" in config else config.get("model_type"))
    found = {name: config.get(name) for name in ("paligemma_variant", "action_expert_variant")}
    wrong = [
        f"{name} is {value!r}, expected one of {list(GEMMAS)}"
        for name, value in found.items()
        if value not in GEMMAS
    ]
    if kind != recipe:
        wrong.insert(0, f"it is of {kind!r}, expected {recipe!r}")
    wrong += [
        f"{name} is set: memory of past frames is not read"
        for name in ("use_visual_memory", "use_proprioceptive_memory")
        if config.get(name)
    ]
    if wrong:
        raise ValueError(
            f"This is no configuration of a {recipe} (of openpi or LeRobot):\n  - "
            + "\n  - ".join(wrong)
        )
    lerobot = "type" in config
    numbers = config["max_action_dim" if lerobot else "action_dim"]
    vision = dict(base.vision)
    if lerobot:
        vision["image_size"] = config["image_resolution"][0]
    sizes = Pi0Sizes(
        vlm=GEMMAS[found["paligemma_variant"]],  # type: ignore[index]
        action=replace(
            GEMMAS[found["action_expert_variant"]],  # type: ignore[index]
            adaptive=recipe == "pi05",
        ),
        vocabulary=base.vocabulary,
        tower_width=vision["hidden_size"],
        px=vision["image_size"],
        patch_px=vision["patch_size"],
        state=config["max_state_dim"] if lerobot else numbers,
        actions=numbers,
    )
    return PiRelease(
        written_by="lerobot" if lerobot else "openpi",
        sizes=sizes,
        vision=vision,
        horizon=config["chunk_size" if lerobot else "action_horizon"],
    )
