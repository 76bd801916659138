"""Every legal pair of a recipe and released models, on tiny models that the libraries saved."""

import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from checks.released import SAVE_VLM, save_wan
from checks.released_video import save_cosmos, save_ltx
from fakes.episodes import random_cache, training
from fakes.networks import brief, observation
from vertebra import recipes
from vertebra.backbones.families import FAMILIES
from vertebra.backbones.sizes import Size
from vertebra.backbones.trunk import Standing, Tuning
from vertebra.coupling.table import Embed
from vertebra.data.cache import FrameCache
from vertebra.policy.checkpoint import load_policy, save_policy
from vertebra.policy.losses import losses
from vertebra.policy.pairs import families_for, pair_problems
from vertebra.policy.recipe import Recipe
from vertebra.policy.standing import find_trunk
from vertebra.spec.streams import Role
from vertebra.train.prepare import Prepared, prepare

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(
        importlib.util.find_spec("diffusers") is None,
        reason="needs transformers and diffusers: pip install 'vertebra[backbones]'",
    ),
]
VIDEO: dict[str, Callable[[Path], Path]] = {
    "wan2.1": save_wan,
    "wan2.2": partial(save_wan, later=True),
    "cosmos2": save_cosmos,
    "ltx": save_ltx,
}
LATER = {"cosmos2.5": partial(save_cosmos, later=True), "ltx0.9.1": partial(save_ltx, cleans=True)}
"""Twins that differ from another in what is beside their layers."""
LEGAL = [recipe for recipe in recipes.ALL if not pair_problems(recipe)]


def pairs() -> Iterator[Any]:
    """Each legal recipe on each twin of what it uses; of two kinds, each beside the first other."""
    for recipe in LEGAL:
        vlms = list(SAVE_VLM) if families_for(recipe, "vlm") else [""]
        videos = list(VIDEO) if families_for(recipe, "video") else [""]
        if recipe.name in ("fast-wam", "dreamzero"):
            videos += LATER
        for vlm, video in product(vlms, videos):
            if vlm == vlms[0] or video == videos[0]:
                name = "-".join(part for part in (recipe.name, vlm, video) if part)
                yield pytest.param(recipe, vlm, video, id=name)


def test_every_family_that_is_supported_has_a_twin() -> None:
    own = {one.name for one in FAMILIES if one.what == "vlm" and not one.missing}
    assert set(SAVE_VLM) == own


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("released")
    return {name: save(root / name) for name, save in {**VIDEO, **LATER, **SAVE_VLM}.items()}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> FrameCache:
    return random_cache(tmp_path_factory.mktemp("data") / "frames" / "cache")


def standing_on(twins: dict[str, Path], vlm: str, video: str, **tuning: Any) -> Standing:
    return Standing(
        vlm=find_trunk(str(twins[vlm]), "vlm") if vlm else None,
        video=find_trunk(str(twins[video]), "video") if video else None,
        tuning=Tuning(**tuning),
    )


def prepared(recipe: Recipe, standing: Standing, cache: FrameCache, **more: Any) -> Prepared:
    named = replace(brief(recipe), backbone=standing.named(recipe.backbone))
    return prepare(training(named, cache, standing=standing, batch_size=4, **more))


