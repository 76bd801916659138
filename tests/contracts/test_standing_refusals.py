"""Released models that are damaged, foreign or do not fit are refused with the difference named."""

import importlib.util
import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from safetensors.torch import load_file, save_file

from checks.released import SAVE_VLM, save_gemma3, save_paligemma, save_wan
from checks.released_video import save_cosmos, save_ltx
from fakes.episodes import random_cache, training
from vertebra.backbones.trunk import Standing
from vertebra.policy.checkpoint import load_policy, save_policy
from vertebra.policy.losses import losses
from vertebra.policy.standing import find_trunk
from vertebra.recipes import by_name
from vertebra.train.prepare import prepare

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(
        importlib.util.find_spec("diffusers") is None,
        reason="needs transformers and diffusers: pip install 'vertebra[backbones]'",
    ),
]
SEEN = "model.safetensors"
MADE = "transformer/diffusion_pytorch_model.safetensors"
CODED = "vae/diffusion_pytorch_model.safetensors"
HEARD = "text_encoder/model.safetensors"
Change = Callable[[dict[str, torch.Tensor]], object]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("whole")
    return {"vlm": save_paligemma(root / "vlm"), "video": save_wan(root / "video")}


@pytest.fixture
def models(whole: dict[str, Path], tmp_path: Path) -> dict[str, Path]:
    return {what: Path(shutil.copytree(path, tmp_path / what)) for what, path in whole.items()}


def changed(path: Path, change: Change) -> None:
    weights = load_file(path)
    change(weights)
    save_file(weights, path)


def drop(name: str) -> Change:
    return lambda weights: weights.__delitem__(name)


def put(name: str, *shape: int) -> Change:
    return lambda weights: weights.__setitem__(name, torch.zeros(*shape))


@pytest.mark.parametrize(
    ("what", "file", "change", "message"),
    [
        ("vlm", SEEN, drop("language_model.model.norm.weight"), "no tensor for 'closing.weight'"),
        (
            "vlm",
            SEEN,
            put("language_model.model.layers.1.mlp.up_proj.weight", 3, 3),
            r"up_proj.weight' has shape \[3, 3\], its configuration says \[64, 32\]",
        ),
        (
            "vlm",
            SEEN,
            put("language_model.model.layers.7.mlp.up_proj.weight", 64, 32),
            "layers.7.mlp.up_proj.weight' is not part of its configuration",
        ),
        (
            "vlm",
            SEEN,
            put("value_head.weight", 2),
            "'value_head.weight' is no weight of a PaliGemma",
        ),
        (
            "video",
            MADE,
            drop("blocks.0.attn1.to_q.weight"),
            r"no tensor for 'layers\.0\.attn1\.to_q",
        ),
        ("video", MADE, put("proj_out.bias", 3), r"proj_out.bias' has shape \[3\]"),
        ("video", CODED, drop("encoder.conv_in.weight"), "encoder.conv_in.weight is missing"),
    ],
)
def test_one_wrong_weight_is_named_before_anything_is_loaded(
    what: Literal["vlm", "video"], file: str, change: Change, message: str, models: dict[str, Path]
) -> None:
    find_trunk(str(models[what]), what)
    changed(models[what] / file, change)
    with pytest.raises(ValueError, match=message):
        find_trunk(str(models[what]), what)


@pytest.mark.parametrize(
    ("save", "file", "change", "message"),
    [
        (
            save_cosmos,
            MADE,
            drop("transformer_blocks.0.norm2.linear_1.weight"),
            r"no tensor for 'layers\.0\.norm2\.linear_1\.weight'",
        ),
        (
            save_cosmos,
            MADE,
            put("patch_embed.proj.weight", 3, 3),
            r"proj.weight' has shape \[3, 3\]",
        ),
        (
            save_cosmos,
            MADE,
            put("learnable_pos_embed.pos_emb_t", 8, 36),
            "'learnable_pos_embed.pos_emb_t' is no weight of a Cosmos",
        ),
        (save_cosmos, CODED, drop("encoder.conv_in.weight"), "encoder.conv_in.weight is missing"),
        (
            save_ltx,
            MADE,
            drop("transformer_blocks.1.ff.net.2.bias"),
            r"no tensor for 'layers\.1\.ffn\.net\.2\.bias'",
        ),
        (save_ltx, MADE, put("scale_shift_table", 6, 32), r"table' has shape \[6, 32\]"),
        (save_ltx, CODED, drop("latents_std"), "latents_std is missing"),
        (save_ltx, HEARD, put("value_head.weight", 2), "value_head.weight is not part of its conf"),
    ],
)
def test_one_wrong_weight_of_another_video_model_is_named(
    save: Callable[[Path], Path], file: str, change: Change, message: str, tmp_path: Path
) -> None:
    directory = save(tmp_path / "model")
    find_trunk(str(directory), "video")
    changed(directory / file, change)
    with pytest.raises(ValueError, match=message):
        find_trunk(str(directory), "video")


