"""Frozen encoders of released video models: pictures to latents and back, words to states.

Source: diffusers @ v0.42.1 src/diffusers/pipelines/wan/pipeline_wan_i2v.py (normalised latents);
    FastWAM @ 45d8e14 src/fastwam/models/wan22/fastwam.py (padded states are zero and are read).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vertebra.policy.kept import Kept
from vertebra.policy.released import library_of
from vertebra.policy.wan_parts import Encode, Texts
from vertebra.spec.errors import SpecMismatch

LONGEST = 128
"""Tokens of every sentence."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Autoencoder:
    """A frozen video autoencoder.

    Attributes:
        encode: Pictures [B, F, H, W, 3], uint8, to normalised latents [B, C, F', H', W'].
        decode: The inverse, to uint8.
        channels: Channels of a latent.
        side: Pixels along one side of a latent.
        pictures: Pictures in a latent frame after the first.
    """

    encode: Encode
    decode: Callable[[Tensor], Tensor]
    channels: int
    side: int
    pictures: int


def wan_autoencoder(directory: Path, kept: Path | None = None) -> Autoencoder:
    """The video autoencoder of a Wan or a Cosmos-Predict, in the format of diffusers.

    Args:
        directory: Where it is.
        kept: Where latents are kept.

    Raises:
        MissingExtra: Without diffusers.
    """
    library = library_of("diffusers", "The video autoencoder of a released model")
    vae = _whole(library.AutoencoderKLWan, directory)
    config: Any = vae.config
    return Autoencoder(
        **_coded(vae, config.latents_mean, config.latents_std, kept),
        channels=config.z_dim,
        side=2 ** (len(config.dim_mult) - 1) * (config.patch_size or 1),
        pictures=2 ** sum(config.temperal_downsample),
    )


def ltx_autoencoder(directory: Path, kept: Path | None = None) -> Autoencoder:
    """The video autoencoder of an LTX-Video, in the format of diffusers.

    A decoder that also cleans up what is left of noise is told that nothing is left.

    Args:
        directory: Where it is.
        kept: Where latents are kept.

    Raises:
        MissingExtra: Without diffusers.
        ValueError: When what it makes of the first picture depends on later ones.
    """
    library = library_of("diffusers", "The video autoencoder of a released model")
    vae = _whole(library.AutoencoderKLLTXVideo, directory)
    config: Any = vae.config
    if not config.encoder_causal:
        raise ValueError(
            f"{directory} looks ahead (encoder_causal is false), so latents of the present picture "
            "would depend on later ones; expected an autoencoder that does not."
        )
    std = vae.latents_std / config.scaling_factor
    clean = torch.zeros(1) if config.timestep_conditioning else None
    return Autoencoder(
        **_coded(vae, vae.latents_mean.tolist(), std.tolist(), kept, clean),
        channels=config.latent_channels,
        side=vae.spatial_compression_ratio,
        pictures=vae.temporal_compression_ratio,
    )


def _coded(
    vae: Any,
    means: Sequence[float],
    deviations: Sequence[float],
    kept: Path | None,
    level: Tensor | None = None,
) -> dict[str, Any]:
    """Both ways of a frozen autoencoder of a library, with latents normalised by channel.

    Args:
        vae: The autoencoder.
        means: Mean of every channel.
        deviations: Standard deviation of every channel.
        kept: Where latents are kept.
        level: The noise level that its decoder is told, where it is told one.
    """
    vae.eval().requires_grad_(requires_grad=False)
    mean, std = (torch.tensor(numbers).view(1, -1, 1, 1, 1) for numbers in (means, deviations))

    def encode(clip: Tensor) -> Tensor:
        frames = clip[None].permute(0, 4, 1, 2, 3).to(vae.dtype) / 127.5 - 1.0
        found = vae.encode(frames.to(vae.device)).latent_dist.mode()
        return ((found - mean.to(found)) / std.to(found))[0]

    @torch.no_grad()
    def decode(latents: Tensor) -> Tensor:
        plain = latents.to(vae.device, vae.dtype) * std.to(latents) + mean.to(latents)
        told = () if level is None else (level.to(plain).expand(len(plain)),)
        frames = vae.decode(plain, *told).sample.permute(0, 2, 3, 4, 1)
        return ((frames.clamp(-1.0, 1.0) + 1.0) * 127.5).round().to(torch.uint8)

    return {"encode": Kept(encode, kept), "decode": decode}


