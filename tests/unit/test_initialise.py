"""From priors to policies: what is copied, what is new, what is refused."""

import re
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch

from fakes.episodes import random_cache, training
from fakes.networks import NEEDS, shape_of
from fakes.priors import priors
from vertebra.backbones import shipped as shipped_module
from vertebra.backbones.prior import read_prior, write_prior
from vertebra.backbones.shipped import prior_names, priors_of, shipped
from vertebra.backbones.sizes import MINI, TINY, Size
from vertebra.policy.checkpoint import load_policy
from vertebra.policy.initialise import initialise, read_priors
from vertebra.policy.network import Network
from vertebra.policy.senses import ShippedSenses
from vertebra.policy.shape import codable
from vertebra.pretrain.pairs import GRID, location, vocabulary
from vertebra.recipes import by_name
from vertebra.spec.observation import Camera
from vertebra.train.imagine import imagined_evidence
from vertebra.train.loop import train
from vertebra.train.prepare import prepare
from vertebra.train.spec import train_spec_from_plain, train_spec_to_plain

# From priors to policies.

PARTS = {
    "pi0": ("vlm",),
    "fast-wam": ("video", "autoencoder"),
    "vlm-wam": ("vlm", "video", "autoencoder"),
    "features-only": ("video",),
}


def policy_network(recipe: str, size: Size) -> Network:
    pointed = by_name(recipe).pointed()
    cameras = tuple(Camera(name=c.name, height=64, width=64) for c in NEEDS.cameras)
    shape = replace(shape_of(pointed, size), needs=replace(NEEDS, cameras=cameras))
    torch.manual_seed(7)
    return Network(replace(shape, coded=codable(pointed)))


@pytest.mark.parametrize("recipe", PARTS)
def test_exactly_the_shared_parts_come_from_the_priors(recipe: str) -> None:
    before, network = (policy_network(recipe, TINY) for _ in range(2))
    made = priors(TINY)
    done = initialise(network, [made[name] for name in PARTS[recipe]])
    old, new = before.state_dict(), network.state_dict()
    assert set(done.loaded) | set(done.new) == set(new) and not set(done.loaded) & set(done.new)
    for name in done.new:
        assert torch.equal(old[name], new[name]), name
    camera = NEEDS.cameras[0].name
    for name, source in done.loaded.items():
        if name == "senses.words.table.weight":
            continue
        short = re.sub(r"senses\.eyes\.(image|frame)\.\w+", "eye", name)
        if "senses.eyes" in name and camera not in name:
            assert ".patch." in name or ".mix." in name, name
        short = short.replace("senses.words", "words").replace("codec.", "")
        short = short.replace("inputs.future", "input").replace("outputs.future", "output")
        short = short.replace("positions.future", "position")
        assert torch.equal(new[name], made[source].tensors[short]), name
    fresh = "experts.action", "senses.state", "wrist", "action", "head.", "point.", "feature"
    crossing = recipe == "features-only" or recipe == "fast-wam"
    for name in done.new:
        known = any(part in name for part in fresh)
        assert known or (crossing and name.startswith(("pointing.", "conditions."))), name
    assert all(
        "experts.video" in n
        or "experts.vlm" in n
        or "senses" in n
        or "codec" in n
        or "future" in n
        or "pointing" in n
        or "norms" in n
        for n in done.loaded
    )


def test_known_words_keep_their_meaning_and_unknown_ones_start_anew() -> None:
    network, made = policy_network("pi0", TINY), priors(TINY)
    network = Network(replace(network.shape, vocabulary=("plate", "put", "teapot")))
    words = cast("ShippedSenses", network.senses).words
    before = words.table.weight.detach().clone()
    initialise(network, [made["vlm"]])
    rows = made["vlm"].tensors["words.table.weight"]
    known = {word: row + 2 for row, word in enumerate(vocabulary())}
    assert set(words.index) & set(known) and set(words.index) - set(known)
    for word, row in words.index.items():
        wanted = rows[known[word]] if word in known else before[row]
        assert torch.equal(words.table.weight[row], wanted), word


def test_priors_of_another_size_are_refused() -> None:
    network = policy_network("pi0", TINY)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(ValueError, match=r"Priors do not fit recipe 'pi0' at size 'tiny':\n  - "):
        initialise(network, [priors(MINI)["vlm"]])
    assert all(torch.equal(before[n], value) for n, value in network.state_dict().items())