@pytest.mark.parametrize(("recipe", "vlm", "video"), list(pairs()))
def test_a_pair_learns_acts_and_is_the_same_from_disk(
    recipe: Recipe, vlm: str, video: str, twins: dict[str, Path], cache: FrameCache, tmp_path: Path
) -> None:
    standing = standing_on(twins, vlm, video)
    if recipe.name.startswith("cosmos-policy") and video == "wan2.2":
        with pytest.raises(ValueError, match=r"too small: a latent frame .* holds 24 numbers"):
            prepared(recipe, standing, cache)
        return
    made = prepared(recipe, standing, cache)
    network, policy = made.policy.network, made.policy
    with torch.no_grad():  # outputs that start at zero would hide what lies before them
        for value in network.parameters():
            value.add_(0.02 * torch.randn(value.shape, generator=made.noise(0)))
    terms = losses(network, made.examples(made.batch(0)), made.noise(0))
    assert set(terms) == set(recipe.table.named(Role.DENOISED))
    assert all(bool(term.isfinite().all()) for term in terms.values())
    torch.stack([term.mean() for term in terms.values()]).sum().backward()
    moved = {
        name
        for name, value in network.named_parameters()
        if value.grad is not None and value.grad.any()
    }
    trunk = {name for name in moved if network.is_released(name)}
    assert any(".0." in name for name in trunk), "the first layer of no trunk learns"
    added = {n for n, _ in network.named_parameters() if not network.is_released(n)}
    only_frames = set(recipe.table.embed.values()) == {Embed.LATENT_FRAME}
    assert bool(added) != only_frames, "latent frames need no weights of their own, all else does"
    assert moved - trunk or only_frames, "nothing beside the trunks learns"
    network.eval()
    session, act = policy.act(policy.start(0), observation(0))
    assert act.chunk.shape == (network.shape.horizon, network.shape.action_dims)
    save_policy(tmp_path, policy, {})
    again = load_policy(tmp_path)
    assert again.network.standing == standing.under(recipe.backbone)
    np.testing.assert_array_equal(again.act(again.start(0), observation(0))[1].chunk, act.chunk)
    other = policy.act(policy.start(0), observation(0, "put it down"))[1].chunk
    assert np.abs(other - act.chunk).max() > 0, "the words change nothing"
    if recipe.rolling:
        later = policy.act(session, replace(observation(1), executed=act.chunk))[1].chunk
        assert np.isfinite(later).all()


def test_released_weights_stand_where_they_belong(
    twins: dict[str, Path], cache: FrameCache
) -> None:
    from safetensors.torch import load_file

    seen = load_file(twins["paligemma"] / "model.safetensors")
    wan = load_file(twins["wan2.1"] / "transformer" / "diffusion_pytorch_model.safetensors")
    standing = standing_on(twins, "paligemma", "wan2.1")
    alone = prepared(recipes.by_name("pi0"), standing, cache).policy.network.state_dict()
    both = prepared(recipes.by_name("vlm-wam"), standing, cache).policy.network.state_dict()
    name = "language_model.model.layers.1.mlp.up_proj.weight"
    theirs = seen[name]
    torch.testing.assert_close(alone["attention.experts.vlm.1.mlp.up_proj.weight"], theirs)
    inside = both["senses.understanding.trunk.experts.vlm.1.mlp.up_proj.weight"]
    torch.testing.assert_close(inside, theirs)
    torch.testing.assert_close(
        both["attention.experts.video.1.attn1.to_q.weight"], wan["blocks.1.attn1.to_q.weight"]
    )
    torch.testing.assert_close(both["outputs.future.proj_out.bias"], wan["proj_out.bias"])


@pytest.mark.parametrize("tune", ["frozen", "lora"])
@pytest.mark.parametrize("on", ["wan2.1", "cosmos2", "ltx", *SAVE_VLM])
def test_what_is_frozen_stays_and_what_is_new_learns(
    on: str, tune: Any, twins: dict[str, Path], cache: FrameCache, tmp_path: Path
) -> None:
    if tune == "lora":
        pytest.importorskip("peft")
    from vertebra.train.loop import train

    video = on in VIDEO
    models = ("", on) if video else (on, "")
    standing = standing_on(twins, *models, tune=tune, rank=2)
    recipe = recipes.by_name("fast-wam" if video else "pi0")
    named = replace(brief(recipe), backbone=standing.named(recipe.backbone))
    spec = training(named, cache, standing=standing, batch_size=4, samples=16, warmup=0)
    before = prepare(spec).policy.network.state_dict()
    train(spec, tmp_path)
    after = load_policy(tmp_path / "checkpoint").network
    changed = {n for n, v in after.state_dict().items() if not torch.equal(v, before[n])}
    released = {name for name, _ in after.named_parameters() if after.is_released(name)}
    assert changed
    assert not changed & released
    lora = {name for name in after.state_dict() if "lora_" in name}
    assert bool(lora) == (tune == "lora")
    last = f".vlm.{after.attention.depth - 1}."  # of which nothing but keys and values is read
    idle = {n for n in lora if last in n and ".k_proj." not in n and ".v_proj." not in n}
    assert {n for n in lora if "lora_B" in n} - idle <= changed


