"""Tiny released models, saved by the libraries themselves."""

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

TEXT: dict[str, Any] = {
    "model_type": "gemma",
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "vocab_size": 400,
    "max_position_embeddings": 128,
}
SEEN: dict[str, Any] = {
    "hidden_size": 24,
    "intermediate_size": 48,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 64,
    "patch_size": 16,
}
WITHOUT: dict[str, Any] = {"bos_token_id": None, "eos_token_id": None}
VOCABULARY = (
    *("put", "push", "lift", "stack", "the", "a", "red", "green", "blue", "yellow", "purple"),
    *("cube", "box", "ball", "cylinder", "plate", "bowl", "on", "onto", "left", "right", "of"),
    *("to", "in", "into", "up", "down", "and", "from", "next", "between", "past", "line", "it"),
)


def save_words(directory: Path, special: Mapping[str, str]) -> None:
    """A tokenizer of whole words, as transformers writes it."""
    library: Any = importlib.import_module("transformers")
    split_by: Any = importlib.import_module("tokenizers")
    words = {word: i for i, word in enumerate((*special.values(), *VOCABULARY))}
    unknown = special["unk_token"]
    split = split_by.Tokenizer(split_by.models.WordLevel(words, unk_token=unknown))
    split.pre_tokenizer = split_by.pre_tokenizers.Whitespace()
    library.PreTrainedTokenizerFast(tokenizer_object=split, **special).save_pretrained(directory)


def save(model: Any, directory: Path) -> None:
    """A model; noise is added, so that gains and biases do not stay at ones and zeros."""
    with torch.no_grad():
        for value in model.parameters():
            value.add_(0.02 * torch.randn(value.shape))
    model.save_pretrained(directory)


def save_paligemma(directory: Path, **changes: Any) -> Path:
    """A PaliGemma."""
    library: Any = importlib.import_module("transformers")
    torch.manual_seed(0)
    config = library.PaliGemmaConfig(
        text_config={**TEXT, **changes},
        vision_config={**SEEN, "model_type": "siglip_vision_model", "vision_use_head": False},
        projection_dim=TEXT["hidden_size"],
        image_token_id=399,
    )
    save(library.PaliGemmaForConditionalGeneration(config), directory)
    save_words(directory, {"pad_token": "<pad>", "bos_token": "<bos>", "unk_token": "<unk>"})
    return directory


def save_smolvlm(directory: Path) -> Path:
    """A SmolVLM2."""
    library: Any = importlib.import_module("transformers")
    torch.manual_seed(0)
    config = library.SmolVLMConfig(
        text_config={**TEXT, "model_type": "llama", "head_dim": 16},
        vision_config=SEEN,
        image_token_id=399,
        scale_factor=2,
    )
    save(library.SmolVLMForConditionalGeneration(config), directory)
    save_words(directory, {"pad_token": "<pad>", "bos_token": "<bos>", "unk_token": "<unk>"})
    return directory


MERGED_EYES: dict[str, Any] = {
    "hidden_size": 24,
    "intermediate_size": 48,
    "depth": 2,
    "num_heads": 2,
    "patch_size": 4,
    "out_hidden_size": TEXT["hidden_size"],
}
"""The picture encoder of either Qwen."""


def save_qwen25(directory: Path) -> Path:
    """A Qwen2.5-VL, whose tokenizer has no token for beginnings."""
    library: Any = importlib.import_module("transformers")
    torch.manual_seed(0)
    text = {name: value for name, value in TEXT.items() if name not in ("model_type", "head_dim")}
    places = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 3, 3]}
    config = library.Qwen2_5_VLConfig(
        text_config={**text, "rope_parameters": places, **WITHOUT},
        vision_config={
            **MERGED_EYES,
            "window_size": 16,
            "fullatt_block_indexes": [1],
        },
        image_token_id=399,
    )
    save(library.Qwen2_5_VLForConditionalGeneration(config), directory)
    save_words(directory, {"pad_token": "<pad>", "unk_token": "<unk>"})
    return directory


