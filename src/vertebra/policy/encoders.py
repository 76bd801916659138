"""Frozen encoders of released video models: pictures to latents and back, words to states.

Source: diffusers @ v0.42.1 src/diffusers/pipelines/wan/pipeline_wan_i2v.py (normalised latents);
    FastWAM @ 45d8e14 src/fastwam/models/wan22/fastwam.py (padded states are zero and are read).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
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
    """The video autoencoder of a Wan, from a directory in the format of diffusers.

    Args:
        directory: Where it is.
        kept: Where latents are kept.

    Raises:
        MissingExtra: Without diffusers.
    """
    library = library_of("diffusers", "The video autoencoder of a released model")
    vae = _whole(library.AutoencoderKLWan, directory)
    vae.eval().requires_grad_(requires_grad=False)
    mean, std = (
        torch.tensor(numbers).view(1, -1, 1, 1, 1)
        for numbers in (vae.config.latents_mean, vae.config.latents_std)
    )

    def encode(clip: Tensor) -> Tensor:
        frames = clip[None].permute(0, 4, 1, 2, 3).to(vae.dtype) / 127.5 - 1.0
        found = vae.encode(frames.to(vae.device)).latent_dist.mode()
        return ((found - mean.to(found)) / std.to(found))[0]

    @torch.no_grad()
    def decode(latents: Tensor) -> Tensor:
        plain = latents.to(vae.device, vae.dtype) * std.to(latents) + mean.to(latents)
        frames = vae.decode(plain).sample.permute(0, 2, 3, 4, 1)
        return ((frames.clamp(-1.0, 1.0) + 1.0) * 127.5).round().to(torch.uint8)

    config: Any = vae.config
    return Autoencoder(
        encode=Kept(encode, kept),
        decode=decode,
        channels=config.z_dim,
        side=2 ** (len(config.dim_mult) - 1) * (config.patch_size or 1),
        pictures=2 ** sum(config.temperal_downsample),
    )


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


def t5_states(directory: Path, *, words: Path | None = None, longest: int = LONGEST) -> Texts:
    """A text encoder (T5 or UMT5) and its tokenizer, from a directory in transformers' format.

    States of a sentence are kept once they are known: the encoder is frozen.

    Args:
        directory: Where the encoder is.
        words: Where its tokenizer is; beside it when left out.
        longest: Tokens of every sentence; the states of those that are missing are zero.

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
    def states(text: str) -> Tensor:
        told = tokenizer(
            text, padding="max_length", truncation=True, max_length=longest, return_tensors="pt"
        )
        mask = told["attention_mask"]
        with torch.autocast("cpu", enabled=False):
            found = encoder(input_ids=told["input_ids"], attention_mask=mask).last_hidden_state
        return (found.float() * mask[..., None])[0]

    def texts(instructions: Sequence[str]) -> tuple[Tensor, Tensor]:
        found = torch.stack([states(text) for text in instructions])
        return found, torch.ones(found.shape[:2], dtype=torch.bool)

    return texts
