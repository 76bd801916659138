"""Our layers over the weights of Cosmos and LTX-Video give what diffusers gives.

Against recorded numbers everywhere; against the library itself where it is installed.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from checks import video_models
from checks.library import relative_error
from checks.released_video import COSMOS, LTX
from vertebra.backbones.cosmos import cosmos_sizes
from vertebra.backbones.ltx import ltx_sizes
from vertebra.policy import open_video
from vertebra.policy.encoders import Autoencoder
from vertebra.policy.stand_video import VideoParts
from vertebra.spec.observation import Camera

NEAR = 1e-4
RECORDED: dict[str, Any] = json.loads(
    (Path(__file__).parent / "recorded" / "diffusers_video.json").read_text()
)


def wanted(name: str) -> Tensor:
    return torch.tensor(RECORDED[name], dtype=torch.float32)


@pytest.mark.parametrize("name", video_models.CASES)
def test_a_video_model_is_that_of_diffusers(name: str) -> None:
    assert relative_error(video_models.ours(video_models.CASES[name]), wanted(name)) < NEAR


@pytest.mark.parametrize(
    ("name", "weight"),
    [
        ("cosmos2", "layers.1.norm2.linear_1.weight"),
        ("cosmos2", "layers.0.attn1.norm_k.weight"),
        ("cosmos2", "layers.0.attn2.to_v.weight"),
        ("cosmos2", "told.t_embedder.linear_2.weight"),
        ("cosmos2", "told.norm.weight"),
        ("cosmos2", "closing.linear_2.weight"),
        ("cosmos2.5", "told.crossattn_proj.0.weight"),
        ("ltx", "layers.1.ffn.net.2.weight"),
        ("ltx", "layers.0.attn1.norm_q.weight"),
        ("ltx", "layers.1.scale_shift_table"),
        ("ltx", "closing.scale_shift_table"),
        ("ltx", "told.text_embedder.linear_1.weight"),
    ],
)
def test_every_part_matters_to_the_comparison(name: str, weight: str) -> None:
    found = video_models.ours(video_models.CASES[name], changed=weight)
    assert relative_error(found, wanted(name)) > NEAR


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", video_models.CASES)
def test_recorded_numbers_are_those_of_the_installed_library(name: str) -> None:
    pytest.importorskip("diffusers", reason="needs diffusers: pip install 'vertebra[backbones]'")
    assert relative_error(video_models.theirs(video_models.CASES[name]), wanted(name)) < 1e-5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"in_channels": 4}, "in_channels .* is 4, expected 5"),
        ({"extra_pos_embed_type": "learnable"}, "extra_pos_embed_type is 'learnable'"),
        ({"img_context_dim_in": 8}, "img_context_dim_in is 8, expected None"),
        ({"patch_size": (2, 2, 2)}, r"patch_size\[0\] is 2, expected 1"),
        (
            {
                "use_crossattn_projection": True,
                "crossattn_proj_in_channels": 32,
                "encoder_hidden_states_channels": 9,
            },
            "encoder_hidden_states_channels is 9, expected 12",
        ),
    ],
)
def test_another_cosmos_is_refused(changes: dict[str, Any], message: str) -> None:
    config = {"_class_name": "CosmosTransformer3DModel", **COSMOS}
    assert cosmos_sizes(config).beside(16).axes == (18,)
    with pytest.raises(ValueError, match=message):
        cosmos_sizes({**config, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"patch_size": 2}, "patch_size is 2, expected 1"),
        ({"cross_attention_dim": 24}, "cross_attention_dim is 24, expected 32"),
        ({"activation_fn": "gelu"}, "activation_fn is 'gelu'"),
    ],
)
def test_another_ltx_is_refused(changes: dict[str, Any], message: str) -> None:
    config = {
        "_class_name": "LTXVideoTransformer3DModel",
        "norm_eps": 1e-6,
        "activation_fn": "gelu-approximate",
        **LTX,
    }
    assert ltx_sizes(config, pictures=8, side=32).beside(16).pitch == (8 / 25,)
    with pytest.raises(ValueError, match=message):
        ltx_sizes({**config, **changes}, pictures=8, side=32)


def test_a_latent_frame_that_reaches_too_far_is_refused() -> None:
    config = {"_class_name": "CosmosTransformer3DModel", **COSMOS}
    coded = Autoencoder(encode=Tensor.float, decode=Tensor.float, channels=4, side=8, pictures=8)
    parts = VideoParts(
        sizes=cosmos_sizes(config),
        modules=open_video.MODULES["cosmos"],
        autoencoder=coded,
        texts=lambda texts: (torch.zeros(len(texts), 1, 12), torch.ones(len(texts), 1).bool()),
        rename=str,
    )
    camera = Camera(name="front", height=32, width=48)
    assert (parts.latents(camera, 16, 2).frames, parts.latents(camera, 16, 2).columns) == (2, 3)
    with pytest.raises(ValueError, match=r"makes 8 pictures at a time, .* lies 7 control steps"):
        parts.latents(camera, 7, 2)
