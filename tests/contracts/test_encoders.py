"""Frozen encoders as the libraries write them, at tiny size."""

from pathlib import Path
from typing import Any

import pytest
import torch

from checks.library import fill, numbers, relative_error, save_tokenizer
from vertebra.policy.encoders import t5_states, wan_latents

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
NO_LIBRARY = "needs transformers and diffusers: pip install 'vertebra[backbones]'"


def test_pictures_become_the_normalised_latents_of_the_autoencoder(tmp_path: Path) -> None:
    library: Any = pytest.importorskip("diffusers", reason=NO_LIBRARY)
    mean, std = [0.1, -0.2, 0.3, 0.0], [1.5, 0.5, 2.0, 1.0]
    vae = library.AutoencoderKLWan(
        base_dim=8,
        z_dim=4,
        dim_mult=[1, 1, 1, 1],
        num_res_blocks=1,
        temperal_downsample=[False, True, True],
        latents_mean=mean,
        latents_std=std,
    ).eval()
    fill(vae)
    vae.save_pretrained(tmp_path)
    pictures = ((numbers("pictures", (1, 5, 32, 32, 3)) + 1.0) * 127.5).byte()
    found = wan_latents(tmp_path)(pictures)
    assert found.shape == (1, 4, 2, 4, 4)
    plain = vae.encode(pictures.permute(0, 4, 1, 2, 3) / 127.5 - 1.0).latent_dist.mode()
    for channel in range(4):
        wanted = (plain[:, channel] - mean[channel]) / std[channel]
        assert relative_error(found[:, channel], wanted) < 1e-5
    assert not found.requires_grad


def test_words_become_states_padded_with_zeros(tmp_path: Path) -> None:
    library: Any = pytest.importorskip("transformers", reason=NO_LIBRARY)
    special = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    save_tokenizer(tmp_path, special)
    config = library.UMT5Config(
        vocab_size=6, d_model=12, d_kv=4, d_ff=16, num_layers=2, num_heads=2
    )
    encoder = library.UMT5EncoderModel(config).eval()
    encoder.save_pretrained(tmp_path)
    texts = t5_states(tmp_path, longest=5)
    states, mask = texts(("lift the box", "lift", "lift the box"))
    assert states.shape == (3, 5, 12) and mask.all()
    assert not states[0, 3:].any() and not states[1, 1:].any()
    torch.testing.assert_close(states[0], states[2])
    with torch.no_grad():
        wanted = encoder(torch.tensor([[3, 4, 5]])).last_hidden_state
    assert relative_error(states[:1, :3], wanted) < 1e-5
    with pytest.raises(ValueError, match="holds a"):
        library.BertConfig().save_pretrained(tmp_path)
        t5_states(tmp_path)
