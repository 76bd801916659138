"""Frozen encoders as the libraries write them, at tiny size."""

from pathlib import Path
from typing import Any

import pytest
import torch

from checks.library import fill, numbers, relative_error, save_tokenizer
from checks.released_video import save_cosmos, save_ltx
from vertebra.policy.encoders import SYSTEM, chat_states, ltx_autoencoder, t5_states, wan_latents

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


def test_padding_is_masked_where_the_model_does_not_read_it(tmp_path: Path) -> None:
    library: Any = pytest.importorskip("transformers", reason=NO_LIBRARY)
    save_tokenizer(tmp_path, {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"})
    config = library.T5Config(vocab_size=6, d_model=12, d_kv=4, d_ff=16, num_layers=2, num_heads=2)
    encoder = library.T5EncoderModel(config).eval()
    encoder.save_pretrained(tmp_path)
    states, mask = t5_states(tmp_path, longest=5, masked=True)(("lift the box", "lift"))
    assert mask.sum(1).tolist() == [3, 1]
    with torch.no_grad():
        wanted = encoder(torch.tensor([[3, 4, 5, 0, 0]])).last_hidden_state
    assert relative_error(states[:1], wanted) < 1e-5


def test_a_chat_becomes_the_normalised_states_of_all_layers(tmp_path: Path) -> None:
    library: Any = pytest.importorskip("transformers", reason=NO_LIBRARY)
    directory = save_cosmos(tmp_path, later=True)
    texts = chat_states(directory / "text_encoder", words=directory / "tokenizer", longest=24)
    states, mask = texts(("lift the red cube", "lift"))
    assert states.shape == (2, 24, 32) and mask.all()
    for half in states.chunk(2, dim=-1):  # one for each layer
        assert float(half.mean(-1).abs().max()) < 1e-5
        assert float((half.std(-1) - 1.0).abs().max()) < 1e-4
    tokenizer = library.AutoTokenizer.from_pretrained(directory / "tokenizer")
    ids = tokenizer(f"system {SYSTEM} user lift", padding="max_length", max_length=24)["input_ids"]
    model = library.Qwen2_5_VLForConditionalGeneration.from_pretrained(directory / "text_encoder")
    with torch.no_grad():
        made = model(input_ids=torch.tensor([ids]), output_hidden_states=True).hidden_states[1]
    wanted = (made - made.mean(-1, keepdim=True)) / made.std(-1, keepdim=True)
    assert relative_error(states[1:, :, :16], wanted) < 1e-4


def test_latents_of_ltx_are_normalised_and_its_first_one_is_of_the_first_picture(
    tmp_path: Path,
) -> None:
    library: Any = pytest.importorskip("diffusers", reason=NO_LIBRARY)
    directory = save_ltx(tmp_path, cleans=True) / "vae"
    made = ltx_autoencoder(directory)
    pictures = ((numbers("pictures", (1, 5, 32, 32, 3)) + 1.0) * 127.5).byte()
    found = made.encode(pictures)
    vae = library.AutoencoderKLLTXVideo.from_pretrained(directory).eval()
    plain = vae.encode(pictures.permute(0, 4, 1, 2, 3) / 127.5 - 1.0).latent_dist.mode()
    assert relative_error(found, plain / 1.5) < 1e-5
    assert relative_error(made.encode(pictures[:, :1])[:, :, 0], found[:, :, 0]) < 1e-5
    with torch.no_grad():
        wanted = vae.decode(plain, torch.zeros(1)).sample.permute(0, 2, 3, 4, 1)
    shown = made.decode(found).float() / 127.5 - 1.0
    assert float((shown - wanted.clamp(-1.0, 1.0)).abs().max()) < 0.01
