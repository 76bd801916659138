"""Llama: what its configuration says about its layers.

Source: huggingface/transformers @ v5.23.0 src/transformers/models/llama/configuration_llama.py.
"""

from collections.abc import Mapping
from typing import Any

from vertebra.backbones.decoder import DecoderSizes
from vertebra.backbones.features import require_features


def llama_sizes(config: Mapping[str, Any]) -> DecoderSizes:
    """Sizes from the ``config.json`` of a Llama (the text part of a SmolVLM2).

    Raises:
        ValueError: For another kind of model, or for features that these layers do not have.
    """
    rope = config.get("rope_parameters") or {}
    heads = config["num_attention_heads"]
    require_features(
        "These are not the layers of a Llama",
        (
            ("model_type", config.get("model_type"), "llama"),
            ("hidden_act", config.get("hidden_act", "silu"), "silu"),
            ("attention_bias", config.get("attention_bias", False), False),
            ("mlp_bias", config.get("mlp_bias", False), False),
            ("rope_type", rope.get("rope_type", "default"), "default"),
        ),
    )
    return DecoderSizes(
        width=config["hidden_size"],
        layers=config["num_hidden_layers"],
        heads=heads,
        kv_heads=config.get("num_key_value_heads") or heads,
        head_width=config.get("head_dim") or config["hidden_size"] // heads,
        hidden=config["intermediate_size"],
        eps=config.get("rms_norm_eps", 1e-6),
        theta=rope.get("rope_theta", config.get("rope_theta", 10000.0)),
        gate="silu",
        gain=0.0,
    )
