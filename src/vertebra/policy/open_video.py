"""Released video models from the directories of their pipelines, taken apart."""

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from vertebra.backbones.cosmos import cosmos_layers, cosmos_sizes
from vertebra.backbones.cosmos_ends import CosmosClosing
from vertebra.backbones.ltx import LtxClosing, LtxSizes, ltx_layers, ltx_sizes
from vertebra.backbones.video_sizes import VideoSizes
from vertebra.backbones.wan import wan_layers, wan_sizes
from vertebra.backbones.wan_ends import WanClosing
from vertebra.policy.cosmos_parts import CosmosTokens, CosmosTold
from vertebra.policy.encoders import (
    Autoencoder,
    chat_states,
    ltx_autoencoder,
    t5_states,
    wan_autoencoder,
)
from vertebra.policy.stand_video import VideoModules, VideoParts
from vertebra.policy.stand_vlm import renaming
from vertebra.policy.wan_parts import ActionTokens, PatchTokens, PatchVelocity, Texts, Told

PARTS = ("transformer", "vae", "text_encoder", "tokenizer")
"""Directories of a pipeline, as diffusers writes it."""
Names = tuple[tuple[str, str | None], ...]
"""Beginnings of diffusers' names of weights, and ours."""
WAN: Names = (
    (r"^blocks\.", "layers."),
    (r"^scale_shift_table$", "closing.scale_shift_table"),
    (r"^patch_embedding\.", "tokens.patch_embedding."),
    (r"^condition_embedder\.", "told."),
    (r"^proj_out\.", "velocity.proj_out."),
)
COSMOS: Names = (
    (r"^transformer_blocks\.", "layers."),
    (r"^norm_out\.", "closing."),
    (r"^patch_embed\.", "tokens."),
    (r"^time_embed\.", "told."),
    (r"^crossattn_proj\.", "told.crossattn_proj."),
    (r"^proj_out\.", "velocity.proj_out."),
)
LTX: Names = (
    (r"^transformer_blocks\.(\d+)\.ff\.", r"layers.\1.ffn."),
    (r"^transformer_blocks\.", "layers."),
    (r"^scale_shift_table$", "closing.scale_shift_table"),
    (r"^proj_in\.", "tokens."),
    (r"^time_embed\.emb\.timestep_embedder\.", "told.time_embedder."),
    (r"^time_embed\.linear\.", "told.time_proj."),
    (r"^caption_projection\.", "told.text_embedder."),
    (r"^proj_out\.", "velocity.proj_out."),
)


def ltx_tokens(sizes: LtxSizes) -> ActionTokens:
    """Vectors of latents as tokens, whatever their flow time; the time is their condition."""
    return ActionTokens(sizes.channels_in, sizes.width)


def ltx_told(sizes: LtxSizes) -> Told:
    """Flow times as conditions of an expert, and words as its context."""
    return Told(sizes.as_wan)


MODULES: Mapping[str, VideoModules] = {
    "wan": VideoModules(
        layers=wan_layers,
        closing=WanClosing,
        tokens=PatchTokens,
        velocity=PatchVelocity,
        told=Told,
    ),
    "cosmos": VideoModules(
        layers=cosmos_layers,
        closing=CosmosClosing,
        tokens=CosmosTokens,
        velocity=partial(PatchVelocity, bias=False),
        told=CosmosTold,
    ),
    "ltx-video": VideoModules(
        layers=ltx_layers,
        closing=LtxClosing,
        tokens=ltx_tokens,
        velocity=PatchVelocity,
        told=ltx_told,
    ),
}


def wan_parts(directory: Path, kept: Path | None = None) -> VideoParts:
    """A Wan with its autoencoder and its text encoder, from a pipeline's directory.

    Args:
        directory: Of the pipeline.
        kept: Where latents of pictures are kept.

    Raises:
        ValueError: When its parts do not fit together, or it wants conditions beside its latents.
    """
    sizes = wan_sizes(_config(directory, "transformer"))
    autoencoder = wan_autoencoder(directory / "vae", kept)
    wrong = _unfit(autoencoder, in_channels=sizes.channels_in, out_channels=sizes.channels_out)
    if sizes.picture_width:
        wrong.append("its layers also read states of a picture encoder (image_dim)")
    if (directory / "transformer_2").is_dir():
        wrong.append("it has a second transformer for the other noise levels (transformer_2)")
    wrong += _deaf(directory, "text_dim", sizes)
    _require(directory, wrong)
    return _parts("wan", WAN, "Wan", sizes, autoencoder, _t5(directory))


