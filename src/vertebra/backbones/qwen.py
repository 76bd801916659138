"""Qwen: what its configuration says about its layers.

Source: huggingface/transformers @ v5.23.0 src/transformers/models/{qwen2_5_vl,qwen3_vl}/
    {configuration,modeling}_*.py; Qwen Team, arXiv:2502.13923 and arXiv:2511.21631.
"""

from collections.abc import Mapping
from typing import Any

from vertebra.backbones.decoder import DecoderSizes
from vertebra.backbones.features import require_features

AXES = 3
"""Of a place: time, row and column."""


def qwen25_sizes(config: Mapping[str, Any]) -> DecoderSizes:
    """Sizes from the text part of the configuration of a Qwen2.5-VL.

    Raises:
        ValueError: For another kind of model, or for features that these layers do not have.
    """
    rope = config.get("rope_parameters") or {}
    sections = rope.get("mrope_section") or ()
    width, heads = config["hidden_size"], config["num_attention_heads"]
    require_features(
        "These are not the layers of a Qwen2.5-VL",
        (
            ("model_type", config.get("model_type"), "qwen2_5_vl_text"),
            ("hidden_act", config["hidden_act"], "silu"),
            ("use_sliding_window", config["use_sliding_window"], False),
            ("rope_type", rope.get("rope_type"), "default"),
            ("sum of mrope_section", 2 * sum(sections), width // heads),
        ),
    )
    return DecoderSizes(
        width=width,
        layers=config["num_hidden_layers"],
        heads=heads,
        kv_heads=config["num_key_value_heads"],
        head_width=width // heads,
        hidden=config["intermediate_size"],
        eps=config["rms_norm_eps"],
        theta=rope["rope_theta"],
        gate="silu",
        gain=0.0,
        biased=True,
        axes=tuple(part % AXES for part, count in enumerate(sections) for _ in range(count)),
    )


def qwen3_sizes(config: Mapping[str, Any]) -> DecoderSizes:
    """Sizes from the text part of the configuration of a Qwen3-VL.

    Raises:
        ValueError: For another kind of model, or for features that these layers do not have.
    """
    rope = config.get("rope_parameters") or {}
    sections = tuple(rope.get("mrope_section", (24, 20, 20)))
    require_features(
        "These are not the layers of a Qwen3-VL",
        (
            ("model_type", config.get("model_type"), "qwen3_vl_text"),
            ("hidden_act", config["hidden_act"], "silu"),
            ("attention_bias", config["attention_bias"], False),
            ("rope_type", rope.get("rope_type"), "default"),
            ("sum of mrope_section", 2 * sum(sections), config["head_dim"]),
        ),
    )
    return DecoderSizes(
        width=config["hidden_size"],
        layers=config["num_hidden_layers"],
        heads=config["num_attention_heads"],
        kv_heads=config["num_key_value_heads"],
        head_width=config["head_dim"],
        hidden=config["intermediate_size"],
        eps=config["rms_norm_eps"],
        theta=rope["rope_theta"],
        gate="silu",
        gain=0.0,
        normed_heads=True,
        axes=_in_turn(sections),
    )


def _in_turn(sections: tuple[int, ...]) -> tuple[int, ...]:
    """Axes in turn as long as an axis has wavelengths left; what is over is the time's."""
    return tuple(
        turn if place < AXES * sections[turn] else 0
        for place in range(sum(sections))
        for turn in (place % AXES,)
    )
