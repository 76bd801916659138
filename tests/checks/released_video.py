"""Tiny released video models beside Wan, saved by the libraries themselves."""

import importlib
from pathlib import Path
from typing import Any

import torch

from checks.released import save_wan, save_words

COSMOS: dict[str, Any] = {
    "in_channels": 5,
    "out_channels": 4,
    "num_attention_heads": 2,
    "attention_head_dim": 18,
    "num_layers": 2,
    "mlp_ratio": 2.0,
    "text_embed_dim": 12,
    "adaln_lora_dim": 8,
    "max_size": (8, 16, 16),
    "patch_size": (1, 2, 2),
    "rope_scale": (1.0, 3.0, 2.0),
    "concat_padding_mask": True,
    "extra_pos_embed_type": None,
}
LATER: dict[str, Any] = {
    "use_crossattn_projection": True,
    "crossattn_proj_in_channels": 32,
    "encoder_hidden_states_channels": 12,
}
LTX: dict[str, Any] = {
    "in_channels": 8,
    "out_channels": 8,
    "num_attention_heads": 2,
    "attention_head_dim": 16,
    "cross_attention_dim": 32,
    "num_layers": 2,
    "caption_channels": 12,
}
CHAT = "{% for one in messages %}{{ one.role }} {{ one.content[0].text }} {% endfor %}"
SPECIAL = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}


def save_cosmos(directory: Path, *, later: bool = False, **changes: Any) -> Path:
    """A Cosmos-Predict2 with its autoencoder and text encoder; or a 2.5.

    Args:
        directory: Where to.
        later: Whether it is the later one, which reads all layers of a Qwen2.5-VL.
        changes: Of the transformer's configuration.
    """
    library: Any = importlib.import_module("diffusers")
    save_wan(directory)  # its autoencoder is Wan's
    torch.manual_seed(0)
    config = {**COSMOS, **(LATER if later else {}), **changes}
    transformer = library.CosmosTransformer3DModel(**config)
    transformer.save_pretrained(directory / "transformer")
    _save_chat(directory) if later else _save_t5(directory)
    return directory


def save_ltx(directory: Path, *, cleans: bool = False, **changes: Any) -> Path:
    """An LTX-Video with its autoencoder and text encoder.

    Args:
        directory: Where to.
        cleans: Whether its decoder is told a noise level (0.9.1 and later).
        changes: Of the transformer's configuration.
    """
    library: Any = importlib.import_module("diffusers")
    torch.manual_seed(0)
    transformer = library.LTXVideoTransformer3DModel(**{**LTX, **changes})
    transformer.save_pretrained(directory / "transformer")
    vae = library.AutoencoderKLLTXVideo(
        latent_channels=8,
        block_out_channels=(8, 8, 8, 8),
        decoder_block_out_channels=(8, 8, 8, 8),
        layers_per_block=(1, 1, 1, 1, 1),
        decoder_layers_per_block=(1, 1, 1, 1, 1),
        spatio_temporal_scaling=(True, True, False, False),
        decoder_spatio_temporal_scaling=(True, True, False, False),
        timestep_conditioning=cleans,
    )
    vae.latents_std += 0.5
    vae.save_pretrained(directory / "vae")
    _save_t5(directory)
    return directory


def _save_t5(directory: Path) -> None:
    library: Any = importlib.import_module("transformers")
    config = library.T5Config(vocab_size=64, d_model=12, d_kv=4, d_ff=16, num_layers=1, num_heads=2)
    library.T5EncoderModel(config).save_pretrained(directory / "text_encoder")
    save_words(directory / "tokenizer", SPECIAL)


def _save_chat(directory: Path) -> None:
    library: Any = importlib.import_module("transformers")
    config = library.Qwen2_5_VLConfig(
        text_config={
            "hidden_size": 16,
            "intermediate_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "vocab_size": 64,
            "rope_scaling": {"type": "mrope", "mrope_section": [2, 1, 1]},
        },
        vision_config={
            "depth": 1,
            "hidden_size": 16,
            "intermediate_size": 32,
            "num_heads": 2,
            "out_hidden_size": 16,
        },
    )
    library.Qwen2_5_VLForConditionalGeneration(config).save_pretrained(directory / "text_encoder")
    save_words(directory / "tokenizer", SPECIAL)
    words = importlib.import_module("transformers").AutoTokenizer
    tokenizer = words.from_pretrained(directory / "tokenizer")
    tokenizer.chat_template = CHAT
    tokenizer.save_pretrained(directory / "tokenizer")