@pytest.mark.parametrize(
    ("save", "changes", "message"),
    [
        (save_cosmos, {"text_embed_dim": 20}, "text_embed_dim is 20, the .* states are 12 wide"),
        (
            partial(save_cosmos, later=True),
            {"crossattn_proj_in_channels": 48},
            "crossattn_proj_in_channels is 48, the text encoder's states are 32 wide",
        ),
        (
            save_cosmos,
            {"in_channels": 7, "out_channels": 6},
            "out_channels is 6, the autoencoder's latents have 4 channels",
        ),
        (save_ltx, {"in_channels": 9}, "in_channels is 9, the autoencoder's latents have 8"),
        (save_ltx, {"caption_channels": 20}, "caption_channels is 20, the .* states are 12 wide"),
    ],
)
def test_parts_of_another_video_model_that_do_not_fit_together_are_named(
    save: Callable[..., Path], changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        find_trunk(str(save(tmp_path / "odd", **changes)), "video")


def test_an_autoencoder_that_looks_ahead_is_refused(tmp_path: Path) -> None:
    path = save_ltx(tmp_path / "ltx") / "vae" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "encoder_causal": False}))
    with pytest.raises(ValueError, match="latents of the present picture would depend on later"):
        find_trunk(str(tmp_path / "ltx"), "video")


@pytest.mark.parametrize("family", list(SAVE_VLM))
def test_a_damaged_model_of_every_family_is_refused(family: str, tmp_path: Path) -> None:
    directory = SAVE_VLM[family](tmp_path / "model")
    assert find_trunk(str(directory), "vlm").family == family
    weights = load_file(directory / SEEN)
    own = [name for name in weights if "layers.1." in name or name.endswith("norm.weight")]
    names = [own[0], own[-1], next(n for n in weights if "vision" in n or "visual" in n)]
    for name in names:
        without = {n: value for n, value in weights.items() if n != name}
        save_file(without, directory / SEEN)
        with pytest.raises(ValueError, match="no tensor for"):
            find_trunk(str(directory), "vlm")
        save_file({**without, name: torch.zeros(3, 5, 7)}, directory / SEEN)
        with pytest.raises(ValueError, match=r"has shape \[3, 5, 7\], its configuration says"):
            find_trunk(str(directory), "vlm")
    save_file({**weights, "value_head.weight": torch.zeros(2)}, directory / SEEN)
    with pytest.raises(ValueError, match=r"'value_head\.weight' is no weight of a"):
        find_trunk(str(directory), "vlm")


def test_other_directories_are_refused(models: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"holds no transformer/config\.json"):
        find_trunk(str(models["vlm"]), "video")
    with pytest.raises(ValueError, match="give it with --video"):
        find_trunk(str(models["video"] / "transformer"), "vlm")
    with pytest.raises(ValueError, match="neither a directory nor a model in the cache"):
        find_trunk("nobody/has-this", "vlm")
    with pytest.raises(ValueError, match="has 2 layers; 3 cannot be used"):
        find_trunk(str(models["vlm"]), "vlm", layers=3)
    assert find_trunk(str(models["vlm"]), "vlm", layers=1).layers == 1
    shutil.rmtree(models["video"] / "vae")
    with pytest.raises(ValueError, match="no whole video model: vae missing"):
        find_trunk(str(models["video"]), "video")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"in_channels": 9}, "in_channels is 9, the autoencoder's latents have 4 channels"),
        ({"text_dim": 20}, "text_dim is 20, the text encoder's states are 12 wide"),
        ({"image_dim": 8, "added_kv_proj_dim": 32}, "also read states of a picture encoder"),
    ],
)
def test_parts_that_do_not_fit_together_are_named(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        find_trunk(str(save_wan(tmp_path / "odd", **changes)), "video")


def test_a_later_paligemma_is_refused(models: dict[str, Path]) -> None:
    path = models["vlm"] / "config.json"
    config = json.loads(path.read_text())
    config["text_config"]["model_type"] = "gemma2"
    path.write_text(json.dumps(config))
    with pytest.raises(ValueError, match="model_type is 'gemma2', expected 'gemma'"):
        find_trunk(str(models["vlm"]), "vlm")


@pytest.mark.parametrize(
    ("window", "told"), [(7, "with 0 words are 8:"), (9, r"with [2-9] words are")]
)
def test_prefixes_longer_than_the_window_are_refused(
    window: int, told: str, tmp_path: Path
) -> None:
    trunk = find_trunk(str(save_gemma3(tmp_path / "model", window=window)), "vlm")
    cache = random_cache(tmp_path / "data" / "frames" / "cache")
    with pytest.raises(ValueError, match=rf"look back over {window} tokens.*{told}"):
        made = prepare(training(by_name("pi0"), cache, standing=Standing(vlm=trunk)))
        losses(made.policy.network, made.examples(made.batch(0)), made.noise(0))


def test_a_model_that_was_changed_since_is_refused_when_a_policy_is_read(
    models: dict[str, Path], tmp_path: Path
) -> None:
    trunk = find_trunk(str(models["vlm"]), "vlm")
    standing = Standing(vlm=trunk)
    cache = random_cache(tmp_path / "data" / "frames" / "cache")
    policy = prepare(training(by_name("pi0"), cache, standing=standing)).policy
    save_policy(tmp_path / "policy", policy, {})
    load_policy(tmp_path / "policy")
    changed(
        models["vlm"] / SEEN, lambda weights: weights["language_model.model.norm.weight"].add_(1.0)
    )
    with pytest.raises(ValueError, match=rf"has SHA-256 .* locked was {trunk.sha256}"):
        load_policy(tmp_path / "policy")
    shutil.rmtree(models["vlm"])
    with pytest.raises(ValueError, match=r"paligemma was in .* and is not there"):
        load_policy(tmp_path / "policy")
