"""Gemma: what its configuration says about its layers.

Source: huggingface/transformers @ v5.23.0 src/transformers/models/{gemma,gemma3}/
    configuration_*.py.
"""

from collections.abc import Mapping
from typing import Any

from vertebra.backbones.decoder import DecoderSizes
from vertebra.backbones.features import require_features


def gemma_sizes(config: Mapping[str, Any]) -> DecoderSizes:
    """Sizes from the ``config.json`` of a Gemma (or of the text part of a PaliGemma).

    Raises:
        ValueError: For another kind of model, or for features that these layers do not have.
    """
    kind = config.get("model_type")
    rope = config.get("rope_parameters") or {}
    activation = config.get("hidden_act", config.get("hidden_activation", "gelu_pytorch_tanh"))
    require_features(
        "These are not the layers of a Gemma 1",
        (
            ("model_type", kind, "gemma"),
            ("hidden_act", activation or "gelu_pytorch_tanh", "gelu_pytorch_tanh"),
            ("attention_bias", config.get("attention_bias", False), False),
            ("rope_type", rope.get("rope_type", "default"), "default"),
        ),
    )
    return DecoderSizes(
        width=config["hidden_size"],
        layers=config["num_hidden_layers"],
        heads=config["num_attention_heads"],
        kv_heads=config["num_key_value_heads"],
        head_width=config.get("head_dim", 256),
        hidden=config["intermediate_size"],
        eps=config.get("rms_norm_eps", 1e-6),
        theta=rope.get("rope_theta", config.get("rope_theta", 10000.0)),
    )


def gemma3_sizes(config: Mapping[str, Any]) -> DecoderSizes:
    """Sizes from the text part of the configuration of a Gemma 3.

    Raises:
        ValueError: For another kind of model, or for features that these layers do not have.
    """
    ropes = config.get("rope_parameters") or {}
    local, whole = (ropes.get(f"{kind}_attention") or {} for kind in ("sliding", "full"))
    require_features(
        "These are not the layers of a Gemma 3",
        (
            ("model_type", config.get("model_type"), "gemma3_text"),
            ("hidden_activation", config["hidden_activation"], "gelu_pytorch_tanh"),
            ("attention_bias", config["attention_bias"], False),
            ("attn_logit_softcapping", config["attn_logit_softcapping"], None),
            ("use_bidirectional_attention", bool(config["use_bidirectional_attention"]), False),
            ("query_pre_attn_scalar", config["query_pre_attn_scalar"], config["head_dim"]),
            ("rope_type in a window", local.get("rope_type"), "default"),
            ("rope_type", whole.get("rope_type") in ("default", "linear"), True),
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
        theta=whole["rope_theta"],
        stretch=whole.get("factor", 1.0),
        local=tuple(n for n, kind in enumerate(config["layer_types"]) if kind.startswith("slid")),
        local_theta=local["rope_theta"],
        normed_heads=True,
        normed_results=True,
    )
