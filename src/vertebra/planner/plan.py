"""A training on paper: what it holds, costs and gives, on which GPUs."""

from dataclasses import dataclass

from vertebra.planner.gpus import Gpu, counted_gpus
from vertebra.planner.memory import FREE, Memory, memory, trained_parameters
from vertebra.planner.systems import System, standing_on, system_at_size
from vertebra.planner.transformers import BYTES, backbone_at_size
from vertebra.planner.work import TUNES, Forward, Stage, forward, stages

EAGER_S = 0.34 / (11 * 30)
"""Seconds that eager PyTorch takes to start the kernels of one layer, whatever the GPU.

Source: yuantianyuan01/FastWAM issue 34 (H100): 340 ms for a prefix and ten action steps of 30
    layers each.
"""
MOST_GPUS = 65_536


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What is to be trained on what.

    Attributes:
        recipe: Recipe.
        backbone: Backbone of published size; empty for the one of its paper.
        gpus: For example ``8xH100``.
        demos: Demonstrations.
        demo_s: Seconds of one.
        samples: Samples to train on; 0 for as many as were published, or as ``epochs`` gives.
        epochs: Passes over all windows, one starting at each control step; 0 for ``samples``.
        batch: Samples a step, 0 for as many as were published.
        tune: What is trained: ``full``, ``lora`` or ``action``.
        utilisation: Share of the peak rate that a training reaches.
        cached: Whether latents are cached before the training.
        price: Of one GPU for one hour; 0 when it is not known.
    """

    recipe: str
    gpus: str
    demos: int
    backbone: str = ""
    demo_s: float = 20.0
    samples: int = 0
    epochs: float = 0.0
    batch: int = 0
    tune: str = "full"
    utilisation: float = 0.3
    cached: bool = True
    price: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Storage:
    """Bytes of prepared demonstrations, and what they were without preparation.

    Attributes:
        pixels: Pictures at the size that the model sees, uint8, one a control step.
        latents: Latents of every window, one starting at each control step; 0 without latents.
        latents_apart: The same when windows start only where the chunk before ends.
    """

    pixels: float
    latents: float
    latents_apart: float


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """What a training needs and gives.

    Attributes:
        system: What is trained.
        gpu: On what.
        gpus: How many.
        parameters: All parameters.
        trained: Trained parameters.
        samples: Samples.
        epochs: How often each window is seen.
        batch: Samples a step.
        micro: Samples on one GPU at a time.
        accumulated: Passes before a step of the optimizer.
        recomputed: Whether activations are computed again (gradient checkpointing).
        memory: Bytes on one GPU.
        fits: Whether that leaves a tenth of it free.
        least_gpus: Smallest number of such GPUs on which it fits, 0 if there is none.
        work: Operations of a forward pass for one sample.
        flops: Operations of the whole training.
        lower_bound: 6 x parameters x tokens, as lower bounds are published: without attention, and
            without the clean copies that teach later chunks.
        hours: Hours.
        tokens_a_second: Tokens, on all GPUs together.
        cost: In the currency of the price, ``None`` without one.
        storage: What the prepared demonstrations take.
        acting: Stages of acting.
        floor_s: Seconds a chunk on one GPU at its peak rate and bandwidth.
        eager_s: Seconds a chunk when nothing is compiled, at least.
        weights_bytes: Weights in bf16 that acting holds.
    """

    system: System
    gpu: Gpu
    gpus: int
    parameters: float
    trained: float
    samples: int
    epochs: float
    batch: int
    micro: int
    accumulated: int
    recomputed: bool
    memory: Memory
    fits: bool
    least_gpus: int
    work: Forward
    flops: float
    lower_bound: float
    hours: float
    tokens_a_second: float
    cost: float | None
    storage: Storage
    acting: tuple[Stage, ...]
    floor_s: float
    eager_s: float
    weights_bytes: float


def plan_training(wish: Wish) -> TrainingPlan:
    """Count what a training needs.

    Raises:
        ValueError: Naming everything in the wish that cannot be.
    """
    system, gpus, gpu = _checked(wish)
    samples, epochs = _amount(wish, system)
    batch = wish.batch or system.batch
    each = max(1, batch // gpus)
    micro, recomputed, held = _fitted(system, gpu, gpus, each, wish.tune)
    work = forward(system)
    flops = samples * work.training(wish.tune, recomputed=recomputed, cached=wish.cached)
    seconds = flops / (gpus * gpu.bf16 * wish.utilisation)
    own = system.action.parameters if system.action else 0
    parameters = system.backbone.parameters + own
    hours = seconds / 3600
    acting = stages(system)
    return TrainingPlan(
        system=system,
        gpu=gpu,
        gpus=gpus,
        parameters=parameters,
        trained=trained_parameters(system, wish.tune)[0],
        samples=samples,
        epochs=epochs,
        batch=batch,
        micro=micro,
        accumulated=max(1, -(-each // micro)),
        recomputed=recomputed,
        memory=held,
        fits=_fits(held, gpu),
        least_gpus=_least(system, gpu, wish.tune),
        work=work,
        flops=flops,
        lower_bound=6.0 * parameters * work.own_tokens * samples,
        hours=hours,
        tokens_a_second=samples * work.tokens / seconds,
        cost=hours * gpus * wish.price if wish.price else None,
        storage=_storage(wish, system),
        acting=acting,
        floor_s=floor_s(acting, gpu),
        eager_s=eager_s(acting, gpu),
        weights_bytes=BYTES * parameters,
    )


def floor_s(acting: tuple[Stage, ...], gpu: Gpu) -> float:
    """Seconds a chunk takes at least: each stage is bound by operations or by bytes."""
    return sum(max(stage.flops / gpu.bf16, stage.read / gpu.bandwidth) for stage in acting)


def eager_s(acting: tuple[Stage, ...], gpu: Gpu) -> float:
    """Seconds a chunk takes at least when each kernel is started by Python."""
    return sum(
        max(stage.flops / gpu.bf16, stage.read / gpu.bandwidth, stage.layers * EAGER_S)
        for stage in acting
    )


def _checked(wish: Wish) -> tuple[System, int, Gpu]:
    """The parts of a wish, or everything that is wrong with it."""
    found: list[str] = []
    gpus, gpu, system = 1, None, None
    try:
        gpus, gpu = counted_gpus(wish.gpus)
    except ValueError as error:
        found.append(str(error))
    try:
        system = system_at_size(wish.recipe)
        if wish.backbone:
            system = standing_on(system, backbone_at_size(wish.backbone))
    except ValueError as error:
        found.append(str(error))
    checks = (
        (wish.demos < 1, f"demos is {wish.demos}, below 1"),
        (wish.demo_s <= 0, f"demo_s is {wish.demo_s:g}, not above 0"),
        (wish.samples < 0 or wish.epochs < 0, "samples or epochs are below 0"),
        (bool(wish.samples and wish.epochs), "samples and epochs are both given; give one"),
        (wish.batch < 0, f"batch is {wish.batch}, below 0"),
        (wish.price < 0, f"price is {wish.price:g}, below 0"),
        (not 0 < wish.utilisation <= 1, f"utilisation is {wish.utilisation:g}, not in (0, 1]"),
        (wish.tune not in TUNES, f"tune is {wish.tune!r}, expected one of {TUNES}"),
    )
    found += [words for wrong, words in checks if wrong]
    if system is not None and system.action is None and wish.tune == "action":
        found.append(
            f"'{system.name}' has one trunk: there is no action expert to train alone; tune 'lora' "
            "or 'full'"
        )
    if found or system is None or gpu is None:
        raise ValueError("This training cannot be planned:\n  - " + "\n  - ".join(found))
    return system, gpus, gpu


def _amount(wish: Wish, system: System) -> tuple[int, float]:
    """Samples and epochs.

    Raises:
        ValueError: When neither is given and none was published.
    """
    windows = wish.demos * wish.demo_s * system.rate_hz
    samples = wish.samples or round(wish.epochs * windows) or system.samples
    if not samples:
        raise ValueError(
            f"The published run of '{system.name}' does not state its samples: give --samples or "
            "--epochs."
        )
    return samples, samples / windows


def _fits(held: Memory, gpu: Gpu) -> bool:
    return held.total <= (1 - FREE) * gpu.memory_gb * 1e9


def _fitted(system: System, gpu: Gpu, gpus: int, each: int, tune: str) -> tuple[int, bool, Memory]:
    """The most samples on one GPU that fit, remembering all activations if that fits at all."""
    for recomputed in (False, True):
        for micro in _halves(each):
            held = memory(system, gpus=gpus, samples=micro, tune=tune, recomputed=recomputed)
            if _fits(held, gpu):
                return micro, recomputed, held
    return 1, True, memory(system, gpus=gpus, samples=1, tune=tune, recomputed=True)


def _halves(count: int) -> tuple[int, ...]:
    found = [count]
    while found[-1] > 1:
        found.append(found[-1] // 2)
    return tuple(found)


def _least(system: System, gpu: Gpu, tune: str) -> int:
    gpus = 1
    while gpus <= MOST_GPUS:
        if _fits(memory(system, gpus=gpus, samples=1, tune=tune, recomputed=True), gpu):
            return gpus
        gpus *= 2
    return 0


def _storage(wish: Wish, system: System) -> Storage:
    moments = wish.demos * wish.demo_s * system.rate_hz
    backbone = system.backbone
    a_frame = backbone.channels * system.pixels / backbone.stride**2 if backbone.channels else 0
    a_window = BYTES * a_frame * system.latent_frames
    span = system.actions * system.chunks
    return Storage(
        pixels=3 * system.pixels * moments,
        latents=a_window * moments,
        latents_apart=a_window * moments / span,
    )