def save_qwen3(directory: Path) -> Path:
    """A Qwen3-VL."""
    library: Any = importlib.import_module("transformers")
    torch.manual_seed(0)
    places = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [4, 2, 2]}
    config = library.Qwen3VLConfig(
        text_config={**TEXT, "model_type": "qwen3_vl_text", "rope_parameters": places, **WITHOUT},
        vision_config={
            **MERGED_EYES,
            "num_position_embeddings": 16,
            "deepstack_visual_indexes": [0],
        },
        image_token_id=399,
    )
    save(library.Qwen3VLForConditionalGeneration(config), directory)
    save_words(directory, {"pad_token": "<pad>", "unk_token": "<unk>"})
    return directory


def save_gemma3(directory: Path, *, window: int = 40) -> Path:
    """A Gemma 3, with a layer of each kind."""
    library: Any = importlib.import_module("transformers")
    torch.manual_seed(0)
    config = library.Gemma3Config(
        text_config={
            **TEXT,
            "model_type": "gemma3_text",
            "query_pre_attn_scalar": TEXT["head_dim"],
            "sliding_window": window,
            "layer_types": ["sliding_attention", "full_attention"],
            "rope_parameters": {
                "sliding_attention": {"rope_type": "default", "rope_theta": 1e3},
                "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e4},
            },
        },
        vision_config={**SEEN, "model_type": "siglip_vision_model", "vision_use_head": False},
        mm_tokens_per_image=4,
        image_token_index=399,
    )
    save(library.Gemma3ForConditionalGeneration(config), directory)
    save_words(directory, {"pad_token": "<pad>", "bos_token": "<bos>", "unk_token": "<unk>"})
    return directory


SAVE_VLM: Mapping[str, Callable[[Path], Path]] = {
    "gemma3": save_gemma3,
    "paligemma": save_paligemma,
    "qwen2.5-vl": save_qwen25,
    "qwen3-vl": save_qwen3,
    "smolvlm2": save_smolvlm,
}
"""A twin of every family of vision-language models that can be stood on."""


def save_wan(directory: Path, *, later: bool = False, **changes: Any) -> Path:
    """A Wan 2.1 with its autoencoder and text encoder; or a Wan 2.2 TI2V.

    Args:
        directory: Where to.
        later: Whether it is the later one, whose autoencoder cuts patches of its own.
        changes: Of the transformer's configuration.
    """
    video: Any = importlib.import_module("diffusers")
    words: Any = importlib.import_module("transformers")
    torch.manual_seed(0)
    channels = 6 if later else 4
    config: dict[str, Any] = {
        "patch_size": (1, 2, 2),
        "num_attention_heads": 2,
        "attention_head_dim": 16,
        "in_channels": channels,
        "out_channels": channels,
        "text_dim": 12,
        "freq_dim": 16,
        "ffn_dim": 48,
        "num_layers": 3 if later else 2,
        "rope_max_seq_len": 64,
    }
    transformer = video.WanTransformer3DModel(**{**config, **changes})
    transformer.save_pretrained(directory / "transformer")
    own: dict[str, Any] = {
        "base_dim": 8,
        "z_dim": channels,
        "dim_mult": [1, 1, 1, 1],
        "num_res_blocks": 1,
        "temperal_downsample": [False, True, True],
        "latents_mean": [0.0] * channels,
        "latents_std": [1.0] * channels,
    }
    if later:
        own |= {
            "is_residual": True,
            "in_channels": 12,
            "out_channels": 12,
            "patch_size": 2,
            "scale_factor_spatial": 16,
            "decoder_base_dim": 8,
        }
    video.AutoencoderKLWan(**own).save_pretrained(directory / "vae")
    encoder = words.UMT5Config(
        vocab_size=64, d_model=12, d_kv=4, d_ff=16, num_layers=1, num_heads=2
    )
    words.UMT5EncoderModel(encoder).save_pretrained(directory / "text_encoder")
    special = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    save_words(directory / "tokenizer", special)
    return directory
