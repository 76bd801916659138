"""What a sample costs on this machine, measured by really running steps."""

import resource
import statistics
import time
from dataclasses import dataclass, replace

from vertebra.policy.checkpoint import tensor_bytes
from vertebra.train.flops import count_flops
from vertebra.train.optim import Optimiser
from vertebra.train.prepare import Prepared, prepare
from vertebra.train.spec import PRECISIONS, TrainSpec


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Costs of one arm.

    Attributes:
        seconds_per_sample: Wall-clock seconds of training a window, in the chosen precision.
        flops_per_sample: Floating-point operations a window, forward and backward.
        memory_bytes: Peak resident memory of this process so far.
        checkpoint_bytes: Size of the weights on disk.
        precision: The faster of bf16 and fp32 here.
        seconds_by_precision: Both measurements.
    """

    seconds_per_sample: float
    flops_per_sample: float
    memory_bytes: int
    checkpoint_bytes: int
    precision: str
    seconds_by_precision: dict[str, float]


def calibrate(spec: TrainSpec, seconds: float = 5.0) -> Calibration:
    """Time training steps in both precisions; medians, after two steps of warm-up each.

    Args:
        spec: The arm; nothing is written.
        seconds: Time to spend in all, at least three steps a precision.
    """
    found: dict[str, float] = {}
    for precision in PRECISIONS:
        prepared = prepare(replace(spec, precision=precision))
        network = prepared.policy.network
        optimiser = Optimiser(
            network, learning_rate=1e-4, warmup=1, steps=spec.steps, slower=network.slower
        )
        taken: list[float] = []
        while len(taken) < 5 or sum(taken) < seconds / len(PRECISIONS):
            before = time.perf_counter()
            _step(prepared, optimiser, len(taken))
            taken.append(time.perf_counter() - before)
        found[precision] = statistics.median(taken[2:]) / spec.batch_size
    fastest = min(found, key=lambda name: found[name])
    prepared = prepare(spec)
    return Calibration(
        seconds_per_sample=found[fastest],
        flops_per_sample=count_flops(prepared) / spec.batch_size,
        memory_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        checkpoint_bytes=len(tensor_bytes(prepared.policy.network.state_dict())),
        precision=fastest,
        seconds_by_precision=found,
    )


def _step(prepared: Prepared, optimiser: Optimiser, step: int) -> None:
    examples = prepared.examples(prepared.batch(step))
    _, total = prepared.loss(prepared.policy.network, examples, prepared.noise(step))
    total.backward()
    optimiser.step(step)
