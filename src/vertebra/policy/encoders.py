"""Frozen encoders of released video models: pictures to latents, words to states.

Source: diffusers @ v0.42.1 src/diffusers/pipelines/wan/pipeline_wan_i2v.py (normalised latents);
    FastWAM @ 45d8e14 src/fastwam/models/wan22/fastwam.py (padded states are zero and are read).
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from vertebra.policy.adapt_fast_wam import Encode, Texts
from vertebra.policy.released import library_of


def wan_latents(directory: Path) -> Encode:
    """The video autoencoder of a Wan, from a directory in the format of diffusers.

    Raises:
        MissingExtra: Without diffusers.
    """
    library = library_of("diffusers", "The video autoencoder of a released model")
    vae = library.AutoencoderKLWan.from_pretrained(directory, local_files_only=True)
    vae.eval().requires_grad_(requires_grad=False)
    mean, std = (
        torch.tensor(numbers).view(1, -1, 1, 1, 1)
        for numbers in (vae.config.latents_mean, vae.config.latents_std)
    )

    @torch.no_grad()
    def encode(pictures: Tensor) -> Tensor:
        frames = pictures.permute(0, 4, 1, 2, 3).to(vae.dtype) / 127.5 - 1.0
        found = vae.encode(frames.to(vae.device)).latent_dist.mode()
        return (found - mean.to(found)) / std.to(found)

    return encode


def t5_states(directory: Path, *, longest: int = 128) -> Texts:
    """A text encoder (T5 or UMT5) and its tokenizer, from a directory in transformers' format.

    States of a sentence are kept once they are known: the encoder is frozen.

    Args:
        directory: Where both are.
        longest: Tokens of every sentence; the states of those that are missing are zero.

    Raises:
        MissingExtra: Without transformers.
    """
    library = library_of("transformers", "The text encoder of a released model")
    tokenizer = library.AutoTokenizer.from_pretrained(directory, local_files_only=True)
    kind = library.AutoConfig.from_pretrained(directory, local_files_only=True).model_type
    named = {"t5": library.T5EncoderModel, "umt5": library.UMT5EncoderModel}
    if kind not in named:
        raise ValueError(f"{directory} holds a '{kind}', expected one of: {', '.join(named)}.")
    encoder = named[kind].from_pretrained(directory, local_files_only=True).eval()

    @cache
    @torch.no_grad()
    def states(text: str) -> Tensor:
        told = tokenizer(
            text, padding="max_length", truncation=True, max_length=longest, return_tensors="pt"
        )
        mask = told["attention_mask"]
        found = encoder(input_ids=told["input_ids"], attention_mask=mask).last_hidden_state
        return (found * mask[..., None])[0]

    def texts(instructions: Sequence[str]) -> tuple[Tensor, Tensor]:
        found = torch.stack([states(text) for text in instructions])
        return found, torch.ones(found.shape[:2], dtype=torch.bool)

    return texts
