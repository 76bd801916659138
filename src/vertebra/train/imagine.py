"""What a world-action model imagines, beside what really happened."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from vertebra.coupling.table import present
from vertebra.flow.solver import euler
from vertebra.policy.acting import TrainedPolicy
from vertebra.policy.frames import shrink
from vertebra.policy.passes import Passes
from vertebra.policy.rolling import History, RollingPasses
from vertebra.policy.targets import Examples
from vertebra.spec.seeds import seed_at
from vertebra.train.prepare import Prepared

MOVING = 0.06
"""A pixel moves when a colour channel changes by more than this fraction of the range."""
WINDOWS = 128
DECODED = 16
"""Windows where a released autoencoder makes the pictures."""
STRIPS = 4
STEPS = 10


@torch.no_grad()
def imagine(policy: TrainedPolicy, examples: Examples, seed: int, steps: int = STEPS) -> Tensor:
    """Imagined frames uint8 [B, F, px, px, 3]; one step gives the mean of all futures.

    Args:
        policy: A policy whose recipe denoises ``future``.
        examples: Windows with what the policy is shown.
        seed: Seed of the noise.
        steps: Euler steps.
    """
    network, shape = policy.network, policy.network.shape
    recipe = shape.recipe
    generator = torch.Generator().manual_seed(seed_at(seed, "imagine"))
    noise = {
        name: torch.randn((examples.count, *shape.vectors(name)), generator=generator)
        for name in recipe.noisy
    }
    if recipe.rolling:
        passes: Passes = RollingPasses(network, examples.given, History(), None)
    else:
        passes = Passes(network, examples.given)
    kept = passes.begin(noise)
    start = {name: noise[name] for name in _with_future(policy)}
    values = euler(lambda v, at: dict(passes.velocity(v, dict.fromkeys(v, at), kept)), start, steps)
    return network.imagined(next(iter(examples.given.images.values())), values["future"])


def _with_future(policy: TrainedPolicy) -> tuple[str, ...]:
    """Streams that are denoised together with the future: those at which it looks."""
    table, noisy = policy.network.table, policy.network.shape.recipe.noisy
    reached = present(table, "future")
    return tuple(name for name in noisy if name in reached)


def imagined_evidence(
    prepared: Prepared, policy: TrainedPolicy, directory: Path
) -> tuple[dict[str, Any] | None, list[dict[str, str]]]:
    """Error of imagined frames against copying the last frame, and strips to look at.

    Errors are root mean squares over pixels that really moved (and lie inside the episode), in
    units of the brightness range, on validation windows. ``model_error_moving`` is the error of the
    mean future (one step), ``sample_error_moving`` that of one sampled future (ten steps); a sample
    is penalised for choosing among several possible futures.

    Args:
        prepared: The data of the training.
        policy: The trained policy.
        directory: Gets ``imagined_K.png``.

    Returns:
        The figures, or ``None`` when the recipe imagines nothing; and entries for ``show.json``.
    """
    if "future" not in policy.network.denoised:
        return None, []
    windows = WINDOWS if policy.network.paints is None else DECODED
    batch = prepared.validation.sample(np.random.default_rng(0), windows)
    examples = prepared.examples(batch)[-1]
    shape = policy.network.shape
    size = policy.network.shape.size
    now = next(iter(examples.given.images.values()))
    count, frames = examples.future.shape[:2]
    real = shrink(examples.future.flatten(0, 1), size.future_px).permute(0, 2, 3, 1)
    real = real.reshape(count, frames, size.future_px, size.future_px, 3)
    copied = shrink(now, size.future_px).permute(0, 2, 3, 1)[:, None].expand_as(real)
    moving = ((real - copied).abs().amax(-1) > MOVING) & examples.future_mask[:, :, None, None]
    mean, sampled = imagine(policy, examples, 0, steps=1), imagine(policy, examples, 0)
    figures = {
        "model_error_moving": _error(mean.float() / 255, real, moving),
        "sample_error_moving": _error(sampled.float() / 255, real, moving),
        "copy_error_moving": _error(copied, real, moving),
        "moving_share": float(moving.float().mean()),
        "frames": int(examples.future_mask.sum()),
        "pixels": size.future_px,
        "future_steps": list(shape.future_steps),
    }
    order = moving.flatten(1).float().mean(1).argsort(descending=True)[:STRIPS].tolist()
    shown: list[dict[str, str]] = []
    for index, row in enumerate(order):
        name = f"imagined_{index}.png"
        arrays = [(255 * copied[row, :1]).byte(), (255 * real[row]).byte(), sampled[row], mean[row]]
        _strip([array.numpy() for array in arrays], directory / name)
        rate = policy.needs.rate_hz
        ahead = ", ".join(f"{step / rate:.1f} s" for step in shape.future_steps)
        shown.append(
            {
                "file": name,
                "kind": "imagined",
                "caption": f"“{batch.instructions[row]}”: now; real, imagined (one sample) and "
                f"mean imagined frames {ahead} later",
            }
        )
    return figures_or_none(figures), shown


def _error(guess: Tensor, real: Tensor, moving: Tensor) -> float:
    squares = (guess - real).square().mean(-1)[moving]
    return float(squares.mean().sqrt()) if len(squares) else float("nan")


def _strip(rows: list[NDArray[np.uint8]], path: Path, zoom: int = 3, gap: int = 2) -> None:
    """Now on the left, then one group of frames a row of ``rows[1:]``, side by side."""
    px = rows[0].shape[1] * zoom
    frames = [frame for group in rows for frame in [*group, None]][:-1]
    width = sum(gap * 4 if frame is None else px + gap for frame in frames) - gap
    canvas = Image.new("RGB", (width, px), (255, 255, 255))
    left = 0
    for frame in frames:
        if frame is None:
            left += gap * 4
            continue
        canvas.paste(Image.fromarray(frame).resize((px, px), Image.Resampling.NEAREST), (left, 0))
        left += px + gap
    path.parent.mkdir(parents=True, exist_ok=True)
    canvas.save(path)


def figures_or_none(figures: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """JSON-safe figures: an undefined error is ``None``."""
    if figures is None:
        return None
    return {k: None if isinstance(v, float) and v != v else v for k, v in figures.items()}
