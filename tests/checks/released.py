"""Tiny released models, saved by the libraries themselves."""

import importlib
from collections.abc import Mapping
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
    library.PaliGemmaForConditionalGeneration(config).save_pretrained(directory)
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
    library.SmolVLMForConditionalGeneration(config).save_pretrained(directory)
    save_words(directory, {"pad_token": "<pad>", "bos_token": "<bos>", "unk_token": "<unk>"})
    return directory


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
