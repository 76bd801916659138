"""Frames as changes, pointing, words and pixels: small parts with answers known by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from fakes.episodes import NEEDS
from fakes.networks import network_of, senses_of, shape_of
from vertebra.nn.embeddings import PixelTokens, Words, sinusoid, split_words
from vertebra.policy.frames import (
    CHANGE_SCALE,
    changes,
    from_patches,
    imagined_frames,
    shrink,
    to_patches,
)
from vertebra.policy.network import Network
from vertebra.policy.pointing import pointed_places, pointing_loss
from vertebra.recipes.pi0 import PI0


def pictures(*shape: int) -> torch.Tensor:
    rng = np.random.default_rng(0)
    return torch.from_numpy(rng.integers(0, 256, (*shape, 3), dtype=np.uint8))


def test_patches_come_back_as_they_went_in() -> None:
    values = torch.randn(5, 3, 16, 16)
    patches = to_patches(values, 4)
    assert patches.shape == (5, 16, 48)
    assert (from_patches(patches, 16, 4) == values).all()
    first = values[:, :, :4, :4].flatten(1)
    assert (patches[:, 0] == first).all(), "patches go row by row from the top left"


def test_changes_and_back_are_the_future_and_no_change_is_zero() -> None:
    now, later = pictures(2, 32, 32), pictures(2, 3, 32, 32)
    vectors = changes(now, later, 16, 8)
    assert vectors.shape == (2, 3 * 4, 3 * 64)
    back = imagined_frames(now, vectors, 3, 16, 8)
    wanted = 255 * shrink(later.flatten(0, 1), 16).permute(0, 2, 3, 1).view(2, 3, 16, 16, 3)
    assert back.dtype == torch.uint8 and back.shape == wanted.shape
    assert (back.float() - wanted).abs().max() <= 0.51
    still = changes(now, now[:, None].expand(-1, 3, -1, -1, -1), 16, 8)
    assert still.abs().max() < 1e-6
    brighter = torch.full((1, 1, 8, 8, 3), 128, dtype=torch.uint8)
    change = changes(torch.zeros(1, 8, 8, 3, dtype=torch.uint8), brighter, 8, 8)
    assert torch.allclose(change, torch.tensor(128 / 255 / CHANGE_SCALE))


GRID = (4, 8)


def certain(x: float, y: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Scores and offsets that point exactly at a place, for object and destination, and it."""
    rows, columns = GRID
    column, row = int(x * columns), int(y * rows)
    scores = torch.full((1, 2, rows * columns), -20.0)
    scores[:, :, row * columns + column] = 20.0
    exact = torch.tensor([x * columns - column - 0.5, y * rows - row - 0.5])
    offsets = exact.expand(1, 2, rows * columns, 2).clone()
    return scores, offsets, torch.tensor([[[x, y], [x, y]]])


@pytest.mark.parametrize(("x", "y"), [(0.0, 0.0), (0.3, 0.8), (0.99, 0.01), (1.0, 1.0)])
def test_pointing_at_the_right_place_costs_nothing(x: float, y: float) -> None:
    inside = min(x, 1 - 1e-6), min(y, 1 - 1e-6)
    scores, offsets, wanted = certain(*inside)
    assert float(pointing_loss(scores, offsets, wanted, GRID)) < 1e-4
    shifted = offsets + torch.tensor([0.25, 0.0])
    assert float(pointing_loss(scores, shifted, wanted, GRID)) == pytest.approx(0.25, abs=1e-3)
    elsewhere = torch.tensor([[[1 - x, 1 - y], [1 - x, 1 - y]]])
    assert float(pointing_loss(scores, offsets, elsewhere, GRID)) > 10


def test_of_two_things_the_likelier_is_pointed_at_and_never_the_gap_between() -> None:
    scores, offsets, wanted = certain(0.2, 0.3)
    other, _, _ = certain(0.9, 0.9)
    torn = torch.maximum(scores, other - 1.0)
    found = pointed_places(torn, offsets, GRID).view(2, 3)
    torch.testing.assert_close(found[:, :2], 2 * wanted[0] - 1)
    assert found[:, 2].tolist() == pytest.approx([1 / (1 + np.exp(-1.0))] * 2, abs=1e-4)


