"""Training without a network: it resumes, it takes time, and its outcome follows from its seeds."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fakes.policies import Seeker
from fakes.worlds import Plane, demonstrate
from vertebra.pilot.parts import Parts
from vertebra.policy.protocol import Policy
from vertebra.spec.seeds import seed_at
from vertebra.spec.storage import digest, read_json, write_json, write_jsonl
from vertebra.train.spec import TrainSpec, train_spec_to_plain

STEP_S = "VERTEBRA_FAKE_STEP_S"
CRASH = "VERTEBRA_FAKE_CRASH"
"""Name of a file: as long as it exists, a training removes it and dies; "always:" keeps it."""


@dataclass(frozen=True, kw_only=True)
class Trained:
    samples: int
    steps: int
    flops: float
    seconds: float
    parameters: int
    still_improving: bool
    best_step: int
    validation: tuple[tuple[int, float], ...]
    language_labels: int
    privileged_targets: int
    video_frames: int
    extra_labels: int
    extra_frames: int


@dataclass(frozen=True, kw_only=True)
class Progress:
    step: int
    steps: int
    seconds: float
    loss: dict[str, float]


def calibrate(spec: TrainSpec, seconds: float) -> dict[str, Any]:
    """Costs as if a sample took a millisecond (the video family twice that)."""
    per_sample = 0.001 if spec.recipe.family == "vla" else 0.002
    return {
        "flops_per_sample": 1e6,
        "checkpoint_bytes": 1000,
        "seconds_by_precision": {"fp32": per_sample, "bf16": 2 * per_sample},
    }


def train(
    spec: TrainSpec,
    directory: Path,
    on_progress: Callable[[Progress], None],
    *,
    start: Path | None = None,
) -> Trained:
    """Walk through the steps; saves and resumes like the real one."""
    crash = os.environ.get(CRASH, "")
    if crash.startswith("always:") and crash.removeprefix("always:") in str(directory):
        os._exit(7)
    if crash and Path(crash).exists():
        Path(crash).unlink()
        os._exit(9)
    begun = "" if start is None else str(read_json(start / "policy.json")["identity"])
    identity, done = digest([train_spec_to_plain(spec), begun]), directory / "trained.json"
    if not done.exists():
        resume = directory / "resume" / "state.json"
        state = read_json(resume) if resume.exists() else {"step": 0, "value": 0, "curve": []}
        step, value, curve = state["step"], state["value"], state["curve"]
        while step < spec.steps:
            time.sleep(float(os.environ.get(STEP_S, "0")))
            value = seed_at(value, spec.seeds["batch_order"], step)
            step += 1
            curve.append({"step": step, "loss": 1 / step})
            if step % spec.checkpoint_every == 0 or step == spec.steps:
                write_json(resume, {"step": step, "value": value, "curve": curve})
                write_jsonl(directory / "training.jsonl", curve)
            on_progress(Progress(step=step, steps=spec.steps, seconds=0.0, loss={"action": 1.0}))
        noise = 0.005 * (1 + value % 7)
        policy = {"hears": not spec.recipe.blind, "noise": noise, "identity": identity}
        write_json(directory / "checkpoint" / "policy.json", policy)
        write_json(done, {"identity": identity})
    assert read_json(done)["identity"] == identity, "another training lies here"
    return Trained(
        samples=spec.samples,
        steps=spec.steps,
        flops=1e6 * spec.samples,
        seconds=0.001 * spec.samples,
        parameters=100,
        still_improving=False,
        best_step=spec.steps,
        validation=((spec.steps, 0.5),),
        language_labels=0 if spec.recipe.blind else len(spec.told),
        privileged_targets=0,
        video_frames=0,
        extra_labels=0 if spec.recipe.blind else len(spec.video_only),
        extra_frames=0,
    )


def load_policy(directory: Path) -> Policy:
    """The policy that a fake training wrote."""
    plain = read_json(directory / "policy.json")
    return Seeker(hears=plain["hears"], noise=plain["noise"])


PARTS = Parts(
    train=train,
    calibrate=calibrate,
    load_policy=load_policy,
    imagine=lambda policy, training, directory: None,
    make_environment=lambda settings: Plane(max_steps=settings["max_steps"]),
    demonstrator_of=lambda settings: demonstrate,
)
