"""The two mini families are equal in what they hold and what a training window costs."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from fakes.networks import MAKES, NEEDS, shape_of
from vertebra.backbones.sizes import MINI, MINI_X4, Size
from vertebra.policy.losses import losses, weighted_total
from vertebra.policy.network import Network
from vertebra.policy.senses import Given
from vertebra.policy.targets import Examples
from vertebra.recipes import by_name
from vertebra.spec.observation import Camera

LIMIT = 0.05
PX, BATCH = 64, 4
CAMERAS = tuple(Camera(name=camera.name, height=PX, width=PX) for camera in NEEDS.cameras)


def cost(
    name: str, pointing: bool, size: Size = MINI, *, coded: bool = False
) -> tuple[float, float]:
    """Trained parameters, and operations of training on a batch of table-top windows."""
    recipe = by_name(name).pointed() if pointing else by_name(name)
    shape = replace(shape_of(recipe, size), needs=replace(NEEDS, cameras=CAMERAS), coded=coded)
    frames = len(size.future_frames) if coded else len(size.future_steps)
    network = Network(shape)
    pixels = np.zeros((BATCH, PX, PX, 3), np.uint8)
    examples = Examples(
        given=Given(
            images={camera.name: torch.from_numpy(pixels) for camera in CAMERAS},
            state=torch.zeros(BATCH, shape.state_dims),
            instructions=("put the red box on the plate",) * BATCH,
        ),
        actions=torch.zeros(BATCH, size.horizon, len(MAKES.dims)),
        action_mask=torch.ones(BATCH, size.horizon, dtype=torch.bool),
        future=torch.zeros(BATCH, frames, PX, PX, 3, dtype=torch.uint8),
        future_mask=torch.ones(BATCH, frames, dtype=torch.bool),
        future_state=torch.zeros(BATCH, frames, shape.state_dims),
        points=torch.zeros(BATCH, 2, 2),
        frame=torch.zeros(BATCH, dtype=torch.long),
        length=torch.full((BATCH,), 9),
        real=torch.ones(BATCH, dtype=torch.bool),
    )
    with FlopCounterMode(display=False) as counter:
        weighted_total(losses(network, [examples], torch.Generator().manual_seed(0)), {}).backward()
    parameters = sum(v.numel() for v in network.parameters() if v.requires_grad)
    return parameters, counter.get_total_flops()


def are_matched(one: tuple[float, float], other: tuple[float, float]) -> bool:
    """Whether parameters and operations agree within the limit."""
    return all(abs(a / b - 1) <= LIMIT for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("size", [MINI, MINI_X4], ids=lambda size: size.name)
@pytest.mark.parametrize("coded", [True, False])
@pytest.mark.parametrize("pointing", [True, False])
def test_families_hold_equal_parameters_and_training_operations(pointing, coded, size):
    pi0 = cost("pi0", pointing, size)
    fast_wam = cost("fast-wam", pointing, size, coded=coded)
    assert are_matched(pi0, fast_wam), (pi0, fast_wam)


def test_a_wider_video_backbone_would_be_noticed():
    wide = replace(MINI, video_hidden=2 * MINI.video_hidden)
    assert not are_matched(cost("pi0", True), cost("fast-wam", True, wide))
