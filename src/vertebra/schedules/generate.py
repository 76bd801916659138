"""Run a schedule: from noise to actions and, where the schedule asks for it, imagined frames."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol, TypeVar

from torch import Tensor

from vertebra.flow.solver import euler
from vertebra.schedules.kinds import ActionOnly, Schedule, Together, VideoFirst

Kept = TypeVar("Kept")


class Denoiser(Protocol[Kept]):
    """What a schedule needs from a policy. What is kept between passes is a value."""

    def begin(self) -> Kept:
        """Read what is given, once."""
        ...

    def velocity(self, values: Mapping[str, Tensor], at: float, kept: Kept) -> Mapping[str, Tensor]:
        """Velocities of the streams in ``values`` at a flow time."""
        ...

    def finish(self, name: str, value: Tensor, kept: Kept) -> Kept:
        """Store the finished stream for those who read its clean copy.

        Costs one pass, or none when nobody reads it: then ``kept`` itself comes back.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Generated:
    """What a schedule made.

    Attributes:
        values: Finished streams.
        evaluations: Stage to number of passes.
        stage_s: Stage to seconds.
    """

    values: Mapping[str, Tensor]
    evaluations: Mapping[str, int]
    stage_s: Mapping[str, float]


def generate(
    schedule: Schedule, denoiser: Denoiser[Kept], noise: Mapping[str, Tensor]
) -> Generated:
    """Follow a schedule.

    Args:
        schedule: What is denoised when.
        denoiser: Reads, denoises and finishes streams.
        noise: Noise for every stream that the schedule generates.
    """
    marks = [("", time.perf_counter())]
    kept = denoiser.begin()
    marks.append(("prefix", time.perf_counter()))
    evaluations = {"prefix": 1}

    def along(names: tuple[str, ...], steps: int) -> dict[str, Tensor]:
        chosen = {name: noise[name] for name in names}
        return euler(lambda values, at: dict(denoiser.velocity(values, at, kept)), chosen, steps)

    match schedule:
        case ActionOnly(steps=steps):
            values = along(("action",), steps)
            evaluations["action"] = steps
        case Together(steps=steps):
            values = along(tuple(noise), steps)
            evaluations["action"] = steps
        case VideoFirst(video_steps=video_steps, steps=steps):
            values = dict[str, Tensor]()
            evaluations["video"] = 0
            for name in noise:
                if name != "action":
                    values |= along((name,), video_steps)
                    before, kept = kept, denoiser.finish(name, values[name], kept)
                    evaluations["video"] += video_steps + (kept is not before)
            marks.append(("video", time.perf_counter()))
            values |= along(("action",), steps)
            evaluations["action"] = steps
    marks.append(("action", time.perf_counter()))
    stage_s = {name: at - before for (_, before), (name, at) in pairwise(marks)}
    return Generated(values=values, evaluations=evaluations, stage_s=stage_s)