def test_an_interrupted_training_goes_on_bit_for_bit(
    twins: dict[str, Path], cache: FrameCache, tmp_path: Path
) -> None:
    from vertebra.spec.storage import digest
    from vertebra.train.loop import run_of, train
    from vertebra.train.spec import train_spec_to_plain

    standing = standing_on(twins, "", "wan2.1", recompute=True)
    recipe = recipes.by_name("fast-wam")
    named = replace(brief(recipe), backbone=standing.named(recipe.backbone))
    spec = training(named, cache, standing=standing, batch_size=4, samples=24, checkpoint_every=3)
    train(spec, tmp_path / "whole")
    first = run_of(prepare(spec), tmp_path / "cut", digest(train_spec_to_plain(spec)))
    while first.step < 3:
        first.advance()
    first.validate()
    first.save()
    train(spec, tmp_path / "cut")
    one, other = (
        load_policy(tmp_path / name / "checkpoint").network.state_dict()
        for name in ("whole", "cut")
    )
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


def test_layers_computed_again_give_the_same_gradients(
    twins: dict[str, Path], cache: FrameCache
) -> None:
    found: list[dict[str, torch.Tensor]] = []
    for recompute in (False, True):
        standing = standing_on(twins, "paligemma", "", recompute=recompute)
        made = prepared(recipes.by_name("pi05"), standing, cache)
        network = made.policy.network
        with torch.no_grad():
            for value in network.parameters():
                value.add_(0.02 * torch.randn(value.shape, generator=made.noise(0)))
        terms = losses(network, made.examples(made.batch(0)), made.noise(0))
        terms["action"].sum().backward()
        found.append({n: v.grad for n, v in network.named_parameters() if v.grad is not None})
    assert found[0].keys() == found[1].keys()
    for name, value in found[0].items():
        torch.testing.assert_close(value, found[1][name])


def test_latents_are_kept_on_disk_and_shared(
    twins: dict[str, Path], cache: FrameCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vertebra.policy import kept

    monkeypatch.setattr(kept, "SHARD", 2)
    standing = standing_on(twins, "", "wan2.2")
    made = prepared(recipes.by_name("fast-wam"), standing, cache)
    terms = losses(made.policy.network, made.examples(made.batch(0)), made.noise(0))
    assert list((cache.directory.parent.parent / "latents").glob("*/*.safetensors"))
    again = prepared(recipes.by_name("fast-wam"), standing, cache)
    view: Any = again.policy.network.senses
    assert len(view.view.autoencoder.encode._known) > 0
    other = losses(again.policy.network, again.examples(again.batch(0)), again.noise(0))
    torch.testing.assert_close(other["future"], terms["future"])


def test_widths_follow_from_the_models_and_steps_from_the_size(
    twins: dict[str, Path], cache: FrameCache
) -> None:
    made = prepared(
        recipes.by_name("fast-wam"), standing_on(twins, "", "wan2.1"), cache
    ).policy.network
    size: Size = made.shape.size
    assert (size.name, size.trunk, size.action, size.horizon) == ("tiny", 32, 16, 8)
    assert size.latents is not None
    assert (size.latents.frames, size.latents.pictures) == (2, 4)
    assert size.future_steps == (1, 2, 3, 4, 5, 6, 7, 8)
    assert made.shape.groups * made.shape.frame_tokens == 2 * 2 * 2
