"""The priors that ship: what their cards say is what the files hold, and both sides are matched."""

import hashlib

import pytest
import torch

from vertebra.backbones.prior import read_prior
from vertebra.backbones.shipped import SHIPPED, card_of, shipped
from vertebra.backbones.sizes import MINI
from vertebra.pilot.plan import priors_of_arms
from vertebra.pretrain.vlm import VlmPrior
from vertebra.recipes import by_name, chosen

NAMES = sorted(path.stem for path in SHIPPED.glob("*.safetensors"))
MEGABYTES = 12


def test_the_default_pilot_finds_its_priors() -> None:
    assert {"vlm-mini", "video-mini", "autoencoder-mini"} <= set(NAMES)
    found = priors_of_arms(chosen(("all-four",)), "mini", "prior")
    assert set(found) == {"vlm-mini", "video-mini", "autoencoder-mini"}
    assert {**priors_of_arms((by_name("pi0"),), "mini", "prior")}.keys() == {"vlm-mini"}


@pytest.mark.parametrize("name", NAMES)
def test_a_card_is_that_of_its_file(name: str) -> None:
    path, card = shipped(name), card_of(name)
    content = path.read_bytes()
    assert hashlib.sha256(content).hexdigest() == card["sha256"]
    assert len(content) == card["bytes"] <= MEGABYTES * 2**20
    words = card["command"].split()
    assert words[:2] == ["vertebra", "pretrain"]
    assert not any(word.startswith("/") for word in words), "a path of one machine"
    assert card["metrics"] and card["ledger"]["flops"] > 0 and card["corpus"]["clips"] > 0
    tensors = read_prior(path).tensors
    assert all(bool(value.isfinite().all()) for value in tensors.values())


def test_both_priors_had_the_same_budget_and_size() -> None:
    vlm, video, codec = (card_of(name) for name in ("vlm-mini", "video-mini", "autoencoder-mini"))
    assert video["ledger"]["flops"] == pytest.approx(vlm["ledger"]["flops"], rel=0.05)
    assert video["ledger"]["flops"] > codec["ledger"]["flops"], "the autoencoder counts"
    sizes = [
        card["ledger"]["parameters"] + card["ledger"]["frozen_parameters"] for card in (vlm, video)
    ]
    assert sizes[0] == pytest.approx(sizes[1], rel=0.02)
    assert vlm["corpus"]["hash"] == video["corpus"]["hash"] == codec["corpus"]["hash"]
    assert vlm["corpus"]["pixels"] == video["corpus"]["pixels"]
    assert vlm["ledger"]["privileged_targets"] > 0 == video["ledger"]["privileged_targets"]


def test_the_shipped_weights_are_the_ones_that_were_measured() -> None:
    """They load into the network that was trained, and are not those of an untrained one."""
    prior = read_prior(shipped("vlm-mini"))
    torch.manual_seed(0)
    network = VlmPrior(MINI, pointing=True)
    fresh = {name: value.clone() for name, value in network.state_dict().items()}
    network.load_state_dict(prior.tensors)
    assert sum(not torch.equal(fresh[n], v) for n, v in network.state_dict().items()) > 0.9 * len(
        fresh
    )