def test_unknown_places_are_left_out_and_send_no_gradient() -> None:
    scores, offsets, wanted = certain(0.3, 0.8)
    wrong = scores.flip(-1).requires_grad_()
    half = wanted.clone()
    half[0, 1] = torch.nan
    both = torch.stack([half[0], torch.full((2, 2), torch.nan)])
    loss = pointing_loss(wrong.expand(2, -1, -1), offsets.expand(2, -1, -1, -1), both, GRID)
    assert float(loss[1].detach()) == 0.0, "no target at all"
    alone = pointing_loss(wrong, offsets, wanted, GRID)
    assert float(loss[0].detach()) == pytest.approx(float(alone.detach())), "mean over known ones"
    loss.sum().backward()
    assert wrong.grad is not None and wrong.grad.isfinite().all()
    assert (wrong.grad[0, 1] == 0).all() and (wrong.grad[0, 0] != 0).any()
    outside = torch.tensor([[[0.3, torch.nan], [torch.nan, 0.8]]])
    assert float(pointing_loss(scores, offsets, outside, GRID)) == 0.0


def test_words_are_known_unknown_or_silence() -> None:
    words = Words(("box", "lift", "red"), 8, longest=4)
    rows, mask = words.rows(("Lift the RED box!", "", "red"))
    assert rows.tolist() == [[3, 0, 4, 2], [1, 0, 0, 0], [4, 0, 0, 0]]
    assert mask.tolist() == [[True] * 4, [True] + [False] * 3, [True] + [False] * 3]
    assert words(rows).shape == (3, 4, 8)
    with pytest.raises(ValueError, match="has 5 words, at most 4 fit: 'a b c d e'"):
        words.rows(("a b c d e",))
    assert split_words("Put it down, then: don't move the blue-ish ball.") == [
        *("put", "it", "down", "then", "don't", "move", "the", "blue-ish", "ball")
    ]


def test_pixels_become_one_token_a_stride_and_odd_sizes_are_refused() -> None:
    stem = PixelTokens(height=32, width_px=64, stride=16, width=8, channels=4)
    tokens = stem(pictures(2, 32, 64))
    assert tokens.shape == (2, 2 * 4, 8) and (stem.rows, stem.columns) == (2, 4)
    with pytest.raises(ValueError, match="30x64 pixels cannot be cut into 16-pixel tokens"):
        PixelTokens(height=30, width_px=64, stride=16, width=8, channels=4)


def test_flow_times_get_distinct_features() -> None:
    features = sinusoid(torch.linspace(0, 1, 101), 16)
    assert features.shape == (101, 16) and features.abs().max() <= 1
    distance = torch.cdist(features, features) + torch.eye(101)
    assert distance.min() > 1e-2


def test_an_expert_without_weights_is_named() -> None:
    joint = PI0.trunk
    strange = replace(joint, experts={**joint.experts, "text": "ear"})
    with pytest.raises(ValueError, match="No weights are known for expert 'ear'"):
        Network(shape_of(replace(PI0, coupling=strange)))


def test_the_first_camera_gets_fine_tokens_and_cameras_are_in_order() -> None:
    network = network_of(PI0)
    assert network.grid == (4, 4)
    senses = senses_of(network)
    eyes = senses.eyes["image"]
    assert isinstance(eyes, nn.ModuleDict)
    assert list(eyes) == [camera.name for camera in NEEDS.cameras]
    _, coarse = senses.stems
    assert (coarse.rows, coarse.columns) == (2, 2)


def test_building_a_network_is_a_function_of_the_seed_alone() -> None:
    one, two, other = (network_of(PI0, seed=seed) for seed in (1, 1, 2))
    pairs = zip(one.parameters(), two.parameters(), other.parameters(), strict=True)
    same = [(bool((a == b).all()), bool((a == c).all())) for a, b, c in pairs]
    assert all(first for first, _ in same) and not any(second for _, second in same)
