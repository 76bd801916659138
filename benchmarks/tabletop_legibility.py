"""Can colour and shape be read from the 64-pixel views? A small supervised classifier on crops.

Run: ``python benchmarks/tabletop_legibility.py`` (one thread, some eight minutes). The classifier
sees a crop around the privileged centre of an object and must name its colour and its shape; it is
scored on scenes of the split ``validation``. Objects hidden by the gripper or by another object
(fewer than 20 pixels visible in front, 60 in the larger wrist view, or cut by its border) are left
out and counted.
"""

import argparse
import time

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from vertebra.envs.tabletop import Tabletop
from vertebra.envs.tabletop.scene import COLOURS, SHAPES, scene_from_plain

Crops = tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64], int]


def crops(camera: str, split: str, scenes: int, side: int, pixels: int) -> Crops:
    """Crops [n, side, side, 3], colour and shape indices, and how many things were left out."""
    table = Tabletop(cameras=(camera,))
    images: list[NDArray[np.uint8]] = []
    colours: list[int] = []
    shapes: list[int] = []
    hidden = 0
    rng = np.random.default_rng(0)
    for state in table.initial_states(split, scenes, 0):
        observation = table.begin(state, state.tasks[0], 0)
        for _ in range(int(rng.integers(3))):
            table.apply(np.array([*rng.uniform(-1, 1, 2), rng.uniform(-1, 0.5), 1.0], np.float32))
            observation = table.observe()
        image = observation.images[camera]
        mask = table.labels()["segmentation"][camera]
        framed = np.pad(image, ((side, side), (side, side), (0, 0)))
        for number, item in enumerate(scene_from_plain(state.data).objects):
            rows, columns = np.nonzero(mask == number + 1)
            if len(rows) < pixels or (camera == "wrist" and _cut(rows, columns)):
                hidden += 1
                continue
            top = round((rows.min() + rows.max()) / 2) + side - side // 2
            left = round((columns.min() + columns.max()) / 2) + side - side // 2
            images.append(framed[top : top + side, left : left + side])
            colours.append(list(COLOURS).index(item.colour))
            shapes.append(list(SHAPES).index(item.kind))
    return np.stack(images), np.array(colours), np.array(shapes), hidden


def _cut(rows: NDArray[np.intp], columns: NDArray[np.intp]) -> bool:
    """Whether a thing touches the border of the image."""
    return bool(min(rows.min(), columns.min()) == 0 or max(rows.max(), columns.max()) == 63)


class Reader(nn.Module):
    """Some 50,000 parameters: three convolutions and two linear heads."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 24, 3, padding=1), nn.ReLU(),
            nn.Conv2d(24, 32, 3, stride=2, padding=1), nn.ReLU(),
            nn.Conv2d(32, 48, 3, stride=2, padding=1), nn.ReLU(), nn.Flatten(), nn.LazyLinear(64),
            nn.ReLU(),
        )  # fmt: skip
        self.colour, self.shape = nn.Linear(64, len(COLOURS)), nn.Linear(64, len(SHAPES))

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        hidden = self.body(image)
        return self.colour(hidden), self.shape(hidden)


def measure(camera: str, scenes: int, side: int, pixels: int, epochs: int) -> None:
    """Train on ``train``, score on ``validation`` and print."""
    start = time.perf_counter()
    images, colours, shapes, _ = crops(camera, "train", scenes, side, pixels)
    tests, test_colours, test_shapes, hidden = crops(camera, "validation", 800, side, pixels)
    as_input = lambda x: torch.from_numpy(x).permute(0, 3, 1, 2).float() / 127.5 - 1.0  # noqa: E731
    torch.manual_seed(0)
    reader = Reader()
    reader(as_input(images[:2]))
    optimiser = torch.optim.AdamW(reader.parameters(), lr=2e-3, weight_decay=1e-3)
    steps = epochs * (len(images) // 64)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=steps)
    rng = np.random.default_rng(0)
    for _ in range(steps):
        batch = rng.integers(len(images), size=64)
        moved = np.roll(images[batch], rng.integers(-1, 2, 2), axis=(1, 2))
        flipped = moved[:, :, ::-1] if rng.random() < 0.5 else moved
        colour, shape = reader(as_input(np.ascontiguousarray(flipped)))
        loss = nn.functional.cross_entropy(colour, torch.from_numpy(colours[batch]))
        loss = loss + nn.functional.cross_entropy(shape, torch.from_numpy(shapes[batch]))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    with torch.no_grad():
        colour, shape = (head.argmax(1).numpy() for head in reader(as_input(tests)))
    right = (colour == test_colours) & (shape == test_shapes)
    confusion = np.zeros((len(SHAPES), len(SHAPES)), int)
    np.add.at(confusion, (test_shapes, shape), 1)
    print(
        f"{camera}: colour {np.mean(colour == test_colours):.4f}, "
        f"shape {np.mean(shape == test_shapes):.4f}, both {np.mean(right):.4f} "
        f"of {len(tests)} objects ({hidden} hidden ones left out); "
        f"{len(images)} crops for training; {time.perf_counter() - start:.0f} s"
    )
    for name, row in zip(SHAPES, confusion.tolist(), strict=True):
        print(
            f"  {name:9s} was called "
            + ", ".join(f"{k} {n}" for k, n in zip(SHAPES, row, strict=True))
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=3000)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--cameras", nargs="+", default=["front", "wrist"])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for camera, side, pixels, scenes in (("front", 16, 20, 1), ("wrist", 32, 60, 2)):
        if camera not in arguments.cameras:
            continue
        measure(camera, scenes * arguments.scenes, side, pixels, arguments.epochs)