def _whole(kind: Any, directory: Path) -> Any:
    """A module of a library with all of its weights.

    Raises:
        SpecMismatch: Naming every weight that is missing, left over or of another shape; the
            libraries would go on with random numbers.
    """
    try:
        module, told = kind.from_pretrained(
            directory, local_files_only=True, output_loading_info=True
        )
    except (RuntimeError, ValueError, OSError) as error:
        raise SpecMismatch(f"{directory} cannot be loaded: {error}") from error
    wrong = [
        f"{name} {what}"
        for key, what in (
            ("missing_keys", "is missing"),
            ("unexpected_keys", "is not part of its configuration"),
            ("mismatched_keys", "has another shape than its configuration says"),
        )
        for name in sorted(map(str, told.get(key) or ()))
    ]
    if wrong:
        raise SpecMismatch(f"{directory} is not whole:\n  - " + "\n  - ".join(wrong[:20]))
    return module


def wan_latents(directory: Path) -> Encode:
    """What makes latents of pictures, without the way back.

    Raises:
        MissingExtra: Without diffusers.
    """
    return wan_autoencoder(directory).encode


def t5_states(
    directory: Path, *, words: Path | None = None, longest: int = LONGEST, masked: bool = False
) -> Texts:
    """A text encoder (T5 or UMT5) and its tokenizer, from a directory in transformers' format.

    States of a sentence are kept once they are known: the encoder is frozen.

    Args:
        directory: Where the encoder is.
        words: Where its tokenizer is; beside it when left out.
        longest: Tokens of every sentence; the states of those that are missing are zero.
        masked: Whether those are not read instead (LTX-Video, whose encoder does read them).

    Raises:
        MissingExtra: Without transformers.
    """
    library = library_of("transformers", "The text encoder of a released model")
    tokenizer = library.AutoTokenizer.from_pretrained(words or directory, local_files_only=True)
    kind = library.AutoConfig.from_pretrained(directory, local_files_only=True).model_type
    named = {"t5": library.T5EncoderModel, "umt5": library.UMT5EncoderModel}
    if kind not in named:
        raise ValueError(f"{directory} holds a '{kind}', expected one of: {', '.join(named)}.")
    encoder = _whole(named[kind], directory).eval()

    @cache
    @torch.no_grad()
    def states(text: str) -> tuple[Tensor, Tensor]:
        told = tokenizer(
            text, padding="max_length", truncation=True, max_length=longest, return_tensors="pt"
        )
        ids, mask = told["input_ids"], told["attention_mask"]
        heard = None if masked else mask
        with torch.autocast("cpu", enabled=False):
            found = encoder(input_ids=ids, attention_mask=heard).last_hidden_state.float()
        if masked:
            return found[0], mask[0].bool()
        return (found * mask[..., None])[0], torch.ones_like(mask[0], dtype=torch.bool)

    return partial(_stacked, states)


def _stacked(
    states: Callable[[str], tuple[Tensor, Tensor]], instructions: Sequence[str]
) -> tuple[Tensor, Tensor]:
    """States [B, S, C], float32, and masks [B, S] of sentences."""
    found, masks = zip(*(states(text) for text in instructions), strict=True)
    return torch.stack(found).float(), torch.stack(masks)


SYSTEM = "You are a helpful assistant who will provide prompts to an image generator."
"""What is said before a sentence (diffusers @ v0.42.1 pipeline_cosmos2_5_predict.py)."""
SENTENCES = 64
"""States of so many sentences are held; each takes 26 MB at the size of a Qwen2.5-VL-7B."""


def chat_states(directory: Path, *, words: Path, longest: int = LONGEST) -> Texts:
    """The states of all layers of a Qwen2.5-VL, each normalised, side by side (Cosmos-Predict2.5).

    What is missing of the longest sentence is read, as it was in its training.

    Source: diffusers @ v0.42.1 src/diffusers/pipelines/cosmos/pipeline_cosmos2_5_predict.py
        (_get_prompt_embeds).

    Args:
        directory: Where the model is.
        words: Where its tokenizer is, with a template of a chat.
        longest: Tokens of every sentence.

    Raises:
        MissingExtra: Without transformers.
        SpecMismatch: Naming every weight that is missing, left over or of another shape.
    """
    library = library_of("transformers", "The text encoder of a released model")
    tokenizer = library.AutoTokenizer.from_pretrained(words, local_files_only=True)
    model = _whole(library.Qwen2_5_VLForConditionalGeneration, directory).eval()

    @lru_cache(SENTENCES)
    @torch.no_grad()
    def states(text: str) -> tuple[Tensor, Tensor]:
        said = (("system", SYSTEM), ("user", text))
        chat = [
            {"role": role, "content": [{"type": "text", "text": words}]} for role, words in said
        ]
        told = tokenizer.apply_chat_template(
            chat,
            add_generation_prompt=False,
            padding="max_length",
            truncation=True,
            max_length=longest,
            return_dict=True,
            return_tensors="pt",
        )
        with torch.autocast("cpu", enabled=False):
            made = model(input_ids=told["input_ids"], output_hidden_states=True).hidden_states[1:]
        normal = [(x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True) + 1e-8) for x in made]
        found = torch.cat(normal, dim=-1)[0]
        return found, torch.ones(len(found), dtype=torch.bool)

    return partial(_stacked, states)