def test_a_prior_on_disk_is_the_one_on_its_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipped_module, "SHIPPED", tmp_path)
    one = priors(TINY)["vlm"]
    write_prior(tmp_path / "vlm-tiny.safetensors", {**one.card, "name": "vlm-tiny"}, one.tensors)
    assert prior_names(by_name("vlm-wam").backbone, "mini", "shuffled") == (
        "vlm-mini-shuffled",
        "video-mini-shuffled",
    )
    wanted = priors_of(by_name("pi0").backbone, "tiny", "prior", imagines=False)
    assert [prior.name for prior in read_priors(wanted)] == ["vlm-tiny"]
    assert priors_of(by_name("pi0").backbone, "tiny", "scratch", imagines=True) == {}
    with pytest.raises(ValueError, match=r"'video-tiny' is shipped; shipped are: vlm-tiny"):
        priors_of(by_name("fast-wam").backbone, "tiny", "prior", imagines=True)
    with pytest.raises(ValueError, match="locked was 00"):
        read_priors({"vlm-tiny": "00"})
    path = shipped("vlm-tiny")
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(ValueError, match=r"is not the file that vlm-tiny\.json describes"):
        read_prior(path)


def test_places_are_cut_into_one_word_a_patch() -> None:
    assert location(np.array([0.0, 0.0], np.float32)) == "loc00"
    assert location(np.array([0.99, 0.0], np.float32)) == f"loc{GRID - 1:02d}"
    assert location(np.array([0.99, 0.99], np.float32)) == f"loc{GRID**2 - 1:02d}"


@pytest.fixture
def tiny_priors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All priors of size tiny, as if they were shipped."""
    monkeypatch.setattr(shipped_module, "SHIPPED", tmp_path)
    for what, one in priors(TINY).items():
        name = f"{what}-tiny"
        write_prior(tmp_path / f"{name}.safetensors", {**one.card, "name": name}, one.tensors)
    return tmp_path


@pytest.mark.parametrize("recipe", PARTS)
def test_a_training_starts_from_the_priors_it_is_locked_on(
    recipe: str, tiny_priors: Path, tmp_path: Path
) -> None:
    frames, one = random_cache(tmp_path / "frames"), by_name(recipe)
    wanted = priors_of(one.backbone, "tiny", "prior", imagines=codable(one))
    spec = training(one, frames, privileged="points", priors=wanted)
    assert train_spec_from_plain(train_spec_to_plain(spec)) == spec
    scratch = prepare(replace(spec, priors={})).policy.network
    network = prepare(spec).policy.network
    assert network.shape.coded == codable(one) and not scratch.shape.coded
    expert = "vlm" if "vlm" in PARTS[recipe] else "video"
    name = f"attention.experts.{expert}.0.kv.weight"
    known = read_prior(shipped(f"{expert}-tiny")).tensors
    assert torch.equal(network.get_parameter(name), known[name])
    assert not torch.equal(scratch.get_parameter(name), known[name])
    assert set(vocabulary()) <= set(network.shape.vocabulary)
    result = train(spec, tmp_path / "run")
    policy = load_policy(tmp_path / "run" / "checkpoint")
    assert policy.network.shape.coded == codable(one) and result.steps == 12
    if codable(one):
        codec = policy.network.codec.state_dict()
        kept = read_prior(shipped("autoencoder-tiny")).tensors
        assert all(torch.equal(codec[name], value) for name, value in kept.items())
        trained = sum(p.numel() for p in policy.network.parameters() if p.requires_grad)
        assert result.parameters == trained


def test_a_spec_without_priors_is_written_as_before_there_were_any(tmp_path: Path) -> None:
    spec = training(by_name("pi0"), random_cache(tmp_path))
    assert "priors" not in train_spec_to_plain(spec)


def test_imagined_codes_become_pictures_and_are_measured(tiny_priors: Path, tmp_path: Path) -> None:
    frames, one = random_cache(tmp_path / "frames"), by_name("fast-wam-joint")
    wanted = priors_of(one.backbone, "tiny", "scratch", imagines=codable(one))
    assert list(wanted) == ["autoencoder-tiny"]
    prepared = prepare(training(one, frames, priors=wanted))
    figures, shown = imagined_evidence(prepared, prepared.policy, tmp_path)
    assert figures is not None and figures["future_steps"] == [2, 4, 6, 8] and shown
    assert figures["copy_error_moving"] > 0


@pytest.mark.parametrize("recipe", ["unipi", "dreamzero"])
def test_frames_that_cannot_be_coded_stay_pixels(recipe: str) -> None:
    one = by_name(recipe)
    assert not codable(one)
    with pytest.raises(ValueError, match="cannot be coded in groups"):
        replace(shape_of(one), coded=True)