def cosmos_parts(directory: Path, kept: Path | None = None) -> VideoParts:
    """A Cosmos-Predict 2 or 2.5 with its autoencoder and its text encoder.

    The later one reads the states of all layers of a Qwen2.5-VL.

    Args:
        directory: Of the pipeline.
        kept: Where latents of pictures are kept.

    Raises:
        ValueError: When its parts do not fit together.
    """
    sizes = cosmos_sizes(_config(directory, "transformer"))
    autoencoder = wan_autoencoder(directory / "vae", kept)
    wrong = _unfit(autoencoder, out_channels=sizes.channels)
    later = _config(directory, "text_encoder").get("model_type") == "qwen2_5_vl"
    wrong += _deaf(directory, "crossattn_proj_in_channels" if later else "text_embed_dim", sizes)
    _require(directory, wrong)
    texts = (
        chat_states(directory / "text_encoder", words=directory / "tokenizer")
        if later
        else _t5(directory)
    )
    return _parts("cosmos", COSMOS, "Cosmos", sizes, autoencoder, texts)


def ltx_parts(directory: Path, kept: Path | None = None) -> VideoParts:
    """An LTX-Video with its autoencoder and its text encoder.

    Args:
        directory: Of the pipeline.
        kept: Where latents of pictures are kept.

    Raises:
        ValueError: When its parts do not fit together.
    """
    autoencoder = ltx_autoencoder(directory / "vae", kept)
    config = _config(directory, "transformer")
    sizes = ltx_sizes(config, pictures=autoencoder.pictures, side=autoencoder.side)
    wrong = _unfit(autoencoder, in_channels=sizes.channels_in, out_channels=sizes.channels_out)
    wrong += _deaf(directory, "caption_channels", sizes)
    _require(directory, wrong)
    texts = _t5(directory, masked=True)
    return _parts("ltx-video", LTX, "LTX-Video", sizes, autoencoder, texts)


OPEN: Mapping[str, Callable[..., VideoParts]] = {
    "wan": wan_parts,
    "cosmos": cosmos_parts,
    "ltx-video": ltx_parts,
}
"""Name of a family to what takes a model of it apart."""


def _config(directory: Path, part: str) -> dict[str, Any]:
    return json.loads((directory / part / "config.json").read_text())


def _t5(directory: Path, *, masked: bool = False) -> Texts:
    return t5_states(directory / "text_encoder", words=directory / "tokenizer", masked=masked)


def _unfit(autoencoder: Autoencoder, **channels: int) -> list[str]:
    """Channels of a transformer that are not those of the latents."""
    return [
        f"{name} is {found}, the autoencoder's latents have {autoencoder.channels} channels"
        for name, found in channels.items()
        if found != autoencoder.channels
    ]


def _deaf(directory: Path, name: str, sizes: VideoSizes) -> list[str]:
    """A text encoder whose states have another width than the transformer reads."""
    config = _config(directory, "text_encoder")
    width = config.get("d_model")
    if config.get("model_type") == "qwen2_5_vl":
        inside = config.get("text_config", config)
        width = inside["hidden_size"] * inside["num_hidden_layers"]
    if width == sizes.text_width:
        return []
    return [f"{name} is {sizes.text_width}, the text encoder's states are {width} wide"]


def _require(directory: Path, wrong: list[str]) -> None:
    if wrong:
        raise ValueError(f"{directory} cannot be stood on:\n  - " + "\n  - ".join(wrong))


def _parts(
    family: str,
    names: Names,
    called: str,
    sizes: VideoSizes,
    autoencoder: Autoencoder,
    texts: Texts,
) -> VideoParts:
    return VideoParts(
        sizes=sizes,
        modules=MODULES[family],
        autoencoder=autoencoder,
        texts=texts,
        rename=renaming(names, called),
    )
