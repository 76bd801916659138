"""A small robot and batches of it, made up: what an examination trains on."""

import torch

from vertebra.backbones.sizes import Size
from vertebra.policy.network import Network
from vertebra.policy.recipe import Recipe
from vertebra.policy.senses import Given
from vertebra.policy.shape import Shape
from vertebra.policy.targets import Examples
from vertebra.spec.action import ActionSpec, Frame, Gripper, Rotation
from vertebra.spec.observation import Camera, Dim, ObservationSpec

PX = 64
NEEDS = ObservationSpec(
    cameras=(Camera(name="front", height=PX, width=PX),),
    state=tuple(Dim(name=f"tool_{axis}", unit="m") for axis in "xyz"),
    rate_hz=10.0,
)
MAKES = ActionSpec(
    dims=tuple(Dim(name=f"delta_{axis}", unit="m", low=-1.0, high=1.0) for axis in "xyz"),
    frame=Frame.DELTA,
    rotation=Rotation.NONE,
    gripper=Gripper.NONE,
    rate_hz=10.0,
)
SENTENCES = ("go up", "go down")


def made_up_network(recipe: Recipe, size: Size, seed: int = 0) -> Network:
    """New weights of a recipe for the made-up robot; the global seed is left as it was."""
    words = tuple(sorted({word for text in SENTENCES for word in text.split()}))
    shape = Shape(
        recipe=recipe, size=size, needs=NEEDS, makes=MAKES, vocabulary=words, pointing=False
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Network(shape)


def made_up_examples(
    shape: Shape, count: int, seed: int, device: torch.device
) -> tuple[Examples, ...]:
    """A batch in which the actions follow from the words and the brightness of the picture."""
    draw = torch.Generator().manual_seed(seed)
    found: list[Examples] = []
    up = torch.rand(count, generator=draw) < 0.5
    bright = torch.rand(count, 1, 1, 1, generator=draw)
    for _ in range(shape.chunks):
        noise = torch.rand(count, PX, PX, 3, generator=draw)
        picture = (255 * (0.8 * bright + 0.2 * noise)).to(torch.uint8)
        frames = len(shape.future_steps)
        sign = torch.where(up, 1.0, -1.0)[:, None, None]
        actions = sign * bright[:, 0] * torch.ones(count, shape.horizon, shape.action_dims)
        state = torch.rand(count, shape.state_dims, generator=draw)
        found.append(
            Examples(
                given=Given(
                    images={"front": picture.to(device)},
                    state=state.to(device),
                    instructions=tuple(SENTENCES[0 if one else 1] for one in up.tolist()),
                ),
                actions=actions.to(device),
                action_mask=torch.ones(count, shape.horizon, dtype=torch.bool, device=device),
                future=picture[:, None].expand(-1, frames, -1, -1, -1).contiguous().to(device),
                future_mask=torch.ones(count, frames, dtype=torch.bool, device=device),
                future_state=state[:, None].expand(-1, frames, -1).contiguous().to(device),
                points=torch.full((count, 2, 2), torch.nan, device=device),
                frame=torch.full((count,), 10, device=device),
                length=torch.full((count,), 50, device=device),
                real=torch.ones(count, dtype=torch.bool, device=device),
            )
        )
    return tuple(found)
